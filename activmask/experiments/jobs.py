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
from activmask.ground.errors import ActivmaskError, CheckpointError, UsageError
from activmask.runs.description import RunConfig, changed
from activmask.runs.folder import HISTORY_FILE, SCORE, read_history, seed_folder
from activmask.runs.searched import Searched
from activmask.runs.sittings import Caller
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
    return [
        Job(
            name=cell.name,
            title=cell.title,
            config=cell.config,
            seeds=tuple(seeds),
            folder=out / cell.name,
            caller=replace(caller, title=cell.own_title) if caller and own_titles else caller,
            searched=cell.searched,
        )
        for cell in cells
    ]


def with_threads(job: Job, threads: int) -> Job:
    """The job with so many CPU threads, unless its settings ask for a number themselves."""
    return job if job.config.machine.threads else replace(job, config=changed(job.config, threads=threads))


def run_job(job: Job, *, known_as: Path | None = None) -> str:
    """Train what is missing of a job.

    Args:
        job: to be done.
        known_as: the folder that a failure names in place of the job's own.

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
            caller=job.caller,
            searched=job.searched,
        )
    except ActivmaskError as error:
        return str(error.told_from((job.folder,), known_as or job.folder))
    except Exception:  # noqa: BLE001 - one cell's defect must not end the others; it is reported whole
        return traceback.format_exc()
    return ""


def is_finished(job: Job) -> bool:
    """Whether every seed of the job has its result, under the job's own settings.

    A folder that cannot be read, or holds another experiment, counts as unfinished: running the
    job says what is wrong with it.
    """
    try:
        return len(finished_seeds(job.config, job.seeds, job.folder)) == len(job.seeds)
    except (UsageError, CheckpointError, OSError):
        return False


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
        epochs=sum(min(len(history), job.config.training.epochs) for history in histories),
        valid_auc=sum(latest) / len(latest) if latest else None,
    )


def _history(folder: Path) -> list[dict[str, float]]:
    try:
        rows = read_history(folder) if (folder / HISTORY_FILE).is_file() else []
    except (CheckpointError, OSError):
        return []
    return [row for row in rows if SCORE in row]
