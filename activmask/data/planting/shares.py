"""Which images carry a shortcut: exact counts per class and split, and what they tell of the class.

Shapes: N images, K classes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

import numpy as np

from activmask.data.splits import SPLITS


@dataclass(frozen=True, kw_only=True)
class Dose:
    """How a shortcut is planted in one split."""

    split: str
    images: tuple[int, ...]
    """(K,), of each class."""
    planted: tuple[int, ...]
    """(K,), those among them that carry it."""
    phi: float | None
    """Correlation in [-1, 1] of carrying it with being of the chosen class; None where either is constant."""
    accuracy: float
    """Share of the split's images of which "carries it: chosen class; does not: another" is true."""


def planted_count(share: float, images: int) -> int:
    """A share of some images as a whole number: of the decimal number that was written, halves up."""
    exact = Decimal(repr(share)) * images
    return int(exact.quantize(Decimal(1), ROUND_HALF_UP))


def opposite(share: float) -> float:
    """1 minus a share, as a decimal number: that of 0.9 is 0.1."""
    return float(1 - Decimal(repr(share)))


def choose(
    labels: np.ndarray,
    splits: Sequence[str],
    names: Sequence[str],
    *,
    number: int,
    shares: Mapping[str, float],
    others: Mapping[str, float],
    seed: int,
) -> np.ndarray:
    """Draw the images that carry the shortcut, image by image within each class of each split.

    With the same seed a greater share takes the images of a smaller one and more, and the order of the
    rows decides nothing.

    Args:
        labels: int64 (N,).
        splits: (N,) train, valid or test.
        names: (N,) distinct names of the images.
        number: of the chosen class.
        shares: by split, of the chosen class's images.
        others: by split, of the images of each other class.
        seed: of the draw.

    Returns:
        bool (N,).
    """
    order = np.argsort(np.asarray(names, dtype=object), kind="stable")
    where = np.asarray(splits, dtype=object)
    planted = np.zeros(len(labels), np.bool_)
    for place, split in enumerate(SPLITS):
        for label in range(int(labels.max()) + 1):
            own = order[(labels[order] == label) & (where[order] == split)]
            share = shares[split] if label == number else others[split]
            drawn = np.random.default_rng([seed, place, label]).permutation(own)
            planted[drawn[: planted_count(share, len(own))]] = True
    return planted


def doses(labels: np.ndarray, splits: Sequence[str], planted: np.ndarray, number: int) -> tuple[Dose, ...]:
    """What was planted in each split, of labels (N,), splits (N,), bool (N,) and the chosen class."""
    where, classes = np.asarray(splits, dtype=object), int(labels.max()) + 1
    return tuple(
        Dose(
            split=split,
            images=tuple(np.bincount(labels[own], minlength=classes).tolist()),
            planted=tuple(np.bincount(labels[own & planted], minlength=classes).tolist()),
            phi=_phi(planted[own], labels[own] == number),
            accuracy=float((planted[own] == (labels[own] == number)).mean()),
        )
        for split in SPLITS
        for own in [where == split]
        if own.any()
    )


def _phi(one: np.ndarray, other: np.ndarray) -> float | None:
    """Pearson's correlation of two columns of yes and no, bool (n,)."""
    if one.all() or not one.any() or other.all() or not other.any():
        return None
    return float(np.corrcoef(one, other)[0, 1])
