"""What a grid costs beside its training, and what a report and a table of it cost, the first time and again.

    python -m benchmarks warm-sweeps --against ~/before/bin/activmask

runs the commands of this version and of another in turn, each into folders of its own. On a busy machine
seconds by the clock say little; those of the processors count what the commands themselves used.
"""

import os
import subprocess
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from activmask.ground.errors import DataError
from benchmarks.command import Findings
from benchmarks.result import Cell, Column, column, median_range

STEPS = ("sweep", "report", "report again", "table")


@dataclass(frozen=True)
class _Cost:
    clock: float
    """Seconds."""
    processors: float
    """Seconds of all of a command's processes."""


def add_options(parser: ArgumentParser) -> None:
    """Declare how much work there is."""
    parser.add_argument("--against", type=Path, help="the program activmask of another version")
    parser.add_argument("--models", default="cnn", help="of Table 1, comma-separated (default: cnn)")
    parser.add_argument("--seeds", type=int, default=10, help="of each cell (default: 10)")
    parser.add_argument("--rounds", type=int, default=3, help="(default: 3)")


def measure(given: Namespace) -> Iterator[Findings]:
    """Run every command of each version in turn."""
    programs = {"now": Path(sys.executable).with_name("activmask")}
    if given.against is not None:
        programs = {"before": given.against, **programs}
    costs: dict[tuple[str, str], list[_Cost]] = {}
    for turn in range(given.rounds):
        with TemporaryDirectory() as place:
            for step in STEPS:
                for name in [*programs][:: 1 if turn % 2 else -1]:
                    command = [str(programs[name]), *_words(step, given)]
                    costs.setdefault((step, name), []).append(_cost(command, Path(place) / name))
        yield Findings(
            title="What a grid costs beside its training",
            parts=[{"table": {"columns": _columns([*programs]), "rows": _rows(costs, [*programs])}}],
            behind={" ".join(key): [vars(one) for one in own] for key, own in costs.items()},
        )


def _words(step: str, given: Namespace) -> list[str]:
    if step == "sweep":
        cells = ["--models", given.models, "--seeds", str(given.seeds), "--epochs", "1", "--set", "width=2"]
        return ["sweep", "table1", *cells, "--device", "cpu", "--out", "runs"]
    if step == "table":
        return ["table", "runs"]
    return ["report", "runs", "--device", "cpu"]


def _cost(command: list[str], place: Path) -> _Cost:
    place.mkdir(exist_ok=True)
    start, before = perf_counter(), os.times()
    done = subprocess.run(
        command,
        cwd=place,
        env={**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    after = os.times()
    if done.returncode:
        raise DataError(f"{' '.join(command)} ended with {done.returncode}: {done.stderr.strip()}")
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return _Cost(clock=perf_counter() - start, processors=used)


def _columns(names: list[str]) -> list[Column]:
    measured = [column(f"{name}, {what}", "short") for name in names for what in ("s", "CPU s")]
    return [column("command"), *measured, *([column("CPU, before / now", "short")] if len(names) > 1 else [])]


def _rows(costs: dict[tuple[str, str], list[_Cost]], names: list[str]) -> list[list[Cell]]:
    rows: list[list[Cell]] = []
    for step in STEPS:
        own = [costs[step, name] for name in names]
        spreads: list[Cell] = []
        for some in own:
            spreads += [
                median_range([one.clock for one in some]),
                median_range([one.processors for one in some]),
            ]
        if len(own) > 1:
            pairs = zip(*own, strict=True)
            spreads.append(median_range([one.processors / two.processors for one, two in pairs]))
        rows.append([step, *spreads])
    return rows
