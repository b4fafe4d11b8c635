"""From which score on an image counts as positive, and where that threshold comes from.

A threshold is never chosen on the images that it is then judged by.

Shapes: n validation images.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import expit, logit
from sklearn.metrics import roc_curve

from activmask.auditing.clinic.score import Truth
from activmask.evaluation.resampled import Floats
from activmask.ground.errors import UsageError

How = Literal["given", "Youden", "sensitivity", "default"]


@dataclass(frozen=True, kw_only=True)
class Threshold:
    """Where positive begins."""

    score: float
    """Log odds, or the score itself where it means no probability; images with it are positive."""
    probability: float | None
    """The same as a probability; None where the score means none."""
    how: How
    """`Youden` and `sensitivity` are chosen on validation images; `default` is a probability of 0.5."""
    n: int
    """Validation images that were asked; 0 where there are none, or none were needed."""
    sensitivity: float | None = None
    """Which validation images had to have, where that was asked."""

    @property
    def sentence(self) -> str:
        """Where it comes from."""
        if self.how == "given":
            return "given"
        if self.how == "default":
            if self.n:
                return f"not chosen: no threshold helps on {self.n} validation images, so 0.5 is taken"
            return "not chosen: there are no validation images to choose it on, so 0.5 is taken"
        rule = "by Youden's index" if self.how == "Youden" else f"for a sensitivity of {self.sensitivity:g}"
        return f"chosen {rule} on {self.n} validation images"


@dataclass(frozen=True, kw_only=True)
class Wish:
    """How the threshold is to be found; a threshold that is given is not chosen."""

    threshold: float | None = None
    """A probability in (0, 1), or a score where scores mean no probability."""
    sensitivity: float | None = None
    """In (0, 1]: the highest threshold is taken at which validation images have it."""

    def check(self, *, probabilities: bool, validation: bool) -> None:
        """Refuse what cannot be done (raises UsageError).

        Args:
            probabilities: whether the scores mean probabilities.
            validation: whether there are validation images.
        """
        if self.threshold is not None and self.sensitivity is not None:
            raise UsageError("a threshold is either given or chosen for a sensitivity", advice="give one")
        if self.threshold is not None and probabilities and not 0 < self.threshold < 1:
            raise UsageError(
                "the threshold must be a probability between 0 and 1", found=repr(self.threshold)
            )
        if self.threshold is not None and not np.isfinite(self.threshold):
            raise UsageError("the threshold must be a finite number", found=repr(self.threshold))
        if self.sensitivity is not None and not 0 < self.sensitivity <= 1:
            raise UsageError("the sensitivity to keep must be above 0, up to 1", found=repr(self.sensitivity))
        if self.sensitivity is not None and not validation:
            raise UsageError(
                "a threshold for a sensitivity is chosen on validation images, and there are none",
                advice="give validation images, or a threshold",
            )


def find_threshold(
    wish: Wish, valid: tuple[Floats, Truth] | None, *, probabilities: bool
) -> Threshold | None:
    """The threshold that a wish comes to; None where there is nothing to find it by.

    Args:
        wish: as asked.
        valid: scores (n,) and truth, bool (n,), of validation images; None without any.
        probabilities: whether a sigmoid of the scores means a probability.
    """
    if wish.threshold is not None:
        score = float(logit(wish.threshold)) if probabilities else wish.threshold
        return _threshold(score, "given", probabilities)
    chosen = None if valid is None else _chosen(*valid, wish.sensitivity)
    if valid is not None and chosen is not None:
        how: How = "Youden" if wish.sensitivity is None else "sensitivity"
        return _threshold(chosen, how, probabilities, len(valid[0]), wish.sensitivity)
    asked = 0 if valid is None else len(valid[0])
    return _threshold(0.0, "default", probabilities, asked) if probabilities else None


def _threshold(
    score: float, how: How, probabilities: bool, n: int = 0, sensitivity: float | None = None
) -> Threshold:
    probability = float(expit(score)) if probabilities else None
    return Threshold(score=score, probability=probability, how=how, n=n, sensitivity=sensitivity)


def _chosen(scores: Floats, positive: Truth, sensitivity: float | None) -> float | None:
    """The threshold, one of the scores; None where a class is missing or no threshold helps.

    Youden 1950 (doi 10.1002/1097-0142(1950)3:1<32::aid-cncr2820030106>3.0.co;2-3): the greatest
    sensitivity + specificity - 1.
    """
    if positive.all() or not positive.any():
        return None
    false_alarms, found, thresholds = roc_curve(positive, scores, drop_intermediate=False)
    if sensitivity is not None:
        return float(thresholds[np.argmax(found >= sensitivity)])
    best = int(np.argmax(found - false_alarms))
    return None if np.isinf(thresholds[best]) else float(thresholds[best])
