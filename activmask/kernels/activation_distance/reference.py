"""The activation distance in plain PyTorch."""

from collections.abc import Sequence

import torch
from torch import Tensor

from activmask.kernels.activation_distance.norms import Norm


def distances(difference: Tensor, norm: Norm) -> Tensor:
    """The norms of one layer's difference (B, ...), flat."""
    axis = {"layer": 1, "channel": 1, "row": -1}[norm]
    # The library's norm takes fifty times as long over an axis whose numbers lie apart in memory.
    squares = (difference.flatten(1) if norm == "layer" else difference).square().sum(axis)
    apart = squares != 0
    # The root has no gradient at 0, so that there it is taken of something else.
    lengths: Tensor = squares.where(apart, 1).sqrt().where(apart, 0)
    return lengths.flatten()


def activation_distance(
    full: Sequence[Tensor], shuffled: Sequence[Tensor], norm: Norm, *, relu: bool = False
) -> Tensor:
    """The reference of `activmask.kernels.activation_distance.activation_distance`; same arguments."""
    if relu:
        full, shuffled = [tap.relu() for tap in full], [tap.relu() for tap in shuffled]
    per_layer = [distances(_wide(a) - _wide(b), norm) for a, b in zip(full, shuffled, strict=True)]
    if norm == "layer":
        return torch.stack([layer.mean() for layer in per_layer]).mean()
    return torch.cat(per_layer).mean()


def _wide(activations: Tensor) -> Tensor:
    """In fp32 or wider, so that half-precision passes lose nothing more in the difference."""
    return activations if activations.dtype == torch.float64 else activations.float()
