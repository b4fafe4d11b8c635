"""A labelled contact sheet of a synthetic data set, like the paper's Figure 1; arrows point at the box."""

import io

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from activmask.data.sources.synthetic.drawing import SyntheticSplit

_PER_CLASS = 3
_TITLES = {0: "class 0: two crosses", 1: "class 1: one cross"}


def synthetic_preview(splits: dict[str, SyntheticSplit]) -> bytes:
    """Draw a few training and validation images of each class, as the bytes of a PNG file."""
    figure = Figure(figsize=(9.6, 3.9), layout="constrained")
    grid = figure.subplots(2, 2 * _PER_CLASS)
    for row, (split, title) in enumerate((("train", "training"), ("valid", "validation"))):
        for label in (0, 1):
            chosen = (splits[split].labels == label).nonzero()[0][:_PER_CLASS]
            for column in range(_PER_CLASS):
                axes = grid[row, label * _PER_CLASS + column]
                if column < len(chosen):
                    _draw(axes, splits[split], chosen[column])
                _dress(axes)
        grid[row, 0].set_ylabel(title)
    for label, title in _TITLES.items():
        grid[0, label * _PER_CLASS + _PER_CLASS // 2].set_title(title, fontsize=11)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=100, metadata={"Software": None})
    return file.getvalue()


def _draw(axes: Axes, split: SyntheticSplit, index: int) -> None:
    image = split.images[index]
    axes.imshow(image, cmap="gray", vmin=0, vmax=1)
    box_rows, box_columns = (image & ~split.masks[index]).nonzero()
    if len(box_rows):
        tip = (box_columns.mean(), box_rows.min() - 0.5)
        axes.annotate(
            "",
            tip,
            (tip[0], tip[1] - len(image) / 5),
            arrowprops={"arrowstyle": "->", "color": "#e8601c", "lw": 2},
        )


def _dress(axes: Axes) -> None:
    axes.set_xticks([])
    axes.set_yticks([])
