"""A chest X-ray as a data set stores it: one square size, 16 bits.

Shapes: H x W pixels of the file, S x S stored.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy import sparse

from activmask.data.files.dicom import read_dicom
from activmask.data.files.dicom_mark import is_dicom
from activmask.data.files.images import read_levels, read_mask, read_plain_mask
from activmask.data.files.intensities import Intensity, as_shares
from activmask.data.files.mask_values import MaskReading
from activmask.data.sources.xray.tables import NIH, PADCHEST
from activmask.ground.errors import PATH, DataError

SCALINGS = {
    "image": "every image, of either site, from its own minimum to its own maximum",
    "released": "each collection over the range it was released with: NIH ChestX-ray14 over 255, PadChest "
    "over 65,535; a brightness cue of the site, since PadChest uses 10 or 12 of its 16 bits",
}
CROP = "the largest square in the middle, resized with anti-aliasing"
_RELEASED_TYPES = {NIH: ("8", np.uint8), PADCHEST: ("16", np.uint16)}


def read_intensities(path: Path, *, intensity: Intensity = "image", site: str = "") -> np.ndarray:
    """Read an X-ray from a PNG, JPEG, TIFF or DICOM file.

    Args:
        path: the file.
        intensity: the range of its values.
        site: of which collection it is; under `released`, an image of another depth than its
            collection was released with is refused.

    Returns:
        float32 (H, W) in [0, 1].

    Raises:
        DataError: the file is broken, not one grey image, or without the range asked for: DICOM
            files have none but their own.
    """
    if is_dicom(path):
        if intensity in {"image", "mixed"}:
            return read_dicom(path)
        raise DataError(
            f"{PATH} is a DICOM file, which has no range but its own",
            path=path,
            advice="prepare the data with the intensity image, or give the image as it was released",
        )
    levels = read_levels(path)
    if intensity == "released" and site in _RELEASED_TYPES:
        bits, kind = _RELEASED_TYPES[site]
        if levels.dtype != kind:
            raise DataError(
                f"{PATH} has not the {bits} bits that {site} was released with",
                path=path,
                advice="choose the intensity image",
            )
    return as_shares(path, levels, intensity)


def read_xray_mask(
    path: Path, shape: tuple[int, int], size: int, reading: MaskReading | None = None
) -> np.ndarray:
    """Read the mask of an X-ray, cropped like it and resized by nearest neighbour, bool (S, S).

    Args:
        path: a PNG or TIFF file.
        shape: (H, W) of the X-ray's file.
        size: S.
        reading: which stored values are inside; by default what is not 0, in a plain mask.

    Raises:
        DataError: the file is broken, not plain although nothing was asked, of another shape than its
            image, or empty at that size.
    """
    mask = read_plain_mask(path) if reading is None else read_mask(path, reading)
    if mask.shape != shape:
        raise DataError(f"the mask {PATH} is of another size than its image", path=path)
    small = cropped_mask(mask, size)
    if not small.any():
        raise DataError(
            f"nothing is inside the mask {PATH} at {size} px", path=path, advice="mend or remove it"
        )
    return small


def cropped_mask(mask: np.ndarray, size: int) -> np.ndarray:
    """The largest square in the middle of bool (H, W), at the nearest neighbours, bool (S, S)."""
    side = min(mask.shape)
    picked = (np.arange(size) + 0.5) * side / size
    rows, columns = ((length - side) // 2 + picked.astype(np.int64) for length in mask.shape)
    return np.asarray(mask[np.ix_(rows, columns)])


def resized(pixels: np.ndarray, size: int) -> np.ndarray:
    """The largest square in the middle of float32 (H, W), resized to (S, S), anti-aliased."""
    height, width = pixels.shape
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    weights = _triangles(side, size)
    square = pixels[top : top + side, left : left + side]
    return np.asarray(np.clip(weights @ (weights @ square).T, 0, 1).T)


@lru_cache(maxsize=64)
def _triangles(length: int, size: int) -> sparse.csr_array:
    """The weights, float32 (S, length), of Pillow's bilinear resize along one axis.

    Pillow itself takes three times as long on floats, and would round 8-bit images to 8 bits.
    """
    scale = length / size
    reach = max(scale, 1.0)
    centres = (np.arange(size) + 0.5)[:, None] * scale
    columns = np.floor(centres - reach).astype(np.int64) + np.arange(int(2 * reach) + 2)
    weights = np.clip(1 - np.abs(columns + 0.5 - centres) / reach, 0, None)
    weights[(columns < 0) | (columns >= length)] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    rows = np.broadcast_to(np.arange(size)[:, None], columns.shape)
    inside = weights > 0
    return sparse.csr_array(
        (weights[inside].astype(np.float32), (rows[inside], columns[inside])), shape=(size, length)
    )
