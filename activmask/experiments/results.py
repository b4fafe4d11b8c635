"""The run folders under a folder: what was trained, and what it scored."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from activmask.config import RunConfig
from activmask.errors import UsageError
from activmask.experiments.labels import alike
from activmask.training.run_folder import (
    RUN_FILE,
    last_scores,
    read_history,
    read_metrics,
    read_written_config,
    seed_folder,
)


@dataclass(frozen=True, kw_only=True)
class Run:
    """One experiment: the seeds of a run folder that share a description, its epochs included."""

    folder: Path
    config: RunConfig
    metrics: dict[int, dict[str, Any]]
    """By finished seed: `best_epoch`, and `auc` and `accuracy` of `train`, `valid` and `test`, at that epoch
    and, in runs of this version, under `last`."""
    unfinished: tuple[int, ...] = ()
    """Seeds that were begun and have no result yet."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """The finished seeds, in order."""
        return tuple(self.metrics)

    def values(self, split: str, measure: str) -> list[float]:
        """`auc` or `accuracy` of a split at the best epoch, one number a finished seed."""
        return [float(metrics[split][measure]) for metrics in self.metrics.values()]

    def best_epochs(self) -> list[int]:
        """The best epoch by what the run selects by, counted from 0, one a finished seed."""
        return [int(metrics["best_epoch"]) for metrics in self.metrics.values()]

    @cached_property
    def last_scores(self) -> dict[int, dict[str, dict[str, float]]]:
        """`auc` and `accuracy` of the last epoch by finished seed and split, as far as they are known.

        Raises:
            CheckpointError: a history is damaged.
        """
        return {
            seed: last_scores(seed_folder(self.folder, seed), metrics)
            for seed, metrics in self.metrics.items()
        }

    def last_values(self, split: str, measure: str) -> list[float]:
        """`auc` or `accuracy` of a split at the last epoch, of the finished seeds that have it."""
        return [float(scores[split][measure]) for scores in self.last_scores.values() if split in scores]

    def histories(self) -> dict[int, list[dict[str, float]]]:
        """The rows of every epoch, by finished seed.

        Raises:
            CheckpointError: a history is missing or damaged.
        """
        return {seed: read_history(seed_folder(self.folder, seed)) for seed in self.metrics}


def find_runs(places: Sequence[Path]) -> list[Run]:
    """All experiments under some folders, in the order of their paths.

    Args:
        places: run folders, or folders that hold run folders at any depth.

    Raises:
        UsageError: a place does not exist, or none of them holds a run.
        CheckpointError: a run folder is damaged.
    """
    found: dict[Path, list[Path]] = {}
    spelling: dict[Path, Path] = {}
    for place in places:
        if not place.is_dir():
            raise UsageError(f"there is no folder {place}; give a folder of runs, such as runs/")
        for description in sorted(place.rglob(f"seed-*/{RUN_FILE}")):
            folder = description.parent.parent
            if spelling.setdefault(folder.resolve(), folder) == folder:
                found.setdefault(folder, []).append(description.parent)
    if not found:
        listed = ", ".join(str(place) for place in places)
        raise UsageError(f"there is no run under {listed}; train one first, or give another folder")
    return [run for folder in sorted(found) for run in _runs_of(folder, found[folder])]


def _runs_of(folder: Path, seed_folders: Sequence[Path]) -> list[Run]:
    groups: list[tuple[RunConfig, list[int]]] = []
    for seed, place in sorted((_seed(place), place) for place in set(seed_folders)):
        config = read_written_config(place)
        for known, seeds in groups:
            if alike(known, config):
                seeds.append(seed)
                break
        else:
            groups.append((config, [seed]))
    return [_run(folder, config, seeds) for config, seeds in groups]


def _seed(folder: Path) -> int:
    number = folder.name.removeprefix("seed-")
    if not number.isdecimal():
        raise UsageError(f"{folder} is no seed's folder; a run's folders are called seed-0, seed-1 and so on")
    return int(number)


def _run(folder: Path, config: RunConfig, seeds: Sequence[int]) -> Run:
    metrics = {seed: read_metrics(seed_folder(folder, seed)) for seed in seeds}
    return Run(
        folder=folder,
        config=config,
        metrics={seed: found for seed, found in metrics.items() if found is not None},
        unfinished=tuple(seed for seed, found in metrics.items() if found is None),
    )
