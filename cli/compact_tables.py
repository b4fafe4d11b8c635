"""Tables of the report in a terminal, details under their numbers."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD

from .tables import result_table, stacked

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table as RichTable

    from activmask.report.tables.table import Cell, Table

COMPACT_WIDTH = 110
"""Terminal columns in which the table of scores fits."""

MANY_COLUMNS = 7
"""Columns of a table that also fit a narrow terminal."""


def compact_tables(found: "Table", console: "Console") -> "Iterator[RichTable]":
    """The brief table, or in a terminal too narrow for a wide one its columns, some at a time."""
    numbers = [number for number, column in enumerate(found.columns) if column.brief and number > 0]
    if len(numbers) < MANY_COLUMNS or not console.is_terminal or console.width >= COMPACT_WIDTH:
        yield _compact(found, found.title, numbers)
        return
    for first in range(0, len(numbers), MANY_COLUMNS - 2):
        title = found.title if first == 0 else f"{found.title}, continued"
        yield _compact(found, title, numbers[first : first + MANY_COLUMNS - 2])


def _compact(found: "Table", title: str, numbers: list[int]) -> "RichTable":
    first, *headings = (_broken(found.columns[number].heading) for number in (0, *numbers))
    compact = result_table(title, first, *headings)
    compact.box, compact.padding = SIMPLE_HEAD, (0, 1, 0, 0)
    compact.show_edge = compact.pad_edge = False
    for shown, number in zip(compact.columns[1:], numbers, strict=True):
        if not found.columns[number].numeric:
            shown.justify, shown.no_wrap = "left", False
    for row in found.rows:
        compact.add_row(row.full_title, *(_narrow(row.cells[number - 1]) for number in numbers))
    return compact


def _broken(heading: str) -> "RenderableType":
    """A heading in short lines."""
    *parts, last = heading.replace(": ", ":\n").replace(", ", ",\n").split("\n")
    return stacked([*parts, *last.rsplit(" ", 1)] if not parts else [*parts, last])


def _narrow(cell: "Cell") -> "RenderableType":
    """A number with each of its details in a line of its own."""
    return stacked(cell.lines, "bold" if cell.strong else "")
