"""The paper's synthetic benchmark: count the crosses, ignore the box (sec. 4, Figure 1).

Two crosses are class 0, one cross is class 1. A box in the bottom corner is the distractor: it
agrees with the class when it stands on the right with two crosses and on the left with one.
Geometry as measured on the authors' images: plus-shaped crosses, 3 or 5 px from arm to arm, both
of an image alike; a box of 2 x 3 px, 3 px from the bottom and 3 px from the side.

Shapes: N images of S x S pixels.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from activmask.data.recipe import Recipe
from activmask.data.samples import Samples
from activmask.data.sources.synthetic.limits import IMAGES, SEEDS, SHARES, SIDES
from activmask.data.sources.synthetic.spec import SyntheticSpec
from activmask.data.splits import SPLITS
from activmask.ground.errors import UsageError

CLASS_NAMES = ("two crosses", "one cross")
"""Of classes 0 and 1."""

EXTENTS = (3, 5)
LARGEST_PIXELS = 2**31

_BOX_HEIGHT, _BOX_WIDTH, _BOX_MARGIN = 2, 3, 3
_FRUITLESS_ROUNDS = 8


@dataclass(frozen=True, kw_only=True)
class SyntheticSplit:
    """The images of one split."""

    images: NDArray[np.bool_]
    """(N, S, S), True where white."""
    masks: NDArray[np.bool_]
    """(N, S, S), True on the crosses."""
    labels: NDArray[np.int64]
    """(N,), 0 for two crosses and 1 for one."""
    box_right: NDArray[np.bool_]
    """(N,), the side the box stands on."""
    distinct: int
    """How many different arrangements of crosses the split holds; N unless the size has no more."""


def draw_synthetic(spec: SyntheticSpec) -> dict[str, SyntheticSplit]:
    """Draw train, valid and test; no arrangement of crosses occurs in two splits.

    Within validation and test every image is different, and so it is in training as long as the
    size has enough arrangements (28 px: 1,100 of one cross, far more of two); beyond that,
    training images repeat evenly.

    Raises:
        UsageError: an impossible size, count or correlation.
    """
    _check(spec)
    rng = np.random.default_rng(spec.seed)
    wanted = {"valid": spec.valid, "test": spec.test, "train": spec.n}
    agreements = _agreements(spec)
    parts: dict[str, list[SyntheticSplit]] = {split: [] for split in wanted}
    for label, crosses in ((0, 2), (1, 1)):
        counts = {split: n // 2 + (n % 2) * (label == 0) for split, n in wanted.items()}
        layouts = _distinct_layouts(crosses, sum(counts.values()), spec, rng)
        for split, own in _share_out(layouts, counts, spec.size):
            parts[split].append(_render(own, label, counts[split], agreements[split], spec, rng))
    return {split: _mixed(parts[split], rng) for split in SPLITS}


def _agreements(spec: SyntheticSpec) -> dict[str, float]:
    """By split, the share of images of each class whose box agrees with it."""
    test = spec.valid_correlation if spec.test_correlation is None else spec.test_correlation
    return {"train": spec.correlation, "valid": spec.valid_correlation, "test": test}


def synthetic_samples(split: SyntheticSplit) -> Samples:
    """The split as in-memory samples, one subject an image."""
    names = tuple(str(i) for i in range(len(split.labels)))
    return Samples(
        images=torch.from_numpy(split.images.astype(np.float32))[:, None],
        masks=torch.from_numpy(split.masks)[:, None],
        has_mask=torch.ones(len(names), dtype=torch.bool),
        labels=torch.from_numpy(split.labels),
        subjects=names,
        sites=("",) * len(names),
        names=names,
    )


def drawn_recipe(height: int, width: int) -> Recipe:
    """What the card of the benchmark tells, for images of these sides in px that lie in no folder."""
    return {"source": "synthetic", "height": height, "width": width}


def _check(spec: SyntheticSpec) -> None:
    SIDES.check("size", spec.size)
    for name in ("n", "valid", "test"):
        IMAGES.check(name, getattr(spec, name))
    SEEDS.check("seed", spec.seed)
    for name in ("correlation", "valid_correlation"):
        SHARES.check(name, getattr(spec, name))
    if spec.test_correlation is not None:
        SHARES.check("test_correlation", spec.test_correlation)
    images = spec.n + spec.valid + spec.test
    if images * spec.size**2 > LARGEST_PIXELS:
        raise UsageError(
            f"{images} images of {spec.size} px are more than fits in memory; ask for fewer or smaller ones"
        )


def _distinct_layouts(
    crosses: int, count: int, spec: SyntheticSpec, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Up to `count` different arrangements, int64 (count, 1 + crosses): extent index, flat centres."""
    found = np.empty((0, 1 + crosses), dtype=np.int64)
    fruitless = 0
    while len(found) < count and fruitless < _FRUITLESS_ROUNDS:
        drawn = np.concatenate([found, _random_layouts(crosses, 2 * count + 1000, spec, rng)])
        _, first = np.unique(drawn, axis=0, return_index=True)
        fruitless = fruitless + 1 if len(first) == len(found) else 0
        found = drawn[np.sort(first)]
    return found[:count]


def _random_layouts(
    crosses: int, count: int, spec: SyntheticSpec, rng: np.random.Generator
) -> NDArray[np.int64]:
    extents = rng.integers(len(EXTENTS), size=count)
    layouts = np.empty((count, 1 + crosses), dtype=np.int64)
    layouts[:, 0] = extents
    for index, extent in enumerate(EXTENTS):
        centres = np.flatnonzero(_allowed_centres(extent, spec))
        rows = extents == index
        layouts[rows, 1:] = centres[rng.integers(len(centres), size=(rows.sum(), crosses))]
    if crosses == 1:
        return layouts
    layouts[:, 1:] = np.sort(layouts[:, 1:], axis=1)
    kept: NDArray[np.int64] = layouts[_apart(layouts, spec)]
    return kept


def _allowed_centres(extent: int, spec: SyntheticSpec) -> NDArray[np.bool_]:
    """Where a cross fits in the image and clears both corners that may hold a box, (S, S)."""
    arm, size = extent // 2, spec.size
    allowed = np.zeros((size, size), dtype=bool)
    allowed[arm : size - arm, arm : size - arm] = True
    if not spec.overlap:
        blocked = np.zeros_like(allowed)
        for row, column in _boxes(size).reshape(-1, 2):
            blocked[row - 1 : row + 2, column - 1 : column + 2] = True
        for dy, dx in _plus(extent):
            allowed &= ~np.roll(blocked, (dy, dx), axis=(0, 1))
    return allowed


def _apart(layouts: NDArray[np.int64], spec: SyntheticSpec) -> NDArray[np.bool_]:
    """Whether the two crosses of each layout can be counted: at least one dark px between them."""
    first, second = layouts[:, 1], layouts[:, 2]
    if spec.overlap:
        return np.not_equal(first, second)
    down = second // spec.size - first // spec.size
    across = second % spec.size - first % spec.size
    apart = np.ones(len(layouts), dtype=bool)
    for index, extent in enumerate(EXTENTS):
        plus = _plus(extent)
        touching = {(a + y, b + x) for a, b in (plus[:, None] - plus[None]).reshape(-1, 2)
                    for y in (-1, 0, 1) for x in (-1, 0, 1)}  # fmt: skip
        reach = 2 * (extent // 2) + 1
        near = np.zeros((2 * reach + 1, 2 * reach + 1), dtype=bool)
        near[tuple(np.array(sorted(touching)).T + reach)] = True
        close = (layouts[:, 0] == index) & (abs(down) <= reach) & (abs(across) <= reach)
        apart[close] = ~near[down[close] + reach, across[close] + reach]
    return apart


def _share_out(
    layouts: NDArray[np.int64], counts: dict[str, int], size: int
) -> Iterator[tuple[str, NDArray[np.int64]]]:
    start = 0
    for split, count in counts.items():
        own = layouts[start : start + count]
        if len(own) == 0 or (split != "train" and len(own) < count):
            raise UsageError(
                f"images of {size} px have only {len(layouts)} different arrangements of a class, too few "
                "to keep train, valid and test apart; ask for fewer valid and test images or a larger size"
            )
        yield split, own
        start += count


def _render(
    layouts: NDArray[np.int64],
    label: int,
    count: int,
    agreement: float,
    spec: SyntheticSpec,
    rng: np.random.Generator,
) -> SyntheticSplit:
    repeated = np.resize(layouts, (count, layouts.shape[1]))
    masks = np.zeros((count, spec.size, spec.size), dtype=bool)
    for index, extent in enumerate(EXTENTS):
        rows = np.flatnonzero(repeated[:, 0] == index)
        for centre in repeated[rows, 1:].T:
            for dy, dx in _plus(extent):
                masks[rows, centre // spec.size + dy, centre % spec.size + dx] = True
    agrees = rng.permutation(count) < round(agreement * count)
    box_right = agrees == (label == 0)
    images = masks.copy()
    if spec.distractor:
        for side, pixels in ((~box_right, _boxes(spec.size)[0]), (box_right, _boxes(spec.size)[1])):
            images[np.ix_(side, pixels[:, 0], pixels[:, 1])] = True
    labels = np.full(count, label, dtype=np.int64)
    return SyntheticSplit(
        images=images, masks=masks, labels=labels, box_right=box_right, distinct=len(layouts)
    )


def _mixed(parts: list[SyntheticSplit], rng: np.random.Generator) -> SyntheticSplit:
    order = rng.permutation(sum(len(part.labels) for part in parts))
    return SyntheticSplit(
        images=np.concatenate([part.images for part in parts])[order],
        masks=np.concatenate([part.masks for part in parts])[order],
        labels=np.concatenate([part.labels for part in parts])[order],
        box_right=np.concatenate([part.box_right for part in parts])[order],
        distinct=sum(part.distinct for part in parts),
    )


def _plus(extent: int) -> NDArray[np.int64]:
    """Offsets (dy, dx) of a cross's pixels from its centre."""
    arm = extent // 2
    return np.array([(d, 0) for d in range(-arm, arm + 1)] + [(0, d) for d in range(-arm, arm + 1) if d])


def _boxes(size: int) -> NDArray[np.int64]:
    """Rows and columns of the left and of the right box, int64 (2, 6, 2)."""
    bottom = size - _BOX_MARGIN
    left = np.array(
        [
            (row, column)
            for row in range(bottom - _BOX_HEIGHT, bottom)
            for column in range(_BOX_MARGIN, _BOX_MARGIN + _BOX_WIDTH)
        ]
    )
    return np.stack([left, left * (1, -1) + (0, size - 1)])
