"""How large pictures may be, known before what reads them is loaded."""

from activmask.ground.errors import DataError
from activmask.ground.settings import Range

MAX_PIXELS = 2**26
"""Larger images are refused from their header: a few bytes can claim gigabytes."""

STORED = Range(least=-3.4e38, most=3.4e38)
"""Of pixels: files store at most single precision."""

SIGMAS = Range(least=0, most=2**13)
"""Of a blur in px: one as wide as the largest image leaves nothing of it outside."""

SIDES = Range(least=1, most=2**13)
"""Of square images as they are stored, in px; the largest has `MAX_PIXELS`."""

LARGEST = 1e150
"""Of the values of heat maps by their size: sums of them are finite."""


class SizeNeeded(DataError):
    """Images that nothing can be done with before they are resized to one square size."""
