"""What a card and a note say of the originals that a table lists, and in which order they are read."""

from collections.abc import Sequence
from typing import Any

from activmask.data.recipe import MOST_LETTERS
from activmask.data.sources.folder.plan import Item
from activmask.data.sources.folder.volumes import VolumeRules
from activmask.ground.errors import UsageError

_SQUARE = 1.01
"""The longer side of a pixel over the shorter from which on it is told."""


def by_volume(items: Sequence[Item]) -> list[Item]:
    """The items, slices of one volume beside each other, so that it is read once."""
    first: dict[object, int] = {}
    for number, item in enumerate(items):
        first.setdefault(_source(item), number)
    return sorted(items, key=lambda item: first[_source(item)])


def _source(item: Item) -> object:
    return item.name if item.slice_number is None else (item.image, item.mask)


def formats(items: Sequence[Item], rules: VolumeRules) -> dict[str, Any]:
    """What a card says of originals that are no pictures; nothing where all are."""
    found = sorted({item.kind for item in items} - {"picture"})
    return ({"formats": found} if found else {}) | (rules.card() if "NIfTI" in found else {})


def dicom_note(items: Sequence[Item]) -> str:
    """How DICOM files became images, as a sentence; empty without one."""
    count = sum(item.kind == "DICOM" for item in items)
    if not count:
        return ""
    who = "1 DICOM file looks" if count == 1 else f"{count} DICOM files look"
    inverted = sum(item.inverted for item in items)
    turned = f"{inverted} of them {'was' if inverted == 1 else 'were'}" if inverted else "none was"
    return (
        f"{who} as in a viewer (the header's rescaling and first window applied; {turned} MONOCHROME1, in "
        "which 0 is white, and inverted); in each the darkest pixel is black and the brightest white, so the "
        "same grey is another value, such as HU, in another file"
    )


def pixels_note(items: Sequence[Item]) -> str:
    """How many files say that their pixels are not square, as a sentence; empty without one."""
    ratios = [max(item.pixel_ratio, 1 / item.pixel_ratio) for item in items]
    odd = sum(ratio > _SQUARE for ratio in ratios)
    if not odd:
        return ""
    who = "1 DICOM file has" if odd == 1 else f"{odd} DICOM files have"
    return (
        f"{who} pixels that are not square, with sides up to 1 to {max(ratios):.2f}; they are stored pixel "
        "by pixel, so shapes in them are distorted by as much"
    )


def columns_note(left_out: Sequence[str]) -> str:
    """Which columns of the table are not kept, as a sentence; empty where all are."""
    if not left_out:
        return ""
    return (
        f"the table's {', '.join(map(repr, left_out))} is not kept, as a column of that name means a "
        "picture to programs that read data sets; call it otherwise to keep it"
    )


def named(name: str, title: str) -> dict[str, str]:
    """What a card says of the data set's own name; nothing where it has none."""
    for what, text in (("name", name), ("title", title)):
        if len(text) > MOST_LETTERS:
            raise UsageError(f"the {what} must have at most {MOST_LETTERS} letters", found=len(text))
    return ({"name": name} if name else {}) | ({"title": title} if title else {})
