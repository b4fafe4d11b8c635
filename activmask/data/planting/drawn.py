"""Shortcuts that are drawn onto an image: which pixels, and in which brightness.

Shapes: H x W pixels, s px the size of what is drawn. Each holds white and black, so that it is seen on
any ground.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from activmask.data.planting.limits import CORNERS, Place
from activmask.ground.errors import UsageError

_TEXT = "AP"
"""Of a chest X-ray taken in bed, so of the sick: a shortcut that networks are known to learn."""
_LEAST_LETTER = 7
"""Height in px below which letters are none."""
_MARGIN = 0.02
"""Between a corner and what lies in it, as a share of the shorter side."""


@dataclass(frozen=True)
class Stencil:
    """What is drawn, the same on every image of one size."""

    inside: np.ndarray
    """bool (H, W), True where it lies."""
    values: np.ndarray
    """float64 (H, W) in [0, 1], its brightness; of no account elsewhere."""


def framed(height: int, width: int, size: float) -> Stencil:
    """A white frame along all four edges, s px thick, with a black line at its inner side."""
    thick = _pixels(size, height, width)
    inside = np.ones((height, width), np.bool_)
    inside[thick:-thick, thick:-thick] = False
    values = np.ones((height, width))
    if thick > 1:
        values[thick - 1 : height - thick + 1, thick - 1 : width - thick + 1] = 0
    return Stencil(inside, values)


def tag(height: int, width: int, size: float) -> np.ndarray:
    """The brightness (s, s) of a white plate with a black rim, as a lead marker leaves it."""
    side = max(_pixels(size, height, width), 3)
    plate = np.ones((side, side))
    plate[[0, -1]] = plate[:, [0, -1]] = 0
    return plate


def box(height: int, width: int, size: float) -> np.ndarray:
    """The brightness (s, s) of a white outline with a black one inside it, NaN within: a box is hollow."""
    side, thick = max(_pixels(size, height, width), 5), _pixels(1 / 64, height, width)
    outline = np.ones((side, side))
    outline[thick:-thick, thick:-thick] = 0
    if side > 4 * thick:
        outline[2 * thick : -2 * thick, 2 * thick : -2 * thick] = np.nan
    return outline


def text(height: int, width: int, size: float) -> np.ndarray:
    """The brightness (s + 2, ...) of white letters on a black plate, as burnt-in annotations are."""
    # Pillow's bitmap font is the same on every machine; its outlines depend on FreeType's version.
    font = ImageFont.load_default_imagefont()
    left, top, right, bottom = (round(end) for end in font.getbbox(_TEXT))
    canvas = Image.new("L", (right - left, bottom - top))
    ImageDraw.Draw(canvas).text((-left, -top), _TEXT, fill=255, font=font)
    letters = canvas.crop(canvas.getbbox())
    high = max(_pixels(size, height, width), _LEAST_LETTER)
    wide = max(round(letters.width * high / letters.height), 1)
    scaled = np.asarray(letters.resize((wide, high), Image.Resampling.NEAREST)) > 0
    return np.pad(scaled.astype(np.float64), 1)


CORNERED: dict[str, Callable[[int, int, float], np.ndarray]] = {"tag": tag, "box": box, "text": text}
"""From H, W and a share of the shorter side to a patch of brightness, NaN where it is transparent."""


def cornered(kind: str, height: int, width: int, size: float) -> dict[Place, Stencil]:
    """A shortcut in each of the four corners, a little away from the edges.

    Raises:
        UsageError: it does not fit into the images.
    """
    patch = CORNERED[kind](height, width, size)
    margin = _pixels(_MARGIN, height, width)
    tall, wide = patch.shape
    if tall + margin > height or wide + margin > width:
        raise UsageError(
            f"a {kind} of {tall} x {wide} px does not fit into images of {height} x {width} px",
            advice="choose a smaller size or another shortcut",
        )
    found = {}
    for corner in CORNERS:
        y = margin if corner.startswith("top") else height - margin - tall
        x = margin if corner.endswith("left") else width - margin - wide
        values = np.full((height, width), np.nan)
        values[y : y + tall, x : x + wide] = patch
        inside = ~np.isnan(values)
        found[corner] = Stencil(inside, np.where(inside, values, 0))
    return found


def onto(pixels: np.ndarray, stencil: Stencil, strength: float) -> np.ndarray:
    """An image of the same depth with a stencil over it, which covers it by `strength` in (0, 1].

    Args:
        pixels: uint8 or uint16 (H, W), or uint8 (H, W, 3), all of whose channels are covered alike.
        stencil: what is drawn.
        strength: 1 hides what lies below.
    """
    most = np.iinfo(pixels.dtype).max
    inside, values = stencil.inside, stencil.values
    if pixels.ndim == 3:
        inside, values = inside[..., None], values[..., None]
    blended = np.rint((1 - strength) * pixels + strength * most * values)
    return np.where(inside, blended, pixels).astype(pixels.dtype)


def _pixels(share: float, height: int, width: int) -> int:
    """A share of the shorter side in whole px, at least one."""
    return max(int(np.floor(share * min(height, width) + 0.5)), 1)
