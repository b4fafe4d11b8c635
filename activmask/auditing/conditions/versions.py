"""The conditions of an audit: images as they are, and with one side of their mask destroyed.

Each destroyed side is made of its own pixels alone, but for those that show nothing of it. Nothing
depends on how the images are batched.

Shapes: N images, n of which take part, b of them at once; C channels, H x W pixels.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Literal, Protocol

import numpy as np
import torch
from torch import Tensor

from activmask.auditing.conditions.lent_outside import filled, lenders
from activmask.data.gaussian_blur import gaussian_blur
from activmask.data.samples import Samples
from activmask.evaluation.participants import Participants
from activmask.kernels.masked_shuffle import masked_shuffle

Side = Literal["outside", "inside", "both"]
Way = Literal["shuffled", "mean", "blurred", "blank", "lent"]

FULL = "full"
OUTLINE = "outline only"

BLUR_SHARE = 0.05
"""Sigma of the blur as a share of the shorter side."""

VALUES_AT_ONCE = 2**20
"""Of the images that are made together: 4 MB, 64 grey images of 128 px; a blur takes several times that."""

_GRIDS = (8, 16)


@dataclass(frozen=True)
class Condition:
    """One way of showing the images."""

    name: str
    destroyed: Side | None = None
    """Which side of the mask; None of the images as they are."""
    way: Way | None = None
    """`shuffled`: its pixels change places. `mean`: each is the mean of them. `blurred`: by a Gaussian of
    them. `blank`: each is the mean pixel of all images that take part. `lent`: the inside is blank and the
    outside another image's, so that nothing of this one is shown but the outline of its mask."""

    @property
    def random(self) -> bool:
        """Whether each draw of it differs."""
        return self.way in {"shuffled", "lent"}


CONDITIONS = (
    Condition(FULL),
    Condition("outside shuffled", "outside", "shuffled"),
    Condition("outside mean", "outside", "mean"),
    Condition("outside blurred", "outside", "blurred"),
    Condition("inside only", "outside", "blank"),
    Condition("inside shuffled", "inside", "shuffled"),
    Condition("inside mean", "inside", "mean"),
    Condition("inside blurred", "inside", "blurred"),
    Condition("outside only", "inside", "blank"),
    Condition(OUTLINE, "both", "lent"),
)
"""All of them, as tables show them: what the inside tells, what the outside tells, and what of that is the
outline of what is blank in it."""


class Maker(Protocol):
    """Makes the images of a version."""

    def __call__(self, places: Tensor) -> Tensor:
        """float32 (b, C, H, W) of those who take part at int64 (b,) places among them."""


@dataclass(frozen=True, kw_only=True)
class Version:
    """One draw of one condition."""

    condition: Condition
    draw: int
    """Counted from 0."""
    images: Maker


@dataclass(frozen=True, kw_only=True)
class _Shown:
    """What all versions are made of."""

    samples: Samples
    part: Participants
    seed: int
    blank: Tensor
    """float32 (C, 1, 1)."""
    grid: Literal[8, 16] | None


def versions(samples: Samples, part: Participants, *, draws: int, seed: int) -> Iterator[Version]:
    """Every condition of the images that take part, in the order of `CONDITIONS`; none is made yet.

    What is computed, means and blurs, is rounded as the images are: of 8 or 16 bits where all of them
    could be stored so. Then a written version, read again, is the same to the bit.

    Args:
        samples: N images, of which no more than a batch is copied at once.
        part: those of them that take part.
        draws: of each condition that is random.
        seed: of the shuffles; an image's does not depend on which others take part.
    """
    grid = stored_grid(samples.images)
    shown = _Shown(
        samples=samples,
        part=part,
        seed=seed,
        blank=_rounded(mean_pixel(samples.images, part.rows), grid)[:, None, None],
        grid=grid,
    )
    for condition in CONDITIONS:
        for draw in range(draws if condition.random else 1):
            if condition.way == "lent":
                images: Maker = partial(_outlines, shown, _lenders(shown, draw))
            else:
                images = partial(_images, shown, condition, draw)
            yield Version(condition=condition, draw=draw, images=images)


def batches(part: Participants, samples: Samples) -> tuple[Tensor, ...]:
    """The places of all who take part, int64 (b,) at a time, as many as are made at once."""
    together = max(1, VALUES_AT_ONCE // samples.images[:1].numel())
    return torch.arange(len(part)).split(together) if len(part) else ()


def blur_px(samples: Samples) -> float:
    """The sigma of the blur in px."""
    return BLUR_SHARE * min(samples.images.shape[-2:])


def blank_outside(samples: Samples, part: Participants) -> bool:
    """Whether all pixels outside the masks of those who take part have one value."""
    first: float | None = None
    for few in batches(part, samples):
        images = samples.images[part.rows[few]]
        outside = images[~samples.masks[part.masks[few]].expand_as(images)]
        first = float(outside[0]) if first is None else first
        if bool((outside != first).any()):
            return False
    return True


def stored_grid(images: Tensor) -> Literal[8, 16] | None:
    """The least bits in which all images (N, C, H, W), in [0, 1], can be stored as they are; None in none."""
    together = max(1, VALUES_AT_ONCE // max(1, images[:1].numel()))
    found = 0
    for few in images.split(together):
        while found < len(_GRIDS) and not torch.equal(_rounded(few, _GRIDS[found]), few):
            found += 1
    return (8, 16, None)[found]


def mean_pixel(images: Tensor, rows: Tensor) -> Tensor:
    """The mean over the images at `rows` and all of their pixels, float32 (C,)."""
    together = max(1, VALUES_AT_ONCE // max(1, images[:1].numel()))
    sums = [images[few].double().sum(dim=(0, 2, 3)) for few in rows.split(together)]
    total = torch.stack(sums).sum(dim=0) / (len(rows) * images.shape[-2] * images.shape[-1])
    return total.float()


def _rounded(values: Tensor, grid: int | None) -> Tensor:
    """The nearest values that files of so many bits hold, as reading them gives."""
    if grid is None:
        return values
    top = 2**grid - 1
    rounded: Tensor = (values * top).round() / top
    return rounded


def _images(shown: _Shown, condition: Condition, draw: int, places: Tensor) -> Tensor:
    rows = shown.part.rows[places]
    images = shown.samples.images[rows]
    if condition.destroyed is None:
        return images
    roi = shown.samples.masks[shown.part.masks[places]]
    doomed = ~roi if condition.destroyed == "outside" else roi
    match condition.way:
        case "shuffled":
            seeds = [_seed(shown.seed, condition.destroyed, draw, row) for row in rows.tolist()]
            return shuffled(images, doomed, seeds)
        case "mean":
            made = mean_of(images, doomed)
        case "blurred":
            made = blurred(images, doomed, blur_px(shown.samples))
        case _:
            made = shown.blank.expand_as(images)
    return torch.where(doomed, _rounded(made, shown.grid), images)


def _lenders(shown: _Shown, draw: int) -> Tensor:
    subjects = np.asarray(shown.samples.subjects, dtype=object)[shown.part.rows.numpy()]
    return lenders(subjects, np.random.default_rng([shown.seed, 2, draw]))


def _outlines(shown: _Shown, lent_by: Tensor, places: Tensor) -> Tensor:
    """The hole of each mask in the outside of another image, which is filled where its own region was."""
    samples, part = shown.samples, shown.part
    rows, regions = part.rows[lent_by[places]], part.masks[lent_by[places]]
    # What borrowed a mask has no region of its own.
    own = samples.masks[regions] & (rows == regions)[:, None, None, None]
    whole = _rounded(filled(samples.images[rows], own, blur_px(samples)), shown.grid)
    return torch.where(samples.masks[part.masks[places]], shown.blank, whole)


def _seed(seed: int, side: Side, draw: int, row: int) -> int:
    entropy = np.random.SeedSequence([seed, int(side == "inside"), draw, row])
    return int(entropy.generate_state(1, np.uint64)[0] >> np.uint64(1))


def shuffled(images: Tensor, doomed: Tensor, seeds: list[int]) -> Tensor:
    """Images (b, C, H, W) whose pixels in `doomed`, bool (b, 1, H, W), changed places, by a seed each."""
    generator = torch.Generator()
    made = [
        masked_shuffle(images[k : k + 1], ~doomed[k : k + 1], generator.manual_seed(seed))
        for k, seed in enumerate(seeds)
    ]
    return torch.cat(made)


def mean_of(images: Tensor, doomed: Tensor) -> Tensor:
    """The mean pixel of each image's `doomed` side, float32 (b, C, 1, 1); that side has a pixel."""
    wide = images.double() * doomed
    return (wide.sum(dim=(2, 3), keepdim=True) / doomed.sum(dim=(2, 3), keepdim=True)).float()


def blurred(images: Tensor, doomed: Tensor, sigma: float) -> Tensor:
    """Images (b, C, H, W) blurred by a Gaussian over the pixels of their `doomed` side alone.

    The weights of those pixels are made to add up to 1 (normalised convolution, Knutsson & Westin 1993,
    doi 10.1109/CVPR.1993.341081), so nothing of the other side flows in. Meaningless on that other side.
    """
    weights = gaussian_blur(doomed.float(), sigma, "constant")
    return torch.where(doomed, gaussian_blur(images * doomed, sigma, "constant") / weights, images).clamp(
        0, 1
    )
