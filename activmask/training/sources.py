"""From a run's description to the samples it trains and is judged on."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from activmask.config import RunConfig, uses_masks
from activmask.data.augment import centre_crop
from activmask.data.dataset import Dataset, load_samples, read_dataset
from activmask.data.masks import circle, dilate, keep_share
from activmask.data.samples import Samples
from activmask.data.splits import SPLITS, split_indices
from activmask.data.synthetic import SyntheticSpec, draw_synthetic, synthetic_samples
from activmask.errors import DataError
from activmask.objectives.classification import keep_inside
from activmask.training.randomness import derived_seed

IN_MEMORY = "synthetic"
"""The data name that draws the benchmark from the seed instead of reading a folder."""


def stored_splits(config: RunConfig, seed: int, names: Sequence[str] = SPLITS) -> dict[str, Samples]:
    """Train, valid and test, or those that are named, at their stored resolution, masks as given.

    Raises:
        DataError: a data set that is missing, broken or cannot be split as asked.
    """
    if config.data != IN_MEMORY:
        dataset = read_dataset(Path(config.data))
        rows = split_rows(config, dataset, seed)
        return read_splits(config, dataset, {name: rows[name] for name in names})
    drawn = draw_synthetic(SyntheticSpec(seed=_split_seed(config, seed)))
    return _checked({name: synthetic_samples(drawn[name]) for name in names}, config)


def split_rows(config: RunConfig, dataset: Dataset, seed: int) -> dict[str, np.ndarray]:
    """Which rows of the data set's table, int64 (N,), are train, valid and test.

    Raises:
        DataError: the data set cannot be split as asked.
    """
    return split_indices(
        config,
        labels=dataset.labels,
        subjects=dataset.subjects,
        sites=dataset.sites,
        splits=dataset.splits,
        names=dataset.file_names,
        seed=_split_seed(config, seed),
    )


def read_splits(config: RunConfig, dataset: Dataset, rows: Mapping[str, np.ndarray]) -> dict[str, Samples]:
    """Train, valid and test at their stored resolution, masks as given, from `split_rows`.

    Raises:
        DataError: a file is broken, or a split cannot be trained or judged on.
    """
    return _checked({name: load_samples(dataset, chosen.tolist()) for name, chosen in rows.items()}, config)


def _split_seed(config: RunConfig, seed: int) -> int:
    return seed if config.split_seed < 0 else config.split_seed


def _checked(splits: dict[str, Samples], config: RunConfig) -> dict[str, Samples]:
    for name, samples in splits.items():
        height, width = samples.images.shape[-2:]
        check_split(name, config, (height, width), samples.labels, samples.has_mask)
    return {name: with_mask_source(samples, config) for name, samples in splits.items()}


def load_splits(config: RunConfig, seed: int) -> dict[str, Samples]:
    """Train, valid and test as the network sees them: centre-cropped, masks dilated.

    The dilation happens at the stored resolution, before the crop.
    """
    return {name: as_seen(samples, config) for name, samples in stored_splits(config, seed).items()}


def load_split(config: RunConfig, seed: int, name: str) -> Samples:
    """One of `load_splits`, without reading the files of the others.

    Raises:
        DataError: a data set that is missing, broken or cannot be split as asked.
    """
    return as_seen(stored_splits(config, seed, (name,))[name], config)


def as_seen(samples: Samples, config: RunConfig) -> Samples:
    """Samples as evaluation shows them to the network: masks dilated, cropped to the middle.

    With `classify_masked` "all", images are 0 outside their masks here as in training.
    """
    seen = _cropped(with_dilated_masks(samples, config), config)
    if config.classify_masked == "all":
        seen = replace(seen, images=keep_inside(seen.images, seen.masks))
    return seen


def to_train_on(samples: Samples, config: RunConfig, seed: int) -> Samples:
    """Training samples, masks dilated and only the run's share of them kept.

    They stay at their stored resolution where random crops are to be taken of them in training, and
    are cropped to the middle where none are.
    """
    kept = kept_masks(samples.labels, samples.has_mask, config, seed)
    return with_kept_masks(samples, config, kept)


def with_kept_masks(samples: Samples, config: RunConfig, kept: Tensor) -> Samples:
    """`to_train_on` for any part of the training samples, given which of them keep their mask, bool (N,)."""
    dilated = with_dilated_masks(samples, config)
    some = replace(dilated, masks=dilated.masks | ~kept[:, None, None, None], has_mask=kept)
    return _cropped(some, config) if config.augment == "none" else some


def _cropped(samples: Samples, config: RunConfig) -> Samples:
    if config.image_size in {0, samples.images.shape[-1]}:
        return samples
    images, masks = (centre_crop(stack, config.image_size) for stack in (samples.images, samples.masks))
    return replace(samples, images=images, masks=masks)


def with_dilated_masks(samples: Samples, config: RunConfig) -> Samples:
    """The same samples, their masks grown by the run's blur."""
    if config.mask == "circle":
        return samples
    return replace(samples, masks=dilate(samples.masks, config.mask_blur))


def kept_masks(labels: Tensor, has_mask: Tensor, config: RunConfig, seed: int) -> Tensor:
    """Which training images keep their mask, bool (N,), where only a share of them does (paper App. A)."""
    if config.masks == 1:
        return has_mask
    rng = np.random.default_rng(derived_seed(seed, "masks"))
    return keep_share(labels, has_mask, config.masks, rng)


def fingerprint(samples: Samples) -> str:
    """A digest of images, masks and labels, by which earlier versions knew their training data again."""
    digest = hashlib.sha256()
    for tensor in (samples.images, samples.masks, samples.labels):
        digest.update(tensor.contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()


def with_mask_source(samples: Samples, config: RunConfig) -> Samples:
    """The same samples with the masks the run asks for: those of the data set, or circles."""
    if config.mask == "file":
        return samples
    size = samples.images.shape[-1]
    return replace(
        samples,
        masks=circle(size).expand(len(samples), 1, size, size),
        has_mask=torch.ones(len(samples), dtype=torch.bool),
    )


def check_split(
    name: str, config: RunConfig, stored: tuple[int, int], labels: Tensor, has_mask: Tensor
) -> None:
    """Refuse a split of images of `stored` height and width in px that a run cannot use.

    Raises:
        DataError: images that are not square or too small, a single class, or no masks to train with.
    """
    height, width = stored
    if height != width:
        raise DataError(
            f"{config.data}: images are {height} x {width} px, but training needs square ones; "
            "prepare the data set with a size"
        )
    if config.image_size > width:
        raise DataError(
            f"{config.data}: images are {width} px a side, smaller than image_size {config.image_size}; "
            "prepare the data set at that size or larger, or set image_size to 0"
        )
    if len(labels.unique()) < 2:
        raise DataError(f"{config.data}: the {name} split holds images of one class only, so it has no AUC")
    if name == "train" and config.mask == "file" and uses_masks(config) and not has_mask.any():
        raise DataError(
            f"{config.data}: no training image has a mask, which this run's objectives need; "
            "prepare the data set with masks, or leave actdiff, gradmask and the masked controls out"
        )
