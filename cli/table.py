"""`activmask table`: any set of runs as the paper's table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from .code_option import code_words
from .console import failures_as_sentences, out, write
from .next_steps import say_next
from .shell import command_line
from .unreadable import SkipUnreadable, tell_unreadable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from activmask.report.findings.summary import Summary
    from activmask.runs.results import Run

Format = Literal["rich", "markdown", "latex", "csv", "json"]
_FOR_PROGRAMS = {"csv", "json"}


def table(
    places: Annotated[
        list[Path], typer.Argument(help="Run folders, or folders that hold them at any depth, such as runs/.")
    ],
    *,
    format_: Annotated[
        Format,
        typer.Option(
            "--format",
            help="rich: for the terminal; csv and json hold every number, one row per experiment.",
            rich_help_panel="Output",
        ),
    ] = "rich",
    as_json: Annotated[
        bool, typer.Option("--json", help="The same as --format json.", rich_help_panel="Output")
    ] = False,
    out_file: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="File to write; left out, the table is printed.",
            rich_help_panel="Output",
            show_default=False,
        ),
    ] = None,
    skip_unreadable: SkipUnreadable = False,
) -> None:
    """Tabulate runs: mean and SD over seeds, the paper's values, and each method against its baseline.

    Scores are of the best epoch where no other is named; the columns of csv whose name begins with
    last_ or paper_last_ are of the last. Each printed value stands beside ours of the same epoch.

    Example: activmask table runs/
    """
    with failures_as_sentences():
        from activmask.report.findings.summary import summarise
        from activmask.runs.results import search_runs

        chosen = _chosen(format_, as_json=as_json)
        found = search_runs(places)
        tell_unreadable(found.unreadable, found.seeds, skip=skip_unreadable)
        summary = summarise(found.runs, found.unreadable)
        if chosen == "rich" and out_file is None:
            print_summary(summary, out)
        elif out_file is None:
            write(_as_text(summary, chosen))
        else:
            _write(out_file, _as_text(summary, chosen))
    if chosen not in _FOR_PROGRAMS:
        _say_next(places, found.runs, skip=bool(found.unreadable))


def _say_next(places: list[Path], runs: "Sequence[Run]", *, skip: bool) -> None:
    """Propose the report of the same runs, where one of them is finished."""
    if not any(run.seeds for run in runs):
        return
    own_code = dict.fromkeys(code_words(run.config.network.model) for run in runs)
    words = [*(["--skip-unreadable"] if skip else []), *(word for one in own_code for word in one)]
    say_next(command_line("activmask", "report", *places, *words))


def _chosen(format_: Format, *, as_json: bool) -> Format:
    from activmask.ground.errors import UsageError

    if as_json and format_ not in {"rich", "json"}:
        raise UsageError(f"--json and --format {format_} ask for two formats; give one of them")
    return "json" if as_json else format_


def print_summary(summary: "Summary", console: "Console") -> None:
    """Print scores and comparisons, data set by data set, then the notes, which explain all tables."""
    from activmask.report.tables.experiment_tables import experiment_tables

    from .compact_tables import compact_table
    from .tables import print_table

    for found in experiment_tables(summary):
        print_table(compact_table(found), console)
        console.print()
    for note in summary.notes:
        console.print(note)


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

    from .console import PlainConsole

    file = io.StringIO()
    # FORCE_COLOR and the like speak of the terminal, not of a file.
    console = PlainConsole(file=file, force_terminal=False, color_system=None)
    print_summary(summary, console)
    return file.getvalue()


def _write(path: Path, text: str) -> None:
    from activmask.ground.claims import claimed
    from activmask.ground.errors import PATH, UsageError
    from activmask.ground.files import write_whole
    from activmask.ground.spelling import as_utf8

    if path.is_dir() or not path.parent.is_dir():
        raise UsageError(f"{PATH} cannot be written: give --out a file in a folder that exists", path=path)
    with claimed(path, "table"):
        write_whole(path, as_utf8(text))
