"""`activmask table`: any set of runs as the paper's table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .console import failures_as_sentences, out

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console
    from rich.table import Table

    from activmask.report.findings.summary import Summary
    from activmask.report.tables.text_tables import TextTable

Format = Literal["rich", "markdown", "latex", "csv", "json"]

COMPACT_WIDTH = 110
"""Terminal columns in which the table of scores fits."""

MANY_COLUMNS = 7
"""Columns of a table that also fit a narrow terminal."""


def table(
    places: Annotated[
        list[Path], typer.Argument(help="Run folders, or folders that hold them at any depth, such as runs/.")
    ],
    *,
    format_: Annotated[
        Format,
        typer.Option(
            "--format",
            help="rich: for the terminal; csv and json hold every number, one row an experiment.",
            rich_help_panel="Output",
        ),
    ] = "rich",
    out_file: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="File to write; left out, the table is printed.",
            rich_help_panel="Output",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Tabulate runs: mean and SD over seeds, the paper's values, and each method against its baseline.

    Scores are of the best epoch where no other is named; the columns of csv whose name begins with
    last_ or paper_last_ are of the last. Each printed value stands beside ours of the same epoch.

    Example: activmask table runs/
    """
    with failures_as_sentences():
        from activmask.report.findings.summary import summarise
        from activmask.runs.results import find_runs

        summary = summarise(find_runs(places))
        if format_ == "rich" and out_file is None:
            print_summary(summary, out)
            return
        text = _as_text(summary, format_)
        if out_file is None:
            typer.echo(text, nl=False)
        else:
            _write(out_file, text)


def print_summary(summary: "Summary", console: "Console") -> None:
    """Print scores and comparisons, data set by data set, then the notes."""
    from activmask.report.tables.text_tables import baseline_table, forms_table, last_epoch_table, score_table

    from .tables import plain, print_table

    for data in summary.data_sets:
        rows = summary.of(data)
        for found in (
            score_table(rows, data, compact=True),
            last_epoch_table(rows, data, compact=True),
            forms_table(rows, data),
            baseline_table(rows, data),
        ):
            if found is not None:
                for part in _parts(found, console):
                    print_table(part, console)
                    console.print()
    for note in summary.notes:
        console.print(plain(note))


def _parts(cells: "TextTable", console: "Console") -> "Iterator[Table]":
    """The table, or in a terminal too narrow for a wide one its columns, some at a time."""
    columns = len(cells.header)
    if columns <= MANY_COLUMNS or not console.is_terminal or console.width >= COMPACT_WIDTH:
        yield _compact(cells, cells.title, range(1, columns))
        return
    for first in range(1, columns, MANY_COLUMNS - 2):
        title = cells.title if first == 1 else f"{cells.title}, continued"
        yield _compact(cells, title, range(first, min(columns, first + MANY_COLUMNS - 2)))


def _compact(cells: "TextTable", title: str, columns: range) -> "Table":
    from rich.box import SIMPLE_HEAD

    from .tables import plain, result_table

    first, *numbers = (_broken(cells.header[i]) for i in (0, *columns))
    compact = result_table("", first, *numbers)
    compact.title = plain(title)
    compact.box, compact.padding = SIMPLE_HEAD, (0, 1, 0, 0)
    compact.show_edge = compact.pad_edge = False
    for row in cells.rows:
        compact.add_row(plain(row[0]), *(plain(_narrow(row[i])) for i in columns))
    return compact


def _broken(heading: str) -> str:
    """A heading in short lines."""
    *parts, last = heading.replace(": ", ":\n").replace(", ", ",\n").split("\n")
    return "\n".join([*parts, *last.rsplit(" ", 1)] if not parts else [*parts, last])


def _narrow(cell: str) -> str:
    """A number with what stands in brackets in a line of its own."""
    return cell.replace(" / ", "/").replace(" (", "\n(")


def _as_text(summary: "Summary", format_: Format) -> str:
    from activmask.report.tables import formats

    if format_ == "rich":
        return _as_plain_tables(summary)
    writers = {
        "markdown": formats.markdown,
        "latex": formats.latex,
        "csv": formats.csv,
        "json": formats.json,
    }
    return writers[format_](summary)


def _as_plain_tables(summary: "Summary") -> str:
    import io

    from rich.console import Console

    file = io.StringIO()
    # FORCE_COLOR and the like speak of the terminal, not of a file.
    console = Console(file=file, highlight=False, soft_wrap=True, force_terminal=False, color_system=None)
    print_summary(summary, console)
    return file.getvalue()


def _write(path: Path, text: str) -> None:
    from activmask.ground.errors import UsageError
    from activmask.ground.files import write_whole

    if path.is_dir() or not path.parent.is_dir():
        raise UsageError(f"{path} cannot be written: give --out a file in a folder that exists")
    try:
        write_whole(path, text.encode(errors="backslashreplace"))
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written ({error.strerror}); give --out a file elsewhere"
        ) from error
