"""Evaluate checkpoints by path, and gather the seeds of a run."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from activmask.data.files.tables import format_sheet
from activmask.data.mask_shares import Presence
from activmask.data.settings import View
from activmask.data.sources.presets import presets
from activmask.data.splits import SPLITS
from activmask.evaluation.audit import audited
from activmask.evaluation.evaluate import Evaluation, evaluate
from activmask.evaluation.mask_notes import mask_presence
from activmask.evaluation.other_data import split_for
from activmask.evaluation.planted import planted_pairs
from activmask.evaluation.predictions_table import predictions_header, predictions_lines
from activmask.evaluation.removal import Removal, change_name, removal
from activmask.evaluation.spread import Spread, spread
from activmask.ground.errors import UsageError
from activmask.ground.nearest import nearest
from activmask.runs.checkpoint import load_checkpoint
from activmask.runs.checkpoint_paths import run_folder
from activmask.runs.seed_folders import Unreadable
from activmask.training.feed.sources import split_as_judged
from activmask.training.feed.trained_data import shown_place


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """One checkpoint file, the data it was judged on, and what came out."""

    path: Path
    """The checkpoint."""
    run: Path | None
    """The folder of the run it is one seed of, or None."""
    seed: int
    """Of the run."""
    epoch: int
    """After which its weights were taken, counted from 0."""
    data: str
    """Data set folder, or `synthetic`."""
    split: str
    """`train`, `valid` or `test`."""
    evaluation: Evaluation
    mask_presence: Presence | None = None
    """How well a mask's presence tells the class in training, where that looked at masks."""
    mask_notes: tuple[str, ...] = ()
    """Sentences on the masks of its training."""
    notes: tuple[str, ...] = ()
    """Sentences on what could not be verified, how another data set was matched with the run, and how
    the run saw its images otherwise than runs of its preset do now."""
    removal: Removal | None = None
    """Against the same images without what was planted on them; None of a set without twins."""


@dataclass(frozen=True, kw_only=True)
class RunSpread:
    """The scores of a run over its seeds."""

    run: Path
    kind: str
    """`best` or `last`, the name of the checkpoint files."""
    seeds: int
    """How many seeds were evaluated."""
    unreadable: int
    """How many of its seeds could not be."""
    auc: Spread | None
    """Over those that have an AUC."""
    accuracy: Spread | None
    audit: dict[str, Spread]
    """AUC of each version of the images in the shortcut audit, and of the mask's area; empty without one."""
    localisation: dict[str, Spread]
    """Mean over images of each localisation metric; empty without masks."""
    chance: dict[str, float]
    """What a random map scores in each localisation metric, mean over seeds."""
    removal: dict[str, Spread]
    """What a planted shortcut adds to each score; empty without one."""


def evaluate_checkpoint(
    path: Path,
    *,
    data: str | None = None,
    split: str = "test",
    accept_recipe: bool = False,
    device: torch.device | str = "cpu",
) -> Evaluated:
    """Evaluate a checkpoint on a split as its run wrote it down, or on another data set.

    Args:
        path: of the checkpoint.
        data: data set folder to use instead of the run's own; its classes are matched by name, its
            own column of splits is followed (without one, all of it is test), and what the run saw in
            training is left out.
        split: `train`, `valid` or `test`.
        accept_recipe: evaluate on images that were prepared otherwise than the run's.
        device: where to compute.

    Raises:
        UsageError: an unknown split, or a recipe accepted of the run's own data.
        CheckpointError: a checkpoint that is missing, damaged or unusable.
        DataError: data that is missing, broken, changed since training, or unlike what the network
            was made for.
    """
    if split not in SPLITS:
        raise UsageError(f"there is no split '{split}'; {nearest(split, SPLITS)}")
    if accept_recipe and data is None:
        raise UsageError("accept_recipe has no effect on a run's own data; leave it off, or name other data")
    checkpoint = load_checkpoint(path)
    stored, notes = split_for(checkpoint, data, split, accept_recipe=accept_recipe)
    config = checkpoint.config
    samples = split_as_judged(stored, config.view, config.objectives, seed=checkpoint.seed, split=split)
    place = shown_place(checkpoint) if data is None else data
    pairs = planted_pairs(checkpoint, data, stored, split)
    presence, mask_notes = mask_presence(path, config, samples, Path(place))
    return Evaluated(
        path=path,
        run=run_folder(path),
        seed=checkpoint.seed,
        epoch=checkpoint.epoch,
        data=place,
        split=split,
        evaluation=evaluate(checkpoint, samples, seed=checkpoint.seed, device=device),
        removal=None
        if pairs is None
        else removal(checkpoint.model.to(device).eval(), samples, pairs, seed=checkpoint.seed),
        notes=(*notes, *_view_notes(config.preset, config.view)),
        mask_presence=presence,
        mask_notes=tuple(mask_notes),
    )


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


def across_seeds(evaluated: Sequence[Evaluated], unreadable: Sequence[Unreadable] = ()) -> list[RunSpread]:
    """Mean and SD over seeds for every run of which there are several.

    Best and last checkpoints are never mixed: each kind of a run is gathered by itself.

    Args:
        evaluated: the checkpoints.
        unreadable: others that could not be evaluated, which the runs they are of count.
    """
    runs: dict[tuple[Path, str], list[Evaluated]] = {}
    for one in evaluated:
        if one.run is not None:
            runs.setdefault((one.run, one.path.stem), []).append(one)
    lost = Counter(one.run for one in unreadable)
    return [
        _run_spread(run, kind, of_run, lost[run]) for (run, kind), of_run in runs.items() if len(of_run) > 1
    ]


def _run_spread(run: Path, kind: str, evaluated: Sequence[Evaluated], unreadable: int) -> RunSpread:
    seeds = [one.evaluation for one in evaluated]
    removals = [one.removal for one in evaluated if one.removal is not None]
    metrics = [row for seed in seeds for row in seed.localisation.rows]
    chances = _by_name((row.metric, row.chance) for row in metrics)
    return RunSpread(
        run=run,
        kind=kind,
        seeds=len(seeds),
        unreadable=unreadable,
        auc=spread([seed.scores.auc for seed in seeds]),
        accuracy=spread([seed.scores.accuracy for seed in seeds]),
        audit=_by_name(value for seed in seeds for value in audited(seed.audit).items()),
        localisation=_by_name((row.metric, row.mean) for row in metrics),
        chance={name: chance.mean for name, chance in chances.items()},
        removal=_by_name((change_name(row), row.change) for one in removals for row in one.changes),
    )


def _by_name(values: Iterable[tuple[str, float]]) -> dict[str, Spread]:
    found: dict[str, list[float]] = {}
    for name, value in values:
        found.setdefault(name, []).append(value)
    spreads = {name: spread(of_name) for name, of_name in found.items()}
    return {name: value for name, value in spreads.items() if value is not None}


def predictions_sheet(evaluated: Sequence[Evaluated]) -> bytes:
    """What each checkpoint said of each image, as the bytes of a CSV file.

    Raises:
        UsageError: the checkpoints are of different classes, which do not fit one table.
    """
    known = [(one, one.evaluation.predictions) for one in evaluated if one.evaluation.predictions]
    classes = list(dict.fromkeys(found.class_names for _, found in known))
    if len(classes) != 1:
        several = "; ".join(", ".join(names) for names in classes[:3])
        raise UsageError(
            "one table of predictions is of checkpoints with the same classes",
            found=several or "no predictions",
            advice="evaluate them one by one",
        )
    return format_sheet(
        ["checkpoint", *predictions_header(classes[0])],
        (
            [str(one.path), *line]
            for one, found in known
            for line in predictions_lines(found, [one.split] * len(found.names))
        ),
    )


def to_json(evaluated: Sequence[Evaluated], unreadable: Sequence[Unreadable] = ()) -> dict[str, Any]:
    """Everything as plain dicts, lists, numbers, strings and None."""
    return {
        "checkpoints": [_one_to_json(one) for one in evaluated],
        "runs": [
            {
                "run": str(row.run),
                "kind": row.kind,
                "seeds": row.seeds,
                "unreadable": row.unreadable,
                "auc": _spread_to_json(row.auc),
                "accuracy": _spread_to_json(row.accuracy),
                "audit": _spreads(row.audit),
                "localisation": _spreads(row.localisation),
                "chance": row.chance,
                # Only of planted sets: all others keep the JSON they have always had.
                **({"removal": _spreads(row.removal)} if row.removal else {}),
            }
            for row in across_seeds(evaluated, unreadable)
        ],
        "unreadable": [{"checkpoint": str(one.folder), "reason": one.why} for one in unreadable],
    }


def _one_to_json(one: Evaluated) -> dict[str, Any]:
    return {
        "checkpoint": str(one.path),
        "run": None if one.run is None else str(one.run),
        "seed": one.seed,
        "epoch": one.epoch,
        "data": one.data,
        "split": one.split,
        "notes": list(one.notes),
        "evaluation": one.evaluation.to_json(),
        "mask_presence": None if one.mask_presence is None else vars(one.mask_presence),
        "mask_notes": list(one.mask_notes),
        **({} if one.removal is None else {"removal": one.removal.to_json()}),
    }


def _spreads(values: Mapping[str, Spread]) -> dict[str, Any]:
    return {name: vars(value) for name, value in values.items()}


def _spread_to_json(value: Spread | None) -> dict[str, Any] | None:
    return None if value is None else vars(value)
