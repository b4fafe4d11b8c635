"""Where a run's images come from, and by what they are known again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from activmask.data.arrays import HeldImages
from activmask.data.dataset import Dataset
from activmask.data.groups import group_values, usual_groups
from activmask.data.recipe import Recipe, card_benchmark, class_names, recipe_of
from activmask.data.samples import Samples
from activmask.data.sources.synthetic.drawing import CLASS_NAMES, drawn_recipe
from activmask.ground.errors import DataError
from activmask.ground.places import real
from activmask.runs.manifest import Entry, sample_entries, split_digests, table_entries
from activmask.training.feed.unread_subjects import unread_subjects


@dataclass(frozen=True, kw_only=True)
class ColumnOfSplits:
    """What a column of a data set says of the images of each split."""

    by: str
    """Its name, see `activmask.data.groups`."""
    values: Mapping[str, tuple[str, ...]]
    """By split, (n,); empty texts where it says nothing."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """A run's data, as its checkpoints will describe it."""

    path: str
    """The data set's folder from the root of the file system; empty for images drawn in memory."""
    images: int
    """How many images the data set holds, those in no split included."""
    class_names: tuple[str, ...]
    """Of classes 0, 1, ...; empty where the data set names none."""
    recipe: Recipe
    """How the data set made its images of raw files."""
    entries: tuple[Entry, ...]
    """The images of train, valid and test."""
    digests: dict[str, str]
    """SHA-256 of each split's entries."""
    benchmark: Mapping[str, Any] = field(default_factory=dict)
    """How the card says that the synthetic benchmark was drawn; empty of other data."""
    column: ColumnOfSplits | None = None
    """By which images are grouped; None where nobody asks and no shortcut was planted."""
    unread_subjects: str = ""
    """What a column that may say whom images show tells of the splits, see `unread_subjects`."""


def origin_on_disk(
    dataset: Dataset, rows: Mapping[str, np.ndarray], groups: str = "", known: dict[str, str] | None = None
) -> Origin:
    """The origin of rows of a data set; reads the bytes of every file that they name.

    Args:
        dataset: on disk.
        rows: of each split, int64 (n,).
        groups: by which column images are grouped; empty for the usual one, if there is one.
        known: SHA-256 of files by name, to be shared between calls on one data set; it grows.

    Raises:
        DataError: a file cannot be read, the card contradicts the table, or there is no such column.
    """
    names = class_names(dataset)
    entries = table_entries(dataset, rows, known)
    return Origin(
        path=absolute(dataset.root),
        images=len(dataset),
        class_names=names,
        recipe=recipe_of(dataset),
        benchmark=card_benchmark(dataset.card),
        entries=entries,
        digests=split_digests(entries),
        column=_column(dataset, rows, groups or usual_groups(dataset)),
        unread_subjects=unread_subjects(dataset, rows),
    )


def _column(dataset: Dataset, rows: Mapping[str, np.ndarray], by: str) -> ColumnOfSplits | None:
    if not by:
        return None
    values = group_values(dataset, by)
    return ColumnOfSplits(
        by=by, values={name: tuple(values[row] for row in own.tolist()) for name, own in rows.items()}
    )


def refuse_groups(groups: str, data: str) -> None:
    """Refuse to group images of which no table says anything (raises DataError)."""
    if groups:
        raise DataError(
            f"images cannot be grouped by '{groups}', as no table says anything of them",
            path=data,
            advice="give a data set folder whose table has such a column, or leave groups out",
        )


def origin_in_memory(drawn: Mapping[str, Samples]) -> Origin:
    """The origin of the benchmark as it was drawn, masks not yet dilated."""
    height, width = drawn["train"].images.shape[-2:]
    entries = sample_entries(drawn)
    return Origin(
        path="",
        images=len(entries),
        class_names=CLASS_NAMES,
        recipe=drawn_recipe(height, width),
        entries=entries,
        digests=split_digests(entries),
    )


def origin_of_arrays(splits: Mapping[str, Samples], held: HeldImages) -> Origin:
    """The origin of splits of images that the caller holds, masks not yet dilated."""
    height, width = held.samples.images.shape[-2:]
    entries = sample_entries(splits)
    return Origin(
        path="",
        images=len(held.samples),
        class_names=held.class_names,
        recipe={"height": height, "width": width},
        entries=entries,
        digests=split_digests(entries),
    )


def absolute(folder: Path) -> str:
    """One spelling for each folder: from the root of the file system, links followed."""
    return str(real(folder))
