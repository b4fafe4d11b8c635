"""Convolution whose second derivative costs no more arithmetic than it has."""

from collections.abc import Sequence

import torch
from torch import Tensor

from activmask.kernels.convolution import operators


def conv2d(
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: Sequence[int] = (1, 1),
    padding: Sequence[int] = (0, 0),
    dilation: Sequence[int] = (1, 1),
    groups: int = 1,
) -> Tensor:
    """`torch.nn.functional.conv2d`, the same values, differentiable any number of times at equal cost.

    PyTorch's own second derivative forms the weight's part as a convolution whose kernel is a
    whole feature map. Here a convolution and its gradients in the images and in the weight are
    three operators and each one's derivatives are the other two (see `reference`), so that the
    gradient of an input gradient is made of convolutions of the forward pass's kind. It can be
    compiled and autocast like torch's. There is no forward-mode derivative.

    Networks stacked along the channels are groups. On CUDA, channels-last tensors of bfloat16 or float32
    are computed in Triton or by cuDNN, whichever is quicker at their shape, see `choice`.

    Shapes: B images, C channels in, D channels out, H x W pixels, K x L kernel.

    Args:
        images: (B, C, H, W).
        weight: (D, C / groups, K, L).
        bias: (D,).
        stride: of both axes in px.
        padding: zeros on both sides of both axes in px.
        dilation: of both axes in px.
        groups: into which the channels fall.

    Returns:
        (B, D, H', W'), channels-last if `images` or `weight` is.
    """
    given = _cast(images, weight, bias)
    output: Tensor = operators.conv2d(*given, stride, padding, dilation, groups)
    return output


def activated_conv2d(
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: Sequence[int] = (1, 1),
    padding: Sequence[int] = (0, 0),
    dilation: Sequence[int] = (1, 1),
    groups: int = 1,
    tapped: bool = False,
) -> tuple[Tensor, Tensor]:
    """A ReLU of `conv2d`, as differentiable as that; its gradient is taken in one pass with that in the bias.

    Args:
        images: (B, C, H, W).
        weight: (D, C / groups, K, L).
        bias: (D,).
        stride: of both axes in px.
        padding: zeros on both sides of both axes in px.
        dilation: of both axes in px.
        groups: into which the channels fall.
        tapped: keep what the ReLU saw, whose gradient counts too.

    Returns:
        The output (B, D, H', W'), and what the ReLU saw of that shape; without `tapped` that is empty.
    """
    given = _cast(images, weight, bias)
    output, before = operators.conv2d_relu(*given, stride, padding, dilation, groups, tapped)
    return output, before


def _cast(images: Tensor, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
    """As autocast would: an operator's own rule is for one type, where the context chooses among several."""
    kind = images.device.type
    if not (torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)):
        return images, weight, bias
    dtype = torch.get_autocast_dtype(kind)
    return images.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
