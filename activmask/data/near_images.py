"""Images that look alike: a perceptual hash finds candidates, and small copies of them decide.

Shapes: N images, H x W pixels.
"""

from collections.abc import Iterator
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
_REACH = 200
"""Neighbours that are compared in one band; what more images share is a property of the collection."""

_AT_ONCE = 4096
"""Small copies that are correlated together, a kilobyte each."""

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
    only those within a band are compared; in a band that more than two hundred share, each with the
    next two hundred.

    Args:
        seen: of the N images.
        subjects: int (N,), whom each image shows.
        digests: int (N,), equal for equal pixels.

    Returns:
        At most ten thousand, in rising order.
    """
    found: set[tuple[int, int]] = set()
    bits, thumbs = (np.array([getattr(one, name) for one in seen]) for name in ("bits", "thumb"))
    known: list[np.ndarray] = []
    for band in np.array_split(np.arange(bits.shape[1]), _BANDS):
        keys = bits[:, band] @ (1 << np.arange(len(band), dtype=np.int64))
        for one, other in _sharing(keys):
            new = (subjects[one] != subjects[other]) & (digests[one] != digests[other])
            for earlier in known:
                new &= earlier[one] != earlier[other]
            i, j = one[new], other[new]
            close = np.count_nonzero(bits[i] != bits[j], axis=1) <= NEAR_BITS
            i, j = i[close], j[close]
            near = _correlations(thumbs[i], thumbs[j]) >= NEAR_CORRELATION
            found.update(zip(i[near].tolist(), j[near].tolist(), strict=True))
            if len(found) >= _MOST:
                return sorted(found)[:_MOST]
        known.append(keys)
    return sorted(found)


def _sharing(keys: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of numbers i < j of equal keys, as arrays: first of neighbours, then of next neighbours, ..."""
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    places = np.arange(len(order))
    for distance in range(1, _REACH + 1):
        places = places[places + distance < len(order)]
        places = places[keys[places] == keys[places + distance]]
        if not len(places):
            return
        yield order[places], order[places + distance]


def _correlations(ones: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Pearson's, of small copies (n, 256) with others (n, 256)."""
    found = [np.empty(0, np.float32)]
    for start in range(0, len(ones), _AT_ONCE):
        left, right = (_centred(few[start : start + _AT_ONCE]) for few in (ones, others))
        lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
        found.append((left * right).sum(axis=1) / (lengths + 1e-9))
    return np.concatenate(found)


def _centred(thumbs: np.ndarray) -> np.ndarray:
    values = thumbs.astype(np.float32)
    return np.asarray(values - values.mean(axis=1, keepdims=True))
