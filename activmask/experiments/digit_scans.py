"""Handwritten threes and eights that scikit-learn ships, as a data set whose masks are the ink.

Shapes: N images of 32 x 32 px.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from activmask.data.settings import View
from activmask.data.splits import SPLITS
from activmask.data.writer import Record, Summary, write_dataset
from activmask.ground.errors import UsageError

DIGITS = (3, 8)
"""What classes 0 and 1 show."""

_BLACKEST, _INK = 16, 4
"""A scanned pixel counts the black ones among its 16; from 4 on it is ink."""

_ENLARGED, _FRAME = 2, 8
"""Each of the 8 x 8 scanned pixels becomes 2 x 2 px, inside an empty frame of 8 px."""


def write_digit_scans(
    out: Path, *, train: int = 90, valid: int = 42, test: int = 42, seed: int = 0
) -> Summary:
    """Write the scans, bright ink on black; the same numbers and seed give the same bytes.

    Nobody knows who wrote them, so every image is its own subject, and one hand may be in several splits.

    Args:
        out: the folder to make.
        train: training images of each class; there are 183 threes and 174 eights for all splits.
        valid: validation images of each class.
        test: test images of each class.
        seed: deals the scans out.

    Raises:
        UsageError: fewer than one image in a split, or more than there are.
        DataError: `out` cannot be written.
    """
    wanted = dict(zip(SPLITS, (train, valid, test), strict=True))
    card = {
        "name": "digits",
        "made_by": "activmask sweep study",
        "classes": {str(number): str(digit) for number, digit in enumerate(DIGITS)},
        "per_class": wanted,
        "seed": seed,
        "licence": "scikit-learn's copy of the UCI set of handwritten digits, CC BY 4.0",
    }
    return write_dataset(out, _records(wanted, seed), card=card, mask_blur=View().mask_blur)


def _records(wanted: dict[str, int], seed: int) -> Iterator[Record]:
    # Loading it takes a second, which a grid without it need not wait for.
    from sklearn.datasets import load_digits

    scans = load_digits()
    rng = np.random.default_rng(seed)
    for label, digit in enumerate(DIGITS):
        own = rng.permutation(np.flatnonzero(scans.target == digit))
        if min(wanted.values()) < 1 or sum(wanted.values()) > len(own):
            raise UsageError(
                f"each split of the digits needs an image of each class, and there are {len(own)} scans of a "
                f"{digit}",
                found=", ".join(f"{split} {count}" for split, count in wanted.items()),
            )
        splits = np.repeat(list(wanted), list(wanted.values()))
        for scan, split in zip(own[: len(splits)], splits, strict=True):
            name = f"scan-{scan:04d}"
            yield Record(
                name=name,
                image=_framed(np.rint(scans.images[scan] * (255 / _BLACKEST)).astype(np.uint8)),
                mask=_framed(scans.images[scan] >= _INK),
                label=label,
                subject=name,
                site="",
                split=str(split),
            )


def _framed(scan: np.ndarray) -> np.ndarray:
    """Enlarge (8, 8) to (16, 16) by nearest neighbour, and add the frame."""
    return np.pad(scan.repeat(_ENLARGED, axis=0).repeat(_ENLARGED, axis=1), _FRAME)
