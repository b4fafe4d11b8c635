"""The ReLU as an operator whose second derivative is one launch.

Torch's own has a derivative in its output too, which is zero everywhere, and fills memory with it and
adds that to what comes from elsewhere.
"""

from typing import Any

import torch
from torch import Tensor
from torch.library import register_autograd, register_fake

from activmask.kernels.defining import operator


@operator("activmask::relu")
def relu(values: Tensor) -> Tensor:
    """Zero where values (...) are negative, and they themselves elsewhere."""
    return torch.relu(values)


@operator("activmask::relu_gradient")
def relu_gradient(gradient: Tensor, output: Tensor) -> Tensor:
    """A gradient of a ReLU's output (...) as one of its values: zero where the output is."""
    found: Tensor = torch.ops.aten.threshold_backward(gradient, output, 0)
    return found


def _keep_output(ctx: Any, inputs: tuple[Tensor], output: Tensor) -> None:  # noqa: ARG001 - torch's signature
    ctx.save_for_backward(output)


def _relu_backward(ctx: Any, gradient: Tensor) -> Tensor:
    return relu_gradient(gradient, *ctx.saved_tensors)


def _keep_outputs(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:  # noqa: ARG001 - torch's signature
    ctx.save_for_backward(inputs[1])


def _relu_gradient_backward(ctx: Any, tangent: Tensor) -> tuple[Tensor, None]:
    return relu_gradient(tangent, *ctx.saved_tensors), None


register_fake("activmask::relu", torch.empty_like)
register_fake("activmask::relu_gradient", lambda gradient, _output: torch.empty_like(gradient))
register_autograd("activmask::relu", _relu_backward, setup_context=_keep_output)
register_autograd("activmask::relu_gradient", _relu_gradient_backward, setup_context=_keep_outputs)
