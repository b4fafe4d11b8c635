"""The seeds of a run together, and evaluations as JSON."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from activmask.evaluation.audit import audited
from activmask.evaluation.evaluated import Evaluated
from activmask.evaluation.removal import change_name
from activmask.evaluation.spread import Spread, spread
from activmask.runs.seed_folders import Unreadable


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
    worst_group: Spread | None
    """The worst group's accuracy, of the seeds that have one."""


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
        worst_group=spread(
            [one.groups.worst.accuracy for one in evaluated if one.groups and one.groups.worst]
        ),
    )


def _by_name(values: Iterable[tuple[str, float]]) -> dict[str, Spread]:
    found: dict[str, list[float]] = {}
    for name, value in values:
        found.setdefault(name, []).append(value)
    spreads = {name: spread(of_name) for name, of_name in found.items()}
    return {name: value for name, value in spreads.items() if value is not None}


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
                **({} if row.worst_group is None else {"worst_group_accuracy": vars(row.worst_group)}),
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
        **({} if one.groups is None else {"groups": one.groups.to_json()}),
    }


def _spreads(values: Mapping[str, Spread]) -> dict[str, Any]:
    return {name: vars(value) for name, value in values.items()}


def _spread_to_json(value: Spread | None) -> dict[str, Any] | None:
    return None if value is None else vars(value)
