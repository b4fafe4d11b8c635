"""How the stored grey values of an image file become brightness in [0, 1].

Shapes: H x W pixels. A file of 16 bits does not say how many of them its scanner used: 12 bits over
65,535 are 16 times darker than the same picture in 8 bits over 255, and a network tells the two apart
at a glance.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from activmask.data.files.images import from_stored
from activmask.ground.errors import PATH, DataError

Intensity = Literal["image", "released", "mixed"] | int
"""`image`: each image from its own minimum to its own maximum. `released`: 8 bits over 255, 16 bits
over 65,535, the DICOM of neither X-ray collection. A number: 8 bits over 255, 16 bits over that number.
`mixed`: what X-ray data sets of earlier versions hold, 8 bits over 255 and deeper images as in `image`;
read, never written."""

FULL_RANGE = 65_535
"""The largest value of 16 bits."""


def as_shares(path: Path, levels: np.ndarray, intensity: Intensity) -> np.ndarray:
    """Stored values as shares of their range, float32 (H, W) in [0, 1].

    Args:
        path: of the image, for messages.
        levels: (H, W) uint8, uint16, or floats that lie in [0, 1] already.
        intensity: the range.

    Raises:
        DataError: a 16-bit image has values above the number that is its range.
    """
    deep = levels.dtype != np.uint8
    if intensity == "image" or (intensity == "mixed" and deep):
        return _stretched(levels)
    if levels.dtype.kind == "f":
        return levels
    if not deep or not isinstance(intensity, int):
        return from_stored(levels)
    largest = int(levels.max())
    if largest > intensity:
        raise DataError(
            f"{PATH} holds values up to {largest}, but the range given ends at {intensity}", path=path
        )
    return levels.astype(np.float32) / np.float32(intensity)


def card_intensity(card: Mapping[str, Any]) -> Intensity:
    """The range that the images of a data set were read with, as its card says.

    A card of an earlier version does not say: X-rays were `mixed` then, other images over the range of
    their depth.

    Raises:
        DataError: the card says something else.
    """
    found = card.get("intensity", "mixed" if card.get("source") == "xray" else FULL_RANGE)
    if found in {"image", "released", "mixed"} or (isinstance(found, int) and 0 < found <= FULL_RANGE):
        intensity: Intensity = found
        return intensity
    raise DataError(
        "the card's intensity must be image, released or the largest value of 16-bit images",
        found=repr(found),
        advice="prepare the data anew",
    )


def _stretched(levels: np.ndarray) -> np.ndarray:
    low, high = float(levels.min()), float(levels.max())
    return ((levels - low) / max(high - low, 1e-12)).astype(np.float32)
