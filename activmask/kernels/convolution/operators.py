"""Convolution and its two gradients as operators, each differentiated by calling the others.

As operators, and not as `autograd.Function`, because `torch.compile` gets nested derivatives of
the latter silently wrong.
"""

from collections.abc import Sequence
from typing import Any

from torch import Tensor
from torch.library import register_autograd, register_fake

from activmask.kernels.convolution import forms, reference
from activmask.kernels.defining import operator
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


register_autograd("activmask::conv2d", _conv2d_backward, setup_context=_keep)
register_autograd("activmask::conv2d_data_gradient", _data_gradient_backward, setup_context=_keep)
register_autograd("activmask::conv2d_weight_gradient", _weight_gradient_backward, setup_context=_keep)
register_autograd("activmask::conv2d_bias_gradient", _bias_gradient_backward, setup_context=_keep_shape)
