"""One original of a folder, and its mask, with the very pixels that `prepare_folder` would have stored."""

from pathlib import Path

import numpy as np

from activmask.data.files.images import bit_depth, from_stored
from activmask.data.files.intensities import FULL_RANGE, Intensity
from activmask.data.raw_files import Preparing, RawImage, in_data_set, reading_of
from activmask.data.sources.folder.fitting import card_fit
from activmask.data.sources.folder.prepare import as_prepared
from activmask.ground.errors import PATH, DataError


def read_original(how: Preparing, path: Path, mask: Path | None) -> RawImage | None:
    """An original at any size; None where the images of the data set were not resized.

    Raises:
        DataError: a file is broken, or deeper than the images of the data set.
    """
    if how.recipe.get("resized_to") is None:
        return None
    _check_depth(how, path)
    stored, region = as_prepared(
        path,
        mask,
        size=how.side,
        bits=16 if how.recipe.get("bit_depth") == 16 else 8,
        colour=how.colour,
        intensity=how.intensity,
        fit=card_fit(how.recipe),
        reading=None if mask is None else reading_of(how, mask),
    )
    if mask is not None and region is None:
        region = np.zeros(stored.shape[:2], np.bool_)
    return RawImage(pixels=from_stored(stored), inside=None if mask is None else region)


def stored_range(how: Preparing, path: Path) -> Intensity:
    """How the values of a picture of the stored size are read: an original's as those of the data set were.

    Raises:
        DataError: it is deeper than the images of the data set.
    """
    _check_depth(how, path)
    return FULL_RANGE if in_data_set(how, path) else how.intensity


def _check_depth(how: Preparing, path: Path) -> None:
    if how.recipe.get("bit_depth") == 8 and bit_depth(path) == 16:
        raise DataError(
            f"{PATH} has 16 bits per pixel, but every image of the network's data set has 8, so "
            "their greys cannot be compared",
            path=path,
            advice="convert it to 8 bits as those were",
        )
