"""Which share of the image lies inside the masks of a set, before and after their dilation.

Shapes: n masks of H x W pixels.
"""

from array import array
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from activmask.data.dilation import NATIVE_UNIT, STORED_UNIT, stored_radii

_PIXELS_TOGETHER = 2**22
"""Of the masks that wait to be counted at once: small masks are counted faster together."""


@dataclass(frozen=True, kw_only=True)
class Shares:
    """The share of the image inside each of n masks."""

    masks: int
    """n."""
    minimum: float | None
    """Of the n shares, in [0, 1]; None without a mask, as are the next three."""
    median: float | None
    mean: float | None
    maximum: float | None
    empty: int
    """How many masks have nothing inside."""
    full: int
    """How many have nothing outside."""

    @property
    def partial(self) -> int:
        """How many have both an inside and an outside."""
        return self.masks - self.empty - self.full

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class MaskShares:
    """The shares of a data set's masks, as stored and as training would dilate them."""

    sigma_px: float
    """Of the blur that dilates them."""
    unit: str
    """What sigma counts: `NATIVE_UNIT` or `STORED_UNIT`."""
    without_mask: int
    """Images that have none."""
    stored: Shares
    dilated: Shares

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary for the card."""
        return {"of": "the stored image", **asdict(self)}


@dataclass(frozen=True, kw_only=True)
class Presence:
    """How well the mere presence of a mask tells the class."""

    auc: float
    """Of "has a mask" as the score; 0.5 tells nothing."""
    chance_distance: float
    """An AUC no further than this from 0.5 counts as chance (95 %)."""

    @property
    def tells(self) -> bool:
        """Whether it tells more than chance would."""
        return abs(self.auc - 0.5) > self.chance_distance


def shares(inside: Sequence[int] | np.ndarray, area: int) -> Shares:
    """The shares of masks from the px inside each of them and the px of the image."""
    counts = np.asarray(inside, dtype=np.int64)
    if not len(counts):
        return Shares(masks=0, minimum=None, median=None, mean=None, maximum=None, empty=0, full=0)
    return Shares(
        masks=len(counts),
        minimum=float(counts.min() / area),
        median=float(np.median(counts) / area),
        mean=float(counts.mean() / area),
        maximum=float(counts.max() / area),
        empty=int((counts == 0).sum()),
        full=int((counts == area).sum()),
    )


def dilated_masks(masks: np.ndarray, radii: tuple[int, int]) -> np.ndarray:
    """What `masks.dilate` makes of bool (n, H, W) with radii along rows and columns, without torch."""
    size = (1, *(2 * radius + 1 for radius in radii))
    # Whoever only reads what is told of masks need not wait for it.
    from scipy.ndimage import maximum_filter

    return np.asarray(maximum_filter(masks.view(np.uint8), size=size, mode="constant"), np.bool_)


def circle_share(size: int) -> float:
    """The share of an image of `size` px a side inside `masks.circle`."""
    squares = (np.arange(size) - (size - 1) / 2) ** 2
    return float((squares[:, None] + squares <= (size / 2.5) ** 2).mean())


class ShareTally:
    """Counts masks one at a time, in the memory of a few of them."""

    def __init__(self, sigma: float) -> None:
        """For a dilation by a blur of `sigma` px of each mask's native grid."""
        self._sigma = sigma
        self._stored, self._dilated = array("q"), array("q")
        self._without = self._area = 0
        self._native_known = False
        self._radii = (0, 0)
        self._waiting: list[np.ndarray] = []

    def add(self, mask: np.ndarray | None, native: tuple[int, int] | None) -> None:
        """Count an image's mask.

        Args:
            mask: bool (H, W), or None for an image without one.
            native: height and width in px of the grid that sigma counts on; None for the stored one.
        """
        self._native_known |= native is not None
        if mask is None:
            self._without += 1
            return
        height, width = mask.shape
        self._area = height * width
        rows, columns = stored_radii(self._sigma, (height, width), np.array([native or mask.shape]))[0]
        full = (len(self._waiting) + 1) * self._area > _PIXELS_TOGETHER
        if (rows, columns) != self._radii or full:
            self._count()
            self._radii = (int(rows), int(columns))
        self._waiting.append(mask)

    def result(self) -> MaskShares:
        """What has been counted."""
        self._count()
        return MaskShares(
            sigma_px=self._sigma,
            unit=NATIVE_UNIT if self._native_known else STORED_UNIT,
            without_mask=self._without,
            stored=shares(self._stored, self._area),
            dilated=shares(self._dilated, self._area),
        )

    def _count(self) -> None:
        if not self._waiting:
            return
        masks = np.stack(self._waiting)
        self._waiting.clear()
        self._stored.extend(masks.sum(axis=(1, 2)).tolist())
        self._dilated.extend(dilated_masks(masks, self._radii).sum(axis=(1, 2)).tolist())
