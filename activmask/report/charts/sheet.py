"""A figure on which many small pictures are laid out, in one pair of axes, as each takes long to draw.

Places and sizes are inches from the upper left corner.
"""

from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from activmask.report.charts.chart import MUTED
from activmask.saliency.render import border_lines, mask_border

Picture = NDArray[np.floating] | NDArray[np.bool_]
"""(H, W), or (H, W, 3) in colour; values in [0, 1]."""

_LABEL_GAP = 2 / 72
"""From a cell to the words under it."""
_FRAME, _BORDER = 0.6, 1.0
"""Points: width of a cell's frame and of a mask's border."""


class Sheet:
    """A figure with square cells of one size."""

    def __init__(self, width: float, height: float, cell: float, dpi: int) -> None:
        """An empty one, whose cells have a side of `cell`."""
        self.figure = Figure(figsize=(width, height), dpi=dpi)
        self._size = width, height
        self._cell = cell
        self._axes = self.figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(height, 0))
        self._axes.set_axis_off()
        self._axes.autoscale(enable=False)
        self._borders: list[NDArray[np.float64]] = []

    def picture(self, left: float, top: float, picture: Picture) -> None:
        """Lay a picture in a thin frame, its pixels as squares; grey ones from 0 black to 1 white."""
        side = self._cell
        self._axes.imshow(
            picture,
            extent=(left, left + side, top + side, top),
            cmap="gray",
            vmin=0,
            vmax=1,
            interpolation="nearest",
            aspect="auto",
        )
        self._axes.add_patch(
            Rectangle((left, top), side, side, fill=False, edgecolor=MUTED, linewidth=_FRAME, zorder=1)
        )

    def border(self, left: float, top: float, mask: NDArray[np.bool_] | None) -> None:
        """Draw the border of the mask (H, W) of the picture in a cell; none without a mask."""
        if mask is None:
            return
        scale = self._cell / np.array([mask.shape[1], mask.shape[0]])
        self._borders.append((mask_border(mask) + 0.5) * scale + np.array([left, top]))

    def under(self, left: float, top: float, words: str, *, bold: bool = False) -> None:
        """Write under a cell."""
        self._axes.text(
            left + self._cell / 2,
            top + self._cell + _LABEL_GAP,
            words,
            fontsize=7.5,
            weight="bold" if bold else "normal",
            ha="center",
            va="top",
            parse_math=False,
        )

    def blank(self, left: float, top: float) -> None:
        """Say by a dash that there is no picture in a cell."""
        middle = self._cell / 2
        self._axes.text(left + middle, top + middle, "–", color=MUTED, ha="center", va="center")

    def write(self, left: float, top: float, words: str, **settings: Any) -> None:
        """Write anywhere, as `Figure.text` does."""
        width, height = self._size
        self.figure.text(left / width, 1 - top / height, words, parse_math=False, **settings)

    def finished(self) -> Figure:
        """The figure, with all borders on it."""
        if self._borders:
            lines = border_lines(np.concatenate(self._borders), _BORDER)
            # As paths, the borders of medical masks are megabytes of a vector file.
            lines.set_rasterized(True)
            self._axes.add_collection(lines, autolim=False)
        return self.figure
