"""The step of Adam as the operator `activmask::adam`: Triton's on CUDA where that can be, else plain PyTorch.

Shapes: N numbers of P parts, R seeds, K blocks.
"""

import logging
from functools import cache, partial
from importlib.util import find_spec

import torch
from torch import Tensor

from activmask.kernels.adam import reference
from activmask.kernels.adam.parts import Parts
from activmask.kernels.refusal import Refusal, unless_refused

NOTES = logging.getLogger(__name__)
"""Where is told, once, that Triton's form cannot be used."""

HAS_TRITON = find_spec("triton") is not None


@cache
def _refusal() -> Refusal:
    return Refusal("Triton's Adam", NOTES)


def adam(
    weights: Tensor,
    gradient: Tensor,
    first: Tensor,
    second: Tensor,
    steps: Tensor,
    stopped: Tensor,
    parts: Parts,
    *,
    lr: float,
    betas: tuple[float, float],
    eps: float,
) -> None:
    """Take a step of Adam (Kingma and Ba, arXiv:1412.6980, algorithm 1), but for seeds that have stopped.

    Of a stopped seed nothing is changed by a bit, whatever its gradient, and nothing of another
    depends on it. Nothing is read back from the device.

    Args:
        weights: float32 (N,), is changed.
        gradient: float32 (N,).
        first: float32 (N,), the running mean of gradients, is changed.
        second: float32 (N,), that of their squares, is changed.
        steps: float32 (P,), how many steps each part has taken, is changed.
        stopped: float32 (R,), 1 where a seed has stopped, else 0.
        parts: of the N numbers.
        lr: the size of a step.
        betas: the shares of the two running means that stay.
        eps: is added to the root of the second.
    """
    state = weights, gradient, first, second, steps
    _adam(*state, stopped, parts.sizes, parts.blocks, lr, *betas, eps)
    steps.view(-1, len(stopped)).add_(1 - stopped)


@torch.library.custom_op("activmask::adam", mutates_args=("weights", "first", "second"))
def _adam(
    weights: Tensor,
    gradient: Tensor,
    first: Tensor,
    second: Tensor,
    steps: Tensor,
    stopped: Tensor,
    sizes: Tensor,
    blocks: Tensor,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
) -> None:
    given = weights, gradient, first, second, steps, stopped
    settings = lr, beta1, beta2, eps

    def ours() -> None:
        from activmask.kernels.adam import triton

        triton.adam(*given, blocks, *settings)

    plain = partial(reference.adam, *given, sizes, *settings)
    if weights.is_cuda and HAS_TRITON:
        unless_refused(ours, plain, _refusal())
    else:
        plain()


@_adam.register_fake
def _(*_arguments: object) -> None:
    return None
