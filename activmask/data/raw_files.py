"""Image files that lie in no data set, and how they become what a network's data set stores.

Shapes: C channels; S px, the side of an image as stored; T px, the side of what the network sees; H x W px
of a file.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from activmask.data.dataset import TABLE_FILE, read_card
from activmask.data.files.images import Colour, read_mask, read_plain_mask, read_stored_mask
from activmask.data.files.intensities import Intensity, card_intensity
from activmask.data.files.mask_reading import card_reading
from activmask.data.files.mask_values import MaskReading, inside, value_counts
from activmask.data.recipe import Recipe, card_recipe, recipe_differences
from activmask.ground.errors import PATH, DataError
from activmask.ground.places import real

Sides = tuple[int, int]
"""Height and width in px of the padded slice of a volume that an image was resized from."""


@dataclass(frozen=True, kw_only=True)
class RawImage:
    """A file as the network's data set would have stored it."""

    pixels: np.ndarray
    """float32 (S, S) in [0, 1], or (S, S, 3) in colour; of a file that has T px a side, so many."""
    inside: np.ndarray | None
    """Its mask, bool (S, S) or (T, T); None without one."""
    native: Sides | None = None
    """Of the slice of a volume."""


@dataclass(frozen=True, kw_only=True)
class Preparing:
    """How files become what a network's data set stores."""

    network: str
    """What the network is called in messages."""
    recipe: Recipe
    """Of its data set; empty where that is not known."""
    images: str
    """What the network was trained on, as messages call it; empty where that is not known."""
    source: str | None
    """Where the data set came from, if need be by the preset; None where that is not known."""
    preset: str
    network_size: int
    """T."""
    channels: int
    """C."""
    crops: bool
    """Whether what the network sees is cut from the middle of larger stored images."""
    margin: float
    """How many times larger those are in the runs of the preset."""

    @property
    def intensity(self) -> Intensity:
        """How stored values became brightness."""
        return card_intensity({"source": self.source, **self.recipe})

    @property
    def colour(self) -> Colour:
        """What becomes of pictures in colour, as those of the data set."""
        if self.channels > 1:
            return "keep"
        # Cards of earlier versions call it so.
        return "grey" if self.recipe.get("colour") in {"grey", "convert"} else "refuse"

    @property
    def side(self) -> int:
        """S; where it is not known, the preset's or T."""
        width = self.recipe.get("width")
        if isinstance(width, int):
            return width
        return round(self.margin * self.network_size) if self.crops else self.network_size


def in_data_set(how: Preparing, path: Path) -> bool:
    """Whether a file lies in a data set that was prepared as the network's was."""
    found = recipe_beside(path)
    return found is not None and not recipe_differences(how.recipe, found)


def recipe_beside(path: Path) -> Recipe | None:
    """What the card of the data set that a file lies in tells; None where it lies in none.

    Raises:
        DataError: the card is broken.
    """
    root = real(path).parent.parent
    return card_recipe(read_card(root)) if (root / TABLE_FILE).is_file() else None


def reading_of(how: Preparing, mask: Path) -> MaskReading | None:
    """How a mask is read: as those of the data set were; None for one that the set stores, which is plain.

    Raises:
        DataError: its values are not those of the data set, so that nothing or all would be inside.
    """
    asked = card_reading(how.recipe)
    if asked == MaskReading() or in_data_set(how, mask):
        return None
    _check_values(how, mask, asked)
    return asked


def _check_values(how: Preparing, path: Path, reading: MaskReading) -> None:
    """Refuse a mask that is all inside or all outside because its values are not those of the data set."""
    card = how.recipe["mask_reading"]
    found = card.get("found") or {}
    if not path.is_file() or card.get("different_values") != len(found):
        return
    mask = read_stored_mask(path, blurred=reading.threshold is not None)
    within, held = inside(mask, reading), [word for word, _ in value_counts(mask)]
    if (within.all() or not within.any()) and not found.keys() >= {*held}:
        side = "outside" if within.all() else "inside"
        raise DataError(
            f"read as the masks of the network's data set, which held {', '.join(found)}, "
            f"nothing is {side} the mask {PATH}, which holds {', '.join(held[:8])}",
            path=path,
            advice="give the original mask, or the data set's own where it lies",
        )


def read_raw_mask(how: Preparing, path: Path, image: Path, shape: tuple[int, ...]) -> np.ndarray:
    """The mask, bool (H, W), of an image of (H, W) px that is not resized.

    Raises:
        DataError: the mask is missing, broken or of another size.
    """
    if not path.exists():
        raise DataError(
            f"the mask {PATH} does not exist", path=path, advice="give a mask file or a folder of masks"
        )
    reading = reading_of(how, path)
    mask = read_plain_mask(path) if reading is None else read_mask(path, reading)
    if mask.shape != shape:
        raise DataError(
            f"the mask {PATH} is {mask.shape[1]} x {mask.shape[0]} px but its image {image} is "
            f"{shape[1]} x {shape[0]}; a mask needs its image's size",
            path=path,
        )
    return mask
