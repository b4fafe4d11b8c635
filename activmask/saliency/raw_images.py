"""One image file, and its mask, with the pixels that the network's data set would have stored.

Shapes: S px, the side of an image as stored; T px, the side of what the network sees.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from activmask.data.dataset import read_card
from activmask.data.files.dicom import is_dicom
from activmask.data.files.images import (
    Colour,
    bit_depth,
    from_stored,
    image_size,
    read_grey,
    read_levels,
    read_mask,
    read_plain_mask,
    read_stored_mask,
    to_stored,
)
from activmask.data.files.intensities import FULL_RANGE, Intensity, as_shares, recorded_intensity
from activmask.data.files.mask_reading import recorded_reading
from activmask.data.files.mask_values import MaskReading, inside, value_counts
from activmask.data.recipe import Recipe, card_recipe, recipe_differences
from activmask.data.sources.folder.prepare import as_prepared
from activmask.data.sources.msd.raw import (
    StoredSlices,
    is_nifti,
    read_nifti_slice,
    stored_margin,
    stored_slices,
)
from activmask.data.sources.xray.pixels import read_intensities, read_xray_mask, resized
from activmask.ground.errors import DataError
from activmask.runs.checkpoint import Checkpoint

Pair = tuple[np.ndarray, Tensor | None]
"""Image float32 (S, S) in [0, 1] and mask bool (S, S) or None; both (T, T) where the file has that size."""

Sides = tuple[int, int]
"""Height and width in px of the padded slice of a volume that an image was resized from."""


@dataclass(frozen=True, kw_only=True)
class Preparing:
    """How files become what a network's data set stores."""

    network: str
    """What the network is called in messages."""
    recipe: Recipe
    """Of its data set; empty where that is not known."""
    preset: str
    network_size: int
    """T."""
    crops: bool
    """Whether what the network sees is cut from the middle of larger stored images."""

    @property
    def source(self) -> str | None:
        """Where the data set came from; None where that is not known."""
        known = self.recipe.get("source")
        return "xray" if known is None and not self.recipe and self.preset == "xray" else known

    @property
    def intensity(self) -> Intensity:
        """How stored values became brightness."""
        return recorded_intensity({"source": self.source, **self.recipe})

    @property
    def colour(self) -> Colour:
        """Whether colour images were converted to grey."""
        return "convert" if self.recipe.get("colour") == "convert" else "refuse"

    @property
    def side(self) -> int:
        """S; where it is not known, the preset's or T."""
        width = self.recipe.get("width")
        if isinstance(width, int):
            return width
        return stored_margin(self.preset, self.network_size) if self.crops else self.network_size


def preparing(checkpoint: Checkpoint, recipe: Recipe) -> Preparing:
    """How files are prepared for a checkpoint whose data set had this recipe."""
    return Preparing(
        network=str(checkpoint.path),
        recipe=recipe,
        preset=checkpoint.config.preset,
        network_size=checkpoint.image_size,
        crops=checkpoint.config.view.image_size > 0,
    )


def read_pair(
    how: Preparing, path: Path, mask: Path | None, slice_number: int | None
) -> tuple[np.ndarray, Tensor | None, Sides | None]:
    """Read an image and its mask as the data set would have stored them, and a volume's native sides.

    Raises:
        DataError: a file is broken, or of a kind or size that the data set was not made of.
        UsageError: there is no such slice.
    """
    if slice_number is not None:
        return _read_slice(how, path, mask, slice_number)
    return *_read_image(how, path, mask), None


def _read_image(how: Preparing, path: Path, mask: Path | None) -> Pair:
    if path.is_file() and is_dicom(path):
        _check_dicom(how, path)
        return _read_xray(how, path, mask)
    size = image_size(path)
    if size in {(how.side, how.side), (how.network_size, how.network_size)}:
        return _read_stored(how, path, mask)
    if how.source == "xray":
        return _read_xray(how, path, mask)
    if how.source == "folder" and how.recipe.get("resized_to") is not None:
        return _read_resized(how, path, mask)
    raise DataError(_wrong_size(how, path, size))


def _wrong_size(how: Preparing, path: Path, size: tuple[int, int]) -> str:
    network, stored = (f"{side} x {side}" for side in (how.network_size, how.side))
    crop = f", or images of {stored} as its data set stores them" if stored != network else ""
    unknown = "" if how.recipe else " (the recipe of its data set is not known)"
    return (
        f"{path} is {size[1]} x {size[0]} px but the checkpoint's network takes {network}{crop}{unknown}; "
        "prepare it as its training images were"
    )


def _read_stored(how: Preparing, path: Path, mask: Path | None) -> Pair:
    """Of a file that has the size of the stored images, or of what the network sees."""
    _check_neighbours(how, path)
    _check_depth(how, path)
    levels = read_levels(path, colour=how.colour)
    own_range = how.source == "folder" and not _in_data_set(how, path)
    pixels = as_shares(path, levels, how.intensity if own_range else FULL_RANGE)
    return pixels, None if mask is None else read_raw_mask(how, mask, path, pixels.shape)


def _check_depth(how: Preparing, path: Path) -> None:
    """Refuse values whose scale is another than that of the stored images, or cannot be told."""
    stored, found = how.recipe.get("bit_depth"), bit_depth(path)
    if how.source == "msd" and stored is not None and found != stored:
        raise DataError(
            f"{path} has {found} bits a pixel, but the slices of the network's data set have {stored}, so it "
            "is none of them and its window is not known; give the volume and the number of the slice"
        )
    if how.source == "folder" and stored == 8 and found == 16:
        raise DataError(
            f"{path} has 16 bits a pixel, but every image of the network's data set has 8, so their greys "
            "cannot be compared; convert it to 8 bits as those were"
        )
    scaled = how.source == "xray" and found == 16 and how.intensity in {"image", "mixed"}
    if scaled and not _in_data_set(how, path) and not _fills_its_depth(path):
        raise DataError(
            f"{path} has the size of the network's data set but lies in none, so it cannot be told whether "
            "its 16-bit values were scaled already; give the data set's own file, or the original image"
        )


def _check_neighbours(how: Preparing, path: Path) -> None:
    """Refuse an image of a data set that was prepared otherwise than the network's."""
    root = path.resolve().parent.parent
    if not (root / "metadata.csv").is_file():
        return
    if found := recipe_differences(how.recipe, card_recipe(read_card(root))):
        raise DataError(
            f"{path} lies in a data set that was prepared otherwise than that of {how.network} "
            f"({'; '.join(found)}); give an image that was prepared alike, or the original"
        )


def _in_data_set(how: Preparing, path: Path) -> bool:
    """Whether a file lies in a data set that was prepared as the network's was."""
    root = path.resolve().parent.parent
    if not (root / "metadata.csv").is_file():
        return False
    return not recipe_differences(how.recipe, card_recipe(read_card(root)))


def _fills_its_depth(path: Path) -> bool:
    """Whether scaling an image from its own range would change nothing."""
    pixels = read_grey(path)
    return float(pixels.min()) == 0 and float(pixels.max()) == 1


def _check_dicom(how: Preparing, path: Path) -> None:
    if how.source == "xray":
        return
    kinds = {"msd": "slices of volumes", "folder": "plain pictures", "synthetic": "the synthetic benchmark"}
    what = kinds.get(how.source or "", "images that are not known to be X-rays")
    raise DataError(
        f"{path} is a DICOM file, but the network of {how.network} was trained on {what}, and nothing tells "
        "how such a file would have been scaled and cropped for it; give an image like its training images"
    )


def _read_xray(how: Preparing, path: Path, mask: Path | None) -> Pair:
    """The middle squares, resized and rounded as stored."""
    original = _intensities(how, path)
    pixels = from_stored(to_stored(resized(original, how.side)))
    if mask is None:
        return pixels, None
    height, width = original.shape
    return pixels, torch.from_numpy(read_xray_mask(mask, (height, width), how.side, _reading(how, mask)))


def _intensities(how: Preparing, path: Path) -> np.ndarray:
    return read_intensities(path, intensity=how.intensity)


def _read_resized(how: Preparing, path: Path, mask: Path | None) -> Pair:
    """An original of a folder that was resized, at any size."""
    _check_depth(how, path)
    stored, region = as_prepared(
        path,
        mask,
        size=how.side,
        bits=16 if how.recipe.get("bit_depth") == 16 else 8,
        colour=how.colour,
        intensity=how.intensity,
        reading=None if mask is None else _reading(how, mask),
    )
    if mask is None:
        return from_stored(stored), None
    found = np.zeros(stored.shape, np.bool_) if region is None else region
    return from_stored(stored), torch.from_numpy(np.ascontiguousarray(found))


def _read_slice(
    how: Preparing, path: Path, mask: Path | None, number: int
) -> tuple[np.ndarray, Tensor | None, Sides]:
    label = mask if mask is not None and is_nifti(mask) else None
    pixels, organ, native = read_nifti_slice(path, number, _slices(how), label)
    if organ is not None:
        return pixels, torch.from_numpy(organ), native
    return pixels, None if mask is None else read_raw_mask(how, mask, path, pixels.shape), native


def _slices(how: Preparing) -> StoredSlices:
    return stored_slices(
        how.recipe,
        preset=how.preset,
        network_size=how.network_size,
        crops=how.crops,
        network=how.network,
    )


def _reading(how: Preparing, mask: Path) -> MaskReading | None:
    """How a mask is read: as those of the data set were, unless it is one that the set stores."""
    asked = recorded_reading(how.recipe)
    if asked == MaskReading() or _in_data_set(how, mask):
        return None
    _check_values(how, mask, asked)
    return asked


def _check_values(how: Preparing, path: Path, reading: MaskReading) -> None:
    """Refuse a mask that is all inside or all outside because its values are not those of the data set."""
    card = how.recipe["mask_reading"]
    found = card.get("found") or {}
    if not path.is_file() or card.get("different_values") != len(found):
        return
    mask = read_stored_mask(path, jpeg=reading.threshold is not None)
    within, held = inside(mask, reading), [word for word, _ in value_counts(mask)]
    if (within.all() or not within.any()) and not found.keys() >= {*held}:
        side = "outside" if within.all() else "inside"
        raise DataError(
            f"read as the masks of the network's data set, which held {', '.join(found)}, nothing is {side} "
            f"the mask {path}, which holds {', '.join(held[:8])}; give the original mask, or the data set's "
            "own where it lies"
        )


def read_raw_mask(how: Preparing, path: Path, image: Path, shape: tuple[int, ...]) -> Tensor:
    """The mask of an image of (H, W) px that is not resized.

    Raises:
        DataError: the mask is missing, broken or of another size.
    """
    if not path.exists():
        raise DataError(f"the mask {path} does not exist; give a mask file or a folder of masks")
    reading = _reading(how, path)
    mask = read_plain_mask(path) if reading is None else read_mask(path, reading)
    if mask.shape != shape:
        raise DataError(
            f"the mask {path} is {mask.shape[1]} x {mask.shape[0]} px but its image {image} is "
            f"{shape[1]} x {shape[0]}; a mask needs its image's size"
        )
    return torch.from_numpy(np.ascontiguousarray(mask))
