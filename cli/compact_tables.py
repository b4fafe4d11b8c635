"""Tables of the report in a terminal, details under their numbers."""

from typing import TYPE_CHECKING

from .tables import result_table, stacked

if TYPE_CHECKING:
    from activmask.report.tables.table import Table

    from .tables import Lines, ResultTable


def compact_table(found: "Table") -> "ResultTable":
    """The brief columns of a table."""
    numbers = [number for number, column in enumerate(found.columns) if column.brief and number > 0]
    texts = [place for place, number in enumerate(numbers, 1) if not found.columns[number].numeric]
    headings = (_broken(found.columns[number].heading) for number in (0, *numbers))
    compact = result_table(found.title, *headings, texts=texts, framed=False)
    for row in found.rows:
        cells = (row.cells[number - 1] for number in numbers)
        compact.add_row(
            row.full_title, *(stacked(cell.lines, "bold" if cell.strong else "") for cell in cells)
        )
    return compact


def _broken(heading: str) -> "Lines":
    """A heading in short lines."""
    *parts, last = heading.replace(": ", ":\n").replace(", ", ",\n").split("\n")
    return stacked([*parts, *last.rsplit(" ", 1)] if not parts else [*parts, last])
