"""`activmask sweep`: train a grid of experiments."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from activmask.experiments.grid import FURTHER, NAMED, STUDIES
from activmask.ground.limits import COUNTS
from activmask.runs.description import Device

from .caller import this_caller
from .completion import among
from .console import TRAINING_FAILED, err, failures_as_sentences, out, write
from .engines import AddressOption, EngineOption, at_once, chosen_engine, slots
from .next_steps import say_next
from .ranges import number
from .shell import command_line
from .sweep_data import with_data
from .sweep_table import SweepTable, print_plan

if TYPE_CHECKING:
    from activmask.experiments.cells import Cell
    from activmask.experiments.grid import Grid
    from activmask.experiments.jobs import Engine, Job
    from activmask.experiments.sweep import CellState

_GRID = "Grid"
_MACHINE = "Machine"


def sweep(
    grid: Annotated[
        str,
        typer.Argument(
            help=f"{', '.join((*NAMED, *FURTHER, *STUDIES))}, or a TOML file of your own.",
            autocompletion=among(lambda: (*NAMED, *FURTHER, *STUDIES)),
        ),
    ],
    *,
    seeds: Annotated[
        str | None,
        typer.Option(
            help="How many seeds each cell gets, or which: 10, 0-9 or 0,3.",
            rich_help_panel=_GRID,
            show_default="the grid's, 10 in the paper's",
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        number(
            COUNTS,
            help="Epochs of every cell.",
            rich_help_panel=_GRID,
            show_default="the preset's",
        ),
    ] = None,
    models: Annotated[
        str | None,
        typer.Option(
            help="Only these models of the grid, comma-separated.", rich_help_panel=_GRID, show_default="all"
        ),
    ] = None,
    methods: Annotated[
        str | None,
        typer.Option(help="Only these methods of the grid.", rich_help_panel=_GRID, show_default="all"),
    ] = None,
    forms: Annotated[
        str | None,
        typer.Option(
            help="How actdiff and gradmask are computed: released (by the paper's code), written (in its "
            "equations), ours (train's defaults), several comma-separated, or all. What is the same in two "
            "forms is trained once.",
            rich_help_panel=_GRID,
            show_default="the grid's first, released in the paper's",
        ),
    ] = None,
    quick: Annotated[
        bool,
        typer.Option(
            "--quick",
            help="The grid's form for small machines, where it has one: narrow networks, few epochs, not "
            "every cell.",
            rich_help_panel=_GRID,
        ),
    ] = False,
    data: Annotated[
        str | None,
        typer.Option(
            help="Data set folder of every cell. In a grid over data sets: the ones to take, each with its "
            "folder if you like, such as liver=/data/liver,cardiac; the study takes sets of your own too, "
            "such as mine=/data/mine.",
            rich_help_panel=_GRID,
            show_default="the grid's",
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Any other setting of train for every cell, such as width=16; can be repeated.",
            rich_help_panel=_GRID,
            show_default=False,
        ),
    ] = None,
    folder: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Folder of the run folders.", rich_help_panel="Output", show_default="runs/GRID"
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run",
            help="Try every cell, print cells, runs and an estimate of the time, and stop.",
            rich_help_panel="Output",
        ),
    ] = False,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="Print how it ended as JSON.", rich_help_panel="Output"),
    ] = False,
    device: Annotated[
        Device | None,
        typer.Option(
            help="Where to compute.", rich_help_panel=_MACHINE, show_default="the grid's, which is auto"
        ),
    ] = None,
    engine: EngineOption = "local",
    address: AddressOption = None,
    max_parallel: Annotated[int | None, at_once("Cells")] = None,
) -> None:
    """Train every cell of a grid; the same command again finishes what is missing.

    A cell is an ordinary run folder with a folder for each seed. A cell that fails is tried once
    more, then reported, and the others go on; the exit code is then 4. A cell that begins with the run of
    another one waits for it. The paper's grids compute each
    method as its released code does, and select the best epoch by accuracy as that does. The study makes
    its data sets first.

    Example: activmask sweep table1 --models resnet,unet --epochs 30 --seeds 3
    """
    with failures_as_sentences():
        from activmask.experiments.grid import quick_form, read_grid
        from activmask.experiments.jobs import check_data, check_first_jobs, make_jobs
        from activmask.ground.errors import UsageError

        chosen = read_grid(grid)
        if dry_run and as_json:
            raise UsageError("--json tells how a sweep ended, and --dry-run begins none; give one of them")
        given = _settings(settings or [], epochs=epochs, device=device)
        if quick:
            chosen, smaller = quick_form(chosen)
            given = {**smaller, **given}
        cells = _cells(chosen, {"model": models, "method": methods, "form": forms}, data, given)
        _tell_departures(cells)
        place = folder or Path("runs") / chosen.name
        jobs = make_jobs(
            cells,
            _seeds(seeds, chosen.seeds),
            place,
            caller=None if dry_run else this_caller(),
            own_titles=grid not in {*NAMED, *FURTHER, *STUDIES},
        )
        check_first_jobs(jobs)
        if dry_run:
            could = print_plan(chosen.title, jobs, slots(max_parallel, jobs[0].config, len(jobs)))
            _say(chosen.note)
            if not could:
                raise typer.Exit(TRAINING_FAILED)
            return
        if engine == "local":
            check_data(jobs)
        _say(chosen.note)
        where = chosen_engine(engine, address, max_parallel, jobs[0].config, len(jobs))
        states = _run(chosen.title, jobs, where, place)
    if as_json:
        _write_json(states)
    else:
        _conclude(states, place)
    if any(state.status != "done" for state in states):
        raise typer.Exit(TRAINING_FAILED)


def _seeds(text: str | None, default: int) -> tuple[int, ...]:
    from activmask.runs.toml_file import count_or_seeds

    return count_or_seeds(str(default) if text is None else text)


def _settings(pairs: list[str], **flags: Any) -> dict[str, Any]:
    from activmask.runs.toml_file import parse_settings

    return parse_settings(pairs) | {name: value for name, value in flags.items() if value is not None}


def _say(note: str) -> None:
    if note:
        err.print(note)


def _tell_departures(cells: list["Cell"]) -> None:
    """Name the cells that are no longer what the search of their file chose."""
    for cell in cells:
        if cell.departures:
            err.print(
                f"note: {cell.title} departs from what the search of its config chose "
                f"({', '.join(cell.departures)}), so it does not count as its choice"
            )


def _cells(
    grid: "Grid", chosen: dict[str, str | None], data: str | None, settings: dict[str, Any]
) -> list["Cell"]:
    from activmask.experiments.cells import grid_cells
    from activmask.experiments.grid import axis_labels, form_names

    keep = {}
    for axis, names in chosen.items():
        if names is not None:
            asked = names.split(",")
            forms = axis == "form" and axis not in grid.axes
            keep[axis] = form_names(grid, asked) if forms else axis_labels(grid, axis, asked)
    if "data" in grid.axes and (data is not None or grid.sets):
        grid, keep["data"] = with_data(grid, data)
    elif data is not None:
        settings = {**settings, "data": data}
    return grid_cells(grid, keep=keep, settings=settings)


def _run(title: str, jobs: list["Job"], engine: "Engine", place: Path) -> list["CellState"]:
    from activmask.experiments.sweep import run_sweep
    from activmask.report.findings.words import count
    from activmask.runs.selection import selected_by

    best = selected_by(job.config for job in jobs)
    what = f"{count(len(jobs), 'cell')} of {count(len(jobs[0].seeds), 'seed')}"
    err.print(f"{title}: {what}, best epoch by {best}, into {place}")
    try:
        with SweepTable(title) as table:
            return run_sweep(jobs, engine, table.show)
    except KeyboardInterrupt:
        err.print("stopped; the same command again finishes what is missing")
        raise


def _write_json(states: list["CellState"]) -> None:
    from activmask.ground.shown import json_text

    cells = [
        {
            "cell": state.job.title,
            "folder": str(state.job.folder),
            "seeds": list(state.job.seeds),
            "status": state.status,
            "done_before": state.found,
            "error": state.error or None,
        }
        for state in states
    ]
    write(f"{json_text({'cells': cells})}\n")


def _conclude(states: list["CellState"], place: Path) -> None:
    told = {"failed": "failed twice", "not run": "not run"}
    for state in states:
        if state.status in told:
            for line in f"{told[state.status]}: {state.job.title}: {state.error}".split("\n"):
                err.print(line, style="red")
    found = sum(state.found for state in states)
    done, failed, not_run = (
        sum(state.status == status for state in states) for status in ("done", "failed", "not run")
    )
    already = f" ({found} of them {'was' if found == 1 else 'were'} before)" if found else ""
    left = f", {not_run} not run" if not_run else ""
    out.print(f"{done} of {len(states)} cells are done{already}, {failed} failed{left}")
    if done:
        table = command_line("activmask", "table", place)
        say_next(table, command_line("activmask", "report", place, "--out", "report"))
