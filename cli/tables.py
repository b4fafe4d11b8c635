"""Tables that fit a terminal and lose nothing in a pipe."""

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from .console import out

_UNBOUNDED = 10_000


def result_table(title: str, first: str, *numbers: str) -> Table:
    """A table whose first column names the row, folding where it must, and whose others are numbers."""
    table = Table(title=title or None, title_justify="left", title_style="bold")
    table.add_column(first, overflow="fold")
    for column in numbers:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def plain(name: object) -> Text:
    """A name as text that can be printed: no markup, and no bytes outside its encoding."""
    return Text(str(name).encode("utf-8", "replace").decode())


def print_table(table: Table, console: Console = out) -> None:
    """Print a table; where no terminal limits it, as wide as its content."""
    if not console.is_terminal:
        options = console.options.update(max_width=_UNBOUNDED)
        table.width = Measurement.get(console, options, table).maximum
    console.print(table)
