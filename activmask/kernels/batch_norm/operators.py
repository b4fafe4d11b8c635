"""Training's batch normalisation as operators: a value, its gradient, and the gradient of that.

As operators, and not as `autograd.Function`, because `torch.compile` gets nested derivatives of
the latter silently wrong. The letters are those of `closed_form`. A tensor that nobody asked for is
empty, as an operator cannot return None.
"""

from typing import Any

import torch
from torch import Tensor
from torch.library import register_autograd, register_fake

from activmask.kernels.batch_norm import closed_form, forms
from activmask.kernels.defining import operator
from activmask.kernels.torch_private import will_run

Gradients = tuple[Tensor | None, ...]


def _if_wanted(wanted: bool, images: Tensor) -> Tensor:
    """Memory for what is of the images' shape, or none."""
    return torch.empty_like(images) if wanted else images.new_empty(0)


batch_norm = operator("activmask::batch_norm")(forms.forward)
backward = operator("activmask::batch_norm_backward")(forms.backward)
twice_backward = operator("activmask::batch_norm_twice_backward")(forms.twice_backward)
follow = operator("activmask::batch_norm_follow", changes=("running_mean", "running_variance"))(forms.follow)


def _shapes(images: Tensor, *rest: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    mean, variance = (
        images.new_empty(images.shape[1], dtype=closed_form.wide_type(images)) for _ in range(2)
    )
    return torch.empty_like(images), _if_wanted(rest[-2] and rest[-1], images), mean, variance


def _backward_shapes(*given: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    images, mean, wanted = given[2], given[5], given[-1]
    return (
        torch.empty_like(images),
        _if_wanted(wanted, images),
        torch.empty_like(mean),
        torch.empty_like(mean),
    )


def _twice_backward_shapes(*given: Any) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    images, mean, wanted = given[6], given[9], given[-1]
    of_images, of_gradient = torch.empty_like(images), torch.empty_like(images)
    return of_gradient, _if_wanted(wanted, images), of_images, torch.empty_like(mean)


def _keep(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    images, weight, bias, _, ctx.epsilon, relu, tapped = inputs
    activated, before, mean, variance = output
    ctx.weight_type, ctx.bias_type = (None if each is None else each.dtype for each in (weight, bias))
    ctx.are_tensors = [isinstance(each, Tensor) for each in inputs]
    ctx.mark_non_differentiable(mean, variance, *([] if relu and tapped else [before]))
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(images, weight, activated if relu else None, mean, variance)


def _wanted(ctx: Any, index: int) -> bool:
    """Whether the pass that runs now asks for the gradient in an operator's input.

    `needs_input_grad` only says that somebody might. Among the functions that wait for a gradient,
    those inputs that are no tensors have no place.
    """
    if not ctx.needs_input_grad[index]:
        return False
    return will_run(ctx.next_functions[sum(ctx.are_tensors[:index])][0])


def _backward(ctx: Any, gradient: Tensor | None, tapped: Tensor | None, *_: None) -> Gradients:
    if gradient is None and tapped is None:
        return (None,) * 7
    images, weight, output, mean, variance = ctx.saved_tensors
    # Where nothing is cut off, the residual's gradient is what came in.
    makes_own = output is not None and _wanted(ctx, 3)
    to_images, to_residual, to_weight, to_bias = backward(
        gradient, tapped, images, weight, output, mean, variance, ctx.epsilon, makes_own
    )
    return (
        to_images,
        None if ctx.weight_type is None else to_weight.to(ctx.weight_type),
        None if ctx.bias_type is None else to_bias.to(ctx.bias_type),
        (to_residual if makes_own else gradient) if _wanted(ctx, 3) else None,
        *[None] * 3,
    )


def _keep_backward(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    *tensors, ctx.epsilon, wants_residual = inputs
    if not wants_residual:
        ctx.mark_non_differentiable(output[1])
    ctx.are_tensors = [isinstance(each, Tensor) for each in inputs]
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*tensors)


def _backward_backward(ctx: Any, *tangents: Tensor | None) -> Gradients:
    gradient, tapped, images, weight, output, mean, variance = ctx.saved_tensors
    if all(tangent is None for tangent in tangents):
        return (None,) * 9
    wants_tapped = tapped is not None and _wanted(ctx, 1)
    given = (gradient, tapped, images, weight, output, mean, variance, ctx.epsilon)
    of_gradient, of_tapped, of_images, of_weight = twice_backward(*tangents, *given, wants_tapped)
    return (
        None if gradient is None else of_gradient,
        of_tapped if wants_tapped else None,
        of_images,
        None if weight is None else of_weight.to(weight.dtype),
        *[None] * 5,
    )


def _refuse(ctx: Any, *_: Any) -> None:
    raise NotImplementedError("batch_norm can be differentiated twice only; differentiate its reference form")


register_fake("activmask::batch_norm", _shapes)
register_fake("activmask::batch_norm_backward", _backward_shapes)
register_fake("activmask::batch_norm_twice_backward", _twice_backward_shapes)
register_fake("activmask::batch_norm_follow", lambda *_: None)
register_autograd("activmask::batch_norm", _backward, setup_context=_keep)
register_autograd("activmask::batch_norm_backward", _backward_backward, setup_context=_keep_backward)
register_autograd("activmask::batch_norm_twice_backward", _refuse)
