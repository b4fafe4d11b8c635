# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators, allow-untyped-calls
"""Convolution of several stacked networks and its two gradients as matrix products in Triton.

The images are never unfolded in memory: each program computes a tile of positions x channels of one
network and gathers what it multiplies (implicit GEMM), with the network as an axis of the grid. The
data gradient is the same product with the weight turned round; of a stride above 1 each program takes
positions that meet the same taps of the kernel, so that none is multiplied in vain. The weight gradient
adds up positions, in parts where there are many: a buffer of single precision takes the parts, and a
second launch adds them in a fixed order, so that the same inputs give the same bits.

Shapes: B images, R networks (the groups of the convolution), C channels in and D channels out of each,
H x W pixels, K x L kernel. Images (B, R * C, H, W) and output (B, R * D, H', W') are channels-last, the
weight (R * D, C, K, L) may lie in any order, and is read best channels-last. All have fewer elements than
`forms` takes, and one type: bfloat16 or float32.
"""

from collections.abc import Sequence

import torch
import triton  # type: ignore[import-untyped, unused-ignore]
from torch import Tensor
from triton import language as tl  # type: ignore[import-untyped, unused-ignore]

from activmask.kernels.ahead import launch
from activmask.kernels.convolution.reference import output_shape
from activmask.kernels.convolution.tiles import (
    FEW_CHANNELS,
    Precision,
    divide_up,
    product_tiles,
    weight_tiles,
)

_ADDED_PER_PROGRAM = 1024
_TURNED_TOGETHER = 64
_READ_TOGETHER = 16
"""Of numbers by which a size divides, as Triton has to know to read several at once."""
# Sizes that no address is aligned by: one compiled form serves them all. Those of a layer are constants,
# or dividing by them and asking what lies inside would be most of a program's work.
_LOOSE = ["images", "groups"]


@triton.jit
def _meeting(phase, padding, stride: tl.constexpr, kernel: tl.constexpr):
    """Of pixels `phase` + n * `stride`: the first tap that meets them, its shift, how many taps do."""
    first = (phase + padding) % stride
    return first, (phase + padding - first) // stride, (kernel - first + stride - 1) // stride


@triton.jit
def _is_inside(place, size: tl.constexpr):
    """Whether a row or column is one of an image: below 0 it is, without its sign, above all of them."""
    return place.to(tl.uint32, bitcast=True) < size


@triton.jit
def _reached(step, taps, depth, spans_taps: tl.constexpr, depth_per_tile: tl.constexpr):
    """Of a tile of depth: its tap, or with `spans_taps` those of each place; its channels; which exist."""
    ahead = tl.arange(0, depth_per_tile)
    if spans_taps:
        at = step * depth_per_tile + ahead
        tap, inner, is_inner = at // depth, at % depth, at < taps * depth
    else:
        blocks = tl.cdiv(depth, depth_per_tile)
        inner = (step % blocks) * depth_per_tile + ahead
        tap, is_inner = step // blocks, inner < depth
    return tap, inner, is_inner


@triton.jit
def _write(total, result, activated, to, channel, exists, keeps: tl.constexpr, activates: tl.constexpr):
    """Keep sums, or a ReLU of them, or both."""
    value = total.to(result.dtype.element_ty)
    if keeps:
        tl.store(result + to[:, None] + channel[None, :], value, mask=exists)
    if activates:
        # What is no number stays, as in torch.
        kept = tl.where(value < 0, 0.0, value)
        tl.store(activated + to[:, None] + channel[None, :], kept, mask=exists)


@triton.jit(do_not_specialize=_LOOSE)
def _product(
    source, weight, bias, result, activated,
    images, groups, weight_group, weight_out, weight_in, weight_row, weight_column,
    rows_in: tl.constexpr, columns_in: tl.constexpr, rows_out: tl.constexpr, columns_out: tl.constexpr,
    depth: tl.constexpr, channels: tl.constexpr,
    padding_rows: tl.constexpr, padding_columns: tl.constexpr,
    kernel_rows: tl.constexpr, kernel_columns: tl.constexpr,
    stride_rows: tl.constexpr, stride_columns: tl.constexpr,
    turned: tl.constexpr, has_bias: tl.constexpr, keeps: tl.constexpr, activates: tl.constexpr,
    spans_taps: tl.constexpr, tf32: tl.constexpr,
    positions_per_tile: tl.constexpr, channels_per_tile: tl.constexpr, depth_per_tile: tl.constexpr,
):  # fmt: skip
    """A tile of the convolution of `source`, or with `turned` of the gradient in what was convolved.

    It is kept, or a ReLU of it, or both.
    """
    group = tl.program_id(1)
    if turned:
        # Of stride 1 there is one phase, which the compiler would not know.
        phase = tl.program_id(2) if stride_rows * stride_columns > 1 else 0
        phase_row, phase_column = phase // stride_columns, phase % stride_columns
        first_row, shift_row, taps_rows = _meeting(phase_row, padding_rows, stride_rows, kernel_rows)
        first_column, shift_column, taps_columns = _meeting(
            phase_column, padding_columns, stride_columns, kernel_columns
        )
        rows = (rows_out - phase_row + stride_rows - 1) // stride_rows
        columns = (columns_out - phase_column + stride_columns - 1) // stride_columns
    else:
        rows, columns, taps_rows, taps_columns = rows_out, columns_out, kernel_rows, kernel_columns

    blocks = tl.cdiv(channels, channels_per_tile)
    position = (tl.program_id(0) // blocks) * positions_per_tile + tl.arange(0, positions_per_tile)
    channel = (tl.program_id(0) % blocks) * channels_per_tile + tl.arange(0, channels_per_tile)
    is_position, is_channel = position < images * rows * columns, channel < channels
    # A phase of a small image may have no pixels.
    column = position % tl.maximum(columns, 1)
    row = position // tl.maximum(columns, 1) % tl.maximum(rows, 1)
    image = position // tl.maximum(columns * rows, 1)
    if turned:
        row_0, column_0 = row + shift_row, column + shift_column
        row_out, column_out = row * stride_rows + phase_row, column * stride_columns + phase_column
    else:
        row_0, column_0 = row * stride_rows - padding_rows, column * stride_columns - padding_columns
        row_out, column_out = row, column

    where = ((image * rows_in + row_0) * columns_in + column_0) * (groups * depth) + group * depth
    taps = taps_rows * taps_columns
    blocks = tl.cdiv(taps * depth, depth_per_tile) if spans_taps else taps * tl.cdiv(depth, depth_per_tile)
    total = tl.zeros((positions_per_tile, channels_per_tile), tl.float32)
    for step in range(blocks):
        tap, inner, is_inner = _reached(step, taps, depth, spans_taps, depth_per_tile)
        across, down = (tap[None, :], tap[:, None]) if spans_taps else (tap, tap)
        below, right = across // taps_columns, across % taps_columns
        if turned:
            below, right = -below, -right
            kernel_row = first_row + (down // taps_columns) * stride_rows
            kernel_column = first_column + (down % taps_columns) * stride_columns
        else:
            kernel_row, kernel_column = down // taps_columns, down % taps_columns
        inside = _is_inside(row_0[:, None] + below, rows_in) & _is_inside(
            column_0[:, None] + right, columns_in
        )
        ours = tl.load(
            source + where[:, None] + ((below * columns_in + right) * (groups * depth) + inner[None, :]),
            mask=inside & is_position[:, None] & is_inner[None, :],
            other=0,
        )
        taken = kernel_row * weight_row + kernel_column * weight_column + inner[:, None] * weight_in
        theirs = tl.load(
            weight + group * weight_group + taken + channel[None, :] * weight_out,
            mask=is_inner[:, None] & is_channel[None, :],
            other=0,
        )
        total = tl.dot(ours, theirs, total, input_precision="tf32" if tf32 else "ieee")
    if has_bias:
        total += tl.load(bias + group * channels + channel, mask=is_channel, other=0).to(tl.float32)[None, :]
    to = ((image * rows_out + row_out) * columns_out + column_out) * (groups * channels) + group * channels
    exists = is_position[:, None] & is_channel[None, :]
    _write(total, result, activated, to, channel, exists, keeps, activates)


@triton.jit(do_not_specialize=["taps"])
def _turn(
    weight, result, depth, channels, taps,
    weight_group, weight_depth, weight_channel, weight_row, weight_column,
    kernel_columns: tl.constexpr, tile: tl.constexpr,
):  # fmt: skip
    """A tile of depth x channels of one tap of one network's weight, with the depth last in memory."""
    group, tap = tl.program_id(2) // taps, tl.program_id(2) % taps
    inner, channel = (
        tl.program_id(0) * tile + tl.arange(0, tile),
        tl.program_id(1) * tile + tl.arange(0, tile),
    )
    weight += group * weight_group + tap // kernel_columns * weight_row + tap % kernel_columns * weight_column
    values = tl.load(
        weight + inner[:, None] * weight_depth + channel[None, :] * weight_channel,
        mask=(inner < depth)[:, None] & (channel < channels)[None, :],
        other=0,
    )
    to = ((group * channels + channel[:, None]) * taps + tap) * depth + inner[None, :]
    tl.store(result + to, tl.trans(values), mask=(channel < channels)[:, None] & (inner < depth)[None, :])


@triton.jit(do_not_specialize=_LOOSE)
def _weight_gradient(
    source, gradient, parts,
    images, groups, positions_per_split,
    rows_in: tl.constexpr, columns_in: tl.constexpr, rows_out: tl.constexpr, columns_out: tl.constexpr,
    depth: tl.constexpr, channels: tl.constexpr,
    padding_rows: tl.constexpr, padding_columns: tl.constexpr,
    kernel_rows: tl.constexpr, kernel_columns: tl.constexpr,
    stride_rows: tl.constexpr, stride_columns: tl.constexpr,
    spans_taps: tl.constexpr, tf32: tl.constexpr, twice: tl.constexpr,
    positions_per_tile: tl.constexpr, channels_per_tile: tl.constexpr, depth_per_tile: tl.constexpr,
):  # fmt: skip
    """A tile of channels x (taps, depth) of one network's gradient, of one part of the positions.

    With `twice` two such tiles, of channels side by side: what they multiply is read once.
    """
    split, group = tl.program_id(1), tl.program_id(2)
    tiles: tl.constexpr = 2 if twice else 1
    channel_blocks = tl.cdiv(channels, channels_per_tile * tiles)
    channel = (tl.program_id(0) % channel_blocks) * (channels_per_tile * tiles) + tl.arange(
        0, channels_per_tile
    )
    block = tl.program_id(0) // channel_blocks
    is_channel, is_other = channel < channels, channel + channels_per_tile < channels
    tap, inner, is_inner = _reached(block, kernel_rows * kernel_columns, depth, spans_taps, depth_per_tile)
    inner, is_inner = inner[None, :], is_inner[None, :]
    if spans_taps:
        tap = tap[None, :]
    below, right = tap // kernel_columns - padding_rows, tap % kernel_columns - padding_columns
    ahead = (below * columns_in + right) * (groups * depth) + group * depth + inner
    # Then a position is the one that it is convolved to.
    is_alike: tl.constexpr = (
        stride_rows * stride_columns == 1 and rows_in == rows_out and columns_in == columns_out
    )
    positions = images * rows_out * columns_out
    last = tl.minimum(positions, (split + 1) * positions_per_split)
    total = tl.zeros((channels_per_tile, depth_per_tile), tl.float32)
    other = tl.zeros((channels_per_tile, depth_per_tile), tl.float32)
    for start in range(split * positions_per_split, last, positions_per_tile):
        position = start + tl.arange(0, positions_per_tile)
        is_position = position < last
        row, column = (
            position // columns_out % rows_out * stride_rows,
            position % columns_out * stride_columns,
        )
        inside = _is_inside(row[:, None] + below, rows_in) & _is_inside(column[:, None] + right, columns_in)
        if is_alike:
            where = position
        else:
            where = (position // (rows_out * columns_out) * rows_in + row) * columns_in + column
        ours = tl.load(
            source + (where * (groups * depth))[:, None] + ahead,
            mask=inside & is_position[:, None] & is_inner,
            other=0,
        )
        taken = gradient + (position * (groups * channels) + group * channels)[None, :] + channel[:, None]
        theirs = tl.load(taken, mask=is_channel[:, None] & is_position[None, :], other=0)
        total = tl.dot(theirs, ours, total, input_precision="tf32" if tf32 else "ieee")
        if twice:
            theirs = tl.load(
                taken + channels_per_tile, mask=is_other[:, None] & is_position[None, :], other=0
            )
            other = tl.dot(theirs, ours, other, input_precision="tf32" if tf32 else "ieee")
    size = kernel_rows * kernel_columns * depth
    to = parts + (split.to(tl.int64) * groups + group) * channels * size
    to += channel[:, None] * size + tap * depth + inner
    tl.store(to, total.to(parts.dtype.element_ty), mask=is_channel[:, None] & is_inner)
    if twice:
        tl.store(
            to + channels_per_tile * size,
            other.to(parts.dtype.element_ty),
            mask=is_other[:, None] & is_inner,
        )


@triton.jit(do_not_specialize=["splits"])
def _add_up(parts, result, size, splits, elements: tl.constexpr):
    """The sum of `splits` buffers of `size` values, in order."""
    place = tl.program_id(0) * elements + tl.arange(0, elements)
    exists = place < size
    total = tl.zeros((elements,), tl.float32)
    for _ in range(splits):
        total += tl.load(parts + place, mask=exists, other=0)
        parts += size
    tl.store(result + place, total.to(result.dtype.element_ty), mask=exists)


def conv2d(
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    groups: int,
    precision: Precision,
) -> Tensor:
    """The convolution of images (B, R * C, H, W) with a weight (R * D, C, K, L) and a bias (R * D,)."""
    output = _new(output_shape(images.shape, weight.shape, stride, padding), images)
    _multiply(images, weight, bias, output, stride, padding, groups, precision, turned=False)
    return output


def conv2d_relu(
    images: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    groups: int,
    precision: Precision,
    tapped: bool,
) -> tuple[Tensor, Tensor]:
    """A ReLU of that convolution, and with `tapped` what it saw; else that is empty."""
    activated = _new(output_shape(images.shape, weight.shape, stride, padding), images)
    before = _new(activated.shape, images) if tapped else None
    _multiply(
        images, weight, bias, before, stride, padding, groups, precision, turned=False, activated=activated
    )
    return activated, activated.new_empty(0) if before is None else before


def data_gradient(
    gradient: Tensor,
    weight: Tensor,
    size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    groups: int,
    precision: Precision,
) -> Tensor:
    """The gradient in the images, of shape `size`, given that in the output, (B, R * D, H', W')."""
    images = _new(size, gradient)
    _multiply(gradient, weight, None, images, stride, padding, groups, precision, turned=True)
    return images


def weight_gradient(
    images: Tensor,
    gradient: Tensor,
    size: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    groups: int,
    precision: Precision,
) -> Tensor:
    """The gradient in the weight, of shape `size`, given that in the output, (B, R * D, H', W')."""
    depth, channels = size[1], size[0] // groups
    kernel_rows, kernel_columns = size[2:]
    positions = len(gradient) * gradient.shape[2] * gradient.shape[3]
    tiles = weight_tiles(positions, channels, depth, kernel_rows * kernel_columns, groups, precision)
    weight = _new(size, images)
    parts = (
        weight if tiles.splits == 1 else weight.new_empty(tiles.splits, weight.numel(), dtype=torch.float32)
    )
    taps = kernel_rows * kernel_columns
    of_tap = divide_up(depth, tiles.depth)
    blocks = divide_up(taps * depth, tiles.depth) if tiles.spans_taps else taps * of_tap
    grid = divide_up(channels, tiles.channels * (1 + tiles.twice)) * blocks, tiles.splits, groups
    with torch.cuda.device_of(images):
        launch(
            _weight_gradient, grid,
            images, gradient, parts, len(images), groups, tiles.positions_per_split,
            *images.shape[2:], *gradient.shape[2:], depth, channels, *padding,
            kernel_rows, kernel_columns, *stride,
            tiles.spans_taps, precision == "tf32", tiles.twice, tiles.positions, tiles.channels, tiles.depth,
            num_warps=tiles.warps, num_stages=tiles.stages,
        )  # fmt: skip
        if tiles.splits > 1:
            launch(
                _add_up,
                (divide_up(weight.numel(), _ADDED_PER_PROGRAM),),
                parts,
                weight,
                weight.numel(),
                tiles.splits,
                _ADDED_PER_PROGRAM,
            )
    return weight


def _multiply(
    source: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    result: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    groups: int,
    precision: Precision,
    *,
    turned: bool,
    activated: Tensor | None = None,
) -> None:
    """Fill `result` with the convolution of `source`, or with `turned` with the data gradient.

    With `activated` that is filled with a ReLU of it, and `result` may be left out.
    """
    written = activated if result is None else result
    assert written is not None
    depth, channels = source.shape[1] // groups, written.shape[1] // groups
    own = weight.unflatten(0, (groups, -1))
    if turned and precision == "tf32" and depth % _READ_TOGETHER == 0 and depth > FEW_CHANNELS:
        # The tensor cores take tf32 only along what is added up; else it is gathered number by number.
        own = _turned(own)
    of_group, of_output, of_input, *of_taps = own.stride()
    kernel_rows, kernel_columns = weight.shape[2:]
    steps = stride if turned else (1, 1)
    positions = len(written) * divide_up(written.shape[2], steps[0]) * divide_up(written.shape[3], steps[1])
    phases = steps[0] * steps[1]
    tiles = product_tiles(positions, channels, depth, groups * phases, precision)
    grid = divide_up(positions, tiles.positions) * divide_up(channels, tiles.channels), groups, phases
    with torch.cuda.device_of(source):
        launch(
            _product, grid,
            source, own, own if bias is None else bias, written, written if activated is None else activated,
            len(source), groups, of_group, *((of_input, of_output) if turned else (of_output, of_input)),
            *of_taps, *source.shape[2:], *written.shape[2:], depth, channels, *padding,
            kernel_rows, kernel_columns, *stride,
            turned, bias is not None, result is not None, activated is not None,
            depth < FEW_CHANNELS, precision == "tf32",
            tiles.positions, tiles.channels, tiles.depth, num_warps=tiles.warps, num_stages=tiles.stages,
        )  # fmt: skip


def _turned(weight: Tensor) -> Tensor:
    """A weight (R, D, C, K, L), the same, with D last in memory."""
    groups, depth, channels, *kernel = weight.shape
    turned = weight.new_empty(groups, channels, *kernel, depth)
    taps = kernel[0] * kernel[1]
    grid = divide_up(depth, _TURNED_TOGETHER), divide_up(channels, _TURNED_TOGETHER), groups * taps
    with torch.cuda.device_of(weight):
        launch(
            _turn, grid,
            weight, turned, depth, channels, taps, *weight.stride(), kernel[1], _TURNED_TOGETHER,
        )  # fmt: skip
    return turned.permute(0, 4, 1, 2, 3)


def _new(size: Sequence[int], like: Tensor) -> Tensor:
    return torch.empty(size, dtype=like.dtype, device=like.device, memory_format=torch.channels_last)
