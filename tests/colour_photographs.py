"""Crops of photographs in colour that scikit-image ships, with round masks, as a user's folder."""

from pathlib import Path

import numpy as np
from skimage import data
from user_folder import Folder

SHAPE = (40, 56)
"""Height and width in px of every crop."""

RADIUS = 12
"""In px, of the disc that is each crop's mask."""

_SPLITS = ("train", "train", "train", "train", "valid", "valid", "test", "test")


def disc(shape: tuple[int, int] = SHAPE, radius: float = RADIUS) -> np.ndarray:
    """A centred disc, bool (H, W)."""
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    return np.hypot(rows - (shape[0] - 1) / 2, columns - (shape[1] - 1) / 2) <= radius


def crops(picture: np.ndarray, count: int) -> list[np.ndarray]:
    """So many crops (H, W, 3) of a picture, none overlapping another."""
    height, width = SHAPE
    places = [
        (top, left)
        for top in range(0, picture.shape[0] - height, height)
        for left in range(0, picture.shape[1] - width, width)
    ]
    chosen = places[:: len(places) // count][:count]
    return [picture[top : top + height, left : left + width] for top, left in chosen]


def photographs(root: Path) -> Folder:
    """Eight crops of a cat and eight of a cup of coffee, of two sites, in given splits."""
    made = Folder(root)
    rows = ["file_name,label,subject,site,split"]
    for label, picture in (("cat", data.chelsea()), ("cup", data.coffee())):
        for k, (crop, split) in enumerate(zip(crops(picture, len(_SPLITS)), _SPLITS, strict=True)):
            name = f"{label}{k}.png"
            made.image(name, crop)
            made.mask(name, disc().astype(np.uint8) * 255)
            rows.append(f"{name},{label},{label}{k},{'north' if k % 2 else 'south'},{split}")
    made.table(*rows)
    return made
