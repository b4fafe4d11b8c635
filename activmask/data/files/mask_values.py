"""Which of the values that a mask's file stores are inside.

Plain masks hold 0 and one other value, which is inside. Everything else is asked for: a trimap's
background is 2, an annotation tool's may be white, and blurred edges hold every value there is.

Shapes: H x W pixels.
"""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from activmask.ground.errors import UsageError

_COLOUR = re.compile("#[0-9A-Fa-f]{6}", re.ASCII)
_GREY_STEP = 0x010101
"""Between the colours that show neighbouring greys of 8 bits."""

Kind = Literal["grey", "palette", "colour"]
Value = float | str
"""A grey value or palette index as a number, or a colour as '#rrggbb'."""


@dataclass(frozen=True, kw_only=True)
class StoredMask:
    """The pixels of a mask as its file stores them."""

    kind: Kind
    values: np.ndarray
    """(H, W): grey values, palette indices, or colours as red * 65536 + green * 256 + blue."""
    palette: np.ndarray | None = None
    """int64 (256,), the colours of a palette's indices, packed likewise."""


@dataclass(frozen=True, kw_only=True)
class MaskReading:
    """What is inside. By default what is not 0, in masks that hold at most one other value."""

    values: tuple[Value, ...] = ()
    """These stored values; palettes go by their index or by '#rrggbb', as colours do."""
    threshold: float | None = None
    """Or whatever is above it; of colours the highest channel counts."""
    invert: bool = False
    """Swap inside and outside."""

    @property
    def is_asked(self) -> bool:
        """Whether somebody said which values are inside, so that nothing has to be plain."""
        return bool(self.values) or self.threshold is not None


def parse_values(text: str) -> tuple[Value, ...]:
    """The values in a text such as '1,3' or '#ff0000'.

    Raises:
        UsageError: something else.
    """
    return tuple(_parsed(part.strip(), text) for part in text.split(","))


def _parsed(part: str, text: str) -> Value:
    try:
        if _COLOUR.fullmatch(part):
            return part.lower()
        value = float(part)
    except ValueError:
        raise UsageError(
            "mask_values must be values such as 1,3 or colours such as #ff0000", found=repr(text)
        ) from None
    if not math.isfinite(value):
        raise UsageError("mask_values must be finite", found=repr(text))
    return value


def inside(mask: StoredMask, reading: MaskReading) -> np.ndarray:
    """Where a mask is inside, bool (H, W)."""
    if reading.values:
        found = np.isin(mask.values, _own_values(mask, reading.values))
    else:
        found = _heights(mask) > (reading.threshold or 0)
    return np.asarray(~found if reading.invert else found)


def _own_values(mask: StoredMask, values: Sequence[Value]) -> np.ndarray:
    """The stored values that are meant by `values`.

    Files of one folder may show the same in several ways: a colour file without a colour in it is
    grey, and #ffffff is its 255.
    """
    numbers = [value for value in values if not isinstance(value, str)]
    colours = [int(value[1:], 16) for value in values if isinstance(value, str)]
    if mask.kind == "colour":
        whole = [int(number) for number in numbers if number in range(256)]
        return np.array(colours + [grey * _GREY_STEP for grey in whole], np.int64)
    if mask.palette is not None:
        drawn = np.flatnonzero(np.isin(mask.palette, np.array(colours, np.int64))).tolist()
        return np.array(numbers + drawn, np.float64)
    greys = [colour // _GREY_STEP for colour in colours if colour % _GREY_STEP == 0]
    return np.array(numbers + (greys if mask.values.dtype == np.uint8 else []), np.float64)


def names_of(word: str) -> set[str]:
    """Every way in which `--mask-values` may name a value that `value_counts` has put into words."""
    index, _, colour = word.removeprefix("palette index ").partition(" (")
    names = {index, colour.rstrip(")")} - {""}
    if index.isdigit() and not colour and int(index) < 256:
        names.add(f"#{int(index) * _GREY_STEP:06x}")
    grey = int(index[1:], 16) if index.startswith("#") else 1
    return names | ({str(grey // _GREY_STEP)} if grey % _GREY_STEP == 0 else set())


def _heights(mask: StoredMask) -> np.ndarray:
    """Grey values, or the highest channel of what is drawn, (H, W)."""
    if mask.kind == "grey":
        return mask.values
    drawn = mask.values.astype(np.int64) if mask.palette is None else mask.palette[mask.values]
    return np.asarray(np.maximum(np.maximum(drawn >> 16, (drawn >> 8) & 255), drawn & 255))


def is_plain(mask: StoredMask) -> bool:
    """Whether a mask by itself holds 0 and at most one other value, or one value alone.

    Of a palette, 0 is plainly outside where it is drawn black and nothing else is: the order of a
    palette's colours means nothing in itself.
    """
    # The masks of data sets hold 0 and 255, and are read over and over.
    if (
        mask.kind == "grey"
        and mask.values.dtype == np.uint8
        and not mask.values.tobytes().translate(None, b"\0\xff")
    ):
        return True
    if mask.values.min() < 0:
        return False
    above = mask.values > 0
    if mask.kind == "palette" and not np.array_equal(_heights(mask) > 0, above):
        return False
    return bool((above == (mask.values == mask.values.max())).all() or not above.any())


def value_counts(mask: StoredMask) -> list[tuple[str, int]]:
    """The stored values as words, with their numbers of pixels, in rising order."""
    if mask.values.dtype == np.uint8:
        counts = np.bincount(mask.values.ravel(), minlength=256)
        values = np.flatnonzero(counts)
        counts = counts[values]
    else:
        values, counts = np.unique(mask.values, return_counts=True)
    pairs = zip(values.tolist(), counts.tolist(), strict=True)
    return [(_word(mask, value), count) for value, count in pairs]


def _word(mask: StoredMask, value: float) -> str:
    if mask.kind == "grey":
        return value_word(value)
    if mask.palette is None:
        return f"#{int(value):06x}"
    return f"palette index {int(value)} (#{int(mask.palette[int(value)]):06x})"


def value_word(value: Value) -> str:
    """A value as it is printed."""
    return value if isinstance(value, str) else f"{value:.6g}"
