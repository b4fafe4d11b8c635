"""What a network's own code means once the channels of all seeds lie side by side.

While a pass runs, a map (B, C, H, W) of one seed is a map (B, R * C, H, W) of all, seed after seed,
and a vector (B, F) is (B, R, F). Operations that look at one channel or position at a time mean what
they meant; those that move channels are done seed by seed here; any other is refused.

Shapes: B images, R seeds, C channels, H x W positions, F features.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from activmask.kernels.max_pool import max_pool
from activmask.kernels.rectifier import relu


class CannotBeStackedError(Exception):
    """A network does something of which it is not known how it would be done seed by seed."""


class SeedWise(TorchFunctionMode):
    """The mode in which a network of one seed computes those of all."""

    def __init__(self, seeds: int) -> None:
        """Of so many seeds."""
        super().__init__()
        self.seeds = seeds

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Do what `func` means here."""
        if rule := _RULES.get(func):
            return rule(self.seeds, *args, **(kwargs or {}))
        if func in _SAME or getattr(func, "__name__", "") == "__get__" or _of_ours(func):
            return func(*args, **(kwargs or {}))
        raise CannotBeStackedError(f"it calls {_named(func)}, which is not known to keep seeds apart")


def _of_ours(func: Callable[..., Any]) -> bool:
    """Whether it is an operator of this package's kernels, which have groups of channels."""
    return getattr(func, "namespace", "") == "activmask"


def _named(func: Callable[..., Any]) -> str:
    return str(getattr(func, "__qualname__", None) or getattr(func, "__name__", func))


def _concatenate(seeds: int, tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    dimensions = {tensor.ndim for tensor in tensors}
    if dimensions == {3} and dim in {1, -1}:
        return torch.cat(list(tensors), 2)
    if dimensions != {4} or dim not in {1, -3}:
        raise CannotBeStackedError(f"it concatenates along axis {dim}, which is not that of channels")
    # With the channels last in memory the result is as its parts lie: one copy, not two.
    parts = [tensor.permute(0, 2, 3, 1).unflatten(3, (seeds, -1)) for tensor in tensors]
    together: Tensor = torch.cat(parts, 4).flatten(3)
    return together.permute(0, 3, 1, 2)


def _flatten(seeds: int, maps: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    if start_dim != 1 or end_dim not in {-1, maps.ndim - 1}:
        raise CannotBeStackedError(f"it flattens axes {start_dim} to {end_dim}")
    return _vectors(seeds, maps)


def _vectors(seeds: int, maps: Tensor) -> Tensor:
    if maps.ndim == 3:
        return maps
    if maps.ndim != 4:
        raise CannotBeStackedError(f"it flattens a tensor of {maps.ndim} axes")
    own: Tensor = maps.unflatten(1, (seeds, -1))
    return own.flatten(2)


def _view(seeds: int, maps: Tensor, *shape: Any) -> Tensor:
    wanted = tuple(shape[0]) if len(shape) == 1 and not isinstance(shape[0], int) else shape
    if len(wanted) != 2 or wanted[0] not in {-1, len(maps)}:
        raise CannotBeStackedError(f"it gives a tensor the shape {wanted}")
    return _vectors(seeds, maps)


def _mean(seeds: int, maps: Tensor, dim: int | Sequence[int] | None = None, keepdim: bool = False) -> Tensor:
    axes = () if dim is None else (dim,) if isinstance(dim, int) else dim
    if maps.ndim != 4 or {axis % 4 for axis in axes} != {2, 3}:
        raise CannotBeStackedError(f"it takes a mean over axes {dim}")
    means = maps.mean((2, 3), keepdim=keepdim)
    return means if keepdim else means.unflatten(1, (seeds, -1))


def _linear(seeds: int, vectors: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """The linear layers of all seeds as one product; weight (R, K, F), bias (R, K)."""
    if vectors.ndim != 3 or vectors.shape[1] != seeds:
        raise CannotBeStackedError(f"a linear layer reads a tensor of {vectors.ndim} axes")
    own, turned = vectors.transpose(0, 1), weight.transpose(1, 2)
    if bias is None:
        return torch.bmm(own, turned).transpose(0, 1)
    return torch.baddbmm(bias[:, None], own, turned).transpose(0, 1)


def _dropout(
    _seeds: int, maps: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    del inplace
    if p and training:
        raise CannotBeStackedError("it draws random numbers itself, as dropout does")
    return maps


def _max_pool(
    _seeds: int,
    maps: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Maxima of each channel; of windows of 2 x 2 by our kernel, which needs no indices."""
    sizes = [
        (each, each) if isinstance(each, int) else tuple(each) for each in (kernel_size, padding, dilation)
    ]
    steps = sizes[0] if not stride else (stride, stride) if isinstance(stride, int) else tuple(stride)
    halves = [*sizes, steps] == [(2, 2), (0, 0), (1, 1), (2, 2)]
    if halves and maps.ndim == 4 and not ceil_mode and not return_indices:
        return max_pool(maps)
    pool: Callable[..., Any] = F.max_pool2d
    return pool(maps, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def _relu(_seeds: int, maps: Tensor, inplace: bool = False) -> Tensor:
    return F.relu(maps, inplace=True) if inplace else relu(maps)


_RULES: dict[Callable[..., Any], Callable[..., Tensor]] = {
    torch.cat: _concatenate,
    torch.concat: _concatenate,
    torch.flatten: _flatten,
    Tensor.flatten: _flatten,
    Tensor.view: _view,
    Tensor.reshape: _view,
    torch.mean: _mean,
    Tensor.mean: _mean,
    F.linear: _linear,
    F.dropout: _dropout,
    F.dropout2d: _dropout,
    F.max_pool2d: _max_pool,
    F.relu: _relu,
    torch.relu: _relu,
}
"""What moves channels, and how that is done seed by seed; and what a kernel of ours computes."""

_SAME: frozenset[Callable[..., Any]] = frozenset(
    {
        *(torch.conv2d, F.batch_norm, torch.batch_norm),
        *(torch.max_pool2d, F.avg_pool2d, F.adaptive_avg_pool2d, F.adaptive_max_pool2d),
        *(F.interpolate, F.pad, F.relu6, F.leaky_relu, F.elu, F.selu, F.celu, F.gelu, F.silu, F.mish),
        *(F.hardswish, F.hardsigmoid, F.hardtanh, F.sigmoid, F.tanh, F.softplus),
        *(torch.relu_, torch.sigmoid, torch.tanh, torch.clamp, torch.exp, torch.abs),
        *(Tensor.relu, Tensor.relu_, Tensor.sigmoid, Tensor.tanh, Tensor.clamp, Tensor.exp, Tensor.abs),
        *(torch.add, torch.sub, torch.mul, torch.div, Tensor.add, Tensor.add_, Tensor.sub, Tensor.mul),
        *(Tensor.mul_, Tensor.div, Tensor.__add__, Tensor.__radd__, Tensor.__iadd__, Tensor.__sub__),
        *(Tensor.__rsub__, Tensor.__mul__, Tensor.__rmul__, Tensor.__imul__, Tensor.__truediv__),
        *(Tensor.__neg__, Tensor.contiguous, Tensor.clone, Tensor.to),
        *(Tensor.float, Tensor.double, Tensor.detach, Tensor.size, Tensor.dim, Tensor.numel, Tensor.__len__),
        *(Tensor.is_inference, Tensor.is_contiguous, Tensor.is_floating_point, Tensor.stride),
    }
)
"""What looks at one channel or position at a time, or at no value at all."""
