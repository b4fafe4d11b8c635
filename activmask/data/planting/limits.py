"""What can be planted, and how much of it, known before what draws it is loaded."""

from dataclasses import dataclass
from typing import Literal, get_args

from activmask.ground.limits import LARGEST_SEED
from activmask.ground.settings import Range

Kind = Literal["tag", "text", "border", "box", "brightness", "blur", "noise", "jpeg"]
"""Of a shortcut."""

Place = Literal["auto", "top-left", "top-right", "bottom-left", "bottom-right"]
"""Of what is drawn in a corner; auto is the corner that covers least of the masks."""

CORNERS: tuple[Place, ...] = get_args(Place)[1:]

SHARES = Range(least=0, most=1)
"""Of the images of a class that carry the shortcut."""

UNTOLD = 0.5
"""Of the test images of each class: there a shortcut tells nothing of the class."""

STRENGTHS = Range(least=0.01, most=1)

SIZES = Range(least=0.01, most=0.5)
"""Of what is drawn, as a share of the image's shorter side."""

SEEDS = Range(least=0, most=LARGEST_SEED)


@dataclass(frozen=True)
class Usual:
    """What a kind of shortcut is where nobody says."""

    strength: float
    size: float | None = None
    """None for what changes the whole image."""
    corner: bool = False
    """Whether it lies in one."""


USUAL: dict[Kind, Usual] = {
    "tag": Usual(1.0, 0.12, corner=True),
    "text": Usual(1.0, 0.12, corner=True),
    "border": Usual(1.0, 0.04),
    "box": Usual(1.0, 0.25, corner=True),
    "brightness": Usual(0.2),
    "blur": Usual(0.2),
    "noise": Usual(0.1),
    "jpeg": Usual(0.8),
}
