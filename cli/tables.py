"""Tables that fit a terminal, and lose nothing there or in a pipe.

One that is too wide gives up, in this order: the unbroken lines of its headings, its frame, and the unbroken
lines of its names, which break between words. Where that is not enough, the names of a row stand in
a line of their own above its numbers, in as many parts as the columns need. No cell is ever cut.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from rich.box import HEAVY_HEAD, SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.measure import Measurement
from rich.padding import Padding
from rich.styled import Styled
from rich.table import Table
from rich.text import Text

from .console import between_words, out
from .fitting import MOST_LINES, Widths, fitted, in_parts

_UNBOUNDED = 10_000
_INDENT = 2
"""Of numbers below the name of their row."""
_BETWEEN = " | "
"""What stands between the names of a row in a line of their own."""


@dataclass(frozen=True)
class Lines:
    """A cell of several lines, and how it looks."""

    lines: tuple[str, ...]
    style: str = ""


Cell = str | Lines


@dataclass(frozen=True)
class _Column:
    heading: Cell
    role: Literal["name", "text", "number"]


@dataclass
class ResultTable:
    """A table whose first columns name its rows."""

    title: str
    columns: Sequence[_Column]
    framed: bool
    rows: list[tuple[Sequence[Cell], str]] = field(default_factory=list)
    caption: str = ""
    """Below it, in one line."""

    def add_row(self, *cells: Cell, style: str = "") -> None:
        """Cells from the first column on; those left out are empty."""
        self.rows.append(((*cells, *[""] * (len(self.columns) - len(cells))), style))

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        """As wide as its content, or in a terminal at most as wide as that."""
        room = options.max_width if console.is_terminal else _UNBOUNDED
        yield from _broken(console, self.title, room, "bold")
        yield from self._drawn(console, room)
        yield from _broken(console, self.caption, room, "italic")

    def _drawn(self, console: Console, room: int) -> Iterator[RenderableType]:
        widths = [_widths(console, column, self._cells(n)) for n, column in enumerate(self.columns)]
        spans = [(one.whole, one.most) for one in widths]
        for framed in dict.fromkeys((self.framed, False)):
            found = fitted(spans, room - _around(console, len(spans), framed=framed))
            if found is not None:
                yield self._grid(console, range(len(spans)), found, framed=framed)
                return
        around = _around(console, len(spans), framed=False)
        found = fitted([(one.least, one.most) for one in widths], room - around)
        if found is not None and self._most_lines(console, found) <= MOST_LINES:
            yield self._grid(console, range(len(spans)), found, framed=False)
            return
        whole = around + sum(one.whole for one in widths)
        yield from self._below_names(console, widths, room, whole)

    def _below_names(
        self, console: Console, widths: Sequence[Widths], room: int, whole: int
    ) -> Iterator[RenderableType]:
        names = sum(column.role == "name" for column in self.columns)
        between = _around(console, 2, framed=False)
        inside = room - _INDENT
        parts = in_parts([one.least for one in widths[names:]], inside, between)
        how = "names stand above their numbers" + (f", in {len(parts)} parts" if len(parts) > 1 else "")
        yield from _broken(console, f"({how}; in one piece at {whole} columns)", room, "dim")
        for part, numbers in enumerate(parts, 1):
            shown = range(names + numbers.start, names + numbers.stop)
            if part > 1:
                yield from _broken(console, f"{self.title}, continued", room, "bold")
            spans = [(min(one.least, inside), one.most) for one in (widths[n] for n in shown)]
            found = fitted(spans, inside - between * (len(shown) - 1))
            assert found is not None
            headings = [column.heading for column in self.columns[:names]]
            yield from _broken(console, _in_one_line(headings), room, "bold")
            yield Padding(self._grid(console, shown, found, framed=False, rows=()), (0, 0, 0, _INDENT))
            for cells, style in self.rows:
                if part > 1 and not any(map(any, (_lines(cells[number]) for number in shown))):
                    continue
                yield from _broken(console, _in_one_line(cells[:names]), room, style)
                grid = self._grid(console, shown, found, framed=False, rows=[(cells, style)], headings=False)
                yield Padding(grid, (0, 0, 0, _INDENT))

    def _grid(
        self,
        console: Console,
        shown: range,
        widths: Sequence[int],
        *,
        framed: bool,
        rows: Iterable[tuple[Sequence[Cell], str]] | None = None,
        headings: bool = True,
    ) -> Table:
        table = _empty(framed=framed, headings=headings)
        for number, width in zip(shown, widths, strict=True):
            column = self.columns[number]
            justify: Literal["left", "right"] = "right" if column.role == "number" else "left"
            heading = _renderable(console, column.heading)
            table.add_column(heading, width=width, justify=justify, overflow="fold")
        for cells, style in self.rows if rows is None else rows:
            table.add_row(*(_renderable(console, cells[number]) for number in shown), style=style)
        table.width = sum(widths) + _around(console, len(widths), framed=framed)
        return table

    def _cells(self, number: int) -> list[Cell]:
        return [cells[number] for cells, _ in self.rows]

    def _most_lines(self, console: Console, widths: Sequence[int]) -> int:
        return max(
            (
                len(between_words(line, width)) + 1
                for number, width in enumerate(widths)
                for cell in self._cells(number)
                for line in _plain(console, cell)
            ),
            default=1,
        )


def result_table(
    title: str, *headings: Cell, names: int = 1, texts: Collection[int] = (), framed: bool = True
) -> ResultTable:
    """A table whose first columns name the row, and whose others are numbers.

    Args:
        title: in a line above it; empty for none.
        headings: of its columns.
        names: how many columns, from the first, tell rows apart; none of them is ever cut.
        texts: numbers of other columns that hold words, which may be broken too.
        framed: whether it has lines around it, where there is room for them.
    """
    roles: list[Literal["name", "text", "number"]] = [
        "name" if number < names else "text" if number in texts else "number"
        for number in range(len(headings))
    ]
    columns = [_Column(heading, role) for heading, role in zip(headings, roles, strict=True)]
    return ResultTable(title, columns, framed)


def stacked(lines: Iterable[str], style: str = "") -> Lines:
    """A cell of several lines."""
    return Lines(tuple(lines), style)


def print_table(table: ResultTable, console: Console = out) -> None:
    """Print a table; where no terminal limits it, as wide as its content."""
    console.print(table)


def _lines(cell: Cell) -> tuple[str, ...]:
    return (cell,) if isinstance(cell, str) else cell.lines


def _plain(console: Console, cell: Cell) -> list[str]:
    """The lines of a cell, in the characters that are printed."""
    return [console.render_str(line).plain for line in _lines(cell)]


def _in_one_line(cells: Sequence[Cell]) -> str:
    return _BETWEEN.join(" ".join(_lines(cell)) for cell in cells)


def _widths(console: Console, column: _Column, cells: Iterable[Cell]) -> Widths:
    heading = _plain(console, column.heading)
    lines = [line for cell in cells for line in _plain(console, cell)]
    content = max(map(cell_len, lines), default=0)
    word = _longest_word(lines)
    broken = _longest_word(heading)
    return Widths(
        most=max(content, *map(cell_len, heading)),
        whole=max(content, broken),
        least=max(content if column.role == "number" else word, broken),
    )


def _longest_word(lines: Iterable[str]) -> int:
    return max((cell_len(word) for line in lines for word in line.split()), default=0)


def _broken(console: Console, text: str, room: int, style: str) -> Iterator[Text]:
    """A text in lines that break between words."""
    if not text:
        return
    whole = console.render_str(text, style=style)
    for line in whole.divide(between_words(whole.plain, room)):
        line.rstrip()
        line.no_wrap, line.overflow = True, "ignore"
        yield line


def _renderable(console: Console, cell: Cell) -> RenderableType:
    style = "" if isinstance(cell, str) else cell.style
    return Styled(Group(*(console.render_str(line) for line in _lines(cell))), style)


def _empty(*, framed: bool, headings: bool = True) -> Table:
    if framed:
        return Table(box=HEAVY_HEAD)
    return Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False, pad_edge=False, show_header=headings)


def _around(console: Console, columns: int, *, framed: bool) -> int:
    """Terminal columns of a table that are not of its columns."""
    table = _empty(framed=framed)
    for _ in range(columns):
        table.add_column(width=1)
    wide = console.options.update(max_width=_UNBOUNDED)
    return Measurement.get(console, wide, table).maximum - columns
