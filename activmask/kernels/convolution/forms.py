"""The convolution, its gradients and the ReLU after it in whichever form is quicker, as in `reference`."""

import math
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any, TypeVar

import torch
from torch import Tensor

from activmask.kernels.ahead import compiles_ahead, prepare
from activmask.kernels.convolution import reference
from activmask.kernels.convolution.choice import choices_of
from activmask.kernels.convolution.tiles import Precision
from activmask.kernels.convolution.trial import Refused, Trial, tried
from activmask.kernels.defining import laid_like

Found = TypeVar("Found", Tensor, tuple[Tensor, Tensor])

HAS_TRITON = find_spec("triton") is not None
_MOST_ELEMENTS = 2**31 - 2**28
"""Addresses begin up to a kernel's rows beyond the images, and have 32 bits with their sign."""
TOLERANCE = {"bf16": 2**-6, "tf32": 2**-7, "ieee": 1e-4}
"""Between two forms, of the result's norm: far above rounding, far below any mistake."""


def conv2d(
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    """The convolution of images (B, C, H, W) with a weight (D, C / G, K, L) and a bias (D,)."""
    found: Tensor = _computed("conv2d", images, weight, bias, stride, padding, dilation, groups)
    return found


def data_gradient(
    gradient: Tensor,
    weight: Tensor,
    size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    """The gradient in the images, of shape `size`, given that in the output, (B, D, H', W')."""
    found: Tensor = _computed("data_gradient", gradient, weight, size, stride, padding, dilation, groups)
    return found


def weight_gradient(
    images: Tensor,
    gradient: Tensor,
    size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
) -> Tensor:
    """The gradient in the weight, of shape `size`, given that in the output, (B, D, H', W')."""
    found: Tensor = _computed("weight_gradient", images, gradient, size, stride, padding, dilation, groups)
    return found


def bias_gradient(gradient: Tensor, groups: int) -> Tensor:
    """The gradient in the bias, (D,), given that in the output, (B, D, H', W')."""
    last = gradient.is_contiguous(memory_format=torch.channels_last)
    stacked = groups > 1 and gradient.is_cuda and HAS_TRITON
    small = 0 < gradient.numel() <= _MOST_ELEMENTS
    if not (stacked and last and small and gradient.dtype in {torch.bfloat16, torch.float32}):
        return _summed(gradient)
    precision: Precision = "bf16" if gradient.dtype == torch.bfloat16 else "ieee"
    shape = f"bias_gradient {gradient.dtype} {_by(gradient.shape)}"
    return _quicker(_our_sums, _summed, (gradient,), shape, precision)


def _summed(gradient: Tensor) -> Tensor:
    return gradient.sum((0, 2, 3))


def _our_sums(gradient: Tensor) -> Tensor:
    from activmask.kernels.convolution import triton_sums

    return triton_sums.bias_gradient(gradient)


def conv2d_relu(
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    tapped: bool,
) -> tuple[Tensor, Tensor]:
    """A ReLU of `conv2d`, and with `tapped` what it saw; else that is empty."""
    how = stride, padding, dilation, groups
    found: tuple[Tensor, Tensor] = _computed("conv2d_relu", images, weight, bias, *how, tapped=tapped)
    return found


def rectified_gradient(
    gradient: Tensor, output: Tensor, tapped: Tensor | None, sums: bool
) -> tuple[Tensor, Tensor]:
    """The gradient of what a ReLU saw, and with `sums` its sums over positions, (D,); else they are empty.

    Args:
        gradient: in the ReLU's output, (B, D, H', W').
        output: of the ReLU.
        tapped: a gradient that reaches what it saw by another way.
        sums: whether they are wanted.
    """
    given = gradient, output, *(() if tapped is None else (tapped,))
    last = output.is_contiguous(memory_format=torch.channels_last)
    alike = len({each.dtype for each in given}) == 1 and output.dtype in {torch.bfloat16, torch.float32}
    small = 0 < output.numel() <= _MOST_ELEMENTS
    # Without anything else torch's own is one launch too.
    more = sums or tapped is not None
    if not (more and output.is_cuda and HAS_TRITON and last and alike and small):
        return _plain_rectified(*given, sums=sums)
    dense = tuple(each.contiguous(memory_format=torch.channels_last) for each in given)
    precision: Precision = "bf16" if output.dtype == torch.bfloat16 else "ieee"
    shape = f"rectified_gradient {output.dtype} {_by(output.shape)} {len(given)} tensors, sums {sums}"
    ours, plain = (partial(form, sums=sums) for form in (_our_rectified, _plain_rectified))
    return _quicker(ours, plain, dense, shape, precision)


def _plain_rectified(
    gradient: Tensor, output: Tensor, tapped: Tensor | None = None, *, sums: bool
) -> tuple[Tensor, Tensor]:
    found: Tensor = torch.ops.aten.threshold_backward(gradient, output, 0)
    found = found if tapped is None else found.add_(tapped)
    found = laid_like(output, found)
    return found, _summed(found) if sums else found.new_empty(0)


def _our_rectified(
    gradient: Tensor, output: Tensor, tapped: Tensor | None = None, *, sums: bool
) -> tuple[Tensor, Tensor]:
    from activmask.kernels.convolution import triton_sums

    return triton_sums.rectified_gradient(gradient, output, tapped, sums)


def _computed(
    name: str,
    first: Tensor,
    second: Tensor,
    third: Any,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    **more: Any,
) -> Any:
    library: Callable[..., Any] = getattr(reference, name)
    theirs = partial(library, stride=stride, padding=padding, dilation=dilation, groups=groups, **more)
    # One network alone the library computes in one launch; that is also what a stack is compared with.
    stacked = groups > 1 and first.is_cuda and HAS_TRITON
    if not (stacked and takes(first, second, third, stride, padding, dilation)):
        return theirs(first, second, third)
    precision = precision_of(first)
    ours = partial(_ours, name, stride=stride, padding=padding, groups=groups, precision=precision, **more)
    called = " ".join([name, *(word for word, asked in more.items() if asked)])
    shape = shape_of(called, first, second, third, stride, padding, groups, precision)
    found: Any = _quicker(ours, theirs, (first, second, third), shape, precision)
    return found


def _quicker(
    ours: Callable[..., Found],
    theirs: Callable[..., Found],
    given: tuple[Any, ...],
    shape: str,
    precision: Precision,
) -> Found:
    """What the form that was quicker at a shape makes of `given`, of which the first is on a device."""
    if compiles_ahead():
        prepare(partial(ours, *given))
        return theirs(*given)
    trial = partial(_tried, ours, theirs, given, TOLERANCE[precision])
    may_try = not torch.cuda.is_current_stream_capturing()
    is_ours = choices_of(given[0].device.index).is_ours(shape, trial, may_try=may_try)
    return (ours if is_ours else theirs)(*given)


def _ours(name: str, first: Tensor, second: Tensor, third: Any, **how: Any) -> Any:
    """Triton's form, of tensors in any order in memory."""
    from activmask.kernels.convolution import triton

    last = torch.channels_last
    # A weight is read as it lies.
    second = second.contiguous(memory_format=last) if name == "weight_gradient" else second
    third = third.contiguous() if isinstance(third, Tensor) else third
    found: Any = getattr(triton, name)(first.contiguous(memory_format=last), second, third, **how)
    return found


def precision_of(tensor: Tensor) -> Precision:
    """How products of such tensors are computed, as torch's own convolutions decide."""
    if tensor.dtype == torch.bfloat16:
        return "bf16"
    return "tf32" if torch.backends.cudnn.allow_tf32 else "ieee"


def takes(
    first: Tensor,
    second: Tensor,
    third: Any,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
) -> bool:
    """Whether Triton's form can compute this, and in the layout that the operators promise."""
    tensors = [first, second, *([third] if isinstance(third, Tensor) else [])]
    is_convolution = third is None or isinstance(third, Tensor)
    written = reference.output_shape(first.shape, second.shape, stride, padding) if is_convolution else third
    sizes = [math.prod(written), *(each.numel() for each in tensors)]
    return (
        {each.dtype for each in tensors} in ({torch.bfloat16}, {torch.float32})
        and all(step == 1 for step in dilation)
        and min(sizes) > 0
        and max(sizes) <= _MOST_ELEMENTS
        and reference.layout_of(first, second) == torch.channels_last
    )


def shape_of(
    name: str,
    first: Tensor,
    second: Tensor,
    third: Any,
    stride: Sequence[int],
    padding: Sequence[int],
    groups: int,
    precision: Precision,
) -> str:
    """All that the time of a convolution depends on, in words."""
    last = "last" if second.is_contiguous(memory_format=torch.channels_last) else "first"
    extra = "" if third is None else " bias" if isinstance(third, Tensor) else f" to {_by(third)}"
    return (
        f"{name} {precision} {_by(first.shape)} with {_by(second.shape)} channels {last}{extra}, "
        f"stride {_by(stride)}, padding {_by(padding)}, groups {groups}"
    )


def _by(sizes: Sequence[int]) -> str:
    return "x".join(map(str, sizes))


def _tried(
    ours: Callable[..., Found],
    theirs: Callable[..., Found],
    given: tuple[Any, ...],
    tolerance: float,
) -> Trial:
    """Try both on random numbers: those of training may be all zero, or cancel.

    Raises:
        Refused: ours cannot be used, or no memory is left to try it.
    """
    try:
        with torch.cuda.device_of(given[0]):
            source = torch.Generator(given[0].device).manual_seed(0)
            drawn = [
                torch.empty_like(each).normal_(generator=source) if isinstance(each, Tensor) else each
                for each in given
            ]
            return tried(partial(ours, *drawn), partial(theirs, *drawn), tolerance)
    except torch.OutOfMemoryError as error:
        raise Refused("no memory is left to try it") from error
