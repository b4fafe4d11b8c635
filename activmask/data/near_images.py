"""Images that look alike: a perceptual hash finds candidates, and small copies of them decide.

Shapes: N images, H x W pixels.
"""

from dataclasses import dataclass

import numpy as np
from PIL import Image

HASH_SIDE = 8
"""The hash has 64 bits: signs of the lowest frequencies of a cosine transform."""

NEAR_BITS = 4
"""So many may differ. Photographs saved as JPEG (quality 60), resized, brightened or with noise
added differ from themselves in 0 to 4."""

THUMB_SIDE = 16
NEAR_CORRELATION = 0.995
"""Of the two small copies. Those variants correlate with 0.995 to 1; random discs on noise, whose
hashes are often equal, with less than 0.989 in 999 of 1000 pairs."""

_BANDS = NEAR_BITS + 1
_REACH = 1000
"""Neighbours that are compared in one band; what more images share is a property of the collection."""

_MOST = 10_000
"""Pairs that are found at most."""


@dataclass(frozen=True, kw_only=True)
class Looks:
    """What an image looks like, in 264 bytes."""

    bits: np.ndarray
    """bool (64,), its perceptual hash."""
    thumb: np.ndarray
    """uint8 (256,), its pixels at 16 x 16 px."""


def looks(pixels: np.ndarray) -> Looks:
    """What an image (H, W) of any number type looks like.

    It is first stretched to 8 bits from its own darkest to its own brightest, so that brightness
    and contrast make no difference.
    """
    import imagehash

    low, high = float(pixels.min()), float(pixels.max())
    stretched = (pixels - np.float32(low)) * np.float32(255 / max(high - low, 1e-12))
    image = Image.fromarray(stretched.astype(np.uint8))
    thumb = image.resize((THUMB_SIDE, THUMB_SIDE), Image.Resampling.BOX)
    return Looks(bits=imagehash.phash(image, HASH_SIDE).hash.ravel(), thumb=np.asarray(thumb).ravel())


def near_pairs(seen: list[Looks], subjects: np.ndarray, digests: np.ndarray) -> list[tuple[int, int]]:
    """Pairs of images, i < j, that look alike, of different subjects and not of equal pixels.

    Hashes that differ in at most `NEAR_BITS` bits agree in one of `NEAR_BITS` + 1 bands of bits, so
    only those within a band are compared; in a band that more than a thousand share, each with the
    next thousand.

    Args:
        seen: of the N images.
        subjects: int (N,), whom each image shows.
        digests: int (N,), equal for equal pixels.

    Returns:
        At most ten thousand, in rising order.
    """
    found: set[tuple[int, int]] = set()
    bits, thumbs = (np.array([getattr(one, name) for one in seen]) for name in ("bits", "thumb"))
    for band in np.array_split(np.arange(bits.shape[1]), _BANDS):
        for group in _sharing(bits[:, band]):
            for place, one in enumerate(group[:-1].tolist()):
                others = group[place + 1 : place + 1 + _REACH]
                others = others[(subjects[others] != subjects[one]) & (digests[others] != digests[one])]
                others = others[np.count_nonzero(bits[others] != bits[one], axis=1) <= NEAR_BITS]
                near = others[_correlations(thumbs[one], thumbs[others]) >= NEAR_CORRELATION]
                found.update((one, other) for other in near.tolist())
            if len(found) >= _MOST:
                return sorted(found)[:_MOST]
    return sorted(found)


def _sharing(band: np.ndarray) -> list[np.ndarray]:
    """Row numbers, rising, of each set of equal rows of more than one member."""
    keys = band @ (1 << np.arange(band.shape[1], dtype=np.int64))
    order = np.argsort(keys, kind="stable")
    borders = np.flatnonzero(np.diff(keys[order])) + 1
    return [group for group in np.split(order, borders) if len(group) > 1]


def _correlations(one: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Pearson's, of one small copy (256,) with others (n, 256)."""
    left, right = _centred(one[None]), _centred(others)
    return np.asarray((right @ left[0]) / (np.linalg.norm(left) * np.linalg.norm(right, axis=1) + 1e-9))


def _centred(thumbs: np.ndarray) -> np.ndarray:
    values = thumbs.astype(np.float32)
    return np.asarray(values - values.mean(axis=1, keepdims=True))
