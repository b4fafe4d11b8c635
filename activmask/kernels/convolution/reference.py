"""Convolution and its two gradients in plain PyTorch, on whatever device the tensors are.

Each of the three is linear in each of its two tensors, and each one's derivatives are the other
two, which is why they can be differentiated for ever:

    conv2d(x, w) = y             d<g, y>/dx = data_gradient(g, w)     d<g, y>/dw = weight_gradient(x, g)
    data_gradient(g, w) = u      d<t, u>/dg = conv2d(t, w)            d<t, u>/dw = weight_gradient(t, g)
    weight_gradient(x, g) = v    d<t, v>/dx = data_gradient(g, t)     d<t, v>/dg = conv2d(x, t)

Shapes: B images, C channels in, D channels out, H x W pixels, G groups, K x L kernel.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

_BACKWARD = torch.ops.aten.convolution_backward


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
    output: Tensor = torch.ops.aten.convolution(
        images, weight, bias, stride, padding, dilation, False, [0, 0], groups
    )
    return output.contiguous(memory_format=layout_of(images, weight))


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
    """A ReLU of that convolution, and with `tapped` what it saw; else that is empty."""
    before = conv2d(images, weight, bias, stride, padding, dilation, groups)
    return (torch.relu(before), before) if tapped else (before.relu_(), before.new_empty(0))


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
    layout = layout_of(gradient, weight)
    # Of the images themselves only the shape is read; the memory is never written to.
    images = torch.empty(size, dtype=gradient.dtype, device=gradient.device, memory_format=layout)
    geometry = (stride, padding, dilation, False, [0, 0], groups)
    found: Tensor = _BACKWARD(gradient, images, weight, None, *geometry, [True, False, False])[0]
    return found.contiguous(memory_format=layout)


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
    layout = layout_of(images, gradient)
    weight = torch.empty(size, dtype=gradient.dtype, device=gradient.device, memory_format=layout)
    geometry = (stride, padding, dilation, False, [0, 0], groups)
    found: Tensor = _BACKWARD(gradient, images, weight, None, *geometry, [False, True, False])[1]
    return found.contiguous(memory_format=layout)


def output_shape(
    images: Sequence[int],
    weight: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int] = (1, 1),
) -> list[int]:
    """The shape (B, D, H', W') of the convolution of images and weight of these shapes."""
    reaches = [(taps - 1) * spread + 1 for taps, spread in zip(weight[2:], dilation, strict=True)]
    return [images[0], weight[0]] + [
        (size + 2 * added - reach) // step + 1
        for size, added, reach, step in zip(images[2:], padding, reaches, stride, strict=True)
    ]


def layout_of(*tensors: Tensor) -> torch.memory_format:
    """Channels-last where one tensor is unmistakably so, as torch's own convolution decides.

    Saying it aloud makes the strides a function of the arguments alone, whichever backend
    computes, and so the same for tensors that only have a shape.
    """
    last = torch.channels_last
    if any(t.is_contiguous(memory_format=last) and not t.is_contiguous() for t in tensors):
        return last
    return torch.contiguous_format
