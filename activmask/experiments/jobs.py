"""A cell of a grid as work to do: an ordinary run into an ordinary run folder.

Everything known of a job's progress is read from its run folder; there is no other state.
"""

import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from activmask.data.dataset import read_dataset
from activmask.data.settings import IN_MEMORY, Source
from activmask.experiments.cells import Cell
from activmask.ground.errors import PATH, ActivmaskError, CheckpointError, UsageError
from activmask.runs.description import RunConfig, changed
from activmask.runs.folder import HISTORY_FILE, SCORE, read_history, seed_folder
from activmask.runs.robustness import FIRST_RUNS
from activmask.runs.searched import Searched
from activmask.runs.sittings import Caller
from activmask.training.feed.reading import Reading
from activmask.training.run import finished_seeds, train


@dataclass(frozen=True, kw_only=True)
class Job:
    """One cell to train."""

    name: str
    """Of its folder, unique in a sweep."""
    title: str
    """For people."""
    config: RunConfig
    seeds: tuple[int, ...]
    folder: Path
    """Its run folder."""
    caller: Caller | None = None
    """By whose command, see `train`."""
    searched: Searched | None = None
    """The search that chose or tries its settings."""
    first: "Job | None" = None
    """The job whose finished run it begins with."""

    @property
    def first_run(self) -> Path | None:
        """The folder of that run."""
        return None if self.first is None else self.first.folder


def check_data(jobs: Sequence[Job]) -> None:
    """Refuse jobs of which some are not finished and none has its data on this machine.

    Where some have, the others fail by themselves.

    Raises:
        DataError: the first data set's folder does not exist.
    """
    if all(_missing(job.config.source) for job in jobs) and not all(map(is_finished, jobs)):
        read_dataset(Path(jobs[0].config.source.data), multi_label=True)


def _missing(source: Source) -> bool:
    return source.data != IN_MEMORY and not Path(source.data).is_dir()


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A job that is no longer running."""

    name: str
    error: str = ""
    """Why it failed; empty where it is done."""


class Engine(Protocol):
    """Somewhere to run jobs."""

    slots: int
    """How many jobs may run at once."""

    def start(self, job: Job) -> None:
        """Begin a job; at most `slots` of them run at once."""

    def ended(self, seconds: float) -> list[Ended]:
        """Jobs that ended since the last call; waits at most `seconds` for the first."""

    def close(self) -> None:
        """Stop whatever still runs."""


def make_jobs(
    cells: Sequence[Cell],
    seeds: Sequence[int],
    out: Path,
    *,
    caller: Caller | None = None,
    own_titles: bool = False,
) -> list[Job]:
    """One job for every cell, its folder under `out`.

    Args:
        cells: of a grid.
        seeds: of each.
        out: the folder of the run folders.
        caller: by whose command.
        own_titles: whether each run is called by the labels that its grid has beyond the usual names.
    """
    return [_job(cell, tuple(seeds), out, caller, own_titles) for cell in cells]


def _job(cell: Cell, seeds: tuple[int, ...], out: Path, caller: Caller | None, own_titles: bool) -> Job:
    first = None if cell.first is None else _job(cell.first, seeds, out, caller, own_titles)
    config = cell.config
    if first is not None:
        config = changed(config, **{name: str(first.folder) for name in FIRST_RUNS if config[name]})
    return Job(
        name=cell.name,
        title=cell.title,
        config=config,
        seeds=seeds,
        folder=out / cell.name,
        caller=replace(caller, title=cell.own_title) if caller and own_titles else caller,
        searched=cell.searched,
        first=first,
    )


def check_first_jobs(jobs: Sequence[Job]) -> None:
    """Refuse jobs that begin with a run that is not finished, and that none of them trains.

    Raises:
        UsageError: names the first such job, and the one that it begins with.
    """
    names = {job.name for job in jobs}
    for job in jobs:
        first = job.first
        if first and first.name not in names and not is_finished(first) and not is_finished(job):
            raise UsageError(
                f"{job.title} begins with the finished run of {first.title}, which {PATH} does not hold, and "
                "which is not asked for",
                path=first.folder,
                advice=f"ask for {first.title} too",
            )


def with_threads(job: Job, threads: int) -> Job:
    """The job with so many CPU threads, unless its settings ask for a number themselves."""
    return job if job.config.machine.threads else replace(job, config=changed(job.config, threads=threads))


def run_job(job: Job, *, known_as: Path | None = None, reading: Reading | None = None) -> str:
    """Train what is missing of a job.

    Args:
        job: to be done.
        known_as: the folder that a failure names in place of the job's own; that of the run that it begins
            with lies beside it.
        reading: what jobs before it have read in this process, see `train`.

    Returns:
        Empty when it is done, else why it failed: a sentence, or the traceback of a defect.
    """
    try:
        train(
            job.config,
            job.seeds,
            job.folder,
            resume=True,
            in_sweep=True,
            first_run=job.first_run,
            caller=job.caller,
            searched=job.searched,
            reading=reading,
        )
    except ActivmaskError as error:
        known = known_as or job.folder
        told = error.told_from((job.folder,), known)
        if job.first is not None:
            told = told.told_from((job.first.folder,), known.parent / job.first.folder.name)
        return str(told)
    except Exception:  # noqa: BLE001 - one cell's defect must not end the others; it is reported whole
        return traceback.format_exc()
    return ""


def is_finished(job: Job) -> bool:
    """Whether every seed of the job has its result, under the job's own settings.

    A folder that cannot be read, or holds another experiment, counts as unfinished: running the
    job says what is wrong with it.
    """
    try:
        found = finished_seeds(job.config, job.seeds, job.folder, first_run=job.first_run)
    except (UsageError, CheckpointError, OSError):
        return False
    return len(found) == len(job.seeds)


def epochs_of(config: RunConfig) -> int:
    """Epochs that a seed's history has at most; a last layer that is fitted anew takes one."""
    return 1 if config.robustness.retrain_head else config.training.epochs


@dataclass(frozen=True, kw_only=True)
class JobProgress:
    """How far a job is, as its folder tells."""

    epochs: int
    """Epochs over, of all its seeds together."""
    valid_auc: float | None
    """Mean over seeds of the latest epoch's validation AUC; None before the first."""


def progress_of(job: Job) -> JobProgress:
    """Read how far a job is; a history that cannot be read counts as not begun, training replaces it."""
    histories = [_history(seed_folder(job.folder, seed)) for seed in job.seeds]
    latest = [history[-1][SCORE] for history in histories if history]
    return JobProgress(
        epochs=sum(min(len(history), epochs_of(job.config)) for history in histories),
        valid_auc=sum(latest) / len(latest) if latest else None,
    )


def _history(folder: Path) -> list[dict[str, float]]:
    try:
        rows = read_history(folder) if (folder / HISTORY_FILE).is_file() else []
    except (CheckpointError, OSError):
        return []
    return [row for row in rows if SCORE in row]
