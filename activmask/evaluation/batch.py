"""Evaluate checkpoints by path, each once for as long as it and all that it is judged on stay the same."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from activmask.data.samples import Samples, of_label
from activmask.data.settings import View
from activmask.data.sources.presets import presets
from activmask.data.splits import EVERY_SPLIT
from activmask.evaluation.answers import answers
from activmask.evaluation.basis import Basis, basis_of, common_basis
from activmask.evaluation.evaluate import evaluate_and_predict
from activmask.evaluation.evaluated import Evaluated, chosen, from_kept, to_keep
from activmask.evaluation.grouping import groups_for, scores_by_group, with_groups
from activmask.evaluation.kept import keep, kept
from activmask.evaluation.mask_notes import mask_presence
from activmask.evaluation.other_data import split_for
from activmask.evaluation.planted import planted_pairs
from activmask.evaluation.removal import removal
from activmask.ground.errors import CheckpointError, DataError, UsageError
from activmask.ground.nearest import nearest
from activmask.ground.progress import ItemsDone
from activmask.runs.checkpoint import Checkpoint, Description, load_checkpoint
from activmask.runs.checkpoint_paths import run_folder
from activmask.runs.label_checkpoint import checkpoint_of_label, described_by, label_number
from activmask.training.feed.reading import Reading
from activmask.training.feed.sources import split_as_judged
from activmask.training.feed.trained_data import shown_place

Question = tuple[Path, str | None]
"""A checkpoint, and the label that it is asked about; None for networks of classes."""

Bases = Mapping[Question, tuple[Description, Basis] | None]
"""By question, the checkpoint's description and all that the answer follows from, where that is known."""

Outcome = Evaluated | CheckpointError | DataError
"""Of one checkpoint among several: what was measured, or why it cannot be."""


def evaluate_checkpoint(
    path: Path,
    *,
    data: str | None = None,
    split: str = "test",
    accept_recipe: bool = False,
    groups: str = "",
    device: torch.device | str = "cpu",
    code: Sequence[Path] = (),
) -> Evaluated:
    """Evaluate one checkpoint; arguments and errors are those of `evaluate_checkpoints`, which gives errors.

    Raises:
        UsageError: an unknown split, or a recipe accepted of the run's own data.
        CheckpointError: a checkpoint that is missing, damaged or unusable.
        DataError: data that is missing, broken, changed since training, or unlike what the network
            was made for.
    """
    [found] = evaluate_checkpoints(
        [(path, None)],
        data=data,
        split=split,
        accept_recipe=accept_recipe,
        groups=groups,
        device=device,
        code=code,
    ).values()
    if not isinstance(found, Evaluated):
        raise found
    return found


def evaluate_checkpoints(
    questions: Sequence[Question],
    *,
    data: str | None = None,
    split: str = "test",
    accept_recipe: bool = False,
    groups: str = "",
    device: torch.device | str = "cpu",
    predictions: bool = False,
    code: Sequence[Path] = (),
    progress: ItemsDone | None = None,
    reading: Reading | None = None,
) -> dict[Question, Outcome]:
    """Evaluate checkpoints on a split as their runs wrote it down, or on another data set.

    What an evaluation came to is kept in the seed's folder, and taken from there as long as all that it
    follows from is the same: the modules that evaluating reaches, libraries, device, checkpoint, the run's
    files and the data.

    Args:
        questions: checkpoints, each with the label that it is asked about as a question of two classes, of
            the images of which that is known; None for networks of classes.
        data: data set folder to use instead of the run's own; its classes are matched by name, its
            own column of splits is followed (without one, all of it is test), and what the run saw in
            training is left out.
        split: `train`, `valid`, `test`, or `valid_iid` of a run that held one out.
        accept_recipe: evaluate on images that were prepared otherwise than the run's.
        groups: by which column images are grouped, see `activmask.data.groups`; empty is what the run said,
            else a planted shortcut, if there is one.
        device: where to compute.
        predictions: whether they are asked for, too; they are not kept, so that all is measured anew.
        code: Python files that may run, as in `load_checkpoint`.
        progress: is told how many have been answered, and of how many.
        reading: what was read for others, and is read for more; None where there are none.

    Returns:
        One outcome for each question, in their order.

    Raises:
        UsageError: an unknown split, or a recipe accepted of the run's own data.
    """
    if split not in EVERY_SPLIT:
        raise UsageError(f"there is no split '{split}'; {nearest(split, EVERY_SPLIT)}")
    if accept_recipe and data is None:
        raise UsageError("accept_recipe has no effect on a run's own data; leave it off, or name other data")
    asked = _Asked(
        data=data,
        split=split,
        accept_recipe=accept_recipe,
        groups=groups,
        device=torch.device(device),
        code=tuple(code),
    )
    reading = (reading or Reading()).still_true()
    common = common_basis(asked.device, __name__)
    bases: Bases = {
        (path, label): basis_of(
            path,
            data=data,
            split=split,
            accept_recipe=accept_recipe,
            label=label,
            groups=groups,
            common=common,
            reading=reading,
        )
        for path, label in questions
    }
    found: dict[Question, Outcome] = {}
    for one in questions:
        if not predictions and (known := _kept(one, bases[one], asked)) is not None:
            found[one] = known
    waiting = sorted((one for one in questions if one not in found), key=lambda one: _images(bases[one]))
    told = progress or _nobody
    for one in waiting:
        told(len(found), len(questions))
        if reading.changed():
            # What was read is no longer there: nothing of it counts for those that are left.
            reading, bases = Reading(), dict.fromkeys(questions)
        found[one] = _outcome(one, bases[one], asked, reading)
    told(len(questions), len(questions))
    return {one: found[one] for one in questions}


def _nobody(done: int, total: int) -> None:
    """Tell nobody how many of how many are done."""


def _outcome(
    question: Question, known: tuple[Description, Basis] | None, asked: "_Asked", reading: Reading
) -> Outcome:
    """A fresh evaluation, kept if all that it follows from is known and stayed as it was."""
    try:
        evaluated = _evaluate(question, asked, reading)
    except (CheckpointError, DataError) as error:
        return error
    if known is not None and not reading.changed():
        keep(question[0].parent, known[1], to_keep(evaluated))
    return evaluated


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """What is to be measured of every checkpoint."""

    data: str | None
    split: str
    accept_recipe: bool
    groups: str
    device: torch.device
    code: tuple[Path, ...]


def _images(known: tuple[Description, Basis] | None) -> tuple[str, ...]:
    """What puts checkpoints of the same images one after another, of these the same seed's."""
    if known is None:
        return ("",)
    description, basis = known
    images = map(str, sorted(description.split_sha256.items()))
    return basis["data_sha256"], *images, str(description.seed)


def _kept(question: Question, known: tuple[Description, Basis] | None, asked: _Asked) -> Evaluated | None:
    """What was kept of a checkpoint's evaluation, if that is still what it would come to."""
    if known is None:
        return None
    (path, label), (description, basis) = question, known
    if description.multi_label != (label is not None):
        return None
    place = shown_place(description) if asked.data is None else asked.data
    found = kept(path.parent, basis)
    if label is not None:
        description = described_by(description, label)
    return from_kept(found, path, description, data=place, split=basis["split"])


def _evaluate(question: Question, asked: _Asked, reading: Reading) -> Evaluated:
    (path, label), data, split, device = question, asked.data, asked.split, asked.device
    checkpoint = load_checkpoint(path, code=asked.code, multi_label=label is not None)
    stored, notes = split_for(checkpoint, data, split, accept_recipe=asked.accept_recipe, reading=reading)
    if label is not None:
        checkpoint, stored, notes = _asked_about(label, checkpoint, stored, notes)
    config = checkpoint.config
    samples = split_as_judged(stored, config.view, config.objectives, seed=checkpoint.seed, split=split)
    place = shown_place(checkpoint) if data is None else data
    pairs = planted_pairs(checkpoint, data, stored, split)
    presence, mask_notes = mask_presence(path, config, samples, Path(place), label=label)
    evaluation, predictions = evaluate_and_predict(checkpoint, samples, seed=checkpoint.seed, device=device)
    full, *changed = predictions.conditions
    grouping = groups_for(
        checkpoint, data, stored, asked=asked.groups, planted=pairs is not None, reading=reading
    )
    return Evaluated(
        path=path,
        run=run_folder(path),
        seed=checkpoint.seed,
        epoch=checkpoint.epoch,
        data=place,
        split=split,
        **chosen(path, config),
        evaluation=evaluation,
        answers=answers(checkpoint.model, samples, predictions.class_names, full.logits, changed),
        class_names=checkpoint.class_names,
        removal=None
        if pairs is None
        else removal(checkpoint.model.to(device).eval(), samples, pairs, seed=checkpoint.seed),
        groups=None
        if grouping.groups is None
        else scores_by_group(full.logits, stored, grouping.groups, seed=checkpoint.seed),
        notes=(*notes, *grouping.notes, *_view_notes(config.preset, config.view)),
        mask_presence=presence,
        mask_notes=tuple(mask_notes),
        predictions=with_groups(predictions, grouping),
    )


def _asked_about(
    label: str, checkpoint: Checkpoint, stored: Samples, notes: tuple[str, ...]
) -> tuple[Checkpoint, Samples, tuple[str, ...]]:
    """A network of several labels, and its images, as those of one label."""
    known = of_label(stored, label_number(checkpoint, label, checkpoint.path))
    if lost := len(stored) - len(known):
        notes = (*notes, f"{label}: {lost} of {len(stored)} images are left out, as it is not known of them.")
    return checkpoint_of_label(checkpoint, label), known, notes


def _view_notes(preset: str, view: View) -> tuple[str, ...]:
    usual = presets()[preset].settings.get("evaluate_view", View().evaluate_view)
    if view.evaluate_view == usual or not view.image_size:
        return ()
    seen = {"centre": "the middle of each image", "whole": "each image whole, resized"}
    return (
        f"this run of the preset {preset} sees {seen[view.evaluate_view]} (evaluate_view "
        f"{view.evaluate_view}; earlier versions had centre alone), where the preset now has "
        f"{seen[usual]} ({usual})",
    )
