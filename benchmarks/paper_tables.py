"""The paper's table, trained for real a few minutes at a time, beside what was printed.

    python -m benchmarks.paper_tables --table 1 --minutes 12 --out runs/paper

trains every cell as the paper did (ten seeds, 500 epochs), the cheapest first, stops inside its minutes,
and prints the comparison so far; the same command goes on where it stopped.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic

from activmask.experiments.cells import grid_cells
from activmask.experiments.estimate import epochs_left, seconds_per_epoch
from activmask.experiments.grid import NAMED, read_grid
from activmask.experiments.jobs import Job, is_finished, make_jobs
from activmask.experiments.local_engine import LocalEngine
from activmask.experiments.sweep import CellState, run_sweep
from activmask.ground.errors import ActivmaskError, UsageError
from activmask.ground.files import write_json
from activmask.ground.interrupts import termination_raised
from activmask.ground.refusals import make_folder
from activmask.machine.device import cores, visible_gpus
from activmask.runs.toml_file import count_or_seeds, parse_settings
from benchmarks.paper_comparison import comparison

TABLES = {name.removeprefix("table"): name for name in NAMED if name.startswith("table")}
COSTS_FILE = "costs.json"
"""Seconds of an epoch by cell, measured once."""

RESERVE_S = 25.0
"""Of the time, for what runs to stop and for the comparison."""


class _Over(Exception):
    """The time is."""


def main(arguments: Sequence[str]) -> int:
    """Train for some minutes and print what that came to; returns the exit code."""
    given = _parser().parse_args(arguments)
    start = monotonic()
    try:
        with termination_raised():
            jobs = _jobs(given)
            failed = _train(jobs, given.out, start + 60 * given.minutes - RESERVE_S)
        print(comparison(jobs, given.out))
    except ActivmaskError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2 if isinstance(error, UsageError) else 3
    for state in failed:
        print(f"failed: {state.job.title}: {state.error}", file=sys.stderr)
    return 4 if failed else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.paper_tables",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--table", choices=TABLES, default="1")
    parser.add_argument("--minutes", type=float, required=True, help="of this call")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of the run folders")
    parser.add_argument("--seeds", default=None, help="how many, or which (default: the paper's ten)")
    parser.add_argument("--epochs", type=int, default=None, help="(default: the paper's 500)")
    parser.add_argument("--models", nargs="*", default=None, help="only these (default: all)")
    parser.add_argument("--methods", nargs="*", default=None, help="only these (default: all)")
    parser.add_argument("--set", action="append", default=[], help="any other setting, such as device=cpu")
    return parser


def _jobs(given: argparse.Namespace) -> list[Job]:
    grid = read_grid(TABLES[given.table])
    settings = parse_settings(given.set)
    if given.epochs is not None:
        settings["epochs"] = given.epochs
    asked = {"model": given.models, "method": given.methods}
    keep = {axis: labels for axis, labels in asked.items() if labels is not None}
    cells = grid_cells(grid, keep=keep, settings=settings)
    seeds = range(grid.seeds) if given.seeds is None else count_or_seeds(given.seeds)
    return make_jobs(cells, tuple(seeds), given.out)


def _train(jobs: Sequence[Job], out: Path, until: float) -> list[CellState]:
    """Train what is missing until then; gives what failed."""
    waiting = [job for job in jobs if not is_finished(job)]
    if not waiting or monotonic() >= until:
        return []
    make_folder(out)
    gpus = visible_gpus(waiting[0].config.machine.device)
    slots = min(len(gpus) or cores(), len(waiting))
    costs = _costs(waiting, out, max(1, cores() // slots))
    ordered = sorted(waiting, key=lambda job: costs[job.name])

    def watch(_: Sequence[CellState]) -> None:
        if monotonic() >= until:
            raise _Over

    with suppress(_Over):
        states = run_sweep(ordered, LocalEngine(slots, gpus=gpus), watch)
        return [one for one in states if one.status == "failed"]
    return []


def _costs(jobs: Sequence[Job], out: Path, threads: int) -> dict[str, float]:
    """By name, the seconds that each job has left; of an epoch it is measured once and then remembered."""
    path = out / COSTS_FILE
    known: dict[str, float] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for job in jobs:
        if job.name not in known:
            known[job.name] = seconds_per_epoch(job, threads=threads)
    write_json(path, known)
    return {job.name: known[job.name] * epochs_left(job) for job in jobs}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
