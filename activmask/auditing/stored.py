"""From a data set on disk to what a classifier is audited on."""

from functools import partial
from pathlib import Path

import torch

from activmask.auditing.material import SITE, Material, label_by_label
from activmask.data.dataset import Dataset, load_samples, read_dataset
from activmask.data.planting.planting import told_class
from activmask.data.recipe import called_classes, told_name
from activmask.data.samples import Samples
from activmask.data.settings import IN_MEMORY
from activmask.data.splits import SPLITS
from activmask.evaluation.other_data import split_for
from activmask.evaluation.planted import pairs_as_stored, planted_pairs
from activmask.ground.errors import ActivmaskError, UsageError
from activmask.ground.nearest import nearest
from activmask.runs.checkpoint import Checkpoint
from activmask.training.feed.sources import split_as_judged
from activmask.training.feed.trained_data import shown_place


def material_of_folder(root: Path) -> tuple[Material, ...]:
    """A data set as it is stored, of all its splits, its masks as they were drawn; one for each label.

    Of classes that exclude each other there is one for all.

    Raises:
        DataError: anything in it is missing, broken or contradictory.
    """
    dataset = read_dataset(root, multi_label=True)
    samples = load_samples(dataset, range(len(dataset)))
    classes = called_classes(dataset)
    found = Material(
        samples=samples,
        class_names=classes,
        columns=_columns(dataset, samples),
        splits=dataset.splits if any(dataset.splits) else None,
        source=str(root),
        title=told_name(dataset.card, "title"),
        root=root,
        pairs_of=None
        if told_class(dataset.card) is None
        else partial(pairs_as_stored, dataset, classes=classes),
    )
    if dataset.label_names:
        return label_by_label(found, dataset.labels, dataset.label_names)
    return (found,)


def material_of_checkpoint(
    checkpoint: Checkpoint, data: str | None, split: str | None, *, accept_recipe: bool = False
) -> tuple[Material, ...]:
    """What a checkpoint of this package can be judged on, as its network sees it.

    Its own data are split as its run wrote down; of other data what the run saw in training is left
    out. Masks are dilated as in training. Of several labels there is one material for each.

    Args:
        checkpoint: of a run.
        data: a data set's folder, `synthetic`, or None for the run's own.
        split: that is to be judged, test if None; of the others those are added that can be read.
        accept_recipe: judge on images that were prepared otherwise than the run's.

    Raises:
        UsageError: there is no such split.
        DataError: the split that is to be judged cannot be read, or does not fit the network.
    """
    judged = split or "test"
    if judged not in SPLITS:
        raise UsageError(f"a run is judged on one split, not on '{judged}'; {nearest(judged, SPLITS)}")
    stored, notes = split_for(checkpoint, data, judged, accept_recipe=accept_recipe)
    parts, told = {judged: _as_judged(checkpoint, stored, judged)}, list(notes)
    for name in SPLITS:
        if name == judged:
            continue
        try:
            other, _ = split_for(checkpoint, data, name, accept_recipe=accept_recipe)
            parts[name] = _as_judged(checkpoint, other, name)
        except ActivmaskError as error:
            told.append(f"The {name} split is left aside: {error}.")
    place = shown_place(checkpoint) if data is None else data
    samples = _together([parts[name] for name in SPLITS if name in parts])
    dataset = None if place == IN_MEMORY else read_dataset(Path(place), multi_label=True)
    found = Material(
        samples=samples,
        class_names=checkpoint.class_names or tuple(map(str, range(checkpoint.classes))),
        columns={} if dataset is None else _columns(dataset, samples),
        splits=tuple(name for name in SPLITS if name in parts for _ in range(len(parts[name]))),
        source=place,
        title="" if dataset is None else told_name(dataset.card, "title"),
        root=None if dataset is None else dataset.root,
        notes=tuple(told),
        pairs_of=None
        if dataset is None or told_class(dataset.card) is None
        else lambda _: planted_pairs(checkpoint, data, stored, judged),
    )
    if checkpoint.multi_label:
        return label_by_label(found, samples.labels.numpy(), checkpoint.class_names)
    return (found,)


def _as_judged(checkpoint: Checkpoint, stored: Samples, name: str) -> Samples:
    config = checkpoint.config
    return split_as_judged(stored, config.view, config.objectives, seed=checkpoint.seed, split=name)


def _together(parts: list[Samples]) -> Samples:
    native = [part.native for part in parts]
    return Samples(
        images=torch.cat([part.images for part in parts]),
        masks=torch.cat([part.masks for part in parts]),
        has_mask=torch.cat([part.has_mask for part in parts]),
        labels=torch.cat([part.labels for part in parts]),
        subjects=tuple(one for part in parts for one in part.subjects),
        sites=tuple(one for part in parts for one in part.sites),
        names=tuple(one for part in parts for one in part.names),
        native=torch.cat([one for one in native if one is not None]) if None not in native else None,
    )


def _columns(dataset: Dataset, samples: Samples) -> dict[str, tuple[str, ...]]:
    """The columns of a data set for some of its images, sites among them where they are known."""
    row = {name: k for k, name in enumerate(dataset.file_names)}
    rows = [row[name] for name in samples.names]
    sites = {SITE: samples.sites} if any(samples.sites) else {}
    return {**sites, **{name: tuple(values[k] for k in rows) for name, values in dataset.columns.items()}}
