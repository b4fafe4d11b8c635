"""The mean image of each site, and how two sites differ (paper Figure 9).

Shapes: H x W pixels of the network's size.
"""

from collections.abc import Sequence
from textwrap import wrap

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from activmask.data.settings import ARRAYS, IN_MEMORY
from activmask.ground.shown import shown
from activmask.report.charts.chart import WIDTH, Chart, drawing
from activmask.report.findings.series import finished, the_data_set
from activmask.report.findings.site_means import SiteMean, mean_by_site
from activmask.runs.results import Run
from activmask.training.feed.reading import Reading
from activmask.training.feed.trained_data import of_seed, own_place, own_table

EDGE = 0.1
"""Share of the side that counts as the edge of an image, on each of its sides."""

_COLUMNS, _DPI = 3, 150
_PANEL, _LINE = 2.6, 0.17
"""In inches: height of an image with its scale, and of a line of its title."""

_TITLE_CHARACTERS = 22
_DIFFERENCE_COLOURS = "PuOr"


def site_means(runs: Sequence[Run], reading: Reading | None = None) -> Chart | None:
    """Draw the mean training image of every site, or nothing for a data set with fewer than two sites.

    The images are those of the first run's lowest finished seed.

    Args:
        runs: of one data set.
        reading: what was read for others, and is read for more; None where there are none.

    Raises:
        DataError: the data set is missing or broken.
    """
    ended = finished(runs)
    if not ended or ended[0].config.source.data in {ARRAYS, IN_MEMORY}:
        return None
    data, first = the_data_set(ended), ended[0]
    seed = min(first.seeds)
    trained = of_seed(first.folder, seed, first.config)
    reading, place = (reading or Reading()).still_true(), own_place(trained)
    table = own_table(trained, reading.table(place), reading.known(place))
    means = mean_by_site(table.dataset, table.rows["train"], first.config.view)
    return _chart(data, means, seed) if len(means) > 1 else None


def _chart(data: str, means: Sequence[SiteMean], seed: int) -> Chart:
    pair = _largest(means)
    with drawing():
        figure = _draw(means, pair)
    return Chart(
        kind="figure-9",
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
    difference = _difference(pair)
    widest = float(np.abs(difference).max()) or 1.0
    _show(panels[len(means)], difference, titles[-1], _DIFFERENCE_COLOURS, (-widest, widest))
    for unused in panels[len(titles) :]:
        unused.remove()
    return figure


def _difference(pair: tuple[SiteMean, SiteMean]) -> NDArray[np.float64]:
    """One mean image minus the other, (H, W): of those in colour, the mean over channels."""
    found = pair[0].image - pair[1].image
    return np.asarray(found.mean(axis=2) if found.ndim == 3 else found)


def _title(*parts: str) -> str:
    return "\n".join(line for part in parts for line in wrap(shown(part), _TITLE_CHARACTERS))


def _show(
    axes: Axes, image: NDArray[np.float64], title: str, colours: str, limits: tuple[float, float]
) -> None:
    picture = axes.imshow(image, cmap=colours, vmin=limits[0], vmax=limits[1], interpolation="nearest")
    axes.set_title(title, fontsize=9.5, parse_math=False)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set_visible(False)
    bar = axes.figure.colorbar(picture, ax=axes, location="bottom", shrink=0.9, aspect=16, pad=0.03)
    bar.outline.set_visible(False)
    bar.locator = MaxNLocator(3)
    bar.ax.tick_params(labelsize=8)
    if image.ndim == 3 and bar.solids is not None:
        # Colours need no scale, but its room keeps all panels in line.
        bar.solids.set_visible(False)
        bar.ax.tick_params(length=0, labelcolor="none")


def _caption(means: Sequence[SiteMean], pair: tuple[SiteMean, SiteMean], seed: int) -> str:
    told = "; ".join(
        f"{mean.site}: " + ", ".join(f"{count} {what}" for what, count in mean.parts.items())
        for mean in means
    )
    coloured = means[0].image.ndim == 3
    scale = "in colour" if coloured else "in grey values from 0 to 1"
    over = " (mean over red, green and blue)" if coloured else ""
    tints = f" Mean red, green and blue: {'; '.join(map(_tint, means))}." if coloured else ""
    return (
        f"Mean of the training images of each site at the size the network sees, {scale}, "
        f"and {pair[0].site} minus {pair[1].site}{over} (split of seed {seed}; {told}). Where the sites hold "
        f"the classes in different shares, part of the difference is between classes.{tints}"
    )


def _tint(mean: SiteMean) -> str:
    return f"{mean.site} " + ", ".join(f"{value:.2f}" for value in mean.image.mean(axis=(0, 1)))


def _alt(data: str, means: Sequence[SiteMean], pair: tuple[SiteMean, SiteMean]) -> str:
    difference = _difference(pair)
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
