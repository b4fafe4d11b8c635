"""The options by which a user says which values of mask files are inside."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer

from activmask.data.files.limits import STORED

from .ranges import number

if TYPE_CHECKING:
    from activmask.data.files.mask_values import MaskReading

_PANEL = "Masks that hold other values than 0 and one more"

MaskValues = Annotated[
    str | None,
    typer.Option(
        "--mask-values",
        metavar="V,V",
        help="Stored values that are inside, such as 1,3; indices of palettes, colours such as #ff0000.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
MaskThreshold = Annotated[
    float | None,
    number(
        STORED,
        "--mask-threshold",
        metavar="T",
        help="Stored values above T are inside (of colours, the highest channel); JPEG masks are read too.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
MaskInvert = Annotated[
    bool, typer.Option("--mask-invert", help="Swap inside and outside.", rich_help_panel=_PANEL)
]


def asked_reading(values: str | None, threshold: float | None, invert: bool) -> "MaskReading":
    """What the three options ask for together.

    Raises:
        UsageError: values that are none.
    """
    from activmask.data.files.mask_values import MaskReading, parse_values

    parsed = () if values is None else parse_values(values)
    return MaskReading(values=parsed, threshold=threshold, invert=invert)


@contextmanager
def questions_name_the_flags() -> Iterator[None]:
    """Word the library's question about masks in this program's flags."""
    from activmask.data.files.mask_reading import UnclearMasks
    from activmask.ground.errors import DataError

    try:
        yield
    except UnclearMasks as question:
        raise DataError(
            f"{question.found}; say which are inside: --mask-values V,V (stored values), --mask-threshold T "
            "(above T), or --mask-invert to swap inside and outside"
        ) from question
