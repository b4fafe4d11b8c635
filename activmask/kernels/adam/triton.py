# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators, allow-untyped-calls
"""A step of Adam in Triton: one launch, in which each number is read and written once.

A program changes numbers of one part alone, and does nothing where its seed has stopped.
"""

from math import log2

import torch
import triton  # type: ignore[import-untyped, unused-ignore]
from torch import Tensor
from triton import language as tl  # type: ignore[import-untyped, unused-ignore]

from activmask.kernels.adam.parts import BLOCK
from activmask.kernels.ahead import launch


@triton.jit
def _step(
    weights, gradient, first, second, steps, stopped, blocks, seeds,
    lr, gain1, beta2, gain2, eps, decay1, decay2, block: tl.constexpr,
):  # fmt: skip
    own = blocks + tl.program_id(0).to(tl.int64) * 3
    start, end, part = tl.load(own), tl.load(own + 1), tl.load(own + 2)
    if tl.load(stopped + part % seeds) == 0:
        place = start + tl.arange(0, block)
        wanted = place < end
        # In double precision, because 1 - 0.999 keeps four digits of single.
        taken = tl.load(steps + part).to(tl.float64) + 1
        short1 = (1 - tl.exp2(taken * decay1)).to(tl.float32)
        short2 = (1 - tl.exp2(taken * decay2)).to(tl.float32)
        slope = tl.load(gradient + place, mask=wanted, other=0.0)
        mean = tl.load(first + place, mask=wanted, other=0.0)
        square = tl.load(second + place, mask=wanted, other=0.0)
        mean += (slope - mean) * gain1
        square = square * beta2 + slope * slope * gain2
        # Memory is what this waits for: exact roots and quotients cost nothing.
        size = tl.div_rn(tl.sqrt_rn(square), tl.sqrt_rn(short2) + tl.zeros_like(square)) + eps
        moved = tl.div_rn(mean, short1 + tl.zeros_like(mean)) * lr
        weight = tl.load(weights + place, mask=wanted, other=0.0) - tl.div_rn(moved, size)
        tl.store(weights + place, weight, mask=wanted)
        tl.store(first + place, mean, mask=wanted)
        tl.store(second + place, square, mask=wanted)


def adam(
    weights: Tensor,
    gradient: Tensor,
    first: Tensor,
    second: Tensor,
    steps: Tensor,
    stopped: Tensor,
    blocks: Tensor,
    lr: float,
    beta1: float,
    beta2: float,
    eps: float,
) -> None:
    """The Triton form of `reference.adam`, which takes blocks (K, 3) where that takes sizes."""
    if not len(blocks):
        return
    with torch.cuda.device_of(weights):
        launch(
            _step, (len(blocks),),
            weights, gradient, first, second, steps, stopped, blocks, len(stopped),
            lr, 1 - beta1, beta2, 1 - beta2, eps, log2(beta1), log2(beta2), BLOCK,
        )  # fmt: skip
