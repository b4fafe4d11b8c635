"""Convolution, its gradients and the ReLU after it as operators, differentiated by calling each other.

A convolution with the ReLU that follows it is one, so that what reaches it backwards is gathered, cut off
and added up for its bias in one pass.

As operators, and not as `autograd.Function`, because `torch.compile` gets nested derivatives of
the latter silently wrong.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.library import register_autograd, register_fake

from activmask.kernels.convolution import forms, reference
from activmask.kernels.defining import operator
from activmask.kernels.rectifier import relu_gradient
from activmask.kernels.torch_private import will_run

# The shapes and strides of tensors without values follow from the same code.
conv2d = operator("activmask::conv2d")(forms.conv2d)
register_fake("activmask::conv2d", reference.conv2d)
data_gradient = operator("activmask::conv2d_data_gradient")(forms.data_gradient)
register_fake("activmask::conv2d_data_gradient", reference.data_gradient)
weight_gradient = operator("activmask::conv2d_weight_gradient")(forms.weight_gradient)
register_fake("activmask::conv2d_weight_gradient", reference.weight_gradient)
bias_gradient = operator("activmask::conv2d_bias_gradient")(forms.bias_gradient)
register_fake(
    "activmask::conv2d_bias_gradient", lambda gradient, _groups: gradient.new_empty(gradient.shape[1])
)

conv2d_relu = operator("activmask::conv2d_relu")(forms.conv2d_relu)
register_fake("activmask::conv2d_relu", reference.conv2d_relu)
rectified_gradient = operator("activmask::rectified_gradient")(forms.rectified_gradient)

Gradients = tuple[Tensor | None, ...]


def _keep(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG001 - torch's signature
    """Save the two tensors that an operator multiplies, and how."""
    ctx.save_for_backward(inputs[0], inputs[1])
    ctx.geometry = tuple(inputs[3:])


def _wanted(ctx: Any, index: int) -> bool:
    """Whether the pass that runs now asks for the gradient in an operator's input.

    `needs_input_grad` only says that somebody might: it would have the input gradient of a
    network also compute the gradients of all its weights.
    """
    return bool(ctx.needs_input_grad[index]) and will_run(ctx.next_functions[index][0])


def _conv2d_backward(ctx: Any, gradient: Tensor) -> Gradients:
    images, weight = ctx.saved_tensors
    geometry: tuple[Sequence[int], Sequence[int], Sequence[int], int] = ctx.geometry
    return (
        data_gradient(gradient, weight, images.shape, *geometry) if _wanted(ctx, 0) else None,
        weight_gradient(images, gradient, weight.shape, *geometry) if _wanted(ctx, 1) else None,
        bias_gradient(gradient, geometry[3]) if _wanted(ctx, 2) else None,
        *[None] * len(geometry),
    )


def _data_gradient_backward(ctx: Any, tangent: Tensor) -> Gradients:
    gradient, weight = ctx.saved_tensors
    geometry: tuple[Sequence[int], Sequence[int], Sequence[int], int] = ctx.geometry
    return (
        conv2d(tangent, weight, None, *geometry) if _wanted(ctx, 0) else None,
        weight_gradient(tangent, gradient, weight.shape, *geometry) if _wanted(ctx, 1) else None,
        *[None] * (1 + len(geometry)),
    )


def _weight_gradient_backward(ctx: Any, tangent: Tensor) -> Gradients:
    images, gradient = ctx.saved_tensors
    geometry: tuple[Sequence[int], Sequence[int], Sequence[int], int] = ctx.geometry
    return (
        data_gradient(gradient, tangent, images.shape, *geometry) if _wanted(ctx, 0) else None,
        conv2d(images, tangent, None, *geometry) if _wanted(ctx, 1) else None,
        *[None] * (1 + len(geometry)),
    )


def _keep_shape(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:  # noqa: ARG001 - torch's signature
    ctx.shape = inputs[0].shape


def _bias_gradient_backward(ctx: Any, tangent: Tensor) -> Gradients:
    return tangent[None, :, None, None].expand(ctx.shape), None


def _keep_activated(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    images, weight, _, *ctx.geometry, tapped = inputs
    if not tapped:
        ctx.mark_non_differentiable(output[1])
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(images, weight, output[0])


def _conv2d_relu_backward(ctx: Any, gradient: Tensor | None, tapped: Tensor | None) -> Gradients:
    images, weight, output = ctx.saved_tensors
    geometry: tuple[Sequence[int], Sequence[int], Sequence[int], int] = tuple(ctx.geometry)
    wants_bias = _wanted(ctx, 2)
    if gradient is None and tapped is None:
        return (None,) * 8
    if gradient is None:
        assert tapped is not None
        reaching, sums = tapped, bias_gradient(tapped, geometry[3]) if wants_bias else None
    else:
        reaching, sums = rectified_gradient(gradient, output, tapped, wants_bias)
    return (
        data_gradient(reaching, weight, images.shape, *geometry) if _wanted(ctx, 0) else None,
        weight_gradient(images, reaching, weight.shape, *geometry) if _wanted(ctx, 1) else None,
        sums if wants_bias else None,
        *[None] * 5,
    )


def _keep_rectified(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    _, kept, tapped, sums = inputs
    ctx.has_tapped = tapped is not None
    if not sums:
        ctx.mark_non_differentiable(output[1])
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(kept)


def _rectified_gradient_backward(ctx: Any, tangent: Tensor | None, of_sums: Tensor | None) -> Gradients:
    (kept,) = ctx.saved_tensors
    if of_sums is not None:
        everywhere = of_sums[None, :, None, None].expand(kept.shape)
        tangent = everywhere if tangent is None else tangent + everywhere
    if tangent is None:
        return (None,) * 4
    return relu_gradient(tangent, kept), None, tangent if ctx.has_tapped else None, None


def _rectified_shapes(
    gradient: Tensor, output: Tensor, tapped: Tensor | None, sums: bool
) -> tuple[Tensor, Tensor]:
    del gradient, tapped
    return torch.empty_like(output), output.new_empty(output.shape[1] if sums else 0)


register_fake("activmask::rectified_gradient", _rectified_shapes)
register_autograd("activmask::conv2d", _conv2d_backward, setup_context=_keep)
register_autograd("activmask::conv2d_data_gradient", _data_gradient_backward, setup_context=_keep)
register_autograd("activmask::conv2d_weight_gradient", _weight_gradient_backward, setup_context=_keep)
register_autograd("activmask::conv2d_bias_gradient", _bias_gradient_backward, setup_context=_keep_shape)
register_autograd("activmask::conv2d_relu", _conv2d_relu_backward, setup_context=_keep_activated)
register_autograd(
    "activmask::rectified_gradient", _rectified_gradient_backward, setup_context=_keep_rectified
)
