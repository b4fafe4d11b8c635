"""Whether two forms of a computation of batch normalisation agree, on random numbers of the same sizes.

Those of training may cancel, or be all zero.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from activmask.kernels.batch_norm import closed_form

TOLERANCE = {torch.float32: 1e-3, torch.bfloat16: 2**-6}
"""By the type of what is given, of a result's norm: far above rounding, far below any mistake."""

_LEAST = 1e-2
"""What is smaller than that a number is a difference that cancels, as a gradient over two rows does."""


def check_agreement(
    ours: Callable[..., Sequence[Tensor]],
    theirs: Callable[..., Sequence[Tensor]],
    tensors: Sequence[Tensor | None],
    rest: Sequence[Any],
    *,
    has_statistics: bool,
) -> None:
    """Compare what two forms make of random numbers.

    Args:
        ours: takes `tensors` and `rest`.
        theirs: likewise; the form that counts as right.
        tensors: what is given in training; only their sizes and types are read.
        rest: what is given besides.
        has_statistics: the last five are the images, weight, output, mean and biased variance.

    Raises:
        ArithmeticError: the results differ.
    """
    drawn = _drawn(tensors, has_statistics=has_statistics)
    most = max(TOLERANCE[each.dtype] for each in tensors if each is not None)
    for found, right in zip(ours(*drawn, *rest), theirs(*drawn, *rest), strict=True):
        least = _LEAST * right.numel() ** 0.5
        distance = float((found.float() - right.float()).norm()) / max(
            float(right.float().norm()), least, 1e-30
        )
        if not distance <= most:
            raise ArithmeticError(f"its result differs from torch's by {distance:.1g} of that one's norm")


def _drawn(tensors: Sequence[Tensor | None], *, has_statistics: bool) -> list[Tensor | None]:
    drawn = [None if each is None else _normal(each, place) for place, each in enumerate(tensors)]
    if has_statistics:
        images = drawn[-5]
        assert images is not None
        drawn[-2:] = closed_form.forward(images, None, None, None, 0.0, False)[2:]
    return drawn


def _normal(like: Tensor, seed: int) -> Tensor:
    source = torch.Generator(like.device).manual_seed(seed)
    return torch.empty_like(like).detach().normal_(generator=source)
