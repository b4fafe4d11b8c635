"""What the report measures of a run beyond its scores: the audit, and where each network looks."""

import logging
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

import torch

from activmask.evaluation.all_labels import AllLabels, all_labels
from activmask.evaluation.answers import Answers
from activmask.evaluation.batch import Outcome, Question, evaluate_checkpoints
from activmask.evaluation.evaluate import Evaluation
from activmask.evaluation.evaluated import Evaluated
from activmask.evaluation.label_means import mean_evaluation
from activmask.evaluation.removal import Removal
from activmask.ground.errors import CheckpointError, DataError
from activmask.ground.progress import ItemsDone
from activmask.runs.folder import BEST_FILE, seed_folder
from activmask.runs.label_checkpoint import label_names
from activmask.runs.results import Run
from activmask.runs.seed_folders import Unreadable
from activmask.training.feed.reading import Reading
from activmask.training.replicas.group_accuracy import ByGroup

NOTES = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A run and the evaluation of its best epochs on the test split."""

    run: Run
    evaluations: dict[int, Evaluation]
    """By finished seed; lacks those that could not be evaluated. Of several labels their means."""
    answers: Mapping[int, Answers] = field(default_factory=dict)
    """By seed, what each network answered, in short; nothing of several labels, which have answers each."""
    removals: Mapping[int, Removal] = field(default_factory=dict)
    """By seed, what a planted shortcut adds to its scores; of data that carry one."""
    groups: Mapping[int, ByGroup] = field(default_factory=dict)
    """By seed, its accuracy group by group; of data whose images are in groups."""
    labels: "Mapping[str, Measured]" = field(default_factory=dict)
    """By name, each of several labels as a question of two classes; empty where there are only classes."""
    together: Mapping[int, AllLabels] = field(default_factory=dict)
    """By seed, what is said of several labels together."""
    problems: tuple[str, ...] = ()
    """Why seeds are missing in `evaluations`, or what of their data is not verified, a sentence each."""
    unreadable: tuple[Unreadable, ...] = ()
    """The seeds among them whose network is there and cannot be read."""

    def moved(self, seed: int) -> float | None:
        """How much shuffling what lies outside the masks moves a seed's answers, see `Answers.moved`.

        Of several labels the mean; None where it is not known of each.
        """
        told = [one.answers.get(seed) for one in self.labels.values() or (self,)]
        found = [None if one is None else one.moved for one in told]
        known = [value for value in found if value is not None]
        return fmean(known) if len(known) == len(found) else None


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
    reading: Reading | None = None,
) -> list[Measured]:
    """Evaluate every finished seed of runs on its own test images.

    Data or checkpoints that are gone do not end a report: the reason is kept for the reader.

    Args:
        runs: in any order; the evaluations are made in that of their images.
        groups: by which column images are grouped, as in `evaluate_checkpoints`.
        device: where to compute.
        code: Python files that may run, as in `load_checkpoint`.
        progress: is told how many networks have been measured, and of how many.
        reading: as in `evaluate_checkpoints`.
    """
    labels = [told_labels(run) for run in runs]
    asked: list[Question] = [
        (best_of(run, seed), label)
        for run, names in zip(runs, labels, strict=True)
        for seed in run.seeds
        for label in names or (None,)
    ]
    found = evaluate_checkpoints(
        asked, groups=groups, device=device, code=code, progress=progress, reading=reading
    )
    several = [run for run, names in zip(runs, labels, strict=True) if names]
    together = all_labels(
        [best_of(run, seed) for run in several for seed in run.seeds], device=device, code=code
    )
    _note_unjudged(found)
    return [
        _of_labels(run, names, found, together) if names else _measured(run, None, found)
        for run, names in zip(runs, labels, strict=True)
    ]


def _note_unjudged(found: Mapping[Question, Outcome]) -> None:
    """Say how many networks are not judged because of their data; what is damaged is told otherwise."""
    reasons = {path: str(one) for (path, _), one in found.items() if isinstance(one, DataError)}
    if reasons:
        asked = len({path for path, _ in found})
        NOTES.warning(
            "%d of %d networks are not judged, nor are their maps drawn: %s",
            len(reasons),
            asked,
            next(iter(reasons.values())),
        )


def told_labels(run: Run) -> tuple[str, ...] | None:
    """The labels that a run's networks tell, which do not exclude each other; none of classes.

    None where no finished seed's checkpoint can be read.
    """
    known = (label_names(best_of(run, seed)) for seed in run.seeds)
    return next((names for names in known if names is not None), None)


def best_of(run: Run, seed: int) -> Path:
    """The checkpoint of a seed's best epoch."""
    return seed_folder(run.folder, seed) / BEST_FILE


def _measured(run: Run, label: str | None, found: Mapping[Question, Outcome]) -> Measured:
    evaluations: dict[int, Evaluation] = {}
    answers: dict[int, Answers] = {}
    removals: dict[int, Removal] = {}
    groups: dict[int, ByGroup] = {}
    problems: list[str] = []
    unreadable: list[Unreadable] = []
    for seed in run.seeds:
        path = best_of(run, seed)
        one = found[path, label]
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


def _of_labels(
    run: Run,
    names: Sequence[str],
    found: Mapping[Question, Outcome],
    together: Mapping[Path, AllLabels | CheckpointError | DataError],
) -> Measured:
    """A run of several labels: each of them, and their means."""
    labels = {name: _measured(run, name, found) for name in names}
    of_seeds = {seed: together[best_of(run, seed)] for seed in run.seeds}
    known = {seed: one for seed, one in of_seeds.items() if isinstance(one, AllLabels)}
    evaluations = {
        seed: mean_evaluation([one.evaluations[seed] for one in labels.values()], known[seed].mean)
        for seed in known
        if all(seed in one.evaluations for one in labels.values())
    }
    said = [problem for one in labels.values() for problem in one.problems]
    said += [one.unchosen for one in known.values() if one.unchosen]
    said += [str(one) for one in of_seeds.values() if not isinstance(one, AllLabels)]
    lost = {one.folder: one for of_label in labels.values() for one in of_label.unreadable}
    return Measured(
        run=run,
        evaluations=evaluations,
        labels=labels,
        together=known,
        problems=tuple(dict.fromkeys(said)),
        unreadable=tuple(lost.values()),
    )
