# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators, allow-untyped-calls
"""The activation distance in Triton, registered as the operator `activmask::distances`.

A pair of dense activations is read in memory order as (outer, axis, inner), whatever their layout,
and a norm runs over `axis`: channels-last activations under `channel` have the channels on `axis`
and inner = 1, contiguous ones have inner = H * W. One pass over memory forward, one backward.

The distance hangs off the activations as a side branch that no second differentiation enters, so
its gradient is not differentiable itself, and says so when asked.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch
import triton  # type: ignore[import-untyped, unused-ignore]
from torch import Tensor
from torch.library import register_autograd, register_fake, register_vmap
from triton import language as tl  # type: ignore[import-untyped, unused-ignore]

from activmask.kernels.activation_distance.norms import Norm
from activmask.kernels.activation_distance.tiling import norm_axis, tiling
from activmask.kernels.ahead import launch
from activmask.kernels.defining import operator

_TYPES = {torch.float32: tl.float32, torch.float64: tl.float64}
# One compiled form serves all of them.
_LOOSE = ["outer", "seeds", "norms_per_seed"]
_LONG = 4096
"""Lengths of one seed from which on their sum is added up in parts: one launch has a block for each seed."""
_PARTS = 64


@triton.jit
def _tile(outer, axis, inner, norms_per_tile: tl.constexpr, inner_is_one: tl.constexpr):
    """Of this program's norms: their numbers, where each begins in memory, and which exist."""
    if inner_is_one:
        norm = tl.program_id(0).to(tl.int64) * norms_per_tile + tl.arange(0, norms_per_tile)
        return norm, norm * axis, norm < outer
    blocks = tl.cdiv(inner, norms_per_tile)
    row = (tl.program_id(0) // blocks).to(tl.int64)
    column = (tl.program_id(0) % blocks) * norms_per_tile + tl.arange(0, norms_per_tile)
    return row * inner + column, row * axis * inner + column, column < inner


@triton.jit
def _rectified(values, relu: tl.constexpr):
    """Their ReLU where it is asked for; what is not a number stays so."""
    return tl.where(values <= 0, 0, values) if relu else values


@triton.jit
def _slope_of(values, slope, relu: tl.constexpr):
    """A gradient of what `_rectified` gives as one of the values."""
    return tl.where(values <= 0, 0, slope) if relu else slope


@triton.jit
def _pair(full, shuffled, where, wanted, accumulator: tl.constexpr):
    ours = tl.load(full + where, mask=wanted, other=0).to(accumulator)
    return ours, tl.load(shuffled + where, mask=wanted, other=0).to(accumulator)


@triton.jit(do_not_specialize=_LOOSE)
def _measure(
    full, shuffled, lengths, sums, outer, axis, inner, accumulator: tl.constexpr,
    norms_per_tile: tl.constexpr, axis_per_tile: tl.constexpr, tiles: tl.constexpr,
    inner_is_one: tl.constexpr, relu: tl.constexpr, in_parts: tl.constexpr,
):  # fmt: skip
    """The lengths of a program's norms and their sum; of norms in parts, the squares of its part."""
    norm, start, exists = _tile(outer, axis, inner, norms_per_tile, inner_is_one)
    step = tl.program_id(1) * (tiles * axis_per_tile) + tl.arange(0, axis_per_tile)
    squares = tl.zeros((norms_per_tile, axis_per_tile), accumulator)
    for _ in range(tiles):
        wanted = exists[:, None] & (step < axis)[None, :]
        where = start[:, None] + step[None, :].to(tl.int64) * inner
        ours, theirs = _pair(full, shuffled, where, wanted, accumulator)
        difference = _rectified(ours, relu) - _rectified(theirs, relu)
        squares += difference * difference
        step += axis_per_tile
    length = tl.sum(squares, 1)
    if not in_parts:
        length = tl.sqrt(length)
        tl.store(sums + tl.program_id(0), tl.sum(length, 0))
    tl.store(lengths + tl.program_id(1).to(tl.int64) * outer * inner + norm, length, mask=exists)


@triton.jit(do_not_specialize=_LOOSE)
def _spread(
    gradient, full, shuffled, lengths, to_full, to_shuffled, seeds, norms_per_seed, outer, axis, inner,
    accumulator: tl.constexpr,
    norms_per_tile: tl.constexpr, axis_per_tile: tl.constexpr, tiles: tl.constexpr,
    inner_is_one: tl.constexpr, relu: tl.constexpr, wants_full: tl.constexpr, wants_shuffled: tl.constexpr,
):  # fmt: skip
    """The gradient of the sum of all lengths: each difference over its length, and the negative of that.

    Of several seeds, each `norms_per_seed` norms in turn are one's, and each has its own gradient.
    """
    norm, start, exists = _tile(outer, axis, inner, norms_per_tile, inner_is_one)
    step = tl.program_id(1) * (tiles * axis_per_tile) + tl.arange(0, axis_per_tile)
    length = tl.load(lengths + norm, mask=exists, other=0)
    own = tl.load(gradient + (norm // norms_per_seed) % seeds, mask=exists, other=0)
    scale = tl.where(length == 0, 0, own)
    divisor = tl.where(length == 0, 1, length)
    for _ in range(tiles):
        wanted = exists[:, None] & (step < axis)[None, :]
        where = start[:, None] + step[None, :].to(tl.int64) * inner
        ours, theirs = _pair(full, shuffled, where, wanted, accumulator)
        difference = _rectified(ours, relu) - _rectified(theirs, relu)
        slope = difference / divisor[:, None] * scale[:, None]
        if wants_full:
            tl.store(to_full + where, _slope_of(ours, slope, relu), mask=wanted)
        if wants_shuffled:
            tl.store(to_shuffled + where, _slope_of(theirs, -slope, relu), mask=wanted)
        step += axis_per_tile


def _is_channels_last(activations: Tensor) -> bool:
    return not activations.is_contiguous() and activations.is_contiguous(memory_format=torch.channels_last)


def _layout(full: Tensor, shuffled: Tensor) -> torch.memory_format:
    """Channels-last where both are; any other pair is read, and copied where it must be, as contiguous."""
    both = full.ndim == 4 and _is_channels_last(full) and _is_channels_last(shuffled)
    return torch.channels_last if both else torch.contiguous_format


def _accumulator(full: Tensor, shuffled: Tensor) -> torch.dtype:
    return torch.float64 if torch.float64 in {full.dtype, shuffled.dtype} else torch.float32


@operator("activmask::distances")
def distances(full: Tensor, shuffled: Tensor, norm: str, relu: bool) -> tuple[Tensor, Tensor]:
    """The lengths of the differences between two activations.

    Accumulates in fp32, in fp64 where an input is, and returns that under autocast too.

    Args:
        full: (B, ...).
        shuffled: the same shape; another float type is allowed.
        norm: `layer`, `channel` or `row`, see `activation_distance`.
        relu: measure between the activations' ReLU.

    Returns:
        The sum of all lengths, a scalar, differentiable once; and the lengths, flat and in the
        order of memory, not differentiable.

    Raises:
        ValueError: the shapes differ.
    """
    if full.shape != shuffled.shape:
        raise ValueError(f"activations differ in shape: {tuple(full.shape)} and {tuple(shuffled.shape)}")
    layout, wide = _layout(full, shuffled), _accumulator(full, shuffled)
    plan = tiling(full.shape, layout == torch.channels_last, norm)
    lengths = full.new_empty((plan.parts, plan.outer * plan.inner), dtype=wide)
    sums = full.new_empty(plan.grid[0], dtype=wide)
    with torch.cuda.device_of(full):
        launch(
            _measure, plan.grid,
            full.contiguous(memory_format=layout), shuffled.contiguous(memory_format=layout), lengths, sums,
            *plan.sizes, _TYPES[wide], *plan.constants, relu, plan.parts > 1,
        )  # fmt: skip
    if plan.parts == 1:
        return sums.sum(), lengths.view(-1)
    whole = lengths.sum(dim=0).sqrt()
    return whole.sum(), whole


@register_fake("activmask::distances")
def _(full: Tensor, shuffled: Tensor, norm: str, relu: bool) -> tuple[Tensor, Tensor]:  # noqa: ARG001
    wide = _accumulator(full, shuffled)
    count = full.shape[0] if norm == "layer" else full.numel() // full.shape[norm_axis(full.shape, norm)]
    return full.new_empty((), dtype=wide), full.new_empty(count, dtype=wide)


@operator("activmask::distances_backward")
def distances_backward(
    gradient: Tensor,
    full: Tensor,
    shuffled: Tensor,
    lengths: Tensor,
    norm: str,
    relu: bool,
    wants_full: bool,
    wants_shuffled: bool,
) -> tuple[Tensor, Tensor]:
    """The gradient of the sum of `distances`, in one pass; an empty tensor where none is wanted.

    Args:
        gradient: the scalar gradient of the sum.
        full: as given to `distances`.
        shuffled: as given to `distances`.
        lengths: as `distances` returned them.
        norm: as given to `distances`.
        relu: as given to `distances`.
        wants_full: compute the gradient of `full`.
        wants_shuffled: compute the gradient of `shuffled`.
    """
    layout, wide = _layout(full, shuffled), _accumulator(full, shuffled)
    plan = tiling(full.shape, layout == torch.channels_last, norm)
    to_full, to_shuffled = _gradients(full, shuffled, wants_full, wants_shuffled)
    with torch.cuda.device_of(full):
        launch(
            _spread, plan.grid,
            gradient, full.contiguous(memory_format=layout), shuffled.contiguous(memory_format=layout),
            lengths, to_full, to_shuffled, 1, 1, *plan.sizes, _TYPES[wide], *plan.constants,
            relu, wants_full, wants_shuffled,
        )  # fmt: skip
    return to_full, to_shuffled


def _gradients(
    full: Tensor, shuffled: Tensor, wants_full: bool, wants_shuffled: bool
) -> tuple[Tensor, Tensor]:
    layout = _layout(full, shuffled)
    return (
        torch.empty_like(full, memory_format=layout) if wants_full else full.new_empty(0),
        torch.empty_like(shuffled, memory_format=layout) if wants_shuffled else shuffled.new_empty(0),
    )


@register_fake("activmask::distances_backward")
def _(_: Tensor, full: Tensor, shuffled: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    return _gradients(full, shuffled, *rest[-2:])


def _save(ctx: Any, inputs: tuple[Tensor, Tensor, str, bool], output: tuple[Tensor, Tensor]) -> None:
    full, shuffled, ctx.norm, ctx.relu = inputs
    # Or zeros would be written for the lengths, which have no gradient.
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(full, shuffled, output[1])


def _backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    full, shuffled, lengths = ctx.saved_tensors
    wanted = ctx.needs_input_grad[:2]
    pair = distances_backward(gradient, full, shuffled, lengths, ctx.norm, ctx.relu, *wanted)
    to_full, to_shuffled = (slope if wants else None for slope, wants in zip(pair, wanted, strict=True))
    return to_full, to_shuffled, None, None


def _refuse(ctx: Any, *_: Tensor) -> None:
    raise NotImplementedError(
        "activation_distance can be differentiated once only on CUDA; take second derivatives on the CPU"
    )


register_autograd("activmask::distances", _backward, setup_context=_save)
register_autograd("activmask::distances_backward", _refuse)


@operator("activmask::seed_distances")
def seed_distances(
    full: Tensor, shuffled: Tensor, seeds: int, norms_per_seed: int, relu: bool
) -> tuple[Tensor, Tensor]:
    """The lengths of the differences between activations of R seeds that lie side by side.

    Args:
        full: (outer, axis, inner), contiguous; a norm runs over `axis`, and of the norms in the order
            of memory each `norms_per_seed` in turn are one seed's.
        shuffled: the same shape.
        seeds: R.
        norms_per_seed: how many that are.
        relu: measure between the activations' ReLU.

    Returns:
        The sum of each seed's lengths (R,), differentiable once; and all lengths, (., R, norms_per_seed).
    """
    wide = _accumulator(full, shuffled)
    plan = tiling(full.shape, False, "channel")
    lengths = full.new_empty(plan.outer * plan.inner, dtype=wide)
    sums = full.new_empty(plan.grid[0], dtype=wide)
    with torch.cuda.device_of(full):
        launch(
            _measure, plan.grid,
            full, shuffled, lengths, sums, *plan.sizes, _TYPES[wide], *plan.constants, relu, False
        )  # fmt: skip
    lengths = lengths.view(-1, seeds, norms_per_seed)
    return _sum_of_each(lengths), lengths


def _sum_of_each(lengths: Tensor) -> Tensor:
    """The sums of lengths (N, R, L) of each seed, (R,)."""
    parts = math.gcd(len(lengths), _PARTS)
    if lengths[:, 0].numel() < _LONG or parts == 1:
        return lengths.sum((0, 2))
    in_parts: Tensor = lengths.view(parts, -1, *lengths.shape[1:]).sum((1, 3))
    return in_parts.sum(0)


@register_fake("activmask::seed_distances")
def _(
    full: Tensor,
    shuffled: Tensor,
    seeds: int,
    norms_per_seed: int,
    relu: bool,  # noqa: ARG001
) -> tuple[Tensor, Tensor]:
    wide = _accumulator(full, shuffled)
    count = full.shape[0] * full.shape[2] // (seeds * norms_per_seed)
    return full.new_empty(seeds, dtype=wide), full.new_empty((count, seeds, norms_per_seed), dtype=wide)


@operator("activmask::seed_distances_backward")
def seed_distances_backward(
    gradient: Tensor,
    full: Tensor,
    shuffled: Tensor,
    lengths: Tensor,
    relu: bool,
    wants_full: bool,
    wants_shuffled: bool,
) -> tuple[Tensor, Tensor]:
    """The gradient of `seed_distances` given that of its sums (R,); an empty tensor where none is wanted."""
    wide, plan = _accumulator(full, shuffled), tiling(full.shape, False, "channel")
    to_full, to_shuffled = _gradients(full, shuffled, wants_full, wants_shuffled)
    with torch.cuda.device_of(full):
        launch(
            _spread, plan.grid,
            gradient.contiguous(), full, shuffled, lengths, to_full, to_shuffled, *lengths.shape[1:],
            *plan.sizes, _TYPES[wide], *plan.constants, relu, wants_full, wants_shuffled,
        )  # fmt: skip
    return to_full, to_shuffled


@register_fake("activmask::seed_distances_backward")
def _(_: Tensor, full: Tensor, shuffled: Tensor, *rest: Any) -> tuple[Tensor, Tensor]:
    return _gradients(full, shuffled, *rest[-2:])


def _save_seeds(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    ctx.relu = inputs[4]
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(output[1])
    ctx.save_for_backward(*inputs[:2], output[1])


def _seeds_backward(ctx: Any, gradient: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
    wanted = ctx.needs_input_grad[:2]
    pair = seed_distances_backward(gradient, *ctx.saved_tensors, ctx.relu, *wanted)
    return (*(slope if wants else None for slope, wants in zip(pair, wanted, strict=True)), None, None, None)


register_autograd("activmask::seed_distances", _seeds_backward, setup_context=_save_seeds)
register_autograd("activmask::seed_distances_backward", _refuse)


@register_vmap("activmask::distances")
def _(
    info: Any, in_dims: tuple[int | None, ...], full: Tensor, shuffled: Tensor, norm: str, relu: bool
) -> tuple[tuple[Tensor, Tensor], tuple[int, int]]:
    """Of several seeds' activations, whose channels lie side by side, in as many launches as of one's."""
    pair = [
        tap.expand(info.batch_size, *tap.shape) if dim is None else tap.movedim(dim, 0)
        for tap, dim in zip((full, shuffled), in_dims[:2], strict=True)
    ]
    if full.ndim == 5 and norm == "layer":
        # A sample's activations are no stretch of memory here, which the kernels' norms are.
        accumulator = _accumulator(full, shuffled)
        ours, theirs = ((tap.relu() if relu else tap).to(accumulator) for tap in pair)
        difference = ours - theirs
        lengths = torch.linalg.vector_norm(difference, dim=(2, 3, 4))
        return (lengths.sum(dim=1), lengths.detach()), (0, 0)
    every = pair[0].shape[2] if full.ndim == 5 and norm == "row" else 1
    sums, lengths = seed_distances(*(_side_by_side(tap, norm) for tap in pair), info.batch_size, every, relu)
    return (sums, lengths.movedim(1, 0)), (0, 0)


def _side_by_side(taps: Tensor, norm: str) -> Tensor:
    """Taps (R, B, C, H, W) or (R, B, F) as (outer, axis, inner); a view where the channels lie last."""
    if taps.ndim == 3:
        return taps.transpose(0, 1).reshape(-1, taps.shape[2], 1)
    seeds, _, channels, _, width = taps.shape
    last = taps.permute(1, 3, 4, 0, 2)
    shape = (-1, width, seeds * channels) if norm == "row" else (-1, channels, 1)
    return last.reshape(shape)


def activation_distance(
    full: Sequence[Tensor], shuffled: Sequence[Tensor], norm: Norm, *, relu: bool = False
) -> Tensor:
    """The Triton form of `activmask.kernels.activation_distance.activation_distance`; same arguments."""
    per_layer = [distances(a, b, norm, relu) for a, b in zip(full, shuffled, strict=True)]
    if norm == "layer":
        return torch.stack([total / lengths.numel() for total, lengths in per_layer]).mean()
    count = sum(lengths.numel() for _, lengths in per_layer)
    pooled: Tensor = torch.stack([total for total, _ in per_layer]).sum() / count
    return pooled
