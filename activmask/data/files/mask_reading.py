"""How the masks of a folder are read: by the values in all of them, never guessed."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from activmask.data.files.images import read_stored_mask
from activmask.data.files.mask_values import (
    Kind,
    MaskReading,
    StoredMask,
    Value,
    inside,
    is_plain,
    names_of,
    value_counts,
    value_word,
)
from activmask.ground.errors import DataError, UsageError

_SHOWN = 8
_KEPT = 16
_MOST = 2**17
"""Different values that are told apart; floats could have as many as there are pixels."""

_FULL_SCALE = {"1", "255", "65535"}
"""What programs write for inside; masks of both kinds may lie in one folder."""


class UnclearMasks(DataError):
    """Masks that hold other values than 0 and one more, and nobody said which are inside."""

    def __init__(self, found: str):
        """Word the question for users of the library; `found` is its first half."""
        super().__init__(f"{found}; say which are inside: mask_values, mask_threshold or mask_invert")
        self.found = found


@dataclass
class _Found:
    """What the masks hold so far."""

    files: int = 0
    pixels: Counter[str] = field(default_factory=Counter)
    others: set[str] = field(default_factory=set)
    """Values above 0 of plain masks."""
    odd: Path | None = None
    """The first mask that is not plain."""
    kinds: dict[Kind, Path] = field(default_factory=dict)
    """The first mask of each kind."""
    full: int = 0
    empty: int = 0

    def add(self, path: Path, mask: StoredMask, reading: MaskReading) -> None:
        self.files += 1
        self.kinds.setdefault(mask.kind, path)
        counts = value_counts(mask)
        if len(self.pixels) < _MOST:
            self.pixels.update(dict(counts))
        if is_plain(mask):
            self.others |= {word for word, _ in counts if not _is_zero(word)}
        elif self.odd is None:
            self.odd = path
        within = inside(mask, reading)
        self.full += bool(within.all())
        self.empty += not within.any()


@dataclass(frozen=True, kw_only=True)
class MaskSurvey:
    """How masks are read, and what was found in them."""

    reading: MaskReading
    files: int
    """Masks that could be read."""
    shares: dict[str, float]
    """The share of all pixels that each of the commonest stored values has."""
    different: int
    """How many different values there are."""
    full: int
    """Masks with nothing outside."""
    empty: int
    """Masks with nothing inside."""

    def card(self) -> dict[str, Any]:
        """What a data set's card says of it."""
        reading = self.reading
        return {
            "values": list(reading.values) or None,
            "threshold": reading.threshold,
            "invert": reading.invert,
            "found": {word: round(share, 6) for word, share in list(self.shares.items())[:_KEPT]},
            "different_values": self.different,
            "files": self.files,
            "full": self.full,
            "empty": self.empty,
        }

    def sentence(self) -> str:
        """What was found and how it is read, for people."""
        reading, swap = self.reading, ", inverted" if self.reading.invert else ""
        how = f"above {reading.threshold or 0:g} is inside"
        if reading.values:
            how = f"{', '.join(map(value_word, reading.values))} is inside"
        odd = [f"{n} {word}" for n, word in ((self.full, "full"), (self.empty, "empty")) if n]
        who = f"{self.files} masks hold" if self.files > 1 else "1 mask holds"
        return f"{who} {_listed(self.shares, self.different)}; {how}{swap}" + (
            f"; {' and '.join(odd)}" if odd else ""
        )


def card_reading(card: Mapping[str, Any]) -> MaskReading:
    """How the masks of a data set were read, as its card says; plainly where it says nothing.

    Raises:
        DataError: the card says something else.
    """
    found = card.get("mask_reading") or {}
    try:
        return MaskReading(
            values=tuple(_card_value(value) for value in found.get("values") or ()),
            threshold=None if found.get("threshold") is None else float(found["threshold"]),
            invert=bool(found.get("invert", False)),
        )
    except (AttributeError, TypeError, ValueError) as error:
        raise DataError(
            "the card's mask_reading must hold values, threshold and invert",
            found=repr(found),
            advice="prepare the data anew",
        ) from error


def _card_value(value: Any) -> Value:
    return value if isinstance(value, str) else float(value)


def survey_masks(paths: Iterable[Path], reading: MaskReading) -> MaskSurvey:
    """Read all masks once and decide how they are read; broken ones are passed over.

    Args:
        paths: the files.
        reading: what was asked for; by default what is not 0 is inside, and the masks must be plain.

    Raises:
        UnclearMasks: nothing was asked for, and the masks do not hold 0 and one other value.
        DataError: a value that was asked for occurs nowhere, or no mask has an inside and an outside.
        UsageError: values and a threshold at once.
    """
    if reading.values and reading.threshold is not None:
        raise UsageError("mask_values and mask_threshold both say what is inside; give one of them")
    if reading.threshold is not None and not math.isfinite(reading.threshold):
        raise UsageError("mask_threshold must be a number", found=reading.threshold)
    found = _Found()
    for path in paths:
        try:
            mask = read_stored_mask(path, blurred=reading.threshold is not None)
        except DataError:
            continue
        found.add(path, mask, reading)
    shares, different = _shares(found.pixels), len(found.pixels)
    if found.files and not reading.is_asked:
        _check_plain(found, shares, different)
    if found.files and (reading.is_asked or reading.invert):
        _check_effect(found, reading, shares)
    return MaskSurvey(
        reading=reading,
        files=found.files,
        shares=shares,
        different=different,
        full=found.full,
        empty=found.empty,
    )


def survey_given(paths: Sequence[Path | None], reading: MaskReading | None) -> MaskSurvey:
    """`survey_masks` for the masks of images, None for an image without one.

    Raises:
        UsageError: a reading where there is no mask at all.
    """
    there = [path for path in paths if path is not None]
    if not there and reading not in {None, MaskReading()}:
        raise UsageError("mask_values, mask_threshold and mask_invert have no effect: no image has a mask")
    return survey_masks(there, reading or MaskReading())


def _shares(pixels: Counter[str]) -> dict[str, float]:
    total = pixels.total()
    return {word: count / total for word, count in pixels.most_common(max(_KEPT, _SHOWN))}


def _check_plain(found: _Found, shares: dict[str, float], different: int) -> None:
    one_other = len(found.others) <= 1 or found.others <= _FULL_SCALE
    # Full masks alone are no riddle where their value is what programs write for inside.
    has_background = any(map(_is_zero, found.pixels)) or found.others <= _FULL_SCALE - {"1"}
    if found.odd is None and one_other and has_background:
        return
    where = "" if found.odd is None else f", {found.odd.name} for one"
    guess = ""
    if different > 2 * _KEPT and sum(sorted(shares.values())[-2:]) < 0.5:
        guess = ", which look like pictures rather than masks"
    aside = guess + where
    who = f"the {found.files} masks{aside}{',' * bool(aside)} hold"
    who = who if found.files > 1 else "the only mask holds"
    raise UnclearMasks(f"{who} {_listed(shares, different)}, but expected were 0 and one other value")


def _check_effect(found: _Found, reading: MaskReading, shares: dict[str, float]) -> None:
    holds = _listed(shares, len(found.pixels))
    known = {name for word in found.pixels for name in names_of(word)}
    missing = [word for word in map(value_word, reading.values) if word not in known]
    if missing:
        raise DataError(f"mask_values names {missing[0]}, which no mask holds: the masks hold {holds}")
    numbers = any(not isinstance(value, str) for value in reading.values)
    if numbers and {"palette", "colour"} <= found.kinds.keys():
        raise DataError(
            f"mask_values names numbers, which are indices of a palette in {found.kinds['palette'].name}, "
            f"but {found.kinds['colour'].name} holds colours; name colours such as #ff0000"
        )
    for number, nothing in ((found.full, "outside"), (found.empty, "inside")):
        if number == found.files:
            raise DataError(
                f"read so, nothing is {nothing} any of the {number} masks, which hold {holds}; "
                "choose other values"
            )


def _listed(shares: dict[str, float], different: int) -> str:
    shown = [f"{word} ({share:.1%})" for word, share in list(shares.items())[:_SHOWN]]
    more = different - len(shown)
    return ", ".join(shown) + (f" and {more} more values" if more > 0 else "")


def _is_zero(word: str) -> bool:
    return word in {"0", "palette index 0 (#000000)", "#000000"}
