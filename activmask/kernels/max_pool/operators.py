"""Maxima of windows and their derivatives as operators, each differentiated by calling another.

As operators, and not as `autograd.Function`, because `torch.compile` gets nested derivatives of
the latter silently wrong.
"""

from typing import Any

import torch
from torch import Tensor
from torch.library import register_autograd, register_fake

from activmask.kernels.convolution.reference import layout_of
from activmask.kernels.defining import operator
from activmask.kernels.max_pool import forms
from activmask.kernels.max_pool.reference import pooled_size

max_pool = operator("activmask::max_pool")(forms.max_pool)
spread = operator("activmask::max_pool_spread")(forms.spread)
gather = operator("activmask::max_pool_gather")(forms.gather)


def _pooled_shape(images: Tensor) -> Tensor:
    size, layout = pooled_size(images), layout_of(images)
    return torch.empty(size, dtype=images.dtype, device=images.device, memory_format=layout)


register_fake("activmask::max_pool", _pooled_shape)
register_fake(
    "activmask::max_pool_spread",
    lambda _gradient, images: torch.empty_like(images, memory_format=layout_of(images)),
)
register_fake("activmask::max_pool_gather", lambda _tangent, images: _pooled_shape(images))


def _keep_images(ctx: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:  # noqa: ARG001 - torch's signature
    ctx.save_for_backward(inputs[-1])


def _max_pool_backward(ctx: Any, gradient: Tensor) -> Tensor:
    return spread(gradient, *ctx.saved_tensors)


def _spread_backward(ctx: Any, tangent: Tensor) -> tuple[Tensor, None]:
    return gather(tangent, *ctx.saved_tensors), None


def _gather_backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
    return spread(gradient, *ctx.saved_tensors), None


register_autograd("activmask::max_pool", _max_pool_backward, setup_context=_keep_images)
register_autograd("activmask::max_pool_spread", _spread_backward, setup_context=_keep_images)
register_autograd("activmask::max_pool_gather", _gather_backward, setup_context=_keep_images)
