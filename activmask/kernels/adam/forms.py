"""The step of Adam as the operator `activmask::adam`: Triton's on CUDA where that can be, else plain PyTorch.

Shapes: N numbers of P parts, R seeds, K blocks.
"""

import logging
from collections.abc import Callable
from functools import cache, partial
from importlib.util import find_spec

import torch
from torch import Tensor
from torch.library import register_fake

from activmask.kernels.adam import reference
from activmask.kernels.adam.parts import Parts, parts_of
from activmask.kernels.ahead import compiles_ahead, prepare
from activmask.kernels.defining import operator
from activmask.kernels.refusal import Refusal, once_agreed

NOTES = logging.getLogger(__name__)
"""Where is told, once, that Triton's form cannot be used."""

_COMPARED = 3, 1030, 2500
"""Sizes of parts on which the two are compared: less than a block, and several."""

HAS_TRITON = find_spec("triton") is not None


MOST_APART = 1e-5
"""Between two forms, of the largest number: far above rounding, far below any mistake."""


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
    depends on it. Nothing is read back from the device. While kernels are only compiled, see
    `compiled_ahead`, no step is taken.

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
    if not compiles_ahead():
        steps.view(-1, len(stopped)).add_(1 - stopped)


@operator("activmask::adam", changes=("weights", "first", "second"))
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

    def compare() -> None:
        from activmask.kernels.adam import triton

        check_agreement(triton.adam, weights.device)

    plain = partial(reference.adam, *given, sizes, *settings)
    can = weights.is_cuda and HAS_TRITON
    if compiles_ahead():
        if can:
            prepare(ours)
    elif can:
        may_compare = not torch.cuda.is_current_stream_capturing()
        once_agreed(ours, plain, _refusal(), weights.device, compare, may_compare=may_compare)
    else:
        plain()


register_fake("activmask::adam", lambda *_: None)


def check_agreement(ours: Callable[..., None], device: torch.device) -> None:
    """Compare a form that takes the blocks of parts with the reference in double precision.

    Raises:
        ArithmeticError: they differ.
    """
    sizes = [size for size in _COMPARED for _ in range(2)]
    parts, source = parts_of(sizes, device), torch.Generator(device).manual_seed(0)
    weights, gradient, first, second = (
        torch.randn(sum(sizes), generator=source, device=device) for _ in range(4)
    )
    steps, stopped = torch.full((len(sizes),), 3.0, device=device), torch.tensor([0.0, 1.0], device=device)
    found = [weights, gradient, first, second.square(), steps]
    exact = weights, gradient, first, second, steps = [each.double() for each in found]
    settings = 0.01, 0.9, 0.999, 1e-8
    ours(*found, stopped, parts.blocks, *settings)
    reference.adam(weights, gradient, first, second, steps, stopped.double(), parts.sizes, *settings)
    apart = max(
        float((own - right).abs().max() / right.abs().max()) for own, right in zip(found, exact, strict=True)
    )
    if not apart <= MOST_APART:
        raise ArithmeticError(f"its numbers differ from torch's by {apart:.1g} of the largest")
