"""How long the whole of the paper's Table 1 takes: 22 experiments, ten seeds, 500 epochs."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from activmask.config import RunConfig
from activmask.experiments.grid import grid_cells, read_grid
from activmask.training.run import train
from benchmarks.figure import Effort, Figure
from benchmarks.training_contestants import own_data, usable_precision

EPOCHS, TENTH = 500, 50
BUDGET_S = 60.0
"""For one precision; what does not fit is measured on fewer epochs than a tenth, and says so."""

A_FEW = {"model": ["CNN", "UNet"], "method": ["Classify", "Actdiff & Gradmask"]}


def gpu_table1(effort: Effort) -> list[Figure]:
    """Table 1 through `train` in tf32 and in bf16, on a share of its epochs."""
    return [_whole_table("tf32", 8 * 60.0, effort), _whole_table("bf16", 5 * 60.0, effort)]


def _whole_table(precision: str, target: float, effort: Effort) -> Figure:
    precision = usable_precision(precision, effort.device)
    grid = read_grid("table1")
    seeds = 1 if effort.quick else grid.seeds
    with own_data(effort) as data:
        settings = {**data, "device": effort.device.type, "precision": precision}
        cells = grid_cells(grid, keep=A_FEW if effort.quick else {}, settings=settings)
        configs = {cell.title: cell.config for cell in cells}
        epochs = 1 if effort.quick else _affordable(configs, seeds)
        seconds = {title: _seconds(config, epochs, seeds) for title, config in configs.items()}
    scale = EPOCHS / epochs
    parts = ", ".join(f"{title} {own * scale:.1f}" for title, own in seconds.items())
    return Figure(
        name=f"Table 1: {len(configs)} experiments x {seeds} seeds x {EPOCHS} epochs, "
        f"{epochs} epochs measured and multiplied by {scale:g}",
        values=(sum(seconds.values()) * scale,),
        unit="s",
        target=target,
        at_most=True,
        precision=precision,
        note=f"seconds: {parts}",
    )


def _affordable(configs: dict[str, RunConfig], seeds: int) -> int:
    """How many epochs fit the budget, a tenth of them at most, from one epoch of one seed each."""
    once = sum(_seconds(config, 1, 1) for config in configs.values())
    return max(1, min(TENTH, int(BUDGET_S / (once * seeds))))


def _seconds(config: RunConfig, epochs: int, seeds: int) -> float:
    """From the drawing of the data to the last file written."""
    with TemporaryDirectory() as folder:
        start = perf_counter()
        train(replace(config, epochs=epochs), range(seeds), Path(folder) / "run")
        return perf_counter() - start
