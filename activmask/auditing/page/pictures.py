"""Images that changed most, each as a figure of the page: picture with mask, and map."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from activmask.auditing.page.changed import Changed
from activmask.report.charts.chart import MUTED, Chart, drawing
from activmask.saliency.choices import HEAT
from activmask.saliency.render import outline

_PANEL, _TITLE = 2.4, 0.35
"""Inches of a panel, and of the words above it."""

_DPI = 150


def picture_chart(one: Changed, number: int, *, probabilities: bool) -> Chart:
    """One image with the outline of its mask, and where the classifier looks in it.

    Args:
        one: the image.
        number: counted from 1, in the order of change.
        probabilities: whether its scores are probabilities.
    """
    panels = 1 if one.attribution is None else 2
    height, width = one.image.shape[:2]
    with drawing():
        figure = Figure(
            figsize=(_PANEL * panels + 0.1, _PANEL * height / width + _TITLE), dpi=_DPI, layout="constrained"
        )
        axes = figure.subplots(1, panels, squeeze=False)[0]
        axes[0].imshow(one.image, cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        _framed(axes[0], one, "image and mask")
        if one.attribution is not None:
            top = float(one.attribution.max()) or 1.0
            axes[1].imshow(one.attribution / top, cmap=HEAT, vmin=0, vmax=1, interpolation="nearest")
            _framed(axes[1], one, f"{one.method}, absolute values")
    what = "probability" if probabilities else "score"
    change = f"{one.full:.2f} as it is, {one.destroyed:.2f} with the outside shuffled"
    return Chart(
        kind=f"image-{number}",
        title=f"{number}. {one.name}",
        caption=f"{what.capitalize()} of its class, {one.true}: {change}.",
        alt=f"Image {one.name} with its mask{' and where the model looks' if panels == 2 else ''}; {what} of "
        f"{one.true}: {change}.",
        figure=figure,
    )


def _framed(axes: Axes, one: Changed, title: str) -> None:
    outline(axes, one.mask)
    for border in axes.collections:
        # As paths, the borders of medical masks are megabytes of a vector file.
        border.set(rasterized=True, linewidth=1.2)
    axes.set(xticks=[], yticks=[])
    axes.set_title(title, fontsize=9, weight="normal")
    for spine in axes.spines.values():
        spine.set(visible=True, linewidth=0.6, color=MUTED)
