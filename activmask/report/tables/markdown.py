"""Tables as Markdown."""

import re
from collections.abc import Iterable, Sequence

from activmask.report.tables.table import Table, one_line


def markdown(tables: Iterable[Table], notes: Sequence[str]) -> str:
    """Tables under headings, then notes as a list."""
    listed = "\n".join(f"- {_text(note)}" for note in notes)
    return "\n\n".join([*map(markdown_table, tables), listed]) + "\n"


def markdown_table(table: Table) -> str:
    """A table under its title as a heading, then its notes as paragraphs; what stands out is bold."""
    header, *rows = table.flat
    strong = [(False, *(cell.strong for cell in row.cells)) for row in table.rows]
    aligned = ("---:" if column.numeric else "---" for column in table.columns)
    lines = [map(_text, header), aligned, *map(_line, rows, strong)]
    drawn = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return "\n\n".join([f"## {_text(table.title)}", drawn, *map(_text, table.notes)])


def _line(row: Sequence[str], strong: Sequence[bool]) -> list[str]:
    return [
        f"**{_text(cell)}**" if stands_out else _text(cell)
        for cell, stands_out in zip(row, strong, strict=True)
    ]


def _text(text: str) -> str:
    # A pair of colons around a word is an emoji on many pages.
    return re.sub(r"([\\`*_\[\]<>|~$#]|&(?=[#\w])|:(?=[\w+-]+:))", r"\\\1", one_line(text))
