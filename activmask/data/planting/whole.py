"""Shortcuts that change a whole image, within the range of its depth.

Shapes: H x W pixels, uint8 or uint16, or uint8 (H, W, 3) in colour. `strength` is in (0, 1].
"""

import io
from collections.abc import Callable

import numpy as np
from PIL import Image
from scipy.ndimage import gaussian_filter

Changed = Callable[[np.ndarray, float, np.random.Generator], np.ndarray]
"""From an image, a strength and a generator to the image as it is changed, of the same shape and depth."""


def brightness(pixels: np.ndarray, strength: float, _: np.random.Generator) -> np.ndarray:
    """Every pixel moved towards white by `strength` of its distance from it, so that none is clipped."""
    most = np.iinfo(pixels.dtype).max
    return _stored(pixels + strength * (most - pixels.astype(np.float64)), pixels.dtype)


def blur(pixels: np.ndarray, strength: float, _: np.random.Generator) -> np.ndarray:
    """A Gaussian blur of sigma `strength` times a tenth of the shorter side."""
    sigma = strength * min(pixels.shape[:2]) / 10
    blurred = gaussian_filter(pixels.astype(np.float64), sigma, mode="nearest", axes=(0, 1))
    return _stored(blurred, pixels.dtype)


def noise(pixels: np.ndarray, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Gaussian noise, of each channel its own, whose SD is `strength` of the range, cut off at its ends."""
    most = np.iinfo(pixels.dtype).max
    return _stored(pixels + strength * most * rng.standard_normal(pixels.shape), pixels.dtype)


def jpeg(pixels: np.ndarray, strength: float, _: np.random.Generator) -> np.ndarray:
    """The image through a JPEG file of quality 95 - 90 `strength`; 16 bits pass through 8, all it has."""
    wide = pixels.dtype == np.uint16
    file = io.BytesIO()
    eight = np.rint(pixels / 257).astype(np.uint8) if wide else pixels
    Image.fromarray(eight).save(file, format="jpeg", quality=round(95 - 90 * strength))
    with Image.open(file) as image:
        read = np.asarray(image)
    return read.astype(np.uint16) * np.uint16(257) if wide else read


WHOLE: dict[str, Changed] = {"brightness": brightness, "blur": blur, "noise": noise, "jpeg": jpeg}


def _stored(values: np.ndarray, kind: np.dtype) -> np.ndarray:
    return np.asarray(np.rint(np.clip(values, 0, np.iinfo(kind).max)), kind)
