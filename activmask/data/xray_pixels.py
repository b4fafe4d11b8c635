"""A chest X-ray as a data set stores it: one square size, 16 bits.

Shapes: H x W pixels of the file, S x S stored.
"""

from functools import lru_cache
from pathlib import Path

import numpy as np
from scipy import sparse

from activmask.data.dicom import is_dicom, read_dicom
from activmask.data.images import bit_depth, read_grey, read_mask, read_plain_mask
from activmask.data.mask_values import MaskReading
from activmask.errors import DataError

SCALING = (
    "8-bit images over 255; 16-bit and DICOM images from their own minimum to their own maximum, because "
    "scanners differ in how many of the bits they use"
)
CROP = "the largest square in the middle, resized with anti-aliasing"


def read_intensities(path: Path) -> np.ndarray:
    """Read an X-ray from a PNG, JPEG, TIFF or DICOM file.

    Returns:
        float32 (H, W) in [0, 1]: 8-bit values over 255, deeper ones from the image's own minimum
        to its own maximum.

    Raises:
        DataError: the file is broken or not one grey image.
    """
    if is_dicom(path):
        return read_dicom(path)
    pixels = read_grey(path)
    if bit_depth(path) == 16:
        low, high = float(pixels.min()), float(pixels.max())
        pixels = (pixels - low) / max(high - low, 1e-12)
    return pixels


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
        raise DataError(f"the mask {path} is of another size than its image")
    side = min(shape)
    picked = (np.arange(size) + 0.5) * side / size
    rows, columns = ((length - side) // 2 + picked.astype(np.int64) for length in shape)
    small = mask[np.ix_(rows, columns)]
    if not small.any():
        raise DataError(f"nothing is inside the mask {path} at {size} px; mend or remove it")
    return np.asarray(small)


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
