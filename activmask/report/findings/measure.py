"""What the report measures of a run beyond its scores: the audit, and where each network looks."""

import os
from dataclasses import dataclass

import torch

from activmask.evaluation.batch import evaluate_checkpoint
from activmask.evaluation.evaluate import Evaluation
from activmask.ground.errors import CheckpointError, DataError
from activmask.runs.folder import BEST_FILE, seed_folder
from activmask.runs.results import Run
from activmask.runs.seed_folders import Unreadable


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A run and the evaluation of its best epochs on the test split."""

    run: Run
    evaluations: dict[int, Evaluation]
    """By finished seed; lacks those that could not be evaluated."""
    problems: tuple[str, ...] = ()
    """Why seeds are missing in `evaluations`, or what of their data is not verified, a sentence each."""
    unreadable: tuple[Unreadable, ...] = ()
    """The seeds among them whose network is there and cannot be read."""


def measure(run: Run, *, device: torch.device | str = "cpu") -> Measured:
    """Evaluate every finished seed of a run on its own test images.

    Data or checkpoints that are gone do not end a report: the reason is kept for the reader.
    """
    evaluations: dict[int, Evaluation] = {}
    problems: list[str] = []
    unreadable: list[Unreadable] = []
    for seed in run.seeds:
        path = seed_folder(run.folder, seed) / BEST_FILE
        try:
            evaluated = evaluate_checkpoint(path, device=device)
            evaluations[seed] = evaluated.evaluation
            problems += evaluated.notes
        except (DataError, CheckpointError) as error:
            problems.append(str(error))
            if isinstance(error, CheckpointError) and os.path.lexists(path):
                unreadable.append(Unreadable(folder=path.parent, error=error))
    return Measured(
        run=run,
        evaluations=evaluations,
        problems=tuple(dict.fromkeys(problems)),
        unreadable=tuple(unreadable),
    )
