"""What a classifier says of each image, as scores are made of it.

Shapes: n images, K classes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from activmask.evaluation.scores import check_finite, class_scores


@dataclass(frozen=True, kw_only=True)
class Answers:
    """Of one version of the images."""

    values: NDArray[np.float64]
    """(n, K): per class the score that its AUC, one class against the rest, ranks by."""
    first: NDArray[np.int64] | None
    """(n,) the class it decides for; None of scores that only rank."""


def of_logits(logits: Tensor, *, probabilities: bool = True) -> Answers:
    """The answers that finite logits (n, K) are.

    Args:
        logits: of K classes.
        probabilities: whether the highest logit is a decision; not so of a score that only ranks.

    Raises:
        CheckpointError: a logit is NaN or infinite.
    """
    check_finite(logits)
    return Answers(values=class_scores(logits), first=logits.argmax(dim=1).numpy() if probabilities else None)
