"""Whether a folder's pictures become grey images or images in colour, and what colour gives away."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from activmask.data.files.images import Colour, has_colours
from activmask.data.sources.folder.plan import Item
from activmask.ground.errors import PATH, DataError, UsageError


def chosen_colour(items: Sequence[Item], asked: Colour | None) -> Colour:
    """What was asked for; left out, colours are kept where any picture shows some, else all are grey.

    Raises:
        DataError: colours are kept beside pictures of 16 bits, which no image in colour has.
    """
    colour = asked or (
        "keep" if any(item.kind == "picture" and _shows(item.image) for item in items) else "refuse"
    )
    deep = [item for item in items if item.bit_depth > 8] if colour == "keep" else []
    if deep:
        raise DataError(
            f"{len(deep)} of {len(items)} images have more than 8 bits, the first {PATH}, but images in "
            "colour have 8 a channel",
            path=deep[0].image,
            advice="choose the colour grey, which keeps those bits, or refuse, which skips images in colour",
        )
    return colour


def check_intensity_of(colour: Colour, intensity: object) -> None:
    """Refuse a range for 16-bit images where images have 8 bits a channel (raises UsageError)."""
    if colour == "keep" and intensity is not None:
        raise UsageError(
            f"the intensity {intensity} has no effect on images in colour, which have 8 bits a channel",
            advice="leave it out, or choose the colour grey",
        )


def _shows(path: Path) -> bool:
    try:
        return has_colours(path)
    except DataError:  # Whoever reads it for good says what is wrong with it.
        return False


@dataclass
class ColourTally:
    """Which pictures showed colours, counted one by one."""

    colour: Colour
    images: Counter[str] = field(default_factory=Counter)
    """By class."""
    coloured: Counter[str] = field(default_factory=Counter)
    """Those among them that showed colours."""

    def add(self, label: str, shown: bool) -> None:
        """Count a picture of a class."""
        self.images[label] += 1
        self.coloured[label] += shown

    def sentence(self) -> str:
        """How many pictures showed colours, and what became of them."""
        total, coloured = self.images.total(), self.coloured.total()
        if self.colour == "keep":
            of_grey = " (the others have three equal ones)" if coloured < total else ""
            return f"{coloured} of {total} images show colours: all are stored with three channels{of_grey}"
        if coloured:
            return f"{coloured} of {total} images showed colours and became grey (luma, ITU-R BT.601)"
        return f"none of {total} images shows colours: they are stored grey"

    def leak(self) -> str:
        """What the presence of colours gives away of the classes; empty where it is the same in all."""
        if self.colour != "keep" or len({self.coloured[name] / n for name, n in self.images.items()}) == 1:
            return ""
        told = ", ".join(f"{self.coloured[name]} of {n} of class {name!r}" for name, n in self.images.items())
        return f"colours are present in {told}, which may tell them apart; the colour grey hides it"
