"""The mean image of each site.

Shapes: H x W pixels of the network's size.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from activmask.data.dataset import Dataset, load_samples
from activmask.data.samples import Samples
from activmask.data.settings import View
from activmask.data.view import at_network_size

BATCH = 64
"""Images in memory at a time."""


@dataclass(frozen=True, kw_only=True)
class SiteMean:
    """What the training images of one site have in common."""

    site: str
    image: NDArray[np.float64]
    """(H, W) in [0, 1], or (H, W, 3) in colour, the mean of the images as the network sees them."""
    count: int
    """Number of images."""
    parts: dict[str, int]
    """How many of them are, for example, `of class 1`, or `with effusion`, whose label is foreign text."""


def mean_by_site(dataset: Dataset, rows: NDArray[np.int64], view: View) -> list[SiteMean]:
    """The mean image of every named site, by name, reading a few images at a time.

    Args:
        dataset: that names the sites.
        rows: int64 (n,), the images that count, by their rows in the data set's table.
        view: how they are cropped or resized; nothing is masked out of them.

    Returns:
        Empty where the data set names fewer than two sites.

    Raises:
        DataError: an image is broken.
    """
    sums: dict[str, NDArray[np.float64]] = {}
    counts: Counter[str] = Counter()
    parts: dict[str, Counter[str]] = {}
    for samples in _from_named_sites(dataset, rows, view):
        images, sites = samples.images.double().numpy(), np.array(samples.sites)
        for site in np.unique(sites):
            own = sites == site
            sums[site] = sums.get(site, 0.0) + images[own].sum(axis=0)
            counts[site] += int(own.sum())
            parts.setdefault(site, Counter()).update(_parts(samples.labels.numpy()[own], dataset.label_names))
    return [
        SiteMean(
            site=str(site),
            image=_picture(sums[site] / counts[site]),
            count=counts[site],
            parts=dict(sorted(parts[site].items(), key=lambda part: (len(part[0]), part))),
        )
        for site in sorted(sums)
    ]


def _parts(labels: NDArray[np.int64], names: Sequence[str]) -> Iterator[str]:
    """What classes (n,) count as, one an image, or labels (n, L) of L names, one for each that is true."""
    if not names:
        return (f"of class {label}" for label in labels.tolist())
    return (f"with {name}" for k, name in enumerate(names) for _ in range(int((labels[:, k] == 1).sum())))


def _picture(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """(H, W), or (H, W, 3), of (C, H, W)."""
    return image[0] if len(image) == 1 else np.moveaxis(image, 0, 2)


def _from_named_sites(dataset: Dataset, rows: NDArray[np.int64], view: View) -> Iterator[Samples]:
    """The images from named sites at the network's size, masks as they are."""
    if len({*dataset.sites} - {""}) < 2:
        return
    named = [i for i in rows.tolist() if dataset.sites[i]]
    for start in range(0, len(named), BATCH):
        yield at_network_size(load_samples(dataset, named[start : start + BATCH]), view)
