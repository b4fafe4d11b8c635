"""Derivatives of a training loss along a direction, by differences and by differentiation."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def slopes(
    loss: Callable[[], Tensor], parameters: Sequence[Tensor], generator: torch.Generator, step: float
) -> tuple[float, float, tuple[Tensor, ...]]:
    """The slope of a loss along a drawn direction in its parameters, which are moved.

    Returns:
        The central difference of points that lie `step` to either side, the slope by the gradients, and
        these, which are 0 where a parameter takes no part.
    """
    found = torch.autograd.grad(loss(), parameters, allow_unused=True, materialize_grads=True)
    ways = [torch.randn(p.shape, generator=generator, dtype=p.dtype) for p in parameters]
    slope = sum((g * way).sum().item() for g, way in zip(found, ways, strict=True))
    ends = []
    for move in (step, -2 * step):
        with torch.no_grad():
            for parameter, way in zip(parameters, ways, strict=True):
                parameter.add_(way, alpha=move)
        ends.append(loss().item())
    return (ends[0] - ends[1]) / (2 * step), slope, found
