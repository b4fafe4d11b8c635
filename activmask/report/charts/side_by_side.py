"""Several networks looking at the same images, side by side (paper Figure 3)."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from activmask.data.samples import Samples, as_picture
from activmask.ground.shown import shown
from activmask.runs.checkpoint import Checkpoint
from activmask.saliency.attribution import attribute
from activmask.saliency.choices import HEAT
from activmask.saliency.methods import USUAL_METHOD
from activmask.saliency.render import outline


def side_by_side(
    checkpoints: Sequence[Checkpoint], titles: Sequence[str], samples: Samples, *, method: str = USUAL_METHOD
) -> Figure:
    """Draw one row per image: the input with its mask's outline, then each network's heat map.

    Args:
        checkpoints: the networks.
        titles: one per network, above its column.
        samples: a few images as the networks see them.
        method: of attribution, see `attribute`.
    """
    maps = [attribute(one.model, samples.images, method=method).numpy() for one in checkpoints]
    figure = Figure(figsize=(2.6 * (1 + len(checkpoints)), 2.6 * len(samples) + 0.4), layout="constrained")
    grid = figure.subplots(len(samples), 1 + len(checkpoints), squeeze=False)
    for row in range(len(samples)):
        mask = samples.masks[row, 0].numpy()
        _show(grid[row, 0], as_picture(samples.images[row]), mask, "gray")
        grid[row, 0].set_ylabel(f"class {int(samples.labels[row])}")
        for column, heat in enumerate(maps):
            _show(grid[row, 1 + column], heat[row], mask, HEAT)
    for axes, title in zip(grid[0], ["image and mask", *titles], strict=True):
        axes.set_title(shown(title), fontsize=10, parse_math=False)
    return figure


def _show(axes: Axes, image: NDArray[np.float32], mask: NDArray[np.bool_], colours: str) -> None:
    axes.imshow(image, cmap=colours, interpolation="nearest")
    outline(axes, mask)
    axes.set_xticks([])
    axes.set_yticks([])
