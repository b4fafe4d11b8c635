"""A checkpoint of several labels as one that answers about a single label."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from activmask.data.multi_label import yes_and_no
from activmask.ground.errors import PATH, CheckpointError, UsageError
from activmask.ground.nearest import nearest
from activmask.models.one_label import one_label
from activmask.runs.checkpoint import Checkpoint, Description, load_checkpoint, read_description
from activmask.runs.tensor_file import read_told

Described = TypeVar("Described", bound=Description)


def label_names(path: str | Path) -> tuple[str, ...] | None:
    """The labels that a checkpoint's network tells, which do not exclude each other; none of one of classes.

    None where it cannot be read: whoever loads it says why.
    """
    try:
        description = read_description(Path(path), read_told(Path(path)))
    except (CheckpointError, OSError):
        return None
    return description.class_names if description.multi_label else ()


def load_label(path: str | Path, label: str | None, *, code: Sequence[str | Path] = ()) -> Checkpoint:
    """A checkpoint as it is, or as one that answers about a label.

    Args:
        path: of the file.
        label: by name; None for a network of classes.
        code: as in `load_checkpoint`.

    Raises:
        UsageError: the network knows no such label.
        CheckpointError: as `load_checkpoint`; or it knows several labels, and none is named.
    """
    if label is None:
        return load_checkpoint(path, code=code)
    whole = load_checkpoint(path, code=code, multi_label=True)
    return checkpoint_of_label(whole, label)


def label_number(description: Description, label: str, path: Path) -> int:
    """The number of a label among those that a network tells (raises UsageError where it tells none such)."""
    if not description.multi_label:
        raise UsageError(
            f"the label {label!r} has no effect: the network of {PATH} tells classes that exclude each other",
            path=path,
            advice="leave it out",
        )
    if label not in description.class_names:
        raise UsageError(f"there is no label {label!r}; {nearest(label, description.class_names)}")
    return description.class_names.index(label)


def checkpoint_of_label(checkpoint: Checkpoint, label: str) -> Checkpoint:
    """The same network, asked whether one label is true: class 0 that it is not, class 1 that it is."""
    number = label_number(checkpoint, label, checkpoint.path)
    return replace(described_by(checkpoint, label), model=one_label(checkpoint.model, number))


def described_by(description: Described, label: str) -> Described:
    """The description of a network that is asked about one label."""
    return replace(description, classes=2, class_names=yes_and_no(label), multi_label=False)
