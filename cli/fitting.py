"""How wide the columns of a table are, so that no word of it is broken."""

from collections.abc import Sequence
from dataclasses import dataclass

MOST_LINES = 3
"""Into which a name or a sentence is broken beside its numbers; longer ones stand in lines of their own."""


@dataclass(frozen=True)
class Widths:
    """The terminal columns that one column of a table can do with."""

    most: int
    """Heading and cells in one line each."""
    whole: int
    """The heading broken between words, the cells in one line each."""
    least: int
    """Both broken between words, if its cells are words at all."""


def fitted(spans: Sequence[tuple[int, int]], room: int) -> list[int] | None:
    """Widths that come to at most `room`, the widest columns giving way first; None where there are none.

    Args:
        spans: of each column, its least and its most.
        room: terminal columns for all of them.
    """
    if sum(least for least, _ in spans) > room:
        return None
    widths = [most for _, most in spans]
    while sum(widths) > room:
        giving = [number for number, (least, _) in enumerate(spans) if widths[number] > least]
        widths[max(giving, key=widths.__getitem__)] -= 1
    return widths


def in_parts(leasts: Sequence[int], room: int, between: int) -> list[range]:
    """Columns in as few parts as hold them in their order; one that is too wide is a part by itself.

    Args:
        leasts: of each column, its least width.
        room: terminal columns for a part.
        between: terminal columns between two columns.
    """
    parts: list[range] = []
    first, used = 0, 0
    for number, least in enumerate(leasts):
        if number > first and used + between + least > room:
            parts.append(range(first, number))
            first, used = number, 0
        used += least + (between if number > first else 0)
    return [*parts, range(first, len(leasts))]
