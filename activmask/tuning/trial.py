"""One trial of a search: the settings it tries, how far it is, and what it scored."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean, stdev
from typing import Literal

from activmask.ground.errors import CheckpointError
from activmask.runs.description import RunConfig, SelectBy, SelectOn
from activmask.runs.folder import METRICS_FILE, read_metrics, seed_folder
from activmask.tuning.space import Value, in_words

Status = Literal["queued", "running", "done", "pruned", "failed", "repeated"]
OVER: tuple[Status, ...] = ("done", "pruned", "failed", "repeated")
"""What a trial is of which nothing more will be trained."""


@dataclass(kw_only=True)
class Trial:
    """A trial as it stands now."""

    number: int
    """From 0 on, in the order in which they were proposed."""
    values: dict[str, Value]
    """Of the settings that the search is over."""
    config: RunConfig
    folder: Path
    """Its run folder; that of the trial that it repeats, where it repeats one."""
    status: Status = "queued"
    found: bool = False
    """Whether it was over before this search was called."""
    kept: bool = False
    """Whether the database knows how it ended."""
    stage: int = 0
    """Of the plan's stages, the one that is trained or waits to be."""
    scores: dict[int, float] = field(default_factory=dict)
    """By seed, the validation score of its best epoch, as far as it is trained."""
    failures: int = 0
    error: str = ""
    """Of its latest failure."""

    @property
    def name(self) -> str:
        """Of its folder."""
        return trial_name(self.number)

    @property
    def title(self) -> str:
        """For people, for example `trial 7 (lr 0.00123, actdiff 4.2)`."""
        return f"trial {self.number} ({self.settings})"

    @property
    def settings(self) -> str:
        """What it tries, for people."""
        return ", ".join(f"{name} {in_words(value)}" for name, value in self.values.items())

    @property
    def score(self) -> float:
        """The mean over its seeds."""
        return fmean(self.scores.values())

    @property
    def sd(self) -> float | None:
        """Sample SD over its seeds (n - 1); None for one seed."""
        return stdev(self.scores.values()) if len(self.scores) > 1 else None


def trial_name(number: int) -> str:
    """What a trial's folder is called."""
    return f"trial-{number:04d}"


def validation_scores(folder: Path, seeds: Sequence[int], select: SelectBy, on: SelectOn) -> dict[int, float]:
    """By seed, the validation score of the best epoch, which was selected by the same score.

    Args:
        folder: of the trial.
        seeds: which.
        select: the score.
        on: the validation split of it.

    Raises:
        CheckpointError: a seed is not finished, or does not tell.
    """
    return {seed: _score(seed_folder(folder, seed), select, on) for seed in seeds}


def _score(folder: Path, select: str, on: str) -> float:
    metrics = read_metrics(folder)
    if metrics is None or select not in metrics.get(on, ()):
        raise CheckpointError(f"it does not tell the {select} of {on}", path=folder / METRICS_FILE)
    return float(metrics[on][select])
