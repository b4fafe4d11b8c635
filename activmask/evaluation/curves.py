"""The corners of curves that tell one class from the rest, and bins of predicted probabilities.

Shapes: N images, K classes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from activmask.evaluation.resampled import Floats

BINS = 10
"""Bins of equal width from 0 to 1 in which predicted and observed are compared."""


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


def roc(scores: Floats, positive: NDArray[np.bool_]) -> Curve:
    """The ROC curve of scores (N,) for the truth, bool (N,), which holds both classes."""
    from sklearn.metrics import roc_curve

    false_alarms, found, _ = roc_curve(positive, scores)
    return Curve(x=tuple(false_alarms.tolist()), y=tuple(found.tolist()))


def precision_recall(scores: Floats, positive: NDArray[np.bool_]) -> Curve:
    """The precision-recall curve of scores (N,) for the truth, bool (N,), from recall 0 to 1."""
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(positive, scores, drop_intermediate=True)
    return Curve(x=tuple(recall[::-1].tolist()), y=tuple(precision[::-1].tolist()))


def bin_numbers(probabilities: Floats) -> NDArray[np.int64]:
    """The bin of each probability (N,), from 0; a probability of 1 lies in the last."""
    return np.minimum((probabilities * BINS).astype(np.int64), BINS - 1)
