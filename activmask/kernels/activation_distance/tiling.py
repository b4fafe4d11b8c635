"""How a norm over one axis of dense activations is cut into programs and tiles."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

_ELEMENTS_PER_PROGRAM = 16_384
_ELEMENTS_PER_TILE = 2048
_STRIDED_STEPS_PER_TILE = 32


@dataclass(frozen=True)
class Tiling:
    """How one pair of activations is read, as (outer, axis, inner), and which program reads what."""

    outer: int
    axis: int
    inner: int
    norms_per_tile: int
    axis_per_tile: int
    tiles: int
    """Tiles along `axis` that one program takes one after another."""

    @property
    def parts(self) -> int:
        """Programs that share a norm; more than one where few norms are long, as under `layer`."""
        return _divide_up(self.axis, self.axis_per_tile * self.tiles)

    @property
    def grid(self) -> tuple[int, int]:
        """Programs over the norms, and over the parts of each."""
        if self.inner == 1:
            return _divide_up(self.outer, self.norms_per_tile), self.parts
        return self.outer * _divide_up(self.inner, self.norms_per_tile), self.parts

    @property
    def sizes(self) -> tuple[int, int, int]:
        """The sizes as the kernels take them."""
        return self.outer, self.axis, self.inner

    @property
    def constants(self) -> tuple[int, int, int, bool]:
        """The constants that the kernels share."""
        return self.norms_per_tile, self.axis_per_tile, self.tiles, self.inner == 1


def tiling(shape: Sequence[int], channels_last: bool, norm: str) -> Tiling:
    """The tiling of activations (B, ...), dense in the order of `shape` or channels-last.

    Args:
        shape: sizes of (B, ...).
        channels_last: (B, C, H, W) lies in memory as (B, H, W, C).
        norm: `layer`, `channel` or `row`, see `activation_distance`.
    """
    outer, axis, inner = _in_memory_order(list(shape), channels_last, norm)
    axis_per_tile = min(_power_of_two(axis), _ELEMENTS_PER_TILE if inner == 1 else _STRIDED_STEPS_PER_TILE)
    norms_per_tile = min(_power_of_two(outer if inner == 1 else inner), _ELEMENTS_PER_TILE // axis_per_tile)
    tiles = _divide_up(axis, axis_per_tile)
    if norm == "layer":
        tiles = min(tiles, _ELEMENTS_PER_PROGRAM // (axis_per_tile * norms_per_tile))
    return Tiling(outer, axis, inner, norms_per_tile, axis_per_tile, tiles)


def _in_memory_order(shape: list[int], channels_last: bool, norm: str) -> tuple[int, int, int]:
    """The sizes (outer, axis, inner) of activations (B, ...); a norm runs over `axis`."""
    if norm == "layer":
        return shape[0], math.prod(shape[1:]), 1
    axis = norm_axis(shape, norm)
    if channels_last:
        shape = [shape[0], *shape[2:], shape[1]]
        axis = len(shape) - 1 if axis == 1 else axis - 1
    return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])


def norm_axis(shape: Sequence[int], norm: str) -> int:
    """The axis that a `channel` or `row` norm runs over."""
    return 1 if norm == "channel" else len(shape) - 1


def _divide_up(size: int, by: int) -> int:
    return -(-size // by)


def _power_of_two(size: int) -> int:
    """The next one from `size` on."""
    return 1 << (size - 1).bit_length()
