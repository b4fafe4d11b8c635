"""Batch normalisation and its derivatives in Triton on CUDA where that can be, otherwise in plain PyTorch.

Arguments and results are those of the operators.
"""

import logging
from collections.abc import Callable, Sequence
from functools import cache, partial
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from activmask.kernels.ahead import compiles_ahead, prepare
from activmask.kernels.batch_norm import closed_form
from activmask.kernels.batch_norm.comparison import check_agreement
from activmask.kernels.defining import laid_like
from activmask.kernels.refusal import Refusal, once_agreed, unless_refused

NOTES = logging.getLogger(__name__)
"""Where is told, once, that Triton's form cannot be used."""

HAS_TRITON = find_spec("triton") is not None
_MOST_ELEMENTS = 2**31 - 1
Four = tuple[Tensor, Tensor, Tensor, Tensor]


@cache
def _refusal() -> Refusal:
    return Refusal("Triton's batch normalisation", NOTES)


def forward(
    images: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    residual: Tensor | None,
    epsilon: float,
    relu: bool,
    tapped: bool,
) -> Four:
    """The output; with ReLU and `tapped` what came before; mean and biased variance of each channel."""
    given = images, weight, bias, residual
    return _first_that_can(_our_forward, _plain_forward, images, given, (epsilon, relu, tapped))


def _plain_forward(
    images: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    residual: Tensor | None,
    epsilon: float,
    relu: bool,
    tapped: bool,
) -> Four:
    output, before, mean, variance = closed_form.forward(images, weight, bias, residual, epsilon, relu)
    kept = laid_like(images, before) if relu and tapped else images.new_empty(0)
    return laid_like(images, output), kept, mean, variance


def _our_forward(
    images: Tensor, weight: Tensor | None, bias: Tensor | None, residual: Tensor | None, *how: Any
) -> Four:
    from activmask.kernels.batch_norm import triton

    w, b = (None if each is None else each.contiguous() for each in (weight, bias))
    return triton.forward(images, w, b, _dense(residual), *how)


def backward(
    gradient: Tensor | None,
    tapped: Tensor | None,
    images: Tensor,
    weight: Tensor | None,
    output: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    epsilon: float,
    wants_residual: bool,
) -> Four:
    """The gradients in images, residual (if wanted), weight and bias."""
    weight = None if weight is None else weight.contiguous()
    given = gradient, tapped, images, weight, output, mean, variance
    return _first_that_can(_our_backward, _plain_backward, images, given, (epsilon, wants_residual))


def _plain_backward(gradient: Tensor | None, tapped: Tensor | None, images: Tensor, *rest: Any) -> Four:
    *others, wants_residual = rest
    to_images, to_residual, to_weight, to_bias = closed_form.backward(gradient, tapped, images, *others)
    kept = laid_like(images, to_residual) if wants_residual else images.new_empty(0)
    return laid_like(images, to_images), kept, to_weight, to_bias


def _our_backward(gradient: Tensor | None, tapped: Tensor | None, *rest: Any) -> Four:
    from activmask.kernels.batch_norm import triton

    return triton.backward(_dense(gradient), _dense(tapped), *rest)


def twice_backward(
    to_images: Tensor | None,
    to_residual: Tensor | None,
    to_weight: Tensor | None,
    to_bias: Tensor | None,
    gradient: Tensor | None,
    tapped: Tensor | None,
    images: Tensor,
    weight: Tensor | None,
    output: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    epsilon: float,
    wants_tapped: bool,
) -> Four:
    """The gradients in `gradient`, `tapped` (if wanted), images and weight."""
    weight = None if weight is None else weight.contiguous()
    tangents = to_images, to_residual, to_weight, to_bias
    given = *tangents, gradient, tapped, images, weight, output, mean, variance
    return _first_that_can(_our_twice, _plain_twice, images, given, (epsilon, wants_tapped))


def _plain_twice(*given: Any) -> Four:
    *rest, wants_tapped = given
    images: Tensor = given[6]
    of_gradient, of_tapped, of_images, of_weight = closed_form.twice_backward(*rest)
    kept = laid_like(images, of_tapped) if wants_tapped else images.new_empty(0)
    return laid_like(images, of_gradient), kept, laid_like(images, of_images), of_weight


def _our_twice(
    to_images: Tensor | None,
    to_residual: Tensor | None,
    to_weight: Tensor | None,
    to_bias: Tensor | None,
    gradient: Tensor | None,
    tapped: Tensor | None,
    *rest: Any,
) -> Four:
    from activmask.kernels.batch_norm import triton

    a, c = (None if each is None else each.contiguous() for each in (to_weight, to_bias))
    u, e, g, t = (_dense(each) for each in (to_images, to_residual, gradient, tapped))
    return triton.twice_backward(u, e, a, c, g, t, *rest)


def follow(
    running_mean: Tensor,
    running_variance: Tensor,
    mean: Tensor,
    variance: Tensor,
    momentum: float,
    count: int,
) -> None:
    """Move running statistics (C,) by `momentum` towards those of a batch of `count` values a channel."""
    given = running_mean, running_variance, mean, variance

    def plain() -> None:
        running_mean.lerp_(mean.to(running_mean.dtype), momentum)
        unbiased = variance * (count / (count - 1))
        running_variance.lerp_(unbiased.to(running_variance.dtype), momentum)

    def ours() -> None:
        from activmask.kernels.batch_norm import triton

        triton.follow(*given, momentum, count)

    simple = all(each.dtype == torch.float32 and each.is_contiguous() for each in given)
    if mean.is_cuda and HAS_TRITON and simple:
        _unless_refused(ours, plain)
    else:
        plain()


def _first_that_can(
    ours: Callable[..., Four],
    plain: Callable[..., Four],
    images: Tensor,
    tensors: Sequence[Tensor | None],
    rest: Sequence[Any],
) -> Four:
    """What Triton's form makes of the arguments `tensors` and `rest`, or else torch's."""
    theirs = partial(plain, *tensors, *rest)
    alike = [each for each in tensors if each is not None and each.shape == images.shape]
    if not (images.is_cuda and HAS_TRITON and takes(images, *alike)):
        return theirs()
    # What a graph is to hold cannot be read, and so not be compared first.
    return _compared(ours, plain, images, tensors, rest, may_try=not torch.cuda.is_current_stream_capturing())


def _compared(
    ours: Callable[..., Four],
    plain: Callable[..., Four],
    images: Tensor,
    tensors: Sequence[Tensor | None],
    rest: Sequence[Any],
    *,
    may_try: bool,
) -> Four:
    """Ours, once it was found to agree at these sizes; otherwise torch's."""
    theirs, ready = partial(plain, *tensors, *rest), partial(ours, *tensors, *rest)
    if compiles_ahead():
        prepare(ready)
        return theirs()
    sizes = [None if each is None else (each.shape, each.dtype) for each in tensors]
    has_statistics = plain is not _plain_forward
    compare = partial(check_agreement, ours, plain, tensors, rest, has_statistics=has_statistics)
    kind = ours, images.device, *sizes, *rest
    return once_agreed(ready, theirs, _refusal(), kind, compare, may_compare=may_try)


def _unless_refused(ours: Callable[[], Any], plain: Callable[[], Any]) -> Any:
    return unless_refused(ours, plain, _refusal())


def takes(images: Tensor, *others: Tensor | None) -> bool:
    """Whether Triton's form can compute this: the channels of a position lie side by side in memory."""
    return (
        images.dtype in {torch.float32, torch.bfloat16}
        and 0 < images.numel() <= _MOST_ELEMENTS
        and images.ndim in {2, 4}
        and images.is_contiguous(memory_format=_layout(images))
        and all(each is None or each.dtype == images.dtype for each in others)
    )


def _dense(tensor: Tensor | None) -> Tensor | None:
    """The same values, position by position in memory; the tensor itself where they are."""
    if tensor is None:
        return None
    return tensor.contiguous(memory_format=_layout(tensor))


def _layout(tensor: Tensor) -> torch.memory_format:
    return torch.channels_last if tensor.ndim == 4 else torch.contiguous_format
