"""From the settings of a run's images to the samples it trains and is judged on."""

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import Tensor

from activmask.data.arrays import HeldImages
from activmask.data.dataset import Dataset, load_samples, read_dataset
from activmask.data.files.limits import SizeNeeded
from activmask.data.held_out import held_out
from activmask.data.multi_label import is_multi_label, one_value_only
from activmask.data.samples import Samples
from activmask.data.settings import ARRAYS, IID, IN_MEMORY, Source, View, split_seed
from activmask.data.splits import split_indices
from activmask.data.view import as_seen, dilates, scale_unknown, unscaled, with_mask_source
from activmask.ground.errors import DataError
from activmask.ground.listed import listed
from activmask.objectives.chosen import Chosen, needs, shown, shown_always, that_need
from activmask.runs.description import RunConfig
from activmask.training.feed.kept_masks import with_lent_masks
from activmask.training.feed.reading import Reading


def load_splits(config: RunConfig, seed: int) -> dict[str, Samples]:
    """Train, valid and test as the network sees them: masks dilated, then cropped or resized.

    The dilation happens at the stored resolution.
    """
    stored = stored_splits(config.source, config.view, config.objectives, seed)
    return {
        name: split_as_judged(samples, config.view, config.objectives, seed=seed, split=name)
        for name, samples in stored.items()
    }


def stored_splits(source: Source, view: View, objectives: Chosen, seed: int) -> dict[str, Samples]:
    """Train, valid and test at their stored resolution, masks as given.

    Args:
        source: where they come from.
        view: must fit them, and says whether their masks are circles.
        objectives: likewise, as some need masks.
        seed: of the run.

    Raises:
        DataError: a data set that is missing, broken or cannot be split as asked.
    """
    if source.data == IN_MEMORY:
        return drawn_splits(source, seed, view, objectives)
    dataset = read_dataset(Path(source.data), multi_label=True)
    return read_splits(dataset, split_rows(source, dataset, seed), view, objectives)


def drawn_splits(
    source: Source, seed: int, view: View, objectives: Chosen, reading: Reading | None = None
) -> dict[str, Samples]:
    """Splits of the benchmark as a run's seed draws it in memory, otherwise as `stored_splits`.

    Raises:
        DataError: they are smaller than what the network is to see.
    """
    own = split_seed(source, seed)
    drawn = (reading or Reading()).drawn(own)
    if source.valid_iid:
        drawn = _with_iid(drawn, source.valid_iid, own)
    return _checked(drawn, view, objectives, IN_MEMORY)


def _with_iid(drawn: dict[str, Samples], share: float, seed: int) -> dict[str, Samples]:
    train = drawn["train"]
    held = held_out(
        names=train.names,
        labels=train.labels.numpy(),
        subjects=train.subjects,
        sites=train.sites,
        share=share,
        seed=seed,
    )
    return {
        **drawn,
        "train": train.subset(np.flatnonzero(~held).tolist()),
        IID: train.subset(np.flatnonzero(held).tolist()),
    }


def held_splits(
    held: HeldImages, source: Source, view: View, objectives: Chosen, seed: int
) -> dict[str, Samples]:
    """Splits of images that the caller holds, otherwise as `stored_splits`."""
    samples = held.samples
    rows = split_indices(
        source,
        labels=samples.labels.numpy(),
        subjects=samples.subjects,
        sites=samples.sites,
        splits=held.splits or ("",) * len(samples),
        names=samples.names,
        label_names=held.class_names,
        seed=split_seed(source, seed),
    )
    chosen = {name: samples.subset(of_split.tolist()) for name, of_split in rows.items()}
    return _checked(chosen, view, objectives, ARRAYS)


def network_shape(dataset: Dataset, view: View) -> dict[str, int]:
    """What a network for a data set is built for: `channels` and `size` in px of its images, `classes`.

    Raises:
        DataError: its first image cannot be read.
    """
    return {
        "channels": load_samples(dataset, [0]).images.shape[1],
        "classes": len(dataset.label_names) or 1 + int(dataset.labels.max()),
        "size": view.image_size or dataset.width,
    }


def split_rows(source: Source, dataset: Dataset, seed: int) -> dict[str, np.ndarray]:
    """Which rows of the data set's table, int64 (N,), are train, valid and test for a run's seed.

    Raises:
        DataError: the data set cannot be split as asked.
    """
    return split_indices(
        source,
        labels=dataset.labels,
        subjects=dataset.subjects,
        sites=dataset.sites,
        splits=dataset.splits,
        names=dataset.file_names,
        label_names=dataset.label_names,
        seed=split_seed(source, seed),
    )


def read_splits(
    dataset: Dataset,
    rows: Mapping[str, np.ndarray],
    view: View,
    objectives: Chosen,
    reading: Reading | None = None,
) -> dict[str, Samples]:
    """The rows of each split at their stored resolution, masks as given.

    Raises:
        DataError: a file is broken, or a split cannot be trained or judged on.
    """
    reading = reading or Reading()
    read = {name: reading.stored(dataset, chosen.tolist()) for name, chosen in rows.items()}
    return _checked(read, view, objectives, str(dataset.root))


def _checked(splits: Mapping[str, Samples], view: View, objectives: Chosen, data: str) -> dict[str, Samples]:
    for name, samples in splits.items():
        height, width = samples.images.shape[-2:]
        check_split(name, (height, width), samples.labels, samples.has_mask, view, objectives, data)
    return {name: with_run_masks(samples, view, objectives, data) for name, samples in splits.items()}


def with_run_masks(samples: Samples, view: View, objectives: Chosen, data: str) -> Samples:
    """`with_mask_source` for a run's stored samples.

    Raises:
        DataError: masks are missing where images are to be cut by them.
    """
    if shown_always(objectives) and dilates(view) and scale_unknown(samples):
        raise unscaled(data, view)
    return with_mask_source(samples, view)


def split_as_judged(samples: Samples, view: View, objectives: Chosen, *, seed: int, split: str) -> Samples:
    """A split as stored, given as evaluation shows it to the network: masks lent, then `as_judged`."""
    return as_judged(with_lent_masks(samples, view, objectives, seed=seed, split=split), view, objectives)


def as_judged(samples: Samples, view: View, objectives: Chosen) -> Samples:
    """Samples as evaluation shows them to the network: `as_seen`, then what objectives show always.

    Where an objective shows the same in evaluation as in training, such as images that are blank outside
    their masks, they are so here.
    """
    seen = as_seen(samples, view)
    images = shown(shown_always(objectives), seen.images, seen.images, seen.masks)
    return replace(seen, images=images)


def check_scale(dataset: Dataset, view: View, objectives: Chosen) -> None:
    """Refuse to train on masks whose native grid an old data set does not tell (raises DataError)."""
    unknown = dataset.native is not None and bool((dataset.native == 0).any())
    if unknown and dilates(view) and needs(objectives).masks:
        raise unscaled(dataset.root, view)


def check_split(
    name: str,
    stored: tuple[int, int],
    labels: Tensor,
    has_mask: Tensor,
    view: View,
    objectives: Chosen,
    data: str,
) -> None:
    """Refuse a split of images of `stored` height and width in px that a run cannot use.

    Raises:
        DataError: images that are not square or too small, a single class, or no masks to train with.
    """
    height, width = stored
    if height != width:
        raise SizeNeeded(
            f"images are {height} x {width} px, but training needs square ones",
            path=data,
            advice="prepare the data set with a size",
        )
    if view.image_size > width:
        raise DataError(
            f"images are {width} px a side, smaller than image_size {view.image_size}",
            path=data,
            advice="prepare the data set at that size or larger, or set image_size to 0",
        )
    several = is_multi_label(labels)
    if several and (constant := one_value_only(labels.numpy(), [str(k) for k in range(labels.shape[1])])):
        raise DataError(f"in the {name} split {constant}, so it has no AUC", path=data)
    if not several and len(labels.unique()) < 2:
        raise DataError(f"the {name} split holds images of one class only, so it has no AUC", path=data)
    if name == "train" and view.mask == "file" and needs(objectives).masks and not has_mask.any():
        raise DataError(
            "no training image has a mask, which this run's objectives need",
            path=data,
            advice=f"prepare the data set with masks, or leave {listed(that_need(objectives, 'masks'))} out",
        )


def fingerprint(samples: Samples) -> str:
    """A digest of images, masks and labels, by which earlier versions knew their training data again."""
    digest = hashlib.sha256()
    for tensor in (samples.images, samples.masks, samples.labels):
        digest.update(tensor.contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()
