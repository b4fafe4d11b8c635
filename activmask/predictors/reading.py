"""From what a classifier returns to logits: what its scores mean, and which are meant.

Shapes: B images, K classes or labels.
"""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from activmask.ground.errors import CheckpointError, UsageError
from activmask.ground.nearest import nearest
from activmask.models.returned import of_two_classes, scores_in, sum_to_one

Kind = Literal["logits", "probabilities", "scores"]
"""What outputs are: before the softmax or sigmoid, after it, or any numbers of which more means more."""

KINDS: tuple[str, ...] = get_args(Kind)


@dataclass(frozen=True, kw_only=True)
class Reading:
    """How what a classifier returns is read."""

    kind: Kind
    multi_label: bool
    columns: tuple[int, ...] | None = None
    """Which outputs stand for the classes 0, 1, ... of the data; None for all in their order. One output that
    tells two classes apart counts as two of them: 1 is the class that it speaks for, 0 the other."""

    def logits(self, returned: object, images: int) -> Tensor:
        """Logits (B, K) of what a classifier returned for B images (raises as `scores_in`)."""
        scores = scores_in(returned, images)
        scores = scores if scores.dtype == torch.float64 else scores.float()
        alone = scores.shape[1] == 1 or self.multi_label
        if self.kind == "probabilities":
            _check_probabilities(scores, alone)
        columns = None if self.columns is None else list(self.columns)
        of_two = scores.shape[1] == 1 and columns is not None and sorted(columns) == [0, 1]
        if columns is not None and not of_two:
            scores = scores[:, columns]
        if self.kind == "probabilities":
            scores = _log_odds(scores) if alone else scores.clamp_min(torch.finfo(scores.dtype).tiny).log()
        if scores.shape[1] > 1 or self.multi_label:
            return scores
        both = of_two_classes(scores)
        return both[:, columns] if of_two else both


def check_kind(kind: str | None) -> None:
    """Refuse a word that is no `Kind` (raises UsageError)."""
    if kind is not None and kind not in KINDS:
        raise UsageError(f"outputs cannot be '{kind}'; {nearest(kind, KINDS)}")


def _check_probabilities(scores: Tensor, alone: bool) -> None:
    values = scores.detach()
    if not bool(values.isfinite().all()):
        return  # Is told as what it is where images can be named.
    if bool((values < 0).any() | (values > 1).any()):
        wrong = f"{float(values.min()):g} to {float(values.max()):g}"
        expected = "numbers from 0 to 1"
    elif not alone and not sum_to_one(values):
        sums = values.sum(dim=1)
        wrong = f"a sum of {float(sums[(sums - 1).abs().argmax()]):g}"
        expected = "those of an image's classes to add up to 1"
    else:
        return
    raise CheckpointError(
        "the outputs are no probabilities",
        expected=expected,
        found=wrong,
        advice="say that outputs are logits or scores, or that the labels do not exclude each other",
    )


def _log_odds(probabilities: Tensor) -> Tensor:
    """What a sigmoid makes these of; 0 and 1 count as the numbers next to them."""
    numbers = torch.finfo(probabilities.dtype)
    inside = probabilities.clamp(numbers.tiny, 1 - numbers.eps / 2)
    return inside.log() - (-inside).log1p()
