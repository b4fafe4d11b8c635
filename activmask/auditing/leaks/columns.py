"""Which columns of the metadata say something that images may have in common.

Shapes: N images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

MOST_VALUES = 20
"""Of a column of text; more are names, not kinds."""

FEW_NUMBERS = 10
"""Up to so many different numbers are kinds, more are cut into terciles."""


@dataclass(frozen=True, kw_only=True)
class Kinds:
    """A column as kinds of images."""

    name: str
    """Foreign text."""
    values: tuple[str, ...]
    """(N,) by image; empty where unknown."""
    terciles: bool = False
    """Whether they are thirds of a column of numbers."""


@dataclass(frozen=True, kw_only=True)
class LeftOut:
    """A column that nothing is asked of."""

    name: str
    """Foreign text."""
    why: str


def kinds(columns: Mapping[str, Sequence[str]]) -> tuple[tuple[Kinds, ...], tuple[LeftOut, ...]]:
    """Columns as kinds, and those that name images, or are the same in all, with the reason.

    Text is taken as it stands. Numbers, if there are more than `FEW_NUMBERS` of them, are cut at their
    terciles. Left out are columns of one value, texts of more than `MOST_VALUES`, and whole numbers that
    no two images share.
    """
    found = [_kinds(name, tuple(values)) for name, values in columns.items()]
    return (
        tuple(one for one in found if isinstance(one, Kinds)),
        tuple(one for one in found if isinstance(one, LeftOut)),
    )


def _kinds(name: str, values: tuple[str, ...]) -> Kinds | LeftOut:
    known = [value for value in values if value]
    different = len(set(known))
    if different < 2:
        return LeftOut(name=name, why="it is the same in all images" if known else "it is empty")
    numbers = _numbers(known)
    if numbers is not None and different > FEW_NUMBERS:
        if different == len(known) and (numbers == np.floor(numbers)).all():
            return LeftOut(name=name, why="it numbers the images")
        return Kinds(name=name, values=_terciles(values, numbers), terciles=True)
    if different > MOST_VALUES:
        why = "it names every image" if different == len(known) else f"it has {different} different values"
        return LeftOut(name=name, why=why)
    return Kinds(name=name, values=values)


def _numbers(known: Sequence[str]) -> np.ndarray | None:
    try:
        numbers = np.array([float(value) for value in known])
    except ValueError:
        return None
    return numbers if np.isfinite(numbers).all() else None


def _terciles(values: Sequence[str], known: np.ndarray) -> tuple[str, ...]:
    lower, upper = np.quantile(known, [1 / 3, 2 / 3])
    names = (f"up to {lower:g}", f"above {lower:g}, up to {upper:g}", f"above {upper:g}")

    def third(value: str) -> str:
        return names[int(float(value) > lower) + int(float(value) > upper)]

    return tuple(third(value) if value else "" for value in values)
