"""A search without training: an engine that scores each trial by a function of its settings."""

import json
from collections.abc import Callable
from pathlib import Path

from activmask.experiments.jobs import Ended, Job
from activmask.runs.description import RunConfig
from activmask.tuning.plan import Plan
from activmask.tuning.space import parse_over

Surface = Callable[[RunConfig, int], float | None]
"""From a run and a seed to its validation accuracy; None where training fails."""


class Scored:
    """Writes the scores of a job as soon as it is started, as a run would."""

    slots = 1

    def __init__(self, surface: Surface, stop_before: int | None = None) -> None:
        self.surface, self.stop_before = surface, stop_before
        self.started: list[tuple[str, tuple[int, ...], int]] = []
        self.over: list[Ended] = []

    def start(self, job: Job) -> None:
        if len(self.started) == self.stop_before:
            raise KeyboardInterrupt
        self.started.append((job.name, job.seeds, job.config.training.epochs))
        scores = {seed: self.surface(job.config, seed) for seed in job.seeds}
        for seed, score in scores.items():
            if score is not None:
                write_score(job.folder / f"seed-{seed}", score)
        self.over.append(Ended(name=job.name, error="boom" if None in scores.values() else ""))

    def ended(self, seconds: float) -> list[Ended]:
        over, self.over = self.over, []
        return over

    def close(self) -> None:
        """Nothing runs beside the caller."""


def write_score(folder: Path, score: float) -> None:
    """The metrics of a finished seed whose validation accuracy is this, and its other scores 0."""
    folder.mkdir(parents=True, exist_ok=True)
    none = {"auc": 0.0, "accuracy": 0.0}
    metrics = {"best_epoch": 0, "train": none, "valid": {"auc": 0.0, "accuracy": score}, "test": none}
    (folder / "metrics.json").write_text(json.dumps(metrics))


def plan_of(folder: Path, over: str = "lr=1e-4..1:log,actdiff=0.1..10", **changes) -> Plan:
    settings = {"model": "cnn", "width": 2, "epochs": 8, "select": "accuracy", **changes.pop("settings", {})}
    return Plan(
        settings=settings,
        over=parse_over([over]),
        folder=folder,
        **{"trials": 4, "seeds": (0, 1, 2), **changes},
    )
