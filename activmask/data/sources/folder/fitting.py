"""How pictures that are not square become so: with bars, cut, or distorted; masks alike.

Shapes: H x W pixels of an original, S px the side of the square.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from scipy.stats import rankdata
from skimage import transform

from activmask.data.sources.folder.plan import Item
from activmask.ground.errors import UsageError

Fit = Literal["pad", "crop", "stretch"]
"""`pad`: the whole picture, its longer side S, black bars beside it. `crop`: its middle square. `stretch`:
the whole picture, each side resized to S by a factor of its own."""

USUAL_FIT: Fit = "pad"

BARS = 0
"""The value of bars, black, in every channel; in masks they are outside."""

_Z = 1.96
"""Standard deviations around the mean that hold 95 % of a normal distribution."""


def card_fit(card: Mapping[str, Any]) -> Fit:
    """How the images of a data set were fitted: stretched by earlier versions, whose cards do not say."""
    found = card.get("fit")
    return found if found in {"pad", "crop"} else "stretch"


def check_fit(items: Sequence[Item], size: int | None, fit: Fit | None) -> None:
    """Refuse a fit that could not take effect (raises UsageError)."""
    if fit is not None and size is None:
        raise UsageError(f"the fit {fit} has no effect without a size, which images are resized to")
    if fit not in {None, USUAL_FIT} and any(item.slice_number is not None for item in items):
        raise UsageError(
            f"slices of volumes keep their proportions, with bars where they are not square; the fit {fit} "
            "is for pictures alone",
            advice="leave it out, or prepare volumes and pictures apart",
        )


def fitted_image(image: np.ndarray, size: int, fit: Fit) -> np.ndarray:
    """An image (H, W) or (H, W, 3) in [0, 1] as (S, S) or (S, S, 3), anti-aliased."""
    cut = _middle(image) if fit == "crop" else image
    sides = _sides(cut.shape, size, fit)
    if cut.shape[:2] != sides:
        cut = np.clip(transform.resize(cut, sides, order=1, anti_aliasing=True), 0, 1)
    return _barred(np.asarray(cut), size)


def fitted_mask(mask: np.ndarray, size: int, fit: Fit) -> np.ndarray:
    """A mask, bool (H, W), as bool (S, S), each pixel the nearest; it may have lost its inside."""
    cut = _middle(mask) if fit == "crop" else mask
    sides = _sides(cut.shape, size, fit)
    if cut.shape != sides:
        cut = np.asarray(transform.resize(cut, sides, order=0), np.bool_)
    return _barred(cut, size)


def _middle(pixels: np.ndarray) -> np.ndarray:
    """The middle square, whose side is the shorter one."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return pixels[top : top + side, left : left + side]


def _sides(shape: tuple[int, ...], size: int, fit: Fit) -> tuple[int, int]:
    """Height and width of what is drawn of a picture in the square."""
    height, width = shape[:2]
    if fit == "stretch":
        return size, size
    scale = size / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def _barred(pixels: np.ndarray, size: int) -> np.ndarray:
    height, width = pixels.shape[:2]
    if (height, width) == (size, size):
        return pixels
    top, left = (size - height) // 2, (size - width) // 2
    square = np.full((size, size, *pixels.shape[2:]), BARS, pixels.dtype)
    square[top : top + height, left : left + width] = pixels
    return square


@dataclass
class FitTally:
    """What fitting did to the pictures of a data set, counted one by one."""

    size: int | None
    fit: Fit
    shapes: list[tuple[int, int]] = field(default_factory=list)
    """(height, width) in px of every original."""
    labels: list[str] = field(default_factory=list)
    """The class of each."""
    cut: list[float] = field(default_factory=list)
    """Of each mask that lost part of its region, the share that was cut off."""

    def add(self, label: str, shape: tuple[int, int], mask: np.ndarray | None) -> None:
        """Count an original and its mask, bool (H, W)."""
        self.shapes.append(shape)
        self.labels.append(label)
        if self.fit == "crop" and mask is not None and mask.any():
            lost = 1 - _middle(mask).sum() / mask.sum()
            if lost > 0:
                self.cut.append(float(lost))

    def card(self) -> dict[str, Any]:
        """What a data set's card says of it; nothing where images were not resized."""
        if self.size is None:
            return {}
        return {"fit": self.fit} | ({"not_square": self._odd()} if self._odd() else {})

    def sentence(self) -> str:
        """What was done to how many pictures, and by how much; empty where nothing was."""
        odd = self._odd()
        if self.size is None or not odd:
            return ""
        ratios = [max(shape) / min(shape) for shape in self.shapes]
        worst = int(np.argmax(ratios))
        height, width = self.shapes[worst]
        which = f"{odd} of {len(ratios)} images {'is' if odd == 1 else 'are'} not square"
        if self.fit == "stretch":
            return (
                f"{which} and {'was' if odd == 1 else 'were'} stretched by a factor of up to "
                f"{ratios[worst]:.2f} ({width} x {height} px), so that circles became ellipses"
            )
        share = 1 - 1 / ratios[worst]
        if self.fit == "pad":
            return f"{which}: black bars, outside every mask, fill up to {share:.0%} of an image"
        masks = f"{len(self.cut)} mask{' has' if len(self.cut) == 1 else 's have'}"
        lost = f"; {masks} lost part of the region, up to {max(self.cut):.0%}" if self.cut else ""
        return f"{which}: the middle of each was kept, up to {share:.0%} of an image cut off{lost}"

    def leak(self) -> str:
        """What the originals' shapes give away of the classes, where that is beyond chance; else empty."""
        if self.size is None or self.fit == "crop" or not self._odd():
            return ""
        ratios = np.array([width / height for height, width in self.shapes])
        labels = np.array(self.labels)
        if len(set(self.labels)) < 2:
            return ""
        found = [(name, *_auc(ratios, labels == name)) for name in sorted(set(self.labels))]
        name, area, chance = max(found, key=lambda one: abs(one[1] - 0.5) - one[2])
        if abs(area - 0.5) <= chance:
            return ""
        what = "the bars show it" if self.fit == "pad" else "how things are distorted shows it"
        return (
            f"the originals' shape tells class {name!r} with an AUC of {area:.2f} (by chance 0.5 ± "
            f"{chance:.2f}), and {what}; the fit crop hides it"
        )

    def _odd(self) -> int:
        return sum(height != width for height, width in self.shapes)


def _auc(scores: np.ndarray, chosen: np.ndarray) -> tuple[float, float]:
    """The AUC of scores (N,) for bool (N,), ties counted half, and how far chance takes it from 0.5.

    Mann and Whitney 1947; without ties the null distribution is widest, so the distance is cautious.
    """
    ones, others = int(chosen.sum()), int((~chosen).sum())
    area = (rankdata(scores)[chosen].sum() - ones * (ones + 1) / 2) / (ones * others)
    return float(area), _Z * float(np.sqrt((ones + others + 1) / (12 * ones * others)))
