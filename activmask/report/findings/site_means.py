"""The mean image of each site.

Shapes: H x W pixels of the network's size.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from activmask.data.dataset import Dataset, load_samples, read_dataset
from activmask.data.samples import Samples
from activmask.data.settings import IN_MEMORY
from activmask.runs.description import RunConfig, changed
from activmask.training.feed.sources import as_seen, split_rows
from activmask.training.feed.trained_data import of_seed, own_table

BATCH = 64
"""Images in memory at a time."""


@dataclass(frozen=True, kw_only=True)
class SiteMean:
    """What the training images of one site have in common."""

    site: str
    image: NDArray[np.float64]
    """(H, W) in [0, 1], the mean of the images as the network sees them."""
    classes: dict[int, int]
    """Number of images by class."""

    @property
    def count(self) -> int:
        """Number of images."""
        return sum(self.classes.values())


def mean_by_site(config: RunConfig, seed: int, run: Path | None = None) -> list[SiteMean]:
    """The mean training image of every named site, by name, reading a few images at a time.

    Args:
        config: whose split and crop are used.
        seed: of the split, unless the run sets that apart.
        run: the run's folder, which tells the split; None draws it.

    Returns:
        Empty where the data set names no sites.

    Raises:
        DataError: the data set is missing, broken or cannot be split as asked.
    """
    sums: dict[str, NDArray[np.float64]] = {}
    classes: dict[str, Counter[int]] = {}
    for samples in _training_batches(config, seed, run):
        images, sites = samples.images.double().mean(dim=1).numpy(), np.array(samples.sites)
        for site in np.unique(sites):
            own = sites == site
            sums[site] = sums.get(site, 0.0) + images[own].sum(axis=0)
            classes.setdefault(site, Counter()).update(samples.labels.numpy()[own].tolist())
    return [
        SiteMean(
            site=str(site),
            image=sums[site] / classes[site].total(),
            classes=dict(sorted(classes[site].items())),
        )
        for site in sorted(sums)
    ]


def _training_batches(config: RunConfig, seed: int, run: Path | None) -> Iterator[Samples]:
    """The training images from named sites as the network sees them, unmasked."""
    if config.source.data == IN_MEMORY:
        return
    dataset, rows = _training_table(config, seed, run)
    if len({*dataset.sites} - {""}) < 2:
        return
    named = [i for i in rows.tolist() if dataset.sites[i]]
    plain = changed(config, classify_masked="off", mask_blur=0.0)
    for start in range(0, len(named), BATCH):
        yield as_seen(load_samples(dataset, named[start : start + BATCH]), plain)


def _training_table(config: RunConfig, seed: int, run: Path | None) -> tuple[Dataset, NDArray[np.int64]]:
    if run is not None:
        table = own_table(of_seed(run, seed, config))
        return table.dataset, table.rows["train"]
    dataset = read_dataset(Path(config.source.data))
    return dataset, split_rows(config, dataset, seed)["train"]
