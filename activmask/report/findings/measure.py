"""What the report measures of a run beyond its scores: the audit, and where each network looks."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch

from activmask.evaluation.answers import Answers
from activmask.evaluation.batch import Outcome, evaluate_checkpoints
from activmask.evaluation.evaluate import Evaluation
from activmask.evaluation.evaluated import Evaluated
from activmask.evaluation.removal import Removal
from activmask.ground.errors import CheckpointError
from activmask.ground.progress import ItemsDone
from activmask.runs.folder import BEST_FILE, seed_folder
from activmask.runs.results import Run
from activmask.runs.seed_folders import Unreadable
from activmask.training.replicas.group_accuracy import ByGroup


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A run and the evaluation of its best epochs on the test split."""

    run: Run
    evaluations: dict[int, Evaluation]
    """By finished seed; lacks those that could not be evaluated."""
    answers: Mapping[int, Answers] = field(default_factory=dict)
    """By seed, what each network answered, in short."""
    removals: Mapping[int, Removal] = field(default_factory=dict)
    """By seed, what a planted shortcut adds to its scores; of data that carry one."""
    groups: Mapping[int, ByGroup] = field(default_factory=dict)
    """By seed, its accuracy group by group; of data whose images are in groups."""
    problems: tuple[str, ...] = ()
    """Why seeds are missing in `evaluations`, or what of their data is not verified, a sentence each."""
    unreadable: tuple[Unreadable, ...] = ()
    """The seeds among them whose network is there and cannot be read."""


def measure(run: Run, *, device: torch.device | str = "cpu") -> Measured:
    """As `measure_all`, of one run."""
    return measure_all([run], device=device)[0]


def measure_all(
    runs: Sequence[Run],
    *,
    groups: str = "",
    device: torch.device | str = "cpu",
    code: Sequence[Path] = (),
    progress: ItemsDone | None = None,
) -> list[Measured]:
    """Evaluate every finished seed of runs on its own test images.

    Data or checkpoints that are gone do not end a report: the reason is kept for the reader.

    Args:
        runs: in any order; the evaluations are made in that of their images.
        groups: by which column images are grouped, as in `evaluate_checkpoints`.
        device: where to compute.
        code: Python files that may run, as in `load_checkpoint`.
        progress: is told how many networks have been measured, and of how many.
    """
    paths = [_best(run, seed) for run in runs for seed in run.seeds]
    found = evaluate_checkpoints(paths, groups=groups, device=device, code=code, progress=progress)
    return [_measured(run, found) for run in runs]


def _best(run: Run, seed: int) -> Path:
    return seed_folder(run.folder, seed) / BEST_FILE


def _measured(run: Run, found: Mapping[Path, Outcome]) -> Measured:
    evaluations: dict[int, Evaluation] = {}
    answers: dict[int, Answers] = {}
    removals: dict[int, Removal] = {}
    groups: dict[int, ByGroup] = {}
    problems: list[str] = []
    unreadable: list[Unreadable] = []
    for seed in run.seeds:
        path = _best(run, seed)
        one = found[path]
        if isinstance(one, Evaluated):
            evaluations[seed] = one.evaluation
            if one.answers is not None:
                answers[seed] = one.answers
            if one.removal is not None:
                removals[seed] = one.removal
            if one.groups is not None:
                groups[seed] = one.groups
            problems += one.notes
            continue
        problems.append(str(one))
        if isinstance(one, CheckpointError) and os.path.lexists(path):
            unreadable.append(Unreadable(folder=path.parent, error=one))
    return Measured(
        run=run,
        evaluations=evaluations,
        answers=answers,
        removals=removals,
        groups=groups,
        problems=tuple(dict.fromkeys(problems)),
        unreadable=tuple(unreadable),
    )
