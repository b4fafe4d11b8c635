"""How the labels of a table become the classes 0, 1, ..."""

import re

from activmask.ground.errors import UsageError
from activmask.ground.listed import listed

ABSENT, PRESENT = "absent", "present"
"""The classes of images whose masks tell their label: nothing inside, and something."""

_INTEGER = re.compile(r"[+-]?[0-9]{1,9}", re.ASCII)
_NUMBER = re.compile(r"[+-]?[0-9]{1,9}(\.[0-9]{0,9})?", re.ASCII)


def canonical(label: str) -> str:
    """Whole numbers in one spelling, so that 1 and 01 are one class."""
    return str(int(label)) if _INTEGER.fullmatch(label) else label


def number_classes(labels: set[str], positive: str | None = None) -> dict[str, int]:
    """Number labels 0, 1, ... in order: by value where all are numbers, else by name.

    Args:
        labels: of the images.
        positive: the one of two that becomes class 1; left out, the later in order.

    Raises:
        UsageError: the positive label is none of two.
    """
    numbers = all(_NUMBER.fullmatch(label) for label in labels)
    ordered = sorted(labels, key=float) if numbers else sorted(labels)
    if positive is not None:
        ordered = _with_last(ordered, canonical(positive))
    return {label: number for number, label in enumerate(ordered)}


def _with_last(labels: list[str], positive: str) -> list[str]:
    if positive not in labels:
        raise UsageError(
            f"positive must be one of the labels, {listed(map(repr, labels), 'or')}", found=repr(positive)
        )
    if len(labels) != 2:
        raise UsageError(
            f"positive chooses between two labels, but there are {len(labels)} "
            f"({listed(map(repr, labels))}); leave it out"
        )
    return [*(label for label in labels if label != positive), positive]
