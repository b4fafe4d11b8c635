"""Contextual decomposition: a network's scores as what two parts of the image add to them.

Every layer's output is kept as a sum of two, by the rules of Singh et al. 2019 (arXiv 1806.05337)
as Rieger et al. 2020 (arXiv 1909.13584) train with them. The network's own code runs; what it calls is
done part by part, or refused.

Shapes: B images, C channels, H x W pixels, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from activmask.ground.errors import UsageError
from activmask.models.taps import Tapped


class CannotBeDecomposedError(UsageError):
    """A network does something of which no contextual decomposition is known."""


@dataclass(frozen=True)
class Parts:
    """A layer's output as a sum of two tensors of its shape, which torch's functions take for a tensor."""

    relevant: Tensor
    irrelevant: Tensor

    @classmethod
    def __torch_function__(
        cls,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Parts:
        """Do what `func` does to the sum of both, part by part."""
        given = kwargs or {}
        if func in _LINEAR:
            return _both(args[0], lambda part: func(part, *args[1:], **given))
        if (rule := _RULES.get(func)) is None:
            raise CannotBeDecomposedError(
                f"it calls {getattr(func, '__name__', func)}, of which no contextual decomposition is known"
            )
        return rule(*args, **given)

    @property
    def whole(self) -> Tensor:
        """The sum."""
        return self.relevant + self.irrelevant

    @property
    def shape(self) -> torch.Size:
        """Of either part, as of the sum."""
        return self.relevant.shape

    def dim(self) -> int:
        """How many axes it has."""
        return self.relevant.dim()

    def size(self, axis: int | None = None) -> Any:
        """Its shape, or the length of one axis."""
        return self.shape if axis is None else self.shape[axis]

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Parts:
        """Both parts with some axes made one."""
        return _both(self, lambda part: part.flatten(start_dim, end_dim))

    def mean(self, *args: Any, **kwargs: Any) -> Parts:
        """The means of both parts."""
        return _both(self, lambda part: part.mean(*args, **kwargs))

    def __add__(self, other: Parts) -> Parts:
        """The sum with another, part by part."""
        if not isinstance(other, Parts):
            raise CannotBeDecomposedError("it adds what is no part of the image")
        return Parts(self.relevant + other.relevant, self.irrelevant + other.irrelevant)

    def __getattr__(self, name: str) -> Any:
        """Refuse whatever else is asked of a tensor."""
        if name.startswith("__"):
            raise AttributeError(name)
        raise CannotBeDecomposedError(f"it asks for a tensor's {name}, which is not known of two parts")


def _both(parts: Parts, do: Callable[[Tensor], Tensor]) -> Parts:
    return Parts(do(parts.relevant), do(parts.irrelevant))


def _with_bias(relevant: Tensor, irrelevant: Tensor, bias: Tensor | None) -> Parts:
    """A bias shared out by the sizes of both parts; where both are 0 it is the second's."""
    if bias is None:
        return Parts(relevant, irrelevant)
    own, other = relevant.abs(), irrelevant.abs()
    total = own + other
    share = own / torch.where(total == 0, 1, total)
    return Parts(relevant + share * bias, irrelevant + (1 - share) * bias)


def _convolution(
    images: Parts, weight: Tensor, bias: Tensor | None = None, *more: Any, **named: Any
) -> Parts:
    relevant, irrelevant = (
        torch.conv2d(part, weight, None, *more, **named) for part in (images.relevant, images.irrelevant)
    )
    return _with_bias(relevant, irrelevant, None if bias is None else bias[:, None, None])


def _linear(vectors: Parts, weight: Tensor, bias: Tensor | None = None) -> Parts:
    return _with_bias(F.linear(vectors.relevant, weight), F.linear(vectors.irrelevant, weight), bias)


def _batch_norm(
    maps: Parts,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Parts:
    """An affine map of the sum, by the statistics of the sum; running ones stay as they are."""
    del momentum
    if training or running_mean is None or running_var is None:
        variance, mean = torch.var_mean(maps.whole, dim=(0, 2, 3), correction=0)
    else:
        mean, variance = running_mean, running_var
    scale = (variance + eps).rsqrt()
    scale = scale if weight is None else scale * weight
    shift = -mean * scale if bias is None else bias - mean * scale
    scaled = _both(maps, lambda part: part * scale[:, None, None])
    return _with_bias(scaled.relevant, scaled.irrelevant, shift[:, None, None])


def _relu(maps: Parts, inplace: bool = False) -> Parts:
    """What the first part makes by itself is its own; the second has the rest."""
    del inplace
    first = maps.relevant.relu()
    return Parts(first, maps.whole.relu() - first)


def _max_pool(maps: Parts, *args: Any, **kwargs: Any) -> Parts:
    """Each part where the sum is largest."""
    _, places = F.max_pool2d(maps.whole, *args, **{**kwargs, "return_indices": True})
    return _both(maps, lambda part: part.flatten(2).gather(2, places.flatten(2)).view_as(places))


def _dropout(maps: Parts, p: float = 0.5, training: bool = True, inplace: bool = False) -> Parts:
    del inplace
    if p and training:
        raise CannotBeDecomposedError("it draws random numbers itself, as dropout does")
    return maps


_LINEAR: frozenset[Callable[..., Any]] = frozenset(
    {F.avg_pool2d, F.adaptive_avg_pool2d, torch.flatten, torch.mean}
)
"""What is done to a sum by doing it to both."""

_RULES: dict[Callable[..., Any], Callable[..., Parts]] = {
    torch.conv2d: _convolution,
    F.linear: _linear,
    F.batch_norm: _batch_norm,
    F.relu: _relu,
    torch.relu: _relu,
    F.max_pool2d: _max_pool,
    F.dropout: _dropout,
}
"""What is done otherwise."""


@contextmanager
def _counting_no_batch(model: nn.Module) -> Iterator[None]:
    """Have batch normalisations in training mode forget that they keep statistics, within."""
    keeping = [one for one in model.modules() if isinstance(one, nn.BatchNorm2d) and one.training]
    keeping = [one for one in keeping if one.track_running_stats]
    for one in keeping:
        one.track_running_stats = False
    try:
        yield
    finally:
        for one in keeping:
            one.track_running_stats = True


def decomposed(model: nn.Module, images: Tensor, relevant: Tensor) -> tuple[Tensor, Tensor]:
    """What two parts of each image add to its scores; their sum is the scores.

    Args:
        model: in the mode in which it is asked; its running statistics stay as they are.
        images: (B, C, H, W).
        relevant: bool (B, 1, H, W), the pixels of the first part.

    Returns:
        The scores' two parts, (B, K) each.

    Raises:
        CannotBeDecomposedError: the network is made of other things than convolutions, linear layers,
            ReLUs, batch normalisation, max and average pooling, and sums.
    """
    with _counting_no_batch(model), torch.autocast(images.device.type, enabled=False):
        parts: Any = Parts(images * relevant, images * ~relevant)
        if isinstance(model, Tapped):
            logits: Any = model.around(model.network)(parts)
        else:
            logits = model(parts, reconstruct=False).logits
    if not isinstance(logits, Parts):
        raise CannotBeDecomposedError("it returns what is no sum of two parts of the image")
    return logits.relevant, logits.irrelevant
