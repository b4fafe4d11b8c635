"""The activation distance in plain PyTorch."""

from collections.abc import Sequence

import torch
from torch import Tensor

from activmask.config import ActdiffNorm


def distances(difference: Tensor, norm: ActdiffNorm) -> Tensor:
    """The norms of one layer's difference (B, ...), flat; fp32 or wider whatever the input."""
    wide = difference if difference.dtype == torch.float64 else difference.float()
    axis = {"layer": 1, "channel": 1, "row": -1}[norm]
    lengths: Tensor = torch.linalg.vector_norm(wide.flatten(1) if norm == "layer" else wide, dim=axis)
    return lengths.flatten()


def activation_distance(full: Sequence[Tensor], shuffled: Sequence[Tensor], norm: ActdiffNorm) -> Tensor:
    """The reference of `activmask.kernels.activation_distance.activation_distance`; same arguments."""
    per_layer = [distances(a - b, norm) for a, b in zip(full, shuffled, strict=True)]
    if norm == "layer":
        return torch.stack([layer.mean() for layer in per_layer]).mean()
    return torch.cat(per_layer).mean()
