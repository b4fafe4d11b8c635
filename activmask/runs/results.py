"""The run folders under a folder: what was trained, and what it scored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from activmask.ground.errors import PATH, UsageError
from activmask.runs.description import RunConfig
from activmask.runs.distinctions import distinctions
from activmask.runs.folder import (
    RUN_FILE,
    SEED_FOLDERS,
    last_scores,
    read_metrics,
    read_written,
    read_written_config,
    seed_folder,
    seed_of,
    whole_history,
)
from activmask.runs.identity import alike_elsewhere
from activmask.runs.manifest import Entry, read_entries


@dataclass(frozen=True, kw_only=True)
class Run:
    """One experiment: the seeds of a run folder that share a description, epochs and data included."""

    folder: Path
    config: RunConfig
    metrics: dict[int, dict[str, Any]]
    """By finished seed: `best_epoch`, and `auc` and `accuracy` of `train`, `valid` and `test`, at that epoch
    and, in runs of this version, under `last`."""
    unfinished: tuple[int, ...] = ()
    """Seeds that were begun and have no result yet."""
    digests: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    """By seed, the digest of each split; a seed of an earlier version has none."""
    apart: str = ""
    """What tells it from a run of the same folder and settings that had other data; mostly empty."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """The finished seeds, in order."""
        return tuple(self.metrics)

    def values(self, split: str, measure: str) -> list[float]:
        """`auc` or `accuracy` of a split at the best epoch, one number per finished seed."""
        return [float(metrics[split][measure]) for metrics in self.metrics.values()]

    def best_epochs(self) -> list[int]:
        """The best epoch by what the run selects by, counted from 0, one per finished seed."""
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
            CheckpointError: a history is missing, damaged or ends before the last epoch.
        """
        return {
            seed: whole_history(seed_folder(self.folder, seed), metrics)
            for seed, metrics in self.metrics.items()
        }


def saw_same_images(run: Run, other: Run, seed: int) -> bool:
    """Whether a seed of both saw the same images in the same splits.

    By digest; where one of them has none, as from earlier versions, by the name of the data.
    """
    one, two = run.digests.get(seed), other.digests.get(seed)
    return one == two if one and two else run.config.source.data == other.config.source.data


def told_apart(runs: Sequence[Run]) -> list[str]:
    """For each run, what tells it from other runs of the same names, see `distinctions`."""
    details = distinctions([run.config for run in runs], [run.folder for run in runs])
    return [", ".join(filter(None, (text, run.apart))) for text, run in zip(details, runs, strict=True)]


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
            raise UsageError(
                f"there is no folder {PATH}", path=place, advice="give a folder of runs, such as runs/"
            )
        for description in sorted(place.rglob(f"{SEED_FOLDERS}/{RUN_FILE}")):
            folder = description.parent.parent
            if spelling.setdefault(folder.resolve(), folder) == folder:
                found.setdefault(folder, []).append(description.parent)
    if not found:
        listed = ", ".join(str(place) for place in places)
        raise UsageError(f"there is no run under {listed}; train one first, or give another folder")
    return [run for folder in sorted(found) for run in _runs_of(folder, found[folder])]


@dataclass(kw_only=True)
class _Group:
    """Seeds of one folder that are one experiment."""

    config: RunConfig
    place: str
    """Of the data: from the root of the file system, or as it was named where that is all that is known."""
    files: dict[str, Entry]
    """By name, the images that any of the seeds saw."""
    seeds: list[int]

    def takes(self, config: RunConfig, place: str, entries: Sequence[Entry]) -> bool:
        """Whether a seed is of the same settings and the same data."""
        if not alike_elsewhere(self.config, config):
            return False
        shared = [entry for entry in entries if entry.file in self.files]
        if not all(_same_image(entry, self.files[entry.file]) for entry in shared):
            return False
        return bool(shared) or self.place == place


def _same_image(one: Entry, other: Entry) -> bool:
    return replace(one, split="") == replace(other, split="")


def _runs_of(folder: Path, seed_folders: Sequence[Path]) -> list[Run]:
    groups: list[_Group] = []
    digests: dict[int, Mapping[str, str]] = {}
    for seed, place in sorted((_seed(place), place) for place in set(seed_folders)):
        written, config, entries = read_written(place), read_written_config(place), read_entries(place)
        data = config.source.data if written is None else written.data_path or config.source.data
        if written is not None and written.split_sha256:
            digests[seed] = written.split_sha256
        group = next((group for group in groups if group.takes(config, data, entries)), None)
        if group is None:
            group = _Group(config=config, place=data, files={}, seeds=[])
            groups.append(group)
        group.seeds.append(seed)
        group.files |= {entry.file: entry for entry in entries}
    return [_run(folder, group, _apart(group, groups), digests) for group in groups]


def _apart(group: _Group, groups: Sequence[_Group]) -> str:
    same = [other for other in groups if alike_elsewhere(group.config, other.config)]
    if len(same) == 1:
        return ""
    return f"data of seed{'s' if len(group.seeds) > 1 else ''} {', '.join(map(str, group.seeds))}"


def _seed(folder: Path) -> int:
    seed = seed_of(folder)
    if seed is None:
        raise UsageError(
            f"{PATH} is no seed's folder; a run's folders are called seed-0, seed-1 and so on", path=folder
        )
    return seed


def _run(folder: Path, group: _Group, apart: str, digests: Mapping[int, Mapping[str, str]]) -> Run:
    metrics = {seed: read_metrics(seed_folder(folder, seed)) for seed in group.seeds}
    return Run(
        folder=folder,
        config=group.config,
        metrics={seed: found for seed, found in metrics.items() if found is not None},
        unfinished=tuple(seed for seed, found in metrics.items() if found is None),
        digests={seed: digests[seed] for seed in group.seeds if seed in digests},
        apart=apart,
    )
