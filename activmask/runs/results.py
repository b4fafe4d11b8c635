"""The run folders under a folder: what was trained, and what it scored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from activmask.data.settings import IID
from activmask.ground.errors import PATH, DataError, UsageError
from activmask.ground.places import real
from activmask.runs.description import RunConfig
from activmask.runs.distinctions import distinctions
from activmask.runs.entries import GROUPS
from activmask.runs.folder import (
    HISTORY_FILE,
    Written,
    last_scores,
    read_metrics,
    read_presence,
    read_written,
    read_written_config,
    seed_folder,
    seed_of,
    whole_history,
)
from activmask.runs.identity import alike_elsewhere
from activmask.runs.manifest import Entry, read_entries
from activmask.runs.searched import Searched
from activmask.runs.seed_folders import Unreadable, check_files, losses_kept, refusal, seed_folders
from activmask.runs.sittings import read_sittings


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
    unreadable: tuple[int, ...] = ()
    """Seeds that belong to it, as far as can be told, and cannot be read."""
    digests: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    """By seed, the digest of each split; a seed of an earlier version has none."""
    title: str = ""
    """What its caller called it, beyond what its settings say; mostly empty."""
    apart: str = ""
    """What tells it from a run of the same folder and settings that had other data; mostly empty."""
    searched: Searched | None = None
    """The search that chose or tries its settings; None where none does."""
    source: str = ""
    """Of its images, as the data set's card calls it; empty where nothing tells."""
    benchmark: Mapping[str, Any] = field(default_factory=dict)
    """How the synthetic benchmark was drawn, of earlier versions how many images; empty of other data."""

    @property
    def seeds(self) -> tuple[int, ...]:
        """The finished seeds, in order."""
        return tuple(self.metrics)

    @property
    def labels(self) -> int:
        """How many labels that do not exclude each other it tells: scores are their means; 0 of classes."""
        return max(
            (len(metrics["test"].get("label_auc", ())) for metrics in self.metrics.values()), default=0
        )

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

    def worst_groups(self, split: str, epoch: str) -> list[dict[str, Any]]:
        """What `metrics.json` tells of the groups of a split after the best or the last epoch.

        Of the finished seeds that have a worst group, those whose groups are by the column of the first.
        """
        told = [metrics.get(GROUPS, {}).get(epoch, {}).get(split) for metrics in self.metrics.values()]
        found = [one for one in told if one is not None and one["worst"] is not None]
        return [one for one in found if one["by"] == found[0]["by"]]

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
    return [
        ", ".join(filter(None, (run.title, text, run.apart))) for text, run in zip(details, runs, strict=True)
    ]


@dataclass(frozen=True, kw_only=True)
class FoundRuns:
    """What lies under some folders."""

    runs: list[Run]
    """In the order of their paths."""
    unreadable: tuple[Unreadable, ...] = ()
    """What cannot be read and is in no run's scores."""

    @property
    def seeds(self) -> int:
        """How many seeds were found: finished, unfinished and unreadable."""
        return sum(len(run.metrics) + len(run.unfinished) for run in self.runs) + len(self.unreadable)


def find_runs(places: Sequence[str | Path]) -> list[Run]:
    """All experiments under some folders, in the order of their paths.

    Args:
        places: run folders, or folders that hold run folders at any depth.

    Raises:
        DataError: a place does not exist, or none of them holds a run.
        CheckpointError: a seed cannot be read; all of them are named.
    """
    found = search_runs([*map(Path, places)])
    if found.unreadable:
        advice = "restore or train them anew, or ask search_runs, which gives them beside the others"
        raise refusal(found.unreadable, found.seeds, advice)
    return found.runs


def search_runs(places: Sequence[Path]) -> FoundRuns:
    """As `find_runs`, with what cannot be read beside the runs instead of an error.

    Raises:
        DataError: a place does not exist, or none of them holds a run.
    """
    found: dict[Path, list[Path]] = {}
    spelling: dict[Path, Path] = {}
    lost: list[Unreadable] = []
    for place in places:
        _check_place(place)
        seeds, unreadable = seed_folders(place)
        lost += unreadable
        for seed in seeds:
            if spelling.setdefault(real(seed), seed) == seed:
                found.setdefault(seed.parent, []).append(seed)
    if not found and not lost:
        listed = ", ".join(str(place) for place in places)
        raise DataError(f"there is no run under {listed}; train one first, or give another folder")
    runs = [run for folder in sorted(found) for run in _runs_of(folder, found[folder], lost)]
    return FoundRuns(runs=runs, unreadable=tuple({real(one.folder): one for one in lost}.values()))


def _check_place(place: Path) -> None:
    if not place.exists():
        raise DataError(
            f"there is no folder {PATH}", path=place, advice="give a folder of runs, such as runs/"
        )
    if not place.is_dir():
        raise DataError(f"{PATH} is a file, not a folder", path=place, advice="give its run's folder")


@dataclass(kw_only=True)
class _Group:
    """Seeds of one folder that are one experiment."""

    config: RunConfig
    place: str
    """Of the data: from the root of the file system, or as it was named where that is all that is known."""
    files: dict[str, Entry]
    """By name, the images that any of the seeds saw."""
    seeds: list[int]
    searched: list[Searched]
    """Of the seeds that tell of a search."""
    written: Written | None = None
    """What the first of the seeds says of the run."""

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


def _runs_of(folder: Path, seed_places: Sequence[Path], lost: list[Unreadable]) -> list[Run]:
    groups: list[_Group] = []
    digests: dict[int, Mapping[str, str]] = {}
    unknown = [one.seed for one in lost if one.run == folder and one.seed is not None]
    for seed, place in sorted((_seed(place), place) for place in set(seed_places)):
        before = len(lost)
        with losses_kept(place, lost.append):
            check_files(place)
            written, config, entries = read_written(place), read_written_config(place), read_entries(place)
            data = config.source.data if written is None else written.data_path or config.source.data
            if written is not None and written.split_sha256:
                digests[seed] = written.split_sha256
            group = next((group for group in groups if group.takes(config, data, entries)), None)
            if group is None:
                group = _Group(config=config, place=data, files={}, seeds=[], searched=[], written=written)
                groups.append(group)
            group.seeds.append(seed)
            group.searched += [written.searched] if written and written.searched else []
            group.files |= {entry.file: entry for entry in entries}
        unknown += [seed] * (len(lost) > before)
    return [_run(folder, group, _apart(group, groups), digests, unknown, lost) for group in groups]


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


def _run(
    folder: Path,
    group: _Group,
    apart: str,
    digests: Mapping[int, Mapping[str, str]],
    unknown: Sequence[int],
    lost: list[Unreadable],
) -> Run:
    """A group's run; seeds whose description is lost (`unknown`) may be of any group of the folder."""
    metrics: dict[int, dict[str, Any] | None] = {}
    for seed in group.seeds:
        with losses_kept(seed_folder(folder, seed), lost.append):
            metrics[seed] = _read_scores(seed_folder(folder, seed))
    unread = [seed for seed in group.seeds if seed not in metrics]
    return Run(
        folder=folder,
        config=group.config,
        metrics={seed: found for seed, found in metrics.items() if found is not None},
        unfinished=tuple(seed for seed, found in metrics.items() if found is None),
        unreadable=tuple(sorted([*unread, *unknown])),
        digests={seed: digests[seed] for seed in group.seeds if seed in digests},
        title=_title(folder, group.seeds),
        apart=apart,
        # A trial and its winner may share a folder; what is a trial in part is compared with nothing.
        searched=min(group.searched, key=lambda one: one.winner, default=None),
        source=group.written.source if group.written else "",
        benchmark=_benchmark(group.written) if group.written else {},
    )


def _benchmark(written: Written) -> Mapping[str, Any]:
    """How the benchmark was drawn; earlier versions wrote down how many images alone."""
    counts, source = dict(written.image_counts), written.config.source
    if written.benchmark or written.source != "synthetic":
        return written.benchmark
    if source.split_policy != "given":
        return {}
    if "train" in counts:
        counts["train"] += counts.get(IID, 0)
    # How many of them a run takes is a setting, which is told by itself.
    own = (
        ("n", "train", source.train_images),
        ("valid", "valid", source.valid_images),
        ("test", "test", source.test_images),
    )
    return {name: counts[split] for name, split, asked in own if not asked and split in counts}


def _title(folder: Path, seeds: Sequence[int]) -> str:
    """What the latest sitting of the first seed calls the run; an earlier version recorded none."""
    sittings = read_sittings(seed_folder(folder, seeds[0]))
    return sittings[-1].title if sittings else ""


def _read_scores(folder: Path) -> dict[str, Any] | None:
    """A seed's scores, where all that a table or a report will ask of the seed can be read."""
    metrics = read_metrics(folder)
    if metrics is not None:
        last_scores(folder, metrics)
        read_presence(folder)
        if (folder / HISTORY_FILE).is_file():
            whole_history(folder, metrics)
    return metrics
