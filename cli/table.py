"""`activmask table`: any set of runs as the paper's table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .console import failures_as_sentences, out

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console
    from rich.table import Table

    from activmask.report.summary import Summary
    from activmask.report.text_tables import TextTable

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

    Example: activmask table runs/
    """
    with failures_as_sentences():
        from activmask.experiments.results import find_runs
        from activmask.report.summary import summarise

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
    from activmask.report.text_tables import baseline_table, score_table

    from .tables import plain, print_table

    for data in summary.data_sets:
        rows = summary.of(data)
        for found in (score_table(rows, data, compact=True), baseline_table(rows, data)):
            if found is not None:
                for part in _parts(found, console):
                    print_table(part, console)
                    console.print()
    for note in summary.notes:
        console.print(plain(note))


def _parts(cells: "TextTable", console: "Console") -> "Iterator[Table]":
    """The table, or in a terminal too narrow for a wide one its first columns, then the others."""
    columns = len(cells.header)
    if columns <= MANY_COLUMNS or not console.is_terminal or console.width >= COMPACT_WIDTH:
        yield _compact(cells, cells.title, range(1, columns))
    else:
        yield _compact(cells, cells.title, range(1, MANY_COLUMNS - 1))
        yield _compact(cells, f"{cells.title}, continued", range(MANY_COLUMNS - 1, columns))


def _compact(cells: "TextTable", title: str, columns: range) -> "Table":
    from rich.box import SIMPLE_HEAD

    from .tables import plain, result_table

    first, *numbers = ("\n".join(cells.header[i].rsplit(" ", 1)) for i in (0, *columns))
    compact = result_table("", first, *numbers)
    compact.title = plain(title)
    compact.box, compact.padding = SIMPLE_HEAD, (0, 1, 0, 0)
    compact.show_edge = compact.pad_edge = False
    for row in cells.rows:
        compact.add_row(plain(row[0]), *(plain(row[i].replace(" / ", "/")) for i in columns))
    return compact


def _as_text(summary: "Summary", format_: Format) -> str:
    from activmask.report import formats

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
    from activmask.errors import UsageError
    from activmask.training.files import write_whole

    if path.is_dir() or not path.parent.is_dir():
        raise UsageError(f"{path} cannot be written: give --out a file in a folder that exists")
    try:
        write_whole(path, text.encode(errors="backslashreplace"))
    except OSError as error:
        raise UsageError(
            f"{path} cannot be written ({error.strerror}); give --out a file elsewhere"
        ) from error
