"""The step of Adam as the operator `activmask::adam`: Triton's on CUDA where that can be, else plain PyTorch.

Shapes: N numbers of P parts, R seeds, K blocks.
"""

import logging
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec

import torch
from torch import Tensor

from activmask.kernels.adam import reference
from activmask.kernels.adam.parts import Parts

NOTES = logging.getLogger(__name__)
"""Where is told, once, that Triton's form cannot be used."""

HAS_TRITON = find_spec("triton") is not None


@dataclass
class _Refusal:
    """Whether Triton's form failed in this process: it is then asked no more."""

    happened: bool = False


@cache
def _refusal() -> _Refusal:
    return _Refusal()


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
    if weights.is_cuda and HAS_TRITON and not _refusal().happened:
        try:
            from activmask.kernels.adam import triton

            triton.adam(*given, blocks, *settings)
            return
        except torch.OutOfMemoryError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever Triton or the device has against it
            _refusal().happened = True
            NOTES.warning(
                "Triton's Adam cannot be used here (%s: %s), so torch computes it, more slowly",
                type(error).__name__,
                " ".join(str(error).split())[:200],
            )
    reference.adam(*given, sizes, *settings)


@_adam.register_fake
def _(*_arguments: object) -> None:
    return None
