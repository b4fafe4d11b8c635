"""Where a run's images come from, and by what they are known again."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from activmask.data.arrays import HeldImages
from activmask.data.dataset import Dataset
from activmask.data.recipe import Recipe, class_names, recipe_of
from activmask.data.samples import Samples
from activmask.data.sources.synthetic.drawing import CLASS_NAMES, drawn_recipe
from activmask.ground.places import real
from activmask.runs.manifest import Entry, sample_entries, split_digests, table_entries


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


def origin_on_disk(dataset: Dataset, rows: Mapping[str, np.ndarray]) -> Origin:
    """The origin of rows of a data set; reads the bytes of every file that they name.

    Raises:
        DataError: a file cannot be read, or the card contradicts the table.
    """
    names = class_names(dataset)
    entries = table_entries(dataset, rows)
    return Origin(
        path=absolute(dataset.root),
        images=len(dataset),
        class_names=names,
        recipe=recipe_of(dataset),
        entries=entries,
        digests=split_digests(entries),
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
