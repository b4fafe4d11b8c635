"""What becomes of images once a threshold, or the highest output, has decided.

Shapes: N images, K classes, counts (R, N): how often each draw of a bootstrap holds each image.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from activmask.auditing.clinic.score import Score, Truth, scored, share, shares_of
from activmask.evaluation.resampled import Counts

Classes = NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Of one class against the rest; chance is a guess that calls as many images positive."""

    flagged: float
    """The share of images called positive."""
    sensitivity: Score
    specificity: Score
    ppv: Score
    """Positive predictive value at the share of positives of these images, which is its chance."""
    npv: Score
    """Negative predictive value, likewise."""


def rates(called: Truth, positive: Truth, counts: Counts | None) -> Rates:
    """How often calls, bool (N,), are right, for a truth, bool (N,)."""
    flagged, common = float(called.mean()), float(positive.mean())
    return Rates(
        flagged=flagged,
        sensitivity=share(called, positive, counts, flagged),
        specificity=share(~called, ~positive, counts, 1 - flagged),
        ppv=share(positive, called, counts, common),
        npv=share(~positive, ~called, counts, 1 - common),
    )


def mean_rates(decided: Classes, labels: Classes, counts: Counts | None, classes: int) -> tuple[Score, Score]:
    """Sensitivity and specificity of class 1 of two; of more the means over classes, all of which occur."""
    chosen = [1] if classes == 2 else range(classes)
    flagged = float(np.mean([(decided == k).mean() for k in chosen]))
    pairs = [(decided == k, labels == k) for k in chosen]
    return (
        _mean_share([(called, true) for called, true in pairs], counts, flagged),
        _mean_share([(~called, ~true) for called, true in pairs], counts, 1 - flagged),
    )


def accuracy(decided: Classes, labels: Classes, counts: Counts | None) -> Score:
    """The share of images decided rightly; chance is the share of the commonest class."""
    commonest = np.bincount(labels).max() / len(labels)
    return share(decided == labels, np.ones(len(labels), bool), counts, float(commonest))


def _mean_share(pairs: Sequence[tuple[Truth, Truth]], counts: Counts | None, chance: float) -> Score:
    once = np.ones((1, len(pairs[0][0])), np.uint16)
    value, resampled = (
        None if drawn is None else np.mean([shares_of(hits, among, drawn) for hits, among in pairs], axis=0)
        for drawn in (once, counts)
    )
    assert value is not None
    return scored(float(value[0]), resampled, chance)
