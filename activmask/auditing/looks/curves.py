"""Insertion and deletion: what happens to a score when the pixels that a map ranks first come or go.

Petsiuk et al. 2018 (arXiv 1806.07421). Pixels are deleted from the image into a grey one, of its own mean,
and inserted into a blurred one. The area under the score over the share of pixels is small for deletion,
and large for insertion, where a map ranks first what the score rests on. What it would be by chance is
measured on the same images with the same maps moved to random places, and the two are compared in pairs.

Shapes: N images, C channels, H x W pixels, P = H * W, S steps.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.integrate import trapezoid
from torch import Tensor

from activmask.auditing.looks.moved_maps import moved
from activmask.data.gaussian_blur import gaussian_blur
from activmask.evaluation.localisation import PerImage
from activmask.evaluation.map_scores import summarised

Floats = NDArray[np.float64]
Kind = Literal["insertion", "deletion"]
Score = Callable[[Tensor], Floats]
"""From images (N, C, H, W) to the explained score (N,) of each."""

LEAST_GAIN = 0.01
"""A mean difference from chance below this share of the score's range is no evidence: at a saturated score an
interval of next to no width leaves 0 out by a hair."""

BLUR = 1 / 16
"""Sigma of the blur that insertion starts from, as a share of the shorter side (its authors: 1 / 45)."""


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Insertion or deletion over a set of images."""

    kind: Kind
    n: int
    """Images."""
    area: float
    """Mean over images of the area under the curve; a mean of the score over shares of pixels."""
    low: float | None
    """Lower end of the 95 % interval, a bootstrap over subjects; None of one subject."""
    high: float | None
    chance: float
    """The mean area of the same maps at random places."""
    gain: float
    """The mean difference of the two areas image by image, positive where the map is better than chance."""
    gain_low: float | None
    gain_high: float | None
    shares: tuple[float, ...]
    """(S + 1,) of the pixels, from 0 to 1."""
    scores: tuple[float, ...]
    """(S + 1,) the mean score at each."""
    chance_scores: tuple[float, ...]
    """(S + 1,) the same at random places."""

    least_gain: float
    """A gain nearer 0 is no evidence."""

    @property
    def is_trifle(self) -> bool:
        """Whether the gain is too small to mean anything, whatever its interval."""
        return abs(self.gain) < self.least_gain

    @property
    def beats_chance(self) -> bool:
        """Whether the interval of the gain lies above 0, and the gain is no trifle."""
        return self.gain_low is not None and self.gain_low > 0 and not self.is_trifle

    @property
    def below_chance(self) -> bool:
        """Whether it lies below 0, and the gain is no trifle."""
        return self.gain_high is not None and self.gain_high < 0 and not self.is_trifle

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        lists = {name: list(getattr(self, name)) for name in ("shares", "scores", "chance_scores")}
        return {**asdict(self), **lists, "beats_chance": self.beats_chance, "below_chance": self.below_chance}


def pixel_orders(maps: Floats, rng: np.random.Generator) -> NDArray[np.int64]:
    """Pixels from the highest to the lowest, int64 (N, P), of maps (N, H, W); equal ones in random order."""
    flat = maps.reshape(len(maps), -1)
    return np.lexsort((rng.random(flat.shape), -flat), axis=1)


def curves(
    score: Score, origin: Tensor, goal: Tensor, orders: Sequence[NDArray[np.int64]], *, steps: int
) -> list[Floats]:
    """The score on the way from one set of images to another, (N, S + 1) by each order.

    All ways have the same ends, which are scored once.

    Args:
        score: what is measured.
        origin: (N, C, H, W), where none of the pixels has changed.
        goal: (N, C, H, W), where all have.
        orders: each (N, P), in which they change.
        steps: S; after step s the first round(s P / S) pixels have changed.
    """
    start, end = score(origin), score(goal)
    found = []
    for order in orders:
        rank = torch.from_numpy(np.argsort(order, axis=1)).view(len(origin), 1, *origin.shape[2:])
        changed = np.rint(np.arange(1, steps) * order.shape[1] / steps).astype(np.int64).tolist()
        between = [score(torch.where(rank < count, goal, origin)) for count in changed]
        found.append(np.stack([start, *between, end], axis=1))
    return found


def area(curve: Floats) -> Floats:
    """The area under each curve (N, S + 1) over [0, 1] by trapezoids, (N,)."""
    return np.asarray(trapezoid(curve, dx=1 / (curve.shape[1] - 1), axis=1))


def greyed(images: Tensor) -> Tensor:
    """Each channel of each image (N, C, H, W) at its mean."""
    return images.mean(dim=(2, 3), keepdim=True).expand_as(images)


def blurred(images: Tensor) -> Tensor:
    """Images (N, C, H, W) blurred by a Gaussian, of a sigma of `BLUR` times the shorter side."""
    return gaussian_blur(images, BLUR * min(images.shape[2:]), "nearest")


def curve_passes(steps: int) -> int:
    """How often `both_curves` asks for scores: at the ends of two ways, and between them by two orders."""
    return 2 * (2 + 2 * (steps - 1))


def both_curves(
    score: Score,
    images: Tensor,
    maps: Floats,
    subjects: Sequence[str],
    *,
    steps: int,
    seed: int,
    rng: np.random.Generator,
    score_range: float | None = 1.0,
) -> tuple[Curve, Curve]:
    """Insertion and deletion of images in the order of their maps, against the maps at random places.

    Args:
        score: what is measured.
        images: float32 (N, C, H, W).
        maps: (N, H, W), at least 0.
        subjects: (N,) whom each image shows.
        steps: S.
        seed: of the bootstrap.
        rng: draws places, and orders of equal pixels.
        score_range: how far the score can move: 1 of a probability; None takes how far its means do.
    """
    orders, random_orders = pixel_orders(maps, rng), pixel_orders(moved(maps, rng), rng)
    ways: dict[Kind, tuple[Tensor, Tensor]] = {
        "insertion": (blurred(images), images),
        "deletion": (images, greyed(images)),
    }
    found = []
    for kind, (origin, goal) in ways.items():
        own, by_chance = curves(score, origin, goal, (orders, random_orders), steps=steps)
        found.append(_summary(kind, own, by_chance, subjects, score_range=score_range, seed=seed))
    insertion, deletion = found
    return insertion, deletion


def _summary(
    kind: Kind,
    own: Floats,
    by_chance: Floats,
    subjects: Sequence[str],
    *,
    score_range: float | None,
    seed: int,
) -> Curve:
    areas, expected = area(own), area(by_chance)
    gains = areas - expected if kind == "insertion" else expected - areas
    measured = {"area": PerImage(areas, expected), "gain": PerImage(gains, np.zeros(len(gains)))}
    total, gain = summarised(measured, subjects, np.zeros(len(areas), np.bool_), seed=seed).rows
    means = np.concatenate([own.mean(axis=0), by_chance.mean(axis=0)])
    return Curve(
        kind=kind,
        least_gain=LEAST_GAIN * (float(np.ptp(means)) if score_range is None else score_range),
        n=len(areas),
        area=total.mean,
        low=total.low,
        high=total.high,
        chance=total.chance,
        gain=gain.mean,
        gain_low=gain.low,
        gain_high=gain.high,
        shares=tuple(np.linspace(0, 1, own.shape[1]).tolist()),
        scores=tuple(own.mean(axis=0).tolist()),
        chance_scores=tuple(by_chance.mean(axis=0).tolist()),
    )
