"""How the labels of a table become the classes 0, 1, ..."""

import re
from collections.abc import Mapping

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


_NEGATIVE = re.compile(
    r"0|(no|non|not|without)([\W_].*)?|normal|healthy|neg(ative)?|controls?|benign|none|absent|clear|false",
    re.IGNORECASE,
)


def reads_negative(label: str) -> bool:
    """Whether a label is, by its wording, that of images without a finding, such as `no_tumour`."""
    return _NEGATIVE.fullmatch(label.strip()) is not None


def positive_note(classes: Mapping[str, int], positive: str | None) -> str:
    """A sentence where class 1 of two reads like the negative one and nobody chose it; else empty.

    Args:
        classes: the number of each label.
        positive: the label that was asked for as class 1; None where nobody did.
    """
    if positive is not None or len(classes) != 2:
        return ""
    negative, one = sorted(classes, key=lambda label: classes[label])
    if not reads_negative(one) or reads_negative(negative):
        return ""
    return (
        f"class 1, whose scores are judged, is {one!r}, which reads like the negative class, as labels are "
        f"numbered in order; give positive {negative!r} to swap the two"
    )


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
