# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators, allow-untyped-calls
"""Maxima of windows of 2 x 2 pixels and their derivatives in Triton; as `reference`, of the same bits.

Images are channels-last, of bfloat16 or float32, and fewer than 2^31 numbers. A program takes windows of
neighbouring channels.
"""

from collections.abc import Sequence

import torch
import triton  # type: ignore[import-untyped, unused-ignore]
from torch import Tensor
from triton import language as tl  # type: ignore[import-untyped, unused-ignore]

from activmask.kernels.ahead import launch
from activmask.kernels.max_pool.reference import pooled_size

_POSITIONS, _CHANNELS = 32, 32
"""Of a program."""
# One compiled form serves all sizes of batch and image.
_LOOSE = ["images", "rows", "columns"]


@triton.jit
def _windows(
    images, rows, columns, channels, high, wide,
    positions_per_tile: tl.constexpr, channels_per_tile: tl.constexpr,
):  # fmt: skip
    """This program's windows, `high` x `wide` of each image: their rows and columns, and which exist.

    Also, in memory, where windows have their first pixels, and where whole ones have a number of their own.
    """
    position = (tl.program_id(0) * positions_per_tile + tl.arange(0, positions_per_tile))[:, None]
    channel = (tl.program_id(1) * channels_per_tile + tl.arange(0, channels_per_tile))[None, :]
    image, row, column = position // wide // high, position // wide % high, position % wide
    first = ((image * rows + 2 * row) * columns + 2 * column) * channels + channel
    own = ((image * (rows // 2) + row) * (columns // 2) + column) * channels + channel
    return row, column, position < images * high * wide, channel < channels, first, own


@triton.jit
def _highest(pixels, first, whole, below, beside):
    """The maximum of each window, and which of its pixels that is, counted row by row."""
    best = tl.load(pixels + first, mask=whole, other=0).to(tl.float32)
    place = tl.zeros(first.shape, tl.int32)
    for number in tl.static_range(1, 4):
        to = first + (number // 2) * below + (number % 2) * beside
        value = tl.load(pixels + to, mask=whole, other=0).to(tl.float32)
        # What is not a number is not equal to itself.
        higher = (value > best) | (value != value)  # noqa: PLR0124
        best, place = tl.where(higher, value, best), tl.where(higher, number, place)
    return best, place


@triton.jit(do_not_specialize=_LOOSE)
def _max_pool(
    pixels, result, images, rows, columns, channels,
    positions_per_tile: tl.constexpr, channels_per_tile: tl.constexpr,
):  # fmt: skip
    _, _, is_position, is_channel, first, own = _windows(
        images, rows, columns, channels, rows // 2, columns // 2, positions_per_tile, channels_per_tile
    )
    exists = is_position & is_channel
    best, _ = _highest(pixels, first, exists, columns * channels, channels)
    tl.store(result + own, best.to(result.dtype.element_ty), mask=exists)


@triton.jit(do_not_specialize=_LOOSE)
def _gather(
    tangent, pixels, result, images, rows, columns, channels,
    positions_per_tile: tl.constexpr, channels_per_tile: tl.constexpr,
):  # fmt: skip
    _, _, is_position, is_channel, first, own = _windows(
        images, rows, columns, channels, rows // 2, columns // 2, positions_per_tile, channels_per_tile
    )
    exists = is_position & is_channel
    _, place = _highest(pixels, first, exists, columns * channels, channels)
    value = tl.load(tangent + first, mask=exists, other=0)
    for number in tl.static_range(1, 4):
        there = first + (number // 2) * (columns * channels) + (number % 2) * channels
        value = tl.where(place == number, tl.load(tangent + there, mask=exists, other=0), value)
    tl.store(result + own, value, mask=exists)


@triton.jit(do_not_specialize=_LOOSE)
def _spread(
    gradient, pixels, result, images, rows, columns, channels,
    positions_per_tile: tl.constexpr, channels_per_tile: tl.constexpr,
):  # fmt: skip
    """Also of windows that lack pixels, which get 0."""
    row, column, is_position, is_channel, first, own = _windows(
        images, rows, columns, channels, (rows + 1) // 2, (columns + 1) // 2,
        positions_per_tile, channels_per_tile,
    )  # fmt: skip
    below, beside = is_position & (2 * row + 1 < rows), is_position & (2 * column + 1 < columns)
    whole = below & beside & is_channel
    _, place = _highest(pixels, first, whole, columns * channels, channels)
    slope = tl.load(gradient + own, mask=whole, other=0)
    there = is_position, beside, below, below & beside
    for number in tl.static_range(4):
        to = first + (number // 2) * (columns * channels) + (number % 2) * channels
        tl.store(result + to, tl.where(whole & (place == number), slope, 0), mask=there[number] & is_channel)


def max_pool(images: Tensor) -> Tensor:
    """The maxima (B, C, h, w) of images (B, C, H, W)."""
    result = _new(pooled_size(images), images)
    _run(_max_pool, result, images, result)
    return result


def gather(tangent: Tensor, images: Tensor) -> Tensor:
    """Of values (B, C, H, W) those where the images have their maxima, (B, C, h, w)."""
    result = _new(pooled_size(images), tangent)
    _run(_gather, result, tangent, images, result)
    return result


def spread(gradient: Tensor, images: Tensor) -> Tensor:
    """Gradients (B, C, h, w) of the maxima, where those lie in the images, (B, C, H, W), and 0 elsewhere."""
    result = _new(images.shape, gradient)
    # Windows that lack pixels are written too.
    windows = images[..., ::2, ::2]
    _run(_spread, windows, gradient, images, result)
    return result


def _run(kernel, windows: Tensor, *tensors: Tensor) -> None:
    """Launch a kernel over windows (B, C, h, w), of which the shape alone is read."""
    batch, channels, high, wide = windows.shape
    grid = -(-batch * high * wide // _POSITIONS), -(-channels // _CHANNELS)
    rows, columns = tensors[-2].shape[2:]
    with torch.cuda.device_of(windows):
        launch(kernel, grid, *tensors, batch, rows, columns, channels, _POSITIONS, _CHANNELS)


def _new(size: Sequence[int], like: Tensor) -> Tensor:
    return torch.empty(tuple(size), dtype=like.dtype, device=like.device, memory_format=torch.channels_last)
