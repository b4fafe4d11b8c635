"""By how many stored px a mask grows.

The paper's code blurs a mask where it was drawn, on the pixels of the original slice, and resizes
it afterwards. So sigma is a length on that native grid, and a stored mask grows by the same length
on its own.
"""

import numpy as np
from numpy.typing import NDArray

GAUSSIAN_TRUNCATION = 4.0
"""Sigmas after which scikit-image's and SciPy's Gaussian kernels end."""

NATIVE_UNIT = "px of the native slice"
STORED_UNIT = "px of the stored image"


def dilation_radius(sigma: float) -> int:
    """By how many px a blur of `sigma` px, then "anything above 0", grows a mask on the same grid."""
    return int(GAUSSIAN_TRUNCATION * sigma + 0.5)


def stored_radii(sigma: float, stored: tuple[int, int], native: np.ndarray) -> np.ndarray:
    """By how many stored px the same blur grows masks that were drawn on other grids.

    Args:
        sigma: of the blur in native px.
        stored: height and width of the stored masks in px.
        native: int64 (N, 2), height and width in px of the slices that were resized to them.

    Returns:
        int64 (N, 2), along rows and columns, rounded to whole px, halves up.
    """
    return np.asarray((2 * dilation_radius(sigma) * np.asarray(stored) + native) // (2 * native))


def grown(mask: NDArray[np.bool_], sigma: float, native: tuple[int, int] | None = None) -> NDArray[np.bool_]:
    """One mask as `dilate` of `activmask/data/masks.py` grows it, for what does without PyTorch.

    Args:
        mask: bool (H, W).
        sigma: of the blur in native px; 0 leaves the mask alone.
        native: height and width in px of the grid that it was drawn on; None where that is its own.
    """
    height, width = mask.shape
    ((rows, columns),) = stored_radii(sigma, (height, width), np.array([native or mask.shape])).tolist()
    size = (2 * rows + 1, 2 * columns + 1)
    # The radii alone do without it.
    from scipy.ndimage import maximum_filter

    return np.asarray(maximum_filter(mask, size=size, mode="constant", cval=False))
