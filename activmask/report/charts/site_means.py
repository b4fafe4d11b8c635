"""The mean image of each site, and how two sites differ (paper Figure 9).

Shapes: H x W pixels of the network's size.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from textwrap import wrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from activmask.data.dataset import Dataset, load_samples
from activmask.data.samples import Samples
from activmask.data.settings import IN_MEMORY, View
from activmask.data.view import at_network_size
from activmask.report.charts.chart import WIDTH, Chart, drawing
from activmask.report.charts.series import finished, grouped
from activmask.report.findings.stems import stem
from activmask.runs.names import data_name
from activmask.runs.results import Run
from activmask.training.feed.trained_data import of_seed, own_table

BATCH = 64
"""Images in memory at a time."""

EDGE = 0.1
"""Share of the side that counts as the edge of an image, on each of its sides."""

_COLUMNS, _DPI = 3, 150
_PANEL, _LINE = 2.6, 0.17
"""In inches: height of an image with its scale, and of a line of its title."""

_TITLE_CHARACTERS = 22
_DIFFERENCE_COLOURS = "PuOr"


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


def site_means(runs: Sequence[Run]) -> list[Chart]:
    """Draw the mean training image of every site, one chart per data set with at least two sites.

    The images are those of the first run's lowest finished seed.

    Raises:
        DataError: a data set is missing or broken; ask for one data set at a time where the charts
            of the others matter.
    """
    charts = []
    for data, group in grouped(finished(runs), lambda run: data_name(run.config)).items():
        config, seed = group[0].config, min(group[0].seeds)
        if config.source.data == IN_MEMORY:
            continue
        table = own_table(of_seed(group[0].folder, seed, config))
        means = mean_by_site(table.dataset, table.rows["train"], config.view)
        if len(means) > 1:
            charts.append(_chart(data, means, seed))
    return charts


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
    classes: dict[str, Counter[int]] = {}
    for samples in _from_named_sites(dataset, rows, view):
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


def _from_named_sites(dataset: Dataset, rows: NDArray[np.int64], view: View) -> Iterator[Samples]:
    """The images from named sites at the network's size, masks as they are."""
    if len({*dataset.sites} - {""}) < 2:
        return
    named = [i for i in rows.tolist() if dataset.sites[i]]
    for start in range(0, len(named), BATCH):
        yield at_network_size(load_samples(dataset, named[start : start + BATCH]), view)


def _chart(data: str, means: Sequence[SiteMean], seed: int) -> Chart:
    pair = _largest(means)
    with drawing():
        figure = _draw(means, pair)
    return Chart(
        kind="figure-9",
        stem=stem(data),
        title=f"Mean image per site, {data}",
        caption=_caption(means, pair, seed),
        alt=_alt(data, means, pair),
        figure=figure,
    )


def _largest(means: Sequence[SiteMean]) -> tuple[SiteMean, SiteMean]:
    """The two sites of most images, in the order of their names."""
    one, other = sorted(sorted(means, key=lambda mean: -mean.count)[:2], key=lambda mean: mean.site)
    return one, other


def _draw(means: Sequence[SiteMean], pair: tuple[SiteMean, SiteMean]) -> Figure:
    titles = [_title(mean.site, f"{mean.count} images") for mean in means]
    titles.append(_title(pair[0].site, f"minus {pair[1].site}"))
    rows = -(-len(titles) // _COLUMNS)
    height = _PANEL + _LINE * max(title.count("\n") + 1 for title in titles)
    figure = Figure(figsize=(WIDTH, height * rows), dpi=_DPI, layout="constrained")
    panels = list(figure.subplots(rows, _COLUMNS, squeeze=False).flat)
    limits = min(mean.image.min() for mean in means), max(mean.image.max() for mean in means)
    for axes, mean, title in zip(panels, means, titles, strict=False):
        _show(axes, mean.image, title, "gray", limits)
    difference = pair[0].image - pair[1].image
    widest = float(np.abs(difference).max()) or 1.0
    _show(panels[len(means)], difference, titles[-1], _DIFFERENCE_COLOURS, (-widest, widest))
    for unused in panels[len(titles) :]:
        unused.remove()
    return figure


def _title(*parts: str) -> str:
    return "\n".join(line for part in parts for line in wrap(part, _TITLE_CHARACTERS))


def _show(
    axes: Axes, image: NDArray[np.float64], title: str, colours: str, limits: tuple[float, float]
) -> None:
    shown = axes.imshow(image, cmap=colours, vmin=limits[0], vmax=limits[1], interpolation="nearest")
    axes.set_title(title, fontsize=9.5, parse_math=False)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    bar = axes.figure.colorbar(shown, ax=axes, location="bottom", shrink=0.9, aspect=16, pad=0.03)
    bar.outline.set_visible(False)
    bar.locator = MaxNLocator(3)
    bar.ax.tick_params(labelsize=8)


def _caption(means: Sequence[SiteMean], pair: tuple[SiteMean, SiteMean], seed: int) -> str:
    told = "; ".join(
        f"{mean.site}: " + ", ".join(f"{count} of class {label}" for label, count in mean.classes.items())
        for mean in means
    )
    return (
        f"Mean of the training images of each site at the size the network sees, in grey values from 0 to 1, "
        f"and {pair[0].site} minus {pair[1].site} (split of seed {seed}; {told}). Where the sites hold the "
        "classes in different shares, part of the difference is between classes."
    )


def _alt(data: str, means: Sequence[SiteMean], pair: tuple[SiteMean, SiteMean]) -> str:
    difference = pair[0].image - pair[1].image
    edge = _edge(difference.shape)
    told = ", ".join(f"{mean.site} {mean.image.mean():.2f}" for mean in means)
    away = np.abs(difference)
    return (
        f"Mean training images for {data}, by site; mean grey value: {told}. {pair[0].site} minus "
        f"{pair[1].site} lies between {difference.min():+.2f} and {difference.max():+.2f}; its absolute "
        f"value is {away[edge].mean():.3f} on average at the edge, the outer {EDGE:.0%} of each side, and "
        f"{away[~edge].mean():.3f} inside."
    )


def _edge(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Which pixels of an (H, W) image lie at its edge."""
    height, width = shape
    rows, columns = max(1, round(EDGE * height)), max(1, round(EDGE * width))
    edge = np.ones(shape, dtype=np.bool_)
    edge[rows : height - rows, columns : width - columns] = False
    return edge
