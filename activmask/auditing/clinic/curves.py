"""How a score tells one class from the rest: curves, and the areas under them.

The areas are those of scikit-learn, whose calls check their arguments for ten times as long as they take:
a bootstrap asks a thousand times over.

Shapes: N images.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata
from sklearn.metrics import precision_recall_curve, roc_curve

Floats = NDArray[np.float64]
Truth = NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Curve:
    """The corners of a curve."""

    x: tuple[float, ...]
    """In [0, 1]: 1 - specificity of a ROC curve, recall (sensitivity) of a precision-recall curve."""
    y: tuple[float, ...]
    """In [0, 1]: sensitivity, or precision (positive predictive value)."""


def one_against_rest(logits: Floats, k: int) -> Floats:
    """The log odds (N,) of class k by logits (N, K): of two classes the contrast, and never saturated."""
    others = np.delete(logits, k, axis=1)
    top = others.max(axis=1)
    rest: Floats = top + np.log(np.exp(others - top[:, None]).sum(axis=1))
    return logits[:, k] - rest


def roc(scores: Floats, positive: Truth) -> Curve:
    """The ROC curve of scores (N,) for the truth, bool (N,), which holds both classes."""
    false_alarms, found, _ = roc_curve(positive, scores)
    return Curve(x=tuple(false_alarms.tolist()), y=tuple(found.tolist()))


def precision_recall(scores: Floats, positive: Truth) -> Curve:
    """The precision-recall curve of scores (N,) for the truth, bool (N,), from recall 0 to 1."""
    precision, recall, _ = precision_recall_curve(positive, scores, drop_intermediate=True)
    return Curve(x=tuple(recall[::-1].tolist()), y=tuple(precision[::-1].tolist()))


def auc(scores: Floats, positive: Truth) -> float:
    """The area under the ROC curve, by ranks; NaN where a class is missing."""
    m = int(positive.sum())
    if m in {0, len(positive)}:
        return float("nan")
    ranks = rankdata(scores)[positive].sum()
    return float((ranks - m * (m + 1) / 2) / (m * (len(positive) - m)))


def average_precision(scores: Floats, positive: Truth) -> float:
    """The area under the precision-recall curve by steps; NaN where nothing is positive."""
    if not positive.any():
        return float("nan")
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    ends = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))
    found = np.cumsum(positive[order])[ends]
    return float((np.diff(found, prepend=0) * found / (ends + 1)).sum() / found[-1])
