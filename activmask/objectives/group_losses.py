"""Losses of which some groups of images count more than others.

Shapes: b images of a batch of B, or of a part of it; G groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


@dataclass(frozen=True, kw_only=True, eq=False)
class GroupWeights:
    """How much the images of each group count."""

    weights: Tensor
    """(G,), of each image of a group; or, under GroupDRO, of each group's mean loss: they then sum to 1 and
    change in place with every step."""
    step: float = 0.0
    """GroupDRO's step size; 0 leaves the weights as they are."""
    added: Tensor | None = None
    """(G,), what GroupDRO adds to each group's loss where its weight grows, see `size_term`."""
    sum_of_all: Callable[[Tensor], Tensor] | None = None
    """A sum over the processes that share a batch; None where one has it whole."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Membership:
    """Which groups a batch's images are in."""

    batch: Tensor
    """int64 (B,), of the whole batch."""
    part: slice
    """The images of it whose losses are computed here."""


def group_loss(losses: Tensor, members: Membership, how: GroupWeights) -> Tensor:
    """The loss of one step, a scalar, of which the mean over parts, each by its images, is that of the batch.

    Args:
        losses: (b,), of each image of the part.
        members: of the batch.
        how: its weights change in place under GroupDRO.
    """
    own = members.batch[members.part]
    if how.step == 0:
        return weighted_mean(losses, own, how.weights)
    import torch

    counts = _inside(members.batch, len(how.weights)).sum(dim=0)
    # No matrix product, which autocast would round to bfloat16.
    sums = (losses[:, None] * _inside(own, len(how.weights))).sum(dim=0)
    every = sums.detach() if how.sum_of_all is None else how.sum_of_all(sums.detach())
    means = every / counts.clamp(min=1)
    with torch.no_grad():
        risks = means if how.added is None else means + how.added
        how.weights.copy_(ascended(how.weights, risks, how.step))
    share = len(members.batch) / len(own)
    return (how.weights * sums / counts.clamp(min=1)).sum() * share


def weighted_mean(losses: Tensor, members: Tensor, weights: Tensor) -> Tensor:
    """The mean over images (b,) of each one's loss times the weight of its group.

    It is not divided by the weights of the batch: so each image counts by its weight in whatever batch it
    lies, and weights with mean 1 over the data give the expected loss of drawing images by them.
    """
    return (losses * weights[members]).mean()


def ascended(weights: Tensor, losses: Tensor, step: float) -> Tensor:
    """GroupDRO's weights (G,) after an exponentiated gradient's step (Sagawa et al. 2020, Algorithm 1).

    q_g is multiplied by exp(step * loss of g), then all are divided by their sum. A group that the batch
    lacks has loss 0.

    Args:
        weights: (G,), which sum to 1.
        losses: (G,), the mean loss of each group's images in the batch, perhaps with `size_term`.
        step: eta, above 0.
    """
    # In logarithms, as the exponential of a large loss would overflow.
    return (weights.log() + step * losses).softmax(dim=0)


def size_term(images: Tensor, constant: float) -> Tensor:
    """C / sqrt(n_g) of each group (G,), GroupDRO's generalisation adjustment (Sagawa et al. 2020, Eq. 5).

    It is no part of the loss, whose gradient it would leave as it is. It depends on no batch, so it is added
    in every step, as in the authors' code, also for a group that the batch lacks.

    Args:
        images: (G,), n_g, each group's training images, 1 at least.
        constant: C, in units of the loss.
    """
    return constant / images.sqrt()


def _inside(members: Tensor, groups: int) -> Tensor:
    """Bool (b, G), whether an image is in a group; sums by it have one order on every device."""
    import torch

    return members[:, None] == torch.arange(groups, device=members.device)
