"""How a convolution is cut into programs: sizes by arithmetic on shapes, and by what an H200 said of that.

A matrix of positions x channels is the product of positions x depth and depth x channels, once for each
network; depth runs over taps of the kernel and the channels read. The tensor cores want large tiles, and
the device at least two programs for each of its multiprocessors, so a tile shrinks where positions
are few.
"""

from dataclasses import dataclass
from typing import Literal

Precision = Literal["bf16", "tf32", "ieee"]
"""Of products; sums are always single precision."""

MULTIPROCESSORS = 132
"""Of an H100 or H200, for which the sizes were worked out."""
_FILLING = 15 * MULTIPROCESSORS // 8
"""Programs, two for each multiprocessor, that leave hardly one idle: at 256 channels of 7 px in bf16, 260
large ones took 41 us and 500 of half the size 50."""
FEW_CHANNELS = 16
"""Below that many channels a tile of depth always spans several taps of the kernel."""
_DEPTH_ACROSS_TAPS = 16
"""Each place of such a tile has a tap of its own, and their addresses fill the registers."""
MOST_SPLITS = 16
_DEPTH = {"bf16": 64, "tf32": 32, "ieee": 16}
_LARGEST = {"bf16": 128, "tf32": 128, "ieee": 64}
_STEPS_PER_SPLIT = 4
_TF32_ROWS = 32
"""Of a tile of the weight gradient in tf32."""
_MOST_IN_STEP = 128
_READ_IN_STEP = {"bf16": 8192, "tf32": 4096, "ieee": 0}
"""Numbers of a step of the weight gradient: 16 KiB on tensor cores."""
_SMALL = 32 * 32
"""Numbers of a tile of which eight programs share a multiprocessor, and otherwise four."""


@dataclass(frozen=True)
class Tiles:
    """What one program computes, and with how many warps."""

    positions: int
    channels: int
    depth: int
    warps: int
    stages: int
    """Of the loads that run ahead of the products."""


@dataclass(frozen=True)
class WeightTiles:
    """What one program of the weight gradient adds up."""

    positions: int
    """In one step."""
    channels: int
    depth: int
    twice: bool
    """Two tiles of channels beside each other."""
    warps: int
    stages: int
    splits: int
    """Parts of the positions, each added up by programs of its own."""
    positions_per_split: int
    spans_taps: bool
    """Whether a tile of depth runs over taps of the kernel, and not over one tap's channels."""


def product_tiles(positions: int, channels: int, depth: int, groups: int, precision: Precision) -> Tiles:
    """The tiles of a convolution or of its data gradient.

    Args:
        positions: B * H * W that are written.
        channels: that each network writes.
        depth: channels that each network reads.
        groups: networks.
        precision: of the products.
    """
    wide = min(_power_of_two(channels), _LARGEST[precision])
    high = 256 if wide == 16 and precision != "ieee" else _LARGEST[precision]
    if precision == "tf32":
        # A tile of eight warps takes longer than two of four: 123 us against 98 at 128 channels of 14 px.
        high = min(high, 128 * 64 // wide)

    def programs() -> int:
        return divide_up(positions, high) * divide_up(channels, wide) * groups

    while high > 64 and programs() < _FILLING:
        high //= 2
    while programs() < MULTIPROCESSORS and (high > 32 or wide > 64):
        if wide > 64:
            wide //= 2
        else:
            high //= 2
    deep = _depth_tile(depth, precision)
    # Addresses of taps and products of single numbers fill the registers, and more loads would spill them.
    stages = 2 if precision == "ieee" and depth < FEW_CHANNELS else 3
    return Tiles(high, wide, deep, warps=8 if high * wide > 128 * 64 else 4, stages=stages)


def weight_tiles(
    positions: int, channels: int, depth: int, taps: int, groups: int, precision: Precision
) -> WeightTiles:
    """The tiles of a weight gradient; as above, with `channels` of the output and the kernel's `taps`."""
    high = min(_power_of_two(channels), _LARGEST[precision])
    # Neither tensor lies along the positions, which are added up here. From 64 rows on the tensor cores
    # would be fed by instructions that take tf32 only so, and each number would be gathered by itself.
    twice = precision == "tf32" and high > _TF32_ROWS
    high = _TF32_ROWS if twice else high
    spans = depth < FEW_CHANNELS
    # Few channels are reading alone, and several taps of a tile read a gradient once: 144 us against 196
    # from 48 to 16 channels of 28 px, 80 against 121 from 96 to 32 of 14, with loads that do not run ahead.
    narrow = (
        precision == "tf32"
        and taps > 1
        and FEW_CHANNELS <= depth < 128
        and min(channels, depth) <= _TF32_ROWS
    )
    if spans:
        wide, across = _depth_tile(depth, precision), taps * depth
    elif narrow:
        twice, spans = False, True
        wide, across = 64 if depth <= 64 else 128, taps * depth
    else:
        # A tile of many rows or columns reads each number for more products.
        wide, across = min(_power_of_two(depth), 128 if twice or high == _LARGEST["bf16"] else 64), depth
    blocks = divide_up(across, wide) * (1 if spans else taps)
    programs = divide_up(channels, high * (1 + twice)) * blocks * groups
    step = _DEPTH[precision]
    # A step waits for memory whatever it reads, so that small tiles take more positions in one.
    while (
        step < _MOST_IN_STEP and precision != "ieee" and 2 * step * (high + wide) <= _READ_IN_STEP[precision]
    ):
        step *= 2
    step = min(4096 // wide if narrow else step, _power_of_two(positions))
    most = min(MOST_SPLITS, divide_up(positions, step * _STEPS_PER_SPLIT))
    large = high * wide > 128 * 64
    if large and programs >= 2 * MULTIPROCESSORS:
        # More programs of half the work gain nothing where all places are taken, and are added up.
        most = 1
    each = 8 if high * wide <= _SMALL else 4
    splits = max(1, min(most, divide_up(each * MULTIPROCESSORS, programs)))
    steps = divide_up(divide_up(positions, step), splits)
    return WeightTiles(
        step,
        high,
        wide,
        twice,
        warps=8 if large else 4,
        stages=1 if narrow else 3,
        splits=divide_up(positions, steps * step),
        positions_per_split=steps * step,
        spans_taps=spans,
    )


def _depth_tile(depth: int, precision: Precision) -> int:
    if depth < FEW_CHANNELS:
        return _DEPTH_ACROSS_TAPS
    return min(_power_of_two(depth), _DEPTH[precision])


def divide_up(size: int, by: int) -> int:
    """The quotient, rounded up."""
    return -(-size // by)


def _power_of_two(size: int) -> int:
    """The next one from `size` on, and at least the 16 that a tensor core's product has."""
    return max(16, 1 << (size - 1).bit_length())
