"""One checkpoint's evaluation, with all that a reader has to know of it, and back from what was kept."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from activmask.data.files.tables import format_sheet
from activmask.data.mask_shares import Presence
from activmask.evaluation.answers import Answers
from activmask.evaluation.evaluate import Evaluation
from activmask.evaluation.predictions_table import (
    Predictions,
    predictions_header,
    predictions_lines,
    value_of,
)
from activmask.evaluation.removal import Removal
from activmask.ground.errors import UsageError
from activmask.ground.places import real
from activmask.ground.rebuilt import rebuilt
from activmask.ground.shown import shown
from activmask.runs.checkpoint import Description
from activmask.runs.checkpoint_paths import run_folder
from activmask.training.replicas.group_accuracy import ByGroup


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
    class_names: tuple[str, ...] = ()
    """Of the network's classes 0, 1, ...; empty where its data set named none. Foreign text."""
    answers: Answers | None = None
    """What it answered, in short; not part of `evaluate --json`."""
    mask_presence: Presence | None = None
    """How well a mask's presence tells the class in training, where that looked at masks."""
    mask_notes: tuple[str, ...] = ()
    """Sentences on the masks of its training."""
    notes: tuple[str, ...] = ()
    """Sentences on what could not be verified, how another data set was matched with the run, and how
    the run saw its images otherwise than runs of its preset do now."""
    removal: Removal | None = None
    """Against the same images without what was planted on them; None of a set without twins."""
    groups: ByGroup | None = None
    """Accuracy group by group; None where nobody groups the images."""
    predictions: Predictions | None = dataclasses.field(default=None, repr=False, compare=False)
    """What was said of each image; None where the evaluation was taken from what was kept of it."""


@dataclass(frozen=True, kw_only=True)
class _Measured:
    """What of it is kept: all but what its place and its checkpoint say."""

    evaluation: Evaluation
    answers: Answers | None
    removal: Removal | None
    groups: ByGroup | None
    mask_presence: Presence | None
    mask_notes: tuple[str, ...]
    notes: tuple[str, ...]
    spelled: tuple[str, ...]
    """The places that the sentences may name, as they were spelled."""


def predictions_sheet(evaluated: Sequence[Evaluated]) -> bytes:
    """What each checkpoint said of each image, as the bytes of a CSV file.

    Args:
        evaluated: with their predictions.

    Raises:
        UsageError: the checkpoints are of different classes, which do not fit one table.
    """
    known = [(one, one.predictions) for one in evaluated if one.predictions is not None]
    classes = list(dict.fromkeys(found.class_names for _, found in known))
    if len(classes) != 1:
        raise UsageError(
            "one table of predictions is of checkpoints with the same classes",
            found="; ".join(", ".join(names) for names in classes[:3]) or "no predictions",
            advice="evaluate them one by one",
        )
    columns = list(dict.fromkeys(found.grouped_by for _, found in known if found.grouped_by))
    return format_sheet(
        ["checkpoint", *predictions_header(classes[0]), *(f"group {shown(name)}" for name in columns)],
        (
            [str(one.path), *line, *(value_of(by, found, str(line[0])) for by in columns)]
            for one, found in known
            for line in predictions_lines(found, [one.split] * len(found.names))
        ),
    )


def to_keep(evaluated: Evaluated) -> dict[str, Any]:
    """Plain values of which `from_kept` makes the same again."""
    named = {name: getattr(evaluated, name) for name in _names() if name != "spelled"}
    return dataclasses.asdict(_Measured(**named, spelled=_spelled(evaluated.path, evaluated.data)))


def from_kept(found: Any, path: Path, description: Description, *, data: str, split: str) -> Evaluated | None:
    """A checkpoint's evaluation from what was kept of it, or None where that is none, or told otherwise.

    Args:
        found: what `json.loads` gives of `to_keep`; anything else is none.
        path: of the checkpoint.
        description: of the checkpoint.
        data: as it is to be shown.
        split: of it.
    """
    try:
        kept: _Measured = rebuilt(_Measured, found)
    except ValueError:
        return None
    if (kept.notes or kept.mask_notes) and kept.spelled != _spelled(path, data):
        return None
    return Evaluated(
        path=path,
        run=run_folder(path),
        seed=description.seed,
        epoch=description.epoch,
        data=data,
        split=split,
        class_names=description.class_names,
        **{name: getattr(kept, name) for name in _names() if name != "spelled"},
    )


def _names() -> Sequence[str]:
    return [one.name for one in dataclasses.fields(_Measured)]


def _spelled(path: Path, data: str) -> tuple[str, ...]:
    return str(path.parent), data, str(real(Path()))
