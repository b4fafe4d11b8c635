"""From a run's description to the samples it trains and is judged on."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from activmask.data.augment import centre_crop, resize_whole
from activmask.data.dataset import Dataset, load_samples, read_dataset
from activmask.data.dilation import dilation_radius
from activmask.data.masks import circle, dilate, keep_share, lenders
from activmask.data.samples import Samples
from activmask.data.settings import IN_MEMORY
from activmask.data.sources.synthetic.drawing import SyntheticSpec, draw_synthetic, synthetic_samples
from activmask.data.splits import SPLITS, split_indices
from activmask.ground.errors import DataError
from activmask.objectives.chosen import needs, shown, shown_always
from activmask.runs.description import RunConfig
from activmask.runs.seeds import derived_seed

SCALE_UNKNOWN = (
    "the data set was prepared by an earlier version, which did not record of how many px each slice was "
    "(native_height and native_width in metadata.csv); prepare it anew with prepare-msd"
)
"""Why the masks of a data set cannot be dilated."""


def stored_splits(config: RunConfig, seed: int, names: Sequence[str] = SPLITS) -> dict[str, Samples]:
    """Train, valid and test, or those that are named, at their stored resolution, masks as given.

    Raises:
        DataError: a data set that is missing, broken or cannot be split as asked.
    """
    if config.source.data != IN_MEMORY:
        dataset = read_dataset(Path(config.source.data))
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
        config.source,
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
    return seed if config.source.split_seed < 0 else config.source.split_seed


def _checked(splits: dict[str, Samples], config: RunConfig) -> dict[str, Samples]:
    for name, samples in splits.items():
        height, width = samples.images.shape[-2:]
        check_split(name, config, (height, width), samples.labels, samples.has_mask)
    return {name: with_mask_source(samples, config) for name, samples in splits.items()}


def load_splits(config: RunConfig, seed: int) -> dict[str, Samples]:
    """Train, valid and test as the network sees them: masks dilated, then cropped or resized.

    The dilation happens at the stored resolution.
    """
    stored = stored_splits(config, seed)
    return {
        name: as_seen(with_lent_masks(samples, config, seed, name), config)
        for name, samples in stored.items()
    }


def load_split(config: RunConfig, seed: int, name: str) -> Samples:
    """One of `load_splits`, without reading the files of the others.

    Raises:
        DataError: a data set that is missing, broken or cannot be split as asked.
    """
    stored = stored_splits(config, seed, (name,))[name]
    return as_seen(with_lent_masks(stored, config, seed, name), config)


def as_seen(samples: Samples, config: RunConfig) -> Samples:
    """Samples as evaluation shows them to the network: masks dilated, then the run's `evaluate_view`.

    Where an objective shows the same in evaluation as in training, such as images that are blank outside
    their masks, they are so here.
    """
    seen = _viewed(with_dilated_masks(samples, config), config)
    images = shown(shown_always(config.objectives), seen.images, seen.images, seen.masks)
    return replace(seen, images=images)


def to_train_on(samples: Samples, config: RunConfig, seed: int) -> Samples:
    """Training samples, masks dilated and only the run's share of them kept.

    They stay at their stored resolution where random crops are to be taken of them in training, and
    are seen as in evaluation where none are.
    """
    kept, shown = training_masks(samples.labels, samples.has_mask, config, seed)
    return with_kept_masks(_with_masks_of(samples, shown), config, kept)


def with_kept_masks(samples: Samples, config: RunConfig, kept: Tensor) -> Samples:
    """`to_train_on` for any part of the training samples, given which of them keep their mask, bool (N,)."""
    dilated = with_dilated_masks(samples, config)
    some = replace(dilated, masks=dilated.masks | ~kept[:, None, None, None], has_mask=kept)
    return _viewed(some, config) if config.view.augment == "none" else some


def _viewed(samples: Samples, config: RunConfig) -> Samples:
    if config.view.image_size in {0, samples.images.shape[-1]}:
        return samples
    if config.view.evaluate_view == "whole":
        images, masks = resize_whole(samples.images, samples.masks, config.view.image_size)
        return replace(samples, images=images, masks=masks)
    images, masks = (centre_crop(stack, config.view.image_size) for stack in (samples.images, samples.masks))
    return replace(samples, images=images, masks=masks)


def with_dilated_masks(samples: Samples, config: RunConfig) -> Samples:
    """The same samples, their masks grown by the run's blur on the grid they were drawn on.

    Raises:
        DataError: there are masks, and the data set does not say how large that grid was.
    """
    if config.view.mask == "circle":
        return samples
    if scale_unknown(samples) and dilation_radius(config.view.mask_blur) > 0:
        if samples.has_mask.any():
            raise _unscaled(config)
        return samples
    native = None if scale_unknown(samples) else samples.native
    return replace(samples, masks=dilate(samples.masks, config.view.mask_blur, native))


def scale_unknown(samples: Samples) -> bool:
    """Whether the samples were slices once and nothing says of how many px."""
    return samples.native is not None and bool((samples.native == 0).any())


def check_scale(config: RunConfig, dataset: Dataset) -> None:
    """Refuse to train on masks whose native grid an old data set does not tell (raises DataError)."""
    unknown = dataset.native is not None and bool((dataset.native == 0).any())
    dilates = config.view.mask == "file" and dilation_radius(config.view.mask_blur) > 0
    if unknown and dilates and needs(config.objectives).masks:
        raise _unscaled(config)


def _unscaled(config: RunConfig) -> DataError:
    return DataError(
        f"{config.source.data}: mask_blur {config.view.mask_blur:g} counts px of the original slice, but "
        f"{SCALE_UNKNOWN}, or set mask_blur to 0"
    )


def training_masks(labels: Tensor, has_mask: Tensor, config: RunConfig, seed: int) -> tuple[Tensor, Tensor]:
    """Which masks training looks at.

    Only a share of the masks may be kept (paper App. A), and images that the data set gives none
    may borrow one of those that are kept. Then as large a share of the images without one borrows.

    Returns:
        Which images have a mask in training, bool (N,), and of which image each shows it, int64 (N,).

    Raises:
        DataError: masks are to be borrowed, but every image has one.
    """
    borrowed = config.view.masks_without == "borrowed"
    if borrowed and has_mask.all():
        raise DataError(
            f"{config.source.data}: masks_without borrowed has no effect, as every training image has a "
            "mask; leave it out"
        )
    wanted = torch.ones_like(has_mask) if borrowed else has_mask
    if config.view.masks < 1:
        rng = np.random.default_rng(derived_seed(seed, "masks"))
        wanted = keep_share(labels, wanted, config.view.masks, rng)
    owners = wanted & has_mask
    if not borrowed:
        return owners, torch.arange(len(labels))
    shown = lenders(wanted & ~has_mask, owners, _lending(seed, "train"))
    return wanted & owners.any(), shown


def with_lent_masks(samples: Samples, config: RunConfig, seed: int, name: str) -> Samples:
    """A split as stored, with the borrowed masks by which a run cuts the images it is judged on too."""
    if not shown_always(config.objectives) or config.view.masks_without != "borrowed":
        return samples
    return _with_masks_of(samples, judged_lenders(samples.has_mask, seed, name))


def judged_lenders(has_mask: Tensor, seed: int, name: str) -> Tensor:
    """Of which image of a split each shows the mask where it is judged, int64 (N,)."""
    return lenders(~has_mask, has_mask, _lending(seed, name))


def _lending(seed: int, name: str) -> np.random.Generator:
    return np.random.default_rng(derived_seed(seed, "lending", SPLITS.index(name)))


def _with_masks_of(samples: Samples, shown: Tensor) -> Samples:
    """The same images, each with the mask of the image that `shown`, int64 (N,), names."""
    return replace(
        samples,
        masks=samples.masks[shown],
        has_mask=samples.has_mask[shown],
        native=None if samples.native is None else samples.native[shown],
    )


def fingerprint(samples: Samples) -> str:
    """A digest of images, masks and labels, by which earlier versions knew their training data again."""
    digest = hashlib.sha256()
    for tensor in (samples.images, samples.masks, samples.labels):
        digest.update(tensor.contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()


def with_mask_source(samples: Samples, config: RunConfig) -> Samples:
    """The same samples with the masks the run asks for: those of the data set, or circles.

    Masks that cannot be dilated, because the data set does not say on which grid they were drawn, are
    taken for missing.

    Raises:
        DataError: they are missing where images are to be cut by them.
    """
    if config.view.mask == "file":
        if not scale_unknown(samples) or dilation_radius(config.view.mask_blur) == 0:
            return samples
        if shown_always(config.objectives):
            raise _unscaled(config)
        whole = torch.ones_like(samples.masks)
        return replace(samples, masks=whole, has_mask=torch.zeros_like(samples.has_mask))
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
            f"{config.source.data}: images are {height} x {width} px, but training needs square ones; "
            "prepare the data set with a size"
        )
    if config.view.image_size > width:
        raise DataError(
            f"{config.source.data}: images are {width} px a side, smaller than image_size "
            f"{config.view.image_size}; prepare the data set at that size or larger, or set image_size to 0"
        )
    if len(labels.unique()) < 2:
        raise DataError(
            f"{config.source.data}: the {name} split holds images of one class only, so it has no AUC"
        )
    if (
        name == "train"
        and config.view.mask == "file"
        and needs(config.objectives).masks
        and not has_mask.any()
    ):
        raise DataError(
            f"{config.source.data}: no training image has a mask, which this run's objectives need; "
            "prepare the data set with masks, or leave actdiff, gradmask and the masked controls out"
        )
