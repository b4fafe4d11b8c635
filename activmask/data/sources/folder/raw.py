"""One original of a folder, and its mask, with the very pixels that `prepare_folder` would have stored."""

from pathlib import Path

import numpy as np

from activmask.data.files.images import from_stored
from activmask.data.files.intensities import FULL_RANGE, Intensity
from activmask.data.raw_files import Preparing, RawImage, in_data_set, reading_of
from activmask.data.sources.folder.fitting import card_fit
from activmask.data.sources.folder.items import as_prepared
from activmask.data.sources.folder.kinds import check_mask_place, header_of, kind_of
from activmask.data.sources.folder.volumes import card_rules
from activmask.ground.errors import PATH, DataError, UsageError


def read_original(how: Preparing, path: Path, mask: Path | None, number: int | None) -> RawImage | None:
    """An original at any size; None of a picture where those of the data set were not resized.

    Raises:
        DataError: a file is broken, deeper than the images of the data set, or of another size where they
            were not resized.
        UsageError: a volume has no such slice.
    """
    kind, resized = kind_of(path), how.recipe.get("resized_to") is not None
    if kind == "picture" and not resized:
        return None
    if kind == "NIfTI":
        _check_number(path, number)
    else:
        _check_depth(how, path)
    if kind == "DICOM" and mask is not None and kind_of(mask) == "DICOM":
        check_mask_place(mask, header_of(mask, mask=True), header_of(path))
    stored, region = as_prepared(
        path,
        mask,
        number,
        bits=16 if how.recipe.get("bit_depth") == 16 else 8,
        colour=how.colour,
        intensity=how.intensity,
        fit=card_fit(how.recipe),
        reading=None if mask is None or kind == "NIfTI" else reading_of(how, mask),
        rules=card_rules(how.recipe),
    )
    if not resized:
        _check_size(how, path, stored)
    if mask is not None and region is None:
        region = np.zeros(stored.shape[:2], np.bool_)
    return RawImage(pixels=from_stored(stored), inside=None if mask is None else region)


def takes(how: Preparing, path: Path) -> bool:
    """Whether the data set was made of files of this kind, which another source is known by."""
    return how.source == "folder" and kind_of(path) in how.recipe.get("formats", ())


def stored_range(how: Preparing, path: Path) -> Intensity:
    """How the values of a picture of the stored size are read: an original's as those of the data set were.

    Raises:
        DataError: it is deeper than the images of the data set.
    """
    _check_depth(how, path)
    return FULL_RANGE if in_data_set(how, path) else how.intensity


def _check_depth(how: Preparing, path: Path) -> None:
    if how.recipe.get("bit_depth") == 8 and header_of(path).bit_depth == 16:
        raise DataError(
            f"{PATH} has 16 bits per pixel, but every image of the network's data set has 8, so "
            "their greys cannot be compared",
            path=path,
            advice="convert it to 8 bits as those were",
        )


def _check_number(path: Path, number: int | None) -> None:
    from activmask.data.files.nifti import volume_frame

    slices = volume_frame(path).shape[2]
    if number is None or not 0 <= number < slices:
        raise UsageError(f"the slice must be from 0 to {slices - 1} in {PATH}", path=path, found=number)


def _check_size(how: Preparing, path: Path, pixels: np.ndarray) -> None:
    sides = (how.recipe.get("height"), how.recipe.get("width"))
    if pixels.shape != sides:
        raise DataError(
            f"{PATH} is {pixels.shape[1]} x {pixels.shape[0]} px, but the images of the network's data set "
            f"are {sides[1]} x {sides[0]} and were not resized",
            path=path,
            advice="give an original of that size",
        )
