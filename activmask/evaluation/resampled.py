"""Scores over all draws of a bootstrap at once, from how often each draw holds each image.

Shapes: R draws, N images.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from activmask.evaluation.bootstrap import Rows
from activmask.training.replicas.resampled_auc import CONFIDENCE

Floats = NDArray[np.float64]
Counts = NDArray[np.uint16]


def counted(resamples: Sequence[Rows], n: int) -> Counts:
    """How often each draw holds each of n images, uint16 (R, n)."""
    return np.stack([np.bincount(rows, minlength=n).astype(np.uint16) for rows in resamples])


def resampled_mean(values: Floats, counts: Counts) -> Floats:
    """The mean of one value per image, (N,), over each draw, (R,)."""
    return np.asarray((counts @ values) / counts.sum(axis=1))


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
