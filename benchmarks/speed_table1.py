"""How long the whole of the paper's Table 1 takes: 22 experiments, ten seeds, 500 epochs."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

from activmask.experiments.cells import grid_cells
from activmask.experiments.grid import read_grid
from activmask.runs.description import RunConfig, changed
from activmask.training.replicas.watcher import Silent
from activmask.training.run import train
from benchmarks.figure import Effort, Figure
from benchmarks.training_contestants import own_data, usable_precision

EPOCHS, TENTH = 500, 50
BUDGET_S = 4.0
"""For one experiment in one precision: what takes longer is stopped before a tenth of its epochs."""

A_FEW = {"model": ["CNN", "UNet"], "method": ["Classify", "Actdiff & Gradmask"]}


def gpu_table1(effort: Effort) -> list[Figure]:
    """Table 1 through `train` in tf32 and in bf16, on a tenth of its epochs at most."""
    return [_whole_table("tf32", 8 * 60.0, effort), _whole_table("bf16", 5 * 60.0, effort)]


def _whole_table(precision: str, target: float, effort: Effort) -> Figure:
    precision = usable_precision(precision, effort.device)
    grid = read_grid("table1")
    seeds = range(2 if effort.quick else grid.seeds)
    epochs = 3 if effort.quick else TENTH
    with own_data(effort) as data:
        settings = {**data, "device": effort.device.type, "precision": precision}
        cells = grid_cells(grid, keep=A_FEW if effort.quick else {}, settings=settings)
        timed = {cell.title: _timed(changed(cell.config, epochs=epochs), seeds) for cell in cells}
    parts = ", ".join(
        f"{title} {clock.whole():.1f} (start {clock.ready:.1f}, {clock.measured} epochs)"
        for title, clock in timed.items()
    )
    return Figure(
        name=f"Table 1: {len(timed)} experiments x {len(seeds)} seeds x {EPOCHS} epochs, "
        f"each experiment's start and at most {epochs} of its epochs measured, the rest extrapolated",
        values=(sum(clock.whole() for clock in timed.values()),),
        unit="s",
        target=target,
        at_most=True,
        precision=precision,
        note=f"seconds: {parts}",
    )


class _Enough(Exception):
    """The experiment had its time."""


class _Clock(Silent):
    """When which epoch of all seeds was over; the first is not representative, it prepares the others."""

    def __init__(self, seeds: Sequence[int]) -> None:
        """Starts to run."""
        self._begun = perf_counter()
        self._latest = dict.fromkeys(seeds, -1)
        self._marks: list[tuple[int, float]] = []

    def epoch(self, seed: int, row: dict[str, Any]) -> None:
        """Note the time, and end the training when it is up."""
        self._latest[seed] = row["epoch"]
        over, now = 1 + min(self._latest.values()), perf_counter() - self._begun
        if over > 1:
            self._marks.append((over, now))
        if over > 2 and now > BUDGET_S:
            raise _Enough

    @property
    def ready(self) -> float:
        """Seconds until the second epoch of all seeds was over, drawing of the data included."""
        return self._marks[0][1]

    @property
    def measured(self) -> int:
        """Epochs that were over at the last mark."""
        return self._marks[-1][0]

    def whole(self) -> float:
        """Seconds of all epochs: the start, and every later epoch at the pace measured after it."""
        (first, begun), (last, ended) = self._marks[0], self._marks[-1]
        return begun + (EPOCHS - first) * (ended - begun) / (last - first)


def _timed(config: RunConfig, seeds: Sequence[int]) -> _Clock:
    clock = _Clock(seeds)
    with TemporaryDirectory() as folder, suppress(_Enough):
        train(config, seeds, Path(folder) / "run", progress=clock)
    return clock
