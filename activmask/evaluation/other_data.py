"""A data set that a network was not trained on: which of its images it may be tested on, and how.

Classes are matched by name, images must have been made of their files alike, and none that the run
trained on, or chose its epoch by, is tested.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
import torch

from activmask.data.dataset import Dataset, read_dataset
from activmask.data.multi_label import is_multi_label
from activmask.data.recipe import Recipe, class_names, matched_classes, recipe_differences, recipe_of
from activmask.data.samples import Samples
from activmask.data.settings import IID, IN_MEMORY
from activmask.data.sources.synthetic.drawing import CLASS_NAMES
from activmask.ground.errors import PATH, DataError
from activmask.ground.listed import listed
from activmask.runs.checkpoint import Checkpoint
from activmask.runs.manifest import Entry, pixel_digests, split_digests, table_entries, table_rows
from activmask.training.feed.known_recipe import known_classes, known_recipe
from activmask.training.feed.origin import absolute, origin_in_memory
from activmask.training.feed.reading import Reading
from activmask.training.feed.sources import drawn_splits, read_splits
from activmask.training.feed.trained_data import (
    Trained,
    is_written_down,
    of_checkpoint,
    own_entries,
    own_pixels,
    own_split,
)

Told = tuple[Samples, tuple[str, ...]]
"""Images as stored, and sentences on what a reader should know of them."""


def split_for(
    checkpoint: Checkpoint,
    data: str | None,
    split: str,
    *,
    accept_recipe: bool = False,
    reading: Reading | None = None,
) -> Told:
    """The images of a split to judge a checkpoint on, as stored.

    Args:
        checkpoint: whose classes and recipe they must fit.
        data: a data set's folder, or `synthetic`; None for the run's own. A folder that holds the
            run's own images, wherever it lies, is the run's own.
        split: `train`, `valid` or `test`. A data set without a column `split` is all test.
        accept_recipe: judge on images that were made of their files otherwise.
        reading: what was read for other checkpoints and may serve this one.

    Raises:
        DataError: the data is missing, broken or changed, its classes or its recipe are others, or
            nothing is left that the run has not seen in training.
    """
    trained = of_checkpoint(checkpoint)
    if data is None or _is_own_place(trained, data):
        return own_split(trained, split, reading)
    if data == IN_MEMORY and checkpoint.multi_label:
        raise DataError(
            "images that are drawn have one class each, and the network tells labels that do not exclude "
            "each other",
            advice="evaluate it on data with its labels",
        )
    if data == IN_MEMORY:
        return _drawn(checkpoint, split, accept_recipe=accept_recipe)
    dataset = read_dataset(Path(data), multi_label=checkpoint.multi_label)
    if checkpoint.multi_label and not dataset.label_names:
        raise DataError(
            f"{PATH} has a class for each image, but the network tells labels that do not exclude each other "
            f"({listed(checkpoint.class_names)})",
            path=Path(data),
            advice="evaluate it on data with these labels",
        )
    if _is_own(trained, dataset):
        moved = replace(trained, data_path=absolute(dataset.root))
        samples, told = own_split(moved, split, reading)
        return samples, (f"{data} holds the run's own images, so its own {split} split is used.", *told)
    own = known_recipe(checkpoint)
    notes = [*own.notes, *_recipe_notes(own.recipe, recipe_of(dataset), data, accept_recipe=accept_recipe)]
    numbers = _numbers(checkpoint, class_names(dataset), data, notes)
    rows = _unseen(trained, dataset, _asked(dataset, data, split, notes), data, split, notes)
    view, objectives = checkpoint.config.view, checkpoint.config.objectives
    samples = read_splits(dataset, {split: rows}, view, objectives)[split]
    return _renumbered(samples, numbers), tuple(notes)


def _is_own_place(trained: Trained, data: str) -> bool:
    if IN_MEMORY in {data, trained.source.data}:
        return data == trained.source.data
    return absolute(Path(data)) == (trained.data_path or absolute(Path(trained.source.data)))


def _is_own(trained: Trained, dataset: Dataset) -> bool:
    """Whether a data set holds, file by file, what the run was trained on, and no more."""
    entries = own_entries(trained)
    if not entries or trained.source.data == IN_MEMORY or not _holds(dataset, entries):
        return False
    if trained.data_images not in {0, len(dataset)}:
        return False
    now = table_entries(dataset, table_rows(entries, dataset))
    return split_digests(now) == split_digests(entries)


def _holds(dataset: Dataset, entries: Sequence[Entry]) -> bool:
    return {entry.file for entry in entries} <= {*dataset.file_names}


def _drawn(checkpoint: Checkpoint, split: str, *, accept_recipe: bool) -> Told:
    config = checkpoint.config
    drawn = drawn_splits(config.source, checkpoint.seed, config.view, config.objectives)
    own, origin = known_recipe(checkpoint), origin_in_memory(drawn)
    notes = [
        *own.notes,
        *_recipe_notes(own.recipe, origin.recipe, IN_MEMORY, accept_recipe=accept_recipe),
        f"The {split} images of the benchmark are drawn from seed {checkpoint.seed}.",
    ]
    numbers = _numbers(checkpoint, CLASS_NAMES, IN_MEMORY, notes)
    return _renumbered(drawn[split], numbers), tuple(notes)


def _recipe_notes(own: Recipe, other: Recipe, data: str, *, accept_recipe: bool) -> list[str]:
    """What is to be said of how the images were made; raises DataError where that differs unaccepted."""
    if found := recipe_differences(own, other):
        told = "; ".join(found)
        if not accept_recipe:
            raise DataError(
                f"{PATH} was prepared otherwise than the images of the run ({told})",
                path=data,
                advice="prepare it alike, or accept the recipe if the difference is meant",
            )
        return [f"{data} was prepared otherwise than the images of the run, as accepted: {told}."]
    lacking = [
        name for name, recipe in (("the run's data", own), (data, other)) if recipe.get("source") is None
    ]
    return [
        f"How the images of {name} were prepared is not known (no card.json), so it is not compared."
        for name in lacking
    ]


def _numbers(checkpoint: Checkpoint, other: tuple[str, ...], data: str, notes: list[str]) -> list[int] | None:
    """The run's number of each class of the data set; None where classes are taken by number."""
    own = known_classes(checkpoint)
    if own and other:
        numbers = matched_classes(own, other, data)
        if numbers == list(range(len(numbers))):
            return None
        notes.append(
            f"{data} numbers its classes otherwise than the run; they were matched by name "
            f"({', '.join(f'{name} is {number}' for number, name in enumerate(own))})."
        )
        return numbers
    unnamed = [name for name, known in (("the run", own), (data, other)) if not known]
    verb = "names" if len(unnamed) == 1 else "name"
    told = ", ".join(f"{number} is {name!r}" for number, name in enumerate(own or other))
    notes.append(
        f"Classes are taken by number, because {' and '.join(unnamed)} {verb} none"
        f"{f' ({told})' if told else ''}."
    )
    return None


def _renumbered(samples: Samples, numbers: list[int] | None) -> Samples:
    if numbers is None:
        return samples
    if is_multi_label(samples.labels):
        order = [numbers.index(own) for own in range(len(numbers))]
        return replace(samples, labels=samples.labels[:, order])
    return replace(samples, labels=torch.tensor(numbers, dtype=torch.int64)[samples.labels])


def _asked(dataset: Dataset, data: str, split: str, notes: list[str]) -> np.ndarray:
    """The rows that are asked for, int64 (n,)."""
    if any(dataset.splits):
        rows = np.flatnonzero(np.array(dataset.splits) == split)
        if not len(rows):
            raise DataError(
                f"{PATH} has no image of the split {split} in its column",
                path=data,
                advice="choose another split",
            )
        notes.append(f"{data} is another data set; the {len(rows)} images of its own {split} split are used.")
        return rows
    if split != "test":
        raise DataError(
            f"{PATH} has no column that says what is {split}, and no split is drawn of a data set "
            "that the run was not trained on",
            path=data,
            advice="ask for test, which is all of it",
        )
    notes.append(
        f"{data} is another data set and has no column of splits: all its {len(dataset)} images are used."
    )
    return np.arange(len(dataset))


@dataclass(frozen=True)
class _Seen:
    """What a run saw in training, or chose its epoch by."""

    digests: frozenset[str]
    """Of image files."""
    subjects: dict[str, frozenset[str]]
    """The sites that each subject was seen at; those that are no mere file names."""


def _seen(entries: Sequence[Entry], split: str) -> _Seen:
    of_training = {"train"} | ({"valid", IID} - {split})
    seen = [entry for entry in entries if entry.split in of_training]
    subjects: dict[str, set[str]] = {}
    for entry in seen:
        if not _is_file_name(entry.subject, entry.file):
            subjects.setdefault(entry.subject, set()).add(entry.site)
    return _Seen(
        frozenset(entry.image_sha256 for entry in seen),
        {subject: frozenset(sites) for subject, sites in subjects.items()},
    )


def _is_file_name(subject: str, file: str) -> bool:
    """Whether a subject is called as its image, which is what images without a subject get."""
    flat = re.sub(r"[^a-z0-9.-]+", "_", re.sub(r"\.[^./]*$", "", subject).casefold())
    return subject == file or flat.strip("._-") == PurePosixPath(file).stem.casefold()


def _is_seen(seen: _Seen, entry: Entry) -> bool:
    sites = seen.subjects.get(entry.subject, frozenset())
    same_person = bool(sites) and not (entry.site and "" not in sites and entry.site not in sites)
    return same_person or entry.image_sha256 in seen.digests


def _same_pixels(trained: Trained, dataset: Dataset, rows: np.ndarray, split: str) -> np.ndarray:
    """Which rows, bool (n,), have the pixels of what the run saw, in whatever files, if its data is left."""
    seen = {
        digest
        for name, digests in own_pixels(trained, (dataset.height, dataset.width)).items()
        if name == "train" or (name in {"valid", IID} and name != split)
        for digest in digests
    }
    return np.array([digest in seen for digest in pixel_digests(dataset, rows)] if seen else rows < 0)


def _unseen(
    trained: Trained, dataset: Dataset, rows: np.ndarray, data: str, split: str, notes: list[str]
) -> np.ndarray:
    """The rows whose subjects and files the run did not see in training."""
    entries = own_entries(trained)
    if not entries:
        notes.append(
            f"Which images {trained.folder} was trained on is not known, so none of {data} could be left out "
            "for that; make sure that it shares no image or subject with the training data."
        )
        return rows
    if not is_written_down(trained):
        notes.append(
            f"What {trained.folder} was trained on was not written down by the earlier version that trained "
            "it; its splits were drawn anew to leave that out, which nothing can verify."
        )
    seen = _seen(entries, split)
    asked = table_entries(dataset, {"train": rows[:0], "valid": rows[:0], "test": rows})
    known = np.array([_is_seen(seen, entry) for entry in asked], dtype=np.bool_)
    known |= _same_pixels(trained, dataset, rows, split)
    if known.all():
        raise DataError(
            f"the run saw all {len(rows)} images asked for of {PATH}, or others of their subjects, "
            "in training or to choose its epoch",
            path=data,
            advice="test it on other images",
        )
    if known.any():
        first = asked[int(np.flatnonzero(known)[0])]
        notes.append(
            f"{int(known.sum())} of them are left out, because the run saw the same image or subject in "
            f"training or to choose its epoch (the first is {first.file} of subject {first.subject})."
        )
    return rows[~known]
