"""`activmask report`: one page that shows what a set of runs says."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from activmask.ground.places import real
from activmask.runs.description import Device

from .code_option import Code
from .console import err, failures_as_sentences, others_talk_aside, out
from .one_object import AsJson, talk_aside, write_object
from .progress import counting
from .shell import command_line
from .train_words import train_command
from .unreadable import SkipUnreadable, tell_unreadable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from activmask.runs.results import Run
    from activmask.runs.seed_folders import Unreadable


def report(
    places: Annotated[
        list[Path], typer.Argument(help="Run folders, or folders that hold runs at any depth.")
    ],
    *,
    groups: Annotated[
        str,
        typer.Option(
            help="Score each group of test images too: those of a class with one site, shortcut (planted or "
            "not), or value of a column of the data set.",
            rich_help_panel="Data",
            show_default="what each run said, else a planted shortcut",
        ),
    ] = "",
    device: Annotated[
        Device, typer.Option(help="Where networks are evaluated.", rich_help_panel="Machine")
    ] = "auto",
    folder: Annotated[
        Path,
        typer.Option(
            "--out",
            help="Folder of the report; a report that lies there is replaced.",
            rich_help_panel="Output",
        ),
    ] = Path("report"),
    title: Annotated[
        str,
        typer.Option(help="Of the page.", rich_help_panel="Output", show_default="activmask report"),
    ] = "",
    overwrite: Annotated[
        bool,
        typer.Option(
            "--overwrite",
            help="Also replace a report whose page does not say that it is one.",
            rich_help_panel="Output",
        ),
    ] = False,
    open_it: Annotated[
        bool, typer.Option("--open", help="Open the page in the browser.", rich_help_panel="Output")
    ] = False,
    skip_unreadable: SkipUnreadable = False,
    code: Code = None,
    as_json: AsJson = False,
) -> None:
    """Write a page with the tables, curves, audits and saliency maps of runs, beside the paper's.

    The page is one file that needs no network; figures (SVG, PNG) and tables (CSV, LaTeX) lie
    beside it.

    Example: activmask report runs/ --out report/
    """
    with failures_as_sentences("out", "overwrite"):
        from activmask.machine.device import choose_device
        from activmask.report.write import write_report
        from activmask.runs.results import search_runs

        found = search_runs(places)
        tell_unreadable(found.unreadable, found.seeds, skip=skip_unreadable)
        lost: list[Unreadable] = []
        with counting("evaluating networks") as progress, others_talk_aside():
            page = write_report(
                found.runs,
                folder,
                groups=groups,
                device=choose_device(device),
                overwrite=overwrite,
                command=_command(places, folder, title, groups, device, skip_unreadable, code or []),
                command_of=lambda run: train_command(run, run.folder.with_name(f"{run.folder.name}-again")),
                title=title,
                code=code or (),
                unreadable=found.unreadable,
                lost=lost.append,
                progress=progress,
            )
    if as_json:
        write_object(_object(page, found.runs, [*found.unreadable, *lost]))
    else:
        out.print(page)
    with failures_as_sentences():
        tell_unreadable(lost, found.seeds, skip=skip_unreadable)
    if open_it:
        with talk_aside(as_json):
            _open(page)
    else:
        err.print(f"open it in a browser: {real(page).as_uri()} (--open does so next time)")


def _object(page: Path, runs: "Sequence[Run]", unreadable: "Sequence[Unreadable]") -> dict[str, Any]:
    return {
        "page": str(page),
        "uri": real(page).as_uri(),
        "runs": [{"folder": str(run.folder), "seeds": list(run.seeds)} for run in runs],
        "unreadable": [{"folder": str(one.folder), "why": one.why} for one in unreadable],
    }


def _command(
    places: list[Path],
    folder: Path,
    title: str,
    groups: str,
    device: str,
    skip_unreadable: bool,
    code: list[Path],
) -> str:
    where = ["--title", title] if title else []
    where += ["--groups", groups] if groups else []
    where += ["--device", device] if device != "auto" else []
    where += ["--skip-unreadable"] if skip_unreadable else []
    where += [str(word) for file in code for word in ("--code", file)]
    return command_line("activmask", "report", *places, "--out", folder, *where)


def _open(page: Path) -> None:
    import webbrowser

    if not webbrowser.open(real(page).as_uri()):
        err.print(f"no browser could be started here; open {real(page).as_uri()} in one")
