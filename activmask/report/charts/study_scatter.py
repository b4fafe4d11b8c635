"""Test AUC against attribution beyond chance: masks of the data beside masks at random places."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from scipy.special import stdtrit

from activmask.ground.shown import shown
from activmask.report.charts.chart import Chart, Style, chance_line, drawing, series_styles
from activmask.report.charts.hover import says
from activmask.report.charts.panels import legend_below, panels
from activmask.report.findings.networks import CONTROLS, Network
from activmask.report.findings.series import in_order
from activmask.report.findings.study import Study
from activmask.report.findings.where import twins
from activmask.report.findings.words import count, signed

Reach = tuple[float, float, float]
"""A mean and how far its interval reaches below and above it, 0 where it has none."""


def study_scatter(found: Study) -> Chart:
    """Draw a point for each network, and each method's mean with its interval, data set by data set."""
    networks = found.observed.networks
    styles = series_styles(in_order(one.method for one in networks))
    with drawing():
        figure, axes, lowest = panels(len(found.observed.data), columns=2, height=2.9)
        for panel, data in zip(axes, found.observed.data, strict=True):
            _draw(panel, found.observed.of(data), styles)
            panel.set_title(shown(data))
        for panel in lowest:
            panel.set_xlabel("attribution beyond chance")
        for panel in axes[::2]:
            panel.set_ylabel("test AUC")
            panel.set_ylim(-0.04, 1.04)
        legend_below(figure, styles, lines=False)
    return Chart(
        kind="where-or-how-much",
        title="Test AUC against attribution beyond chance",
        caption=_caption(),
        alt=_alt(found, networks),
        figure=figure,
    )


def _draw(axes: Axes, networks: Sequence[Network], styles: dict[str, Style]) -> None:
    chance_line(axes, 0.5)
    chance_line(axes, 0.0, vertical=True)
    for method, style in styles.items():
        own = [one for one in networks if one.method == method]
        for hollow in (True, False):
            if some := [one for one in own if (one.masks in CONTROLS) == hollow]:
                _points(axes, some, style, hollow=hollow)
        marks = means(own)
        centres = [_mean(axes, one, style, method) for one in marks]
        if any(one.paired for one in marks):
            # Of one method, from masks that tell nothing to those of the data.
            axes.plot(*zip(*centres, strict=True), color=style.colour, linewidth=1.2, zorder=3)


@dataclass(frozen=True)
class Mean:
    """Networks of a method that share a large mark."""

    networks: list[Network]
    hollow: bool
    paired: bool
    """Whether the other mark of the method is of networks that differ from these in the masks alone."""


def means(own: Sequence[Network]) -> list[Mean]:
    """The large marks of a method on one data set: of its pairs where it has any, or else of all."""
    pairs = [pair for control in CONTROLS for pair in twins(own, control)]
    if pairs:
        sides = [pair.other for pair in pairs], [pair.one for pair in pairs]
    else:
        sides = (
            [one for one in own if one.masks in CONTROLS],
            [one for one in own if one.masks not in CONTROLS],
        )
    return [
        Mean(some, hollow, bool(pairs)) for some, hollow in zip(sides, (True, False), strict=True) if some
    ]


def _points(axes: Axes, networks: Sequence[Network], style: Style, *, hollow: bool) -> None:
    [marks] = axes.plot(
        [one.inside for one in networks],
        [one.score for one in networks],
        linestyle="none",
        marker=style.marker,
        markersize=3.5,
        color=style.colour,
        markerfacecolor="none" if hollow else style.colour,
        markeredgewidth=0.7 if hollow else 0,
        alpha=0.5,
        zorder=2,
    )
    says(marks, [f"{one.label}, seed {one.seed}: {_in_words(one.score, one.inside)}" for one in networks])


def _mean(axes: Axes, mean: Mean, style: Style, method: str) -> tuple[float, float]:
    x, y = over_seeds(mean.networks, "inside"), over_seeds(mean.networks, "score")
    bars = axes.errorbar(
        x[0],
        y[0],
        xerr=[[x[1]], [x[2]]],
        yerr=[[y[1]], [y[2]]],
        color=style.colour,
        marker=style.marker,
        markersize=8,
        markerfacecolor=_GROUND if mean.hollow else style.colour,
        markeredgewidth=1.4 if mean.hollow else 0,
        elinewidth=0.8,
        zorder=4,
    )
    for bar in bars.lines[2]:
        bar.set_alpha(_FAINT)
    masks = "masks that tell nothing" if mean.hollow else "mean"
    says(bars.lines[0], [f"{method}, {masks}: {_in_words(y[0], x[0])}"])
    return x[0], y[0]


_FAINT = 0.3
"""Of an interval: of three seeds it reaches across the panel."""

_GROUND = "none"
"""Of a hollow mark: the page may be light or dark."""


def over_seeds(networks: Sequence[Network], value: str) -> Reach:
    """The mean over seeds and Student's 95 % interval; a seed is the mean of its networks."""
    seeds = sorted({one.seed for one in networks})
    means = [float(np.mean([getattr(one, value) for one in networks if one.seed == seed])) for seed in seeds]
    if len(means) < 2:
        return means[0], 0.0, 0.0
    half = float(stdtrit(len(means) - 1, 0.975) * np.std(means, ddof=1) / np.sqrt(len(means)))
    low, high = (0.0, 1.0) if value == "score" else (-np.inf, 1.0)
    centre = float(np.mean(means))
    return centre, centre - max(low, centre - half), min(high, centre + half) - centre


def _in_words(score: float, inside: float) -> str:
    return f"test AUC {score:.3f}, attribution beyond chance {signed(inside, digits=3)}"


def _caption() -> str:
    return (
        "Each small mark is one trained network at its best epoch, on the test images. Filled: no masks, or "
        "those of the data; hollow: masks at random places or of other images. Large marks are means with "
        "the 95 % interval over seeds (Student's; a seed is the mean of its networks), of a method's hollow "
        "marks and of those filled ones that differ from them in the masks alone; of a method without such "
        "pairs, of all. What is moved along the line between the two is moved by where the masks lie alone. "
        "Attribution beyond chance is the share of the absolute input gradient inside the dilated mask, 0 "
        "where a random map has it (dotted) and 1 where all lies inside."
    )


def _alt(found: Study, networks: Sequence[Network]) -> str:
    parts = []
    for data in found.observed.data:
        for method in in_order(one.method for one in networks):
            own = [one for one in found.observed.of(data) if one.method == method]
            for mean in means(own):
                x, y = over_seeds(mean.networks, "inside"), over_seeds(mean.networks, "score")
                name = f"{method} with masks that tell nothing" if mean.hollow else method
                parts.append(f"{data}, {name}: AUC {y[0]:.2f}, beyond chance {signed(x[0])}")
    return f"Scatter plots of {count(len(networks), 'network')}. Means: {'; '.join(parts)}."
