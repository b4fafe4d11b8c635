"""What becomes of images once a threshold, or the highest output, has decided.

Shapes: N images, K classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from activmask.auditing.clinic.curves import Truth
from activmask.auditing.clinic.score import Score, scored
from activmask.evaluation.bootstrap import Rows

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


def rates(called: Truth, positive: Truth, resamples: Sequence[Rows] | None) -> Rates:
    """How often calls, bool (N,), are right, for a truth, bool (N,)."""
    n, flagged, share = len(positive), float(called.mean()), float(positive.mean())

    def of(hits: Truth, among: Truth, chance: float) -> Score:
        return scored(lambda rows: share_of(hits[rows], among[rows]), n, resamples, chance)

    return Rates(
        flagged=flagged,
        sensitivity=of(called, positive, flagged),
        specificity=of(~called, ~positive, 1 - flagged),
        ppv=of(positive, called, share),
        npv=of(~positive, ~called, 1 - share),
    )


def share_of(hits: Truth, among: Truth) -> float:
    """The share of hits, bool (N,), among some images, bool (N,); NaN where there are none of these."""
    return float(hits[among].mean()) if among.any() else float("nan")


def mean_rates(decided: Classes, labels: Classes, classes: int) -> tuple[float, float]:
    """Sensitivity and specificity of class 1 of two; of more the means over classes.

    NaN where a class has no image.
    """
    chosen = [1] if classes == 2 else range(classes)
    sensitivities = [share_of(decided == k, labels == k) for k in chosen]
    specificities = [share_of(decided != k, labels != k) for k in chosen]
    return float(np.mean(sensitivities)), float(np.mean(specificities))


def accuracy(decided: Classes, labels: Classes, resamples: Sequence[Rows] | None) -> Score:
    """The share of images decided rightly; chance is the share of the commonest class."""
    right = decided == labels
    commonest = np.bincount(labels).max() / len(labels)
    return scored(lambda rows: float(right[rows].mean()), len(labels), resamples, float(commonest))
