"""One score over all draws of a bootstrap at once, from how often each draw holds each image.

Sorting once and counting a thousand times takes a fiftieth of sorting a thousand times.

Shapes: R draws, N images, K classes.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from activmask.evaluation.bootstrap import Rows
from activmask.evaluation.scores import CONFIDENCE

Floats = NDArray[np.float64]
Counts = NDArray[np.uint16]

_AT_ONCE = 2**22
"""Counts weighed together."""


def counted(resamples: Sequence[Rows], n: int) -> Counts:
    """How often each draw holds each of n images, uint16 (R, n)."""
    return np.stack([np.bincount(rows, minlength=n).astype(np.uint16) for rows in resamples])


def resampled_auc(values: Floats, truth: NDArray[np.int64], counts: Counts) -> Floats:
    """The macro one-vs-rest AUC of each draw, (R,); every draw must hold every class.

    Args:
        values: (N, K), per class the score its AUC ranks by; of two classes the second alone counts.
        truth: int64 (N,) in [0, K).
        counts: (R, N).
    """
    classes = range(values.shape[1]) if values.shape[1] > 2 else [1]
    return np.asarray(np.mean([_areas(values[:, k], truth == k, counts) for k in classes], axis=0))


def _areas(values: Floats, positive: NDArray[np.bool_], counts: Counts) -> Floats:
    order = np.argsort(values, kind="stable")
    ranked, of_class = values[order], positive[order]
    first_of_ties = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]])
    found = []
    for few in _some_rows(counts):
        held = few[:, order].astype(np.float64)
        yes = np.add.reduceat(held * of_class, first_of_ties, axis=1)
        no = np.add.reduceat(held * ~of_class, first_of_ties, axis=1)
        below = np.cumsum(no, axis=1) - no / 2
        found.append((yes * below).sum(axis=1) / (yes.sum(axis=1) * no.sum(axis=1)))
    return np.concatenate(found)


def resampled_mean(values: Floats, counts: Counts) -> Floats:
    """The mean of one value per image, (N,), over each draw, (R,)."""
    return np.asarray((counts @ values) / counts.sum(axis=1))


def _some_rows(counts: Counts) -> Iterator[Counts]:
    together = max(1, _AT_ONCE // max(1, counts.shape[1]))
    for start in range(0, len(counts), together):
        yield counts[start : start + together]


def ends(resampled: Floats, value: float | None = None) -> tuple[float, float]:
    """The ends of the 95 % percentile interval of a score over draws (R,).

    A score that is no mean, such as average precision, is higher in draws that hold images twice than in
    the images themselves, and percentiles of it may miss the value that they are of. They are then widened
    to hold it, so that what is told is never an interval that excludes its own estimate.

    Args:
        resampled: of the draws.
        value: of the images themselves; None leaves the percentiles alone.
    """
    tail = (1 - CONFIDENCE) / 2
    low, high = (float(end) for end in np.quantile(resampled, [tail, 1 - tail]))
    return (low, high) if value is None else (min(low, value), max(high, value))
