"""A few planted images above their untouched twins."""

import io
from dataclasses import dataclass, field

import numpy as np
from matplotlib.figure import Figure

_SHOWN = 6


@dataclass
class Pairs:
    """The first planted images that were written, with their twins."""

    shown: list[tuple[str, np.ndarray, np.ndarray]] = field(default_factory=list)
    """Title, image and twin, uint8 or uint16 (H, W), or uint8 (H, W, 3)."""

    def add(self, title: str, image: np.ndarray, twin: np.ndarray) -> None:
        """Keep a pair while there is room."""
        if len(self.shown) < _SHOWN:
            self.shown.append((title, image, twin))

    def draw(self) -> bytes:
        """The bytes of a PNG file: planted above, twin below, on one grey scale."""
        figure = Figure(figsize=(1.8 * max(len(self.shown), 1), 3.9), layout="constrained")
        grid = figure.subplots(2, max(len(self.shown), 1), squeeze=False)
        for axes in grid.flat:
            axes.set_xticks([])
            axes.set_yticks([])
        for column, (title, *images) in enumerate(self.shown):
            for axes, image in zip(grid[:, column], images, strict=True):
                axes.imshow(image, cmap="gray", vmin=0, vmax=np.iinfo(image.dtype).max)
            grid[0, column].set_title(title, fontsize=8, parse_math=False)
        for axes, name in zip(grid[:, 0], ("planted", "twin"), strict=True):
            axes.set_ylabel(name)
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=100, metadata={"Software": None})
        return file.getvalue()
