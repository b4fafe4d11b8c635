"""Tables that fit a terminal and lose nothing in a pipe."""

from collections.abc import Iterable

from rich.console import Console, Group, RenderableType
from rich.measure import Measurement
from rich.styled import Styled
from rich.table import Table

from .console import out

_UNBOUNDED = 10_000


def result_table(title: str, first: RenderableType, *numbers: RenderableType) -> Table:
    """A table whose first column names the row, folding where it must, and whose others are numbers."""
    table = Table(title=title or None, title_justify="left", title_style="bold")
    table.add_column(first, overflow="fold")
    for column in numbers:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def stacked(lines: Iterable[str], style: str = "") -> RenderableType:
    """A cell of several lines."""
    return Styled(Group(*lines), style)


def print_table(table: Table, console: Console = out) -> None:
    """Print a table; where no terminal limits it, as wide as its content."""
    if not console.is_terminal:
        options = console.options.update(max_width=_UNBOUNDED)
        table.width = Measurement.get(console, options, table).maximum
    console.print(table)
