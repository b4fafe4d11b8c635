"""What an epoch came to, as one tensor that its device fills and the host reads later.

Whoever writes or reads the tensor does it here, so that its layout is nobody else's business.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from activmask.training.replicas.predictions import Scores


class SplitScores(NamedTuple):
    """How a network does on one split, each a float64 scalar on the device."""

    auc: Tensor
    accuracy: Tensor
    loss: Tensor
    """Mean cross-entropy."""
    finite: Tensor
    """1 if all logits are finite, else 0."""


@dataclass(frozen=True, kw_only=True)
class EpochVerdict:
    """The same on the host."""

    is_best: bool
    """Whether no epoch before was as good."""
    scores: dict[str, Scores]
    """By split."""
    broken: tuple[str, ...]
    """The splits with logits that are not finite, whose scores mean nothing."""


def new_verdict(splits: int, device: torch.device | str = "cpu") -> Tensor:
    """Room for the verdict on so many splits, float64 (numbers of a verdict,)."""
    return torch.zeros(1 + splits * len(SplitScores._fields), dtype=torch.float64, device=device)


def pack_verdict(verdict: Tensor, is_best: Tensor, scores: Mapping[str, SplitScores]) -> None:
    """Write a verdict; the host reads nothing.

    Args:
        verdict: from `new_verdict`, of as many splits.
        is_best: bool scalar.
        scores: by split, in the order in which they will be asked for.
    """
    numbers = [number for of_split in scores.values() for number in of_split]
    verdict.copy_(torch.stack([is_best.double(), *numbers]))


def unpack_verdict(verdict: Tensor, splits: Sequence[str]) -> EpochVerdict:
    """Read a verdict.

    Args:
        verdict: on the host, as `pack_verdict` left it.
        splits: the names of its splits, in their order.
    """
    is_best, *numbers = verdict.tolist()
    width = len(SplitScores._fields)
    parts = [numbers[first : first + width] for first in range(0, len(numbers), width)]
    told = [(name, *part) for name, part in zip(splits, parts, strict=True)]
    return EpochVerdict(
        is_best=bool(is_best),
        scores={name: Scores(auc, accuracy, loss) for name, auc, accuracy, loss, _ in told},
        broken=tuple(name for name, *_, finite in told if not finite),
    )
