"""Which part of their range the images of a data set use, by class, site and depth.

Images of 12 bits in files of 16 come out 16 times darker than the same pictures in files of 8. Where one
class or site is stored so and another is not, brightness alone tells them apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import numpy as np

from activmask.data.files.intensities import FULL_RANGE, Intensity
from activmask.ground.errors import DataError

_UNEQUAL_BITS = 2
"""Ranges that differ by as many bits, a factor of four, are no chance of the pictures shown."""

_ALL_BITS = 16
_NAMED = 5


@dataclass(frozen=True, order=True)
class Kind:
    """Images that are stored alike."""

    label: str
    site: str
    bits: int
    """8 or 16; 0 for floats and converted colours, which lie in [0, 1] already."""


@dataclass
class UsedRanges:
    """What the images of a data set hold, counted one by one."""

    largest: dict[Kind, list[int]] = field(default_factory=dict)
    """The largest value of each image that is not black all over."""
    constant: list[str] = field(default_factory=list)
    """Names of the images with one value everywhere."""

    def add(self, name: str, label: str, site: str, levels: np.ndarray) -> None:
        """Count one image, (H, W) or (H, W, 3) as `read_levels` gives it."""
        high = float(levels.max())
        if (levels == levels[:1, :1]).all():
            self.constant.append(name)
        if high > 0:
            bits = 0 if levels.dtype.kind == "f" else 8 * levels.dtype.itemsize
            self.largest.setdefault(Kind(label, site, bits), []).append(int(high))

    def rows(self) -> list[dict[str, Any]]:
        """The counts as a card keeps them; the largest values of floats are left out."""
        return [
            {"class": kind.label, "site": kind.site, "bits": kind.bits, "images": len(values)}
            | ({"largest": max(values), "median_largest": int(median(values))} if kind.bits else {})
            for kind, values in sorted(self.largest.items())
        ]


def check_ranges(used: UsedRanges, intensity: Intensity | None) -> str:
    """What is to be said of the ranges, or empty; unequal ones are refused unless somebody chose.

    Args:
        used: by the images as stored.
        intensity: the range that was asked for; None if nobody did, and 16 bits count as full.

    Raises:
        DataError: kinds of images use parts of their ranges that differ by a factor of four or more.
    """
    deep = {kind: values for kind, values in used.largest.items() if kind.bits == _ALL_BITS}
    if not deep or intensity == "image":
        return ""
    ends = _unequal(used.largest)
    if ends is not None:
        numbers = f"{_words(ends[0], used)}, but {_words(ends[1], used)}"
        if intensity is None:
            raise DataError(
                f"the images use unequal parts of their ranges, so brightness tells them apart: {numbers}; "
                f"choose the intensity {_remedy(deep)}"
            )
        return f"images use unequal parts of their ranges: {numbers}; the intensity image makes them equal"
    most = max(map(max, deep.values()))
    if intensity is None and _ALL_BITS - most.bit_length() >= _UNEQUAL_BITS:
        return (
            f"16-bit images use values up to {most} of {FULL_RANGE}, so all are stored dark; the intensity "
            f"{_remedy(deep)} would use the range"
        )
    return ""


def constant_images(names: Sequence[str]) -> str:
    """A sentence about the images with one value everywhere, or empty."""
    if not names:
        return ""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    one = "1 image has one value everywhere and shows nothing"
    several = f"{len(names)} images have one value everywhere and show nothing"
    return f"{one if len(names) == 1 else several}: {', '.join(names[:_NAMED])}{more}"


def _unequal(largest: dict[Kind, list[int]]) -> tuple[Kind, Kind] | None:
    """The kinds that use least and most of their range, if they are far apart.

    The median tells them too, since one stray image of all bits would hide a thousand of 12.
    """
    for typical in (max, median):
        bits = {kind: _bits(kind, int(typical(values))) for kind, values in largest.items()}
        dark, bright = min(bits, key=bits.__getitem__), max(bits, key=bits.__getitem__)
        if bits[bright] - bits[dark] >= _UNEQUAL_BITS:
            return dark, bright
    return None


def _bits(kind: Kind, value: int) -> int:
    # Only 16-bit files leave bits unused by habit; a dark picture of 8 bits is a dark picture.
    return value.bit_length() if kind.bits == _ALL_BITS else _ALL_BITS


def _words(kind: Kind, used: UsedRanges) -> str:
    values = used.largest[kind]
    where = f"{len(values)} images of class {kind.label!r}" + (f" from {kind.site!r}" if kind.site else "")
    if kind.bits != _ALL_BITS:
        return f"{where} fill their {kind.bits or 'floating-point'}{' bits' if kind.bits else ' range'}"
    return f"{where} hold values up to {max(values)} (median {int(median(values))}) of {FULL_RANGE}"


def _remedy(deep: dict[Kind, list[int]]) -> str:
    """Which intensities make the ranges equal."""
    own = "image (each from its own minimum to its own maximum)"
    # Scanners use even numbers of bits.
    bits = {max(values).bit_length() + max(values).bit_length() % 2 for values in deep.values()}
    if len(bits) > 1 or _ALL_BITS in bits:
        return f"{own}, or {FULL_RANGE} if the values are right as they are"
    return f"{2 ** bits.pop() - 1} (if that is the largest value possible) or {own}"
