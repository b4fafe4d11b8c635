"""Where one of several labels is called true: a threshold chosen on validation, and what it comes to.

Shapes: N images, V of the validation split.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from activmask.training.replicas.mean_auc import LabelScores


@dataclass(frozen=True, kw_only=True)
class LabelPoint:
    """One label on the images of a split of which it is known."""

    label: str
    threshold: float
    """The probability from which on it is called true: where sensitivity plus specificity is greatest on
    the run's own validation images (Youden 1950)."""
    confusion: tuple[tuple[int, int], tuple[int, int]]
    """Images by whether it is true, then by whether it is called true; no comes first."""

    @property
    def sensitivity(self) -> float | None:
        """The share of those of which it is true that are called so; None where it is true of none."""
        missed, found = self.confusion[1]
        return found / (missed + found) if missed + found else None

    @property
    def specificity(self) -> float | None:
        """The share of those of which it is not true that are not called so; None where it is true of all."""
        right, wrong = self.confusion[0]
        return right / (right + wrong) if right + wrong else None


def label_point(valid: LabelScores, judged: LabelScores) -> LabelPoint:
    """A label's threshold, and what it comes to.

    Args:
        valid: log odds of the V validation images; both answers occur.
        judged: of the N images.
    """
    from sklearn.metrics import confusion_matrix

    threshold = best_threshold(valid.scores, valid.truth)
    counts = confusion_matrix(judged.truth, judged.scores >= threshold, labels=[0, 1])
    [(right, wrong), (missed, found)] = counts.tolist()
    return LabelPoint(
        label=judged.label,
        threshold=float(expit(threshold)),
        confusion=((right, wrong), (missed, found)),
    )


def best_threshold(scores: NDArray[np.float64], truth: NDArray[np.int64]) -> float:
    """The score from which on to answer yes where sensitivity + specificity is greatest, the highest of such.

    Youden 1950, doi 10.1002/1097-0142(1950)3:1<32::AID-CNCR2820030106>3.0.CO;2-3.

    Args:
        scores: (N,).
        truth: (N,) of 0 and 1, both of which occur.
    """
    from sklearn.metrics import roc_curve

    false, true, thresholds = roc_curve(truth, scores, drop_intermediate=False)
    # The first is above all scores, where nothing is called true.
    return float(thresholds[1:][int(np.argmax((true - false)[1:]))])
