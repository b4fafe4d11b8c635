"""Maxima of windows and their derivatives in Triton on CUDA where that can be, otherwise in plain PyTorch.

Arguments and results are those of `reference`.
"""

import logging
from collections.abc import Callable
from functools import cache, partial
from importlib.util import find_spec

import torch
from torch import Tensor

from activmask.kernels.ahead import compiles_ahead, prepare
from activmask.kernels.convolution.reference import layout_of
from activmask.kernels.max_pool import reference
from activmask.kernels.refusal import Refusal, once_agreed

NOTES = logging.getLogger(__name__)
"""Where is told, once, that Triton's form cannot be used."""

HAS_TRITON = find_spec("triton") is not None
_MOST_ELEMENTS = 2**31 - 1
_COMPARED = (2, 48, 7, 6)
"""Channels that divide by 16, as those of stacks do: what compares is then what computes."""


@cache
def _refusal() -> Refusal:
    return Refusal("Triton's maxima of windows", NOTES)


def max_pool(images: Tensor) -> Tensor:
    """The maxima (B, C, H // 2, W // 2) of images (B, C, H, W)."""
    return _computed("max_pool", images)


def spread(gradient: Tensor, images: Tensor) -> Tensor:
    """Gradients of the maxima, where those lie in the images, and 0 elsewhere."""
    return _computed("spread", gradient, images)


def gather(tangent: Tensor, images: Tensor) -> Tensor:
    """Of values of the images' shape those where the images have their maxima."""
    return _computed("gather", tangent, images)


def _computed(name: str, *tensors: Tensor) -> Tensor:
    plain: Callable[[], Tensor] = partial(getattr(reference, name), *tensors)
    images = tensors[-1]
    can = (
        images.is_cuda
        and HAS_TRITON
        and all(each.dtype in {torch.bfloat16, torch.float32} for each in tensors)
        and layout_of(images) == torch.channels_last
        and 0 < images.numel() <= _MOST_ELEMENTS
    )
    if not can:
        return plain()
    ours = partial(_ours, name, tensors)
    if compiles_ahead():
        prepare(ours)
        return plain()
    kind = images.device, *(each.dtype for each in tensors), name
    compare = partial(check_agreement, partial(_ours, name), name, tensors)
    may_compare = not torch.cuda.is_current_stream_capturing()
    return once_agreed(ours, plain, _refusal(), kind, compare, may_compare=may_compare)


def _ours(name: str, tensors: tuple[Tensor, ...]) -> Tensor:
    from activmask.kernels.max_pool import triton

    dense = [each.contiguous(memory_format=torch.channels_last) for each in tensors]
    found: Tensor = getattr(triton, name)(*dense)
    return found


def check_agreement(
    ours: Callable[[tuple[Tensor, ...]], Tensor], name: str, like: tuple[Tensor, ...]
) -> None:
    """Compare a form with the reference, to the bit, on images with equal values and with no numbers.

    Args:
        ours: takes the tensors of `name`.
        name: of a function of `reference`.
        like: tensors of the types and device of training.

    Raises:
        ArithmeticError: they differ.
    """
    source = torch.Generator(like[-1].device).manual_seed(0)
    images = torch.randint(-2, 3, _COMPARED, generator=source, device=source.device).to(like[-1].dtype)
    images[0, :3, 1] = torch.nan
    images = images.contiguous(memory_format=torch.channels_last)
    size = images.shape if name == "gather" else reference.pooled_size(images)
    first = torch.randn(size, generator=source, device=source.device).to(like[0].dtype)
    given = (images,) if name == "max_pool" else (first.contiguous(memory_format=torch.channels_last), images)
    found, right = ours(given), getattr(reference, name)(*given)
    if not torch.equal(found.nan_to_num(nan=9), right.nan_to_num(nan=9)):
        raise ArithmeticError("its result differs from torch's")
