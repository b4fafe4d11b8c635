"""Runs that another begins with, seed by seed: whose errors it counts more, or whose last layer it fits."""

from pathlib import Path
from typing import Any

from activmask.ground.errors import PATH, UsageError
from activmask.runs.description import written
from activmask.runs.folder import (
    BEST_FILE,
    LAST_FILE,
    read_metrics,
    read_written_config,
    seed_folder,
    seed_of,
)
from activmask.runs.robustness import Robustness


def head_file(how: Robustness, seed: int, place: Path | None = None) -> Path:
    """The checkpoint whose last layer a seed retrains.

    Args:
        how: of the run that retrains it.
        seed: of both runs.
        place: where the first run lies, if not where the settings say.
    """
    return seed_folder(place or Path(how.retrain_head), seed) / BEST_FILE


def errors_file(how: Robustness, seed: int, place: Path | None = None) -> Path:
    """The checkpoint whose errors a seed counts more; `place` as in `head_file`."""
    return seed_folder(place or Path(how.upweight_errors_of), seed) / LAST_FILE


def first_file(how: Robustness, seed: int, place: Path | None = None) -> Path | None:
    """The checkpoint that a seed begins with, if it begins with one; `place` as in `head_file`."""
    if how.retrain_head:
        return head_file(how, seed, place)
    return errors_file(how, seed, place) if how.upweight_errors_of else None


def settings_of_run(run: Path) -> tuple[dict[str, Any], tuple[int, ...]]:
    """The settings that a finished run was trained with, and its finished seeds, in order.

    Raises:
        UsageError: the folder holds no finished seed.
        CheckpointError: a seed's files are damaged.
    """
    folders = sorted(run.glob("seed-*")) if run.is_dir() else []
    finished = [folder for folder in folders if seed_of(folder) is not None and read_metrics(folder)]
    if not finished:
        raise UsageError(
            f"{PATH} holds no finished seed of a run", path=run, advice="train it first, or name its folder"
        )
    seeds = sorted(seed for folder in finished if (seed := seed_of(folder)) is not None)
    return written(read_written_config(seed_folder(run, seeds[0]))), tuple(seeds)
