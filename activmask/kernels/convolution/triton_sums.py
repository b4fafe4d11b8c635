# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators, allow-untyped-calls
"""Sums over all positions in Triton: the gradient in a bias, alone or along with that of a ReLU.

The order in which parts are added up is fixed, so that the same inputs give the same bits.

Shapes: B images, C channels, H x W pixels; all channels-last, of one type, bfloat16 or float32, with fewer
than 2^31 elements.
"""

import torch
import triton  # type: ignore[import-untyped, unused-ignore]
from torch import Tensor
from triton import language as tl  # type: ignore[import-untyped, unused-ignore]

from activmask.kernels.ahead import launch
from activmask.kernels.batch_norm.parts import Parts, parts_of
from activmask.kernels.convolution.tiles import divide_up

_ADDED_TOGETHER = 32


@triton.jit(do_not_specialize=["rows", "rows_per_part"])
def _column_sums(
    gradient, parts, rows, channels, rows_per_part,
    channels_per_tile: tl.constexpr, rows_per_tile: tl.constexpr,
):  # fmt: skip
    """Each channel's sum over a part of the rows."""
    channel = tl.program_id(0) * channels_per_tile + tl.arange(0, channels_per_tile)
    first = tl.program_id(1) * rows_per_part
    last = tl.minimum(first + rows_per_part, rows)
    total = tl.zeros((rows_per_tile, channels_per_tile), tl.float32)
    for start in range(first, last, rows_per_tile):
        row = start + tl.arange(0, rows_per_tile)
        exists = (row < last)[:, None] & (channel < channels)[None, :]
        where = row[:, None] * channels + channel[None, :]
        total += tl.load(gradient + where, mask=exists, other=0).to(tl.float32)
    tl.store(parts + tl.program_id(1) * channels + channel, tl.sum(total, 0), mask=channel < channels)


@triton.jit(do_not_specialize=["count"])
def _parts_added(
    parts, result, channels, count, channels_per_tile: tl.constexpr, parts_per_tile: tl.constexpr
):
    """The sum of `count` parts, at once."""
    channel = tl.program_id(0) * channels_per_tile + tl.arange(0, channels_per_tile)
    part = tl.arange(0, parts_per_tile)
    exists = (part < count)[:, None] & (channel < channels)[None, :]
    total = tl.sum(tl.load(parts + part[:, None] * channels + channel[None, :], mask=exists, other=0), 0)
    tl.store(result + channel, total.to(result.dtype.element_ty), mask=channel < channels)


@triton.jit(do_not_specialize=["rows", "rows_per_part"])
def _rectified(
    gradient, output, tapped, result, parts, rows, channels, rows_per_part,
    has_tapped: tl.constexpr, adds_up: tl.constexpr,
    channels_per_tile: tl.constexpr, rows_per_tile: tl.constexpr,
):  # fmt: skip
    """What reaches the values before a ReLU, and each channel's sum of that over a part of the rows."""
    channel = tl.program_id(0) * channels_per_tile + tl.arange(0, channels_per_tile)
    first = tl.program_id(1) * rows_per_part
    last = tl.minimum(first + rows_per_part, rows)
    total = tl.zeros((rows_per_tile, channels_per_tile), tl.float32)
    for start in range(first, last, rows_per_tile):
        row = start + tl.arange(0, rows_per_tile)
        exists = (row < last)[:, None] & (channel < channels)[None, :]
        where = row[:, None] * channels + channel[None, :]
        kept = tl.load(output + where, mask=exists, other=0)
        found = tl.load(gradient + where, mask=exists, other=0).to(tl.float32)
        # What is no number passes, as in torch.
        found = tl.where(kept <= 0, 0.0, found)
        if has_tapped:
            found += tl.load(tapped + where, mask=exists, other=0).to(tl.float32)
        rounded = found.to(result.dtype.element_ty)
        tl.store(result + where, rounded, mask=exists)
        if adds_up:
            total += rounded.to(tl.float32)
    if adds_up:
        tl.store(parts + tl.program_id(1) * channels + channel, tl.sum(total, 0), mask=channel < channels)


def bias_gradient(gradient: Tensor) -> Tensor:
    """The gradient in the bias, (C,), given that in the output, (B, C, H, W)."""
    rows, channels, cut, parts = _cut(gradient)
    with torch.cuda.device_of(gradient):
        launch(
            _column_sums, cut.grid,
            gradient, parts, rows, channels, cut.rows_per_part, cut.channels_per_tile, cut.rows_per_tile,
        )  # fmt: skip
        return _added(gradient, parts, cut)


def rectified_gradient(
    gradient: Tensor, output: Tensor, tapped: Tensor | None, sums: bool
) -> tuple[Tensor, Tensor]:
    """The gradient before a ReLU and its sums, see `forms.rectified_gradient`."""
    rows, channels, cut, parts = _cut(gradient)
    result = torch.empty_like(gradient)
    with torch.cuda.device_of(gradient):
        launch(
            _rectified, cut.grid,
            gradient, output, gradient if tapped is None else tapped, result, parts,
            rows, channels, cut.rows_per_part, tapped is not None, sums,
            cut.channels_per_tile, cut.rows_per_tile,
        )  # fmt: skip
        return result, _added(gradient, parts, cut) if sums else gradient.new_empty(0)


def _cut(gradient: Tensor) -> tuple[int, int, Parts, Tensor]:
    """Rows and channels, how they are cut into programs, and memory for the sums of the parts."""
    channels = gradient.shape[1]
    rows = gradient.numel() // channels
    cut = parts_of(rows, channels)
    return rows, channels, cut, gradient.new_empty(cut.parts, channels, dtype=torch.float32)


def _added(like: Tensor, parts: Tensor, cut: Parts) -> Tensor:
    channels = like.shape[1]
    sums = like.new_empty(channels)
    launch(
        _parts_added, (divide_up(channels, _ADDED_TOGETHER),),
        parts, sums, channels, cut.parts, _ADDED_TOGETHER, cut.parts_per_tile,
    )  # fmt: skip
    return sums
