"""How a score tells one class from the rest: the areas under its curves.

Shapes: N images, R draws of a bootstrap, counts (R, N): how often each draw holds each image.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from activmask.auditing.clinic.score import Score, Truth, scored
from activmask.evaluation.resampled import Counts, Floats
from activmask.evaluation.scores import macro_auc
from activmask.training.replicas.resampled_auc import resampled_auc


def auc(values: Floats, labels: NDArray[np.int64], counts: Counts | None) -> Score:
    """The ROC AUC of two classes, else the mean of one against the rest; every class must occur.

    Args:
        values: (N, K), by which the images of each class are ranked.
        labels: int64 (N,) in [0, K).
        counts: of draws that hold every class.
    """
    resampled = None if counts is None else resampled_auc(values, labels, counts)
    return scored(macro_auc(values, labels), resampled, 0.5)


def average_precision(scores: Floats, positive: Truth, counts: Counts | None) -> Score:
    """The area under the precision-recall curve by steps; chance is the share of positives."""
    resampled = None if counts is None else resampled_precision(scores, positive, counts)
    return scored(float(average_precision_score(positive, scores)), resampled, float(positive.mean()))


def resampled_precision(scores: Floats, positive: Truth, counts: Counts) -> Floats:
    """The average precision of each draw, (R,), sorted once; scikit-learn's would be sorted R times."""
    order = np.argsort(-scores, kind="stable")
    first_of_ties = np.flatnonzero(np.r_[True, np.diff(scores[order]) != 0])
    return np.array([_precision(row[order], positive[order], first_of_ties) for row in counts])


def _precision(held: NDArray[np.uint16], positive: Truth, first_of_ties: NDArray[np.int64]) -> float:
    found = np.add.reduceat(held * positive, first_of_ties, dtype=np.float64)
    every = np.cumsum(np.add.reduceat(held, first_of_ties, dtype=np.float64))
    precision = np.cumsum(found) / np.maximum(every, 1)
    return float((found * precision).sum() / found.sum())
