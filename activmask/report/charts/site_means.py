"""The mean image of each site, and how two sites differ (paper Figure 9).

Shapes: H x W pixels of the network's size.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import wrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from activmask.data.dataset import Dataset, load_samples, read_dataset
from activmask.data.samples import Samples
from activmask.data.settings import IN_MEMORY
from activmask.report.charts.chart import WIDTH, Chart, drawing
from activmask.report.charts.series import finished, grouped
from activmask.report.findings.stems import stem
from activmask.runs.description import RunConfig, changed
from activmask.runs.names import data_name
from activmask.runs.results import Run
from activmask.training.feed.sources import as_seen, split_rows
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
        means = mean_by_site(config, seed, group[0].folder)
        if len(means) > 1:
            charts.append(_chart(data, means, seed))
    return charts


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
