"""The mean image of each site, like the paper's Figure 9: what a network can tell sites apart by."""

import io
from dataclasses import dataclass, field

import numpy as np
from matplotlib.figure import Figure

from activmask.data.files.intensities import FULL_RANGE


@dataclass
class SiteMeans:
    """Sums of images by site, in whole numbers so that their order decides nothing."""

    sums: dict[str, np.ndarray] = field(default_factory=dict)
    """uint64 (S, S) by site."""
    counts: dict[str, int] = field(default_factory=dict)

    def add(self, site: str, image: np.ndarray) -> None:
        """Count one uint16 image (S, S)."""
        if site not in self.sums:
            self.sums[site] = np.zeros(image.shape, np.uint64)
            self.counts[site] = 0
        self.sums[site] += image
        self.counts[site] += 1

    def draw(self) -> bytes:
        """The bytes of a PNG file: one mean image per site, on one grey scale."""
        sites = sorted(self.sums)
        figure = Figure(figsize=(3.4 * len(sites), 3.8), layout="constrained")
        for axes, site in zip(figure.subplots(1, len(sites), squeeze=False)[0], sites, strict=True):
            axes.imshow(self.sums[site] / self.counts[site] / FULL_RANGE, cmap="gray", vmin=0, vmax=1)
            axes.set_title(f"{site}: mean of {self.counts[site]} images", fontsize=10)
            axes.set_axis_off()
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=100, metadata={"Software": None})
        return file.getvalue()
