"""Equal numbers of chest X-rays per collection and class, drawn by patient; and the paper's own draw."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from activmask.data.settings import Source
from activmask.data.sources.xray.source import XRAY
from activmask.data.sources.xray.tables import NIH, PADCHEST, Candidate
from activmask.data.splits import SPLITS, split_indices
from activmask.ground.errors import DataError
from activmask.ground.limits import COUNTS
from activmask.ground.settings import filled

Cell = tuple[str, int]
"""A site and a label."""

Usable = Callable[[Sequence[Candidate]], Iterable[bool]]
"""Of several images, whether each can be used, in their order."""

PAPER_PER_CELL = 500
PAPER_CORRELATION = 0.9
_WHAT = ("of healthy chests", "with the finding")


@dataclass(frozen=True)
class PaperSample:
    """The released procedure's draw, which splits images and not patients."""

    splits: dict[str, tuple[Candidate, ...]]
    leaking: dict[str, int]
    """Images in valid and in test whose patient has images in train."""


def sample(
    candidates: Sequence[Candidate],
    per_cell: int | None = None,
    seed: int = 0,
    usable: Usable | None = None,
) -> list[Candidate]:
    """Draw equally many images of each site and class, from as many patients as there are.

    Each patient in turn, in random order, gives one image, then a second, and so on. A patient
    drawn with the finding gives a healthy image only when nobody else is left to. The order of the
    candidates decides nothing. An image that cannot be used gives way to the next of its cell in
    that order.

    Args:
        candidates: eligible images of one site or several.
        per_cell: images of each site and class; None takes as many as the smallest cell has.
        seed: of the draw.
        usable: says of drawn images whether they can be used; None takes all of them.

    Raises:
        DataError: a site lacks a class, or a cell has fewer images than asked for.
        UsageError: fewer than one image per cell.
    """
    if per_cell is not None:
        COUNTS.check("per_cell", per_cell)
    rng = np.random.default_rng(seed)
    cells = _cells(candidates)
    ordered = {cell: _patients_in_turn(cells[cell], rng) for cell in sorted(cells)}
    wanted = per_cell or min(len(images) for images in ordered.values())
    _check_enough(ordered, wanted)
    drawn: dict[Cell, list[Candidate]] = {}
    for label in (1, 0):
        orders = {cell: images for cell, images in ordered.items() if cell[1] == label}
        if label == 0:
            orders = {cell: _others_first(images, drawn[cell[0], 1]) for cell, images in orders.items()}
        drawn |= _filled(orders, wanted, usable or _all)
        fewest = min(orders, key=lambda cell: len(drawn[cell]))
        if len(drawn[fewest]) < wanted and (per_cell is not None or not drawn[fewest]):
            raise DataError(
                f"{wanted} images {_WHAT[label]} are wanted from {fewest[0]}, but only {len(drawn[fewest])} "
                f"of its {len(orders[fewest])} can be used; mend the broken files or ask for fewer per cell"
            )
        wanted = min(wanted, len(drawn[fewest]))
    return [image for cell in sorted(drawn) for image in drawn[cell][:wanted]]


def paper_sampling(
    candidates: Sequence[Candidate],
    n: int = PAPER_PER_CELL,
    ratio: float = PAPER_CORRELATION,
    seed: int = 0,
) -> PaperSample:
    """Draw and split images as the paper's released code does (paper sec. 6), truncating to integers.

    Of each site and class `n` images are drawn. In train the share `ratio` of the images with the
    finding comes from PadChest and of the healthy ones from NIH; valid and test reverse it. A
    patient's images fall where they may, so patients leak between the splits.

    Raises:
        DataError: a cell has fewer than `n` images.
        UsageError: `n` is below 1.
    """
    COUNTS.check("per_cell", n)
    rng = np.random.default_rng(seed)
    cells = _cells(candidates)
    splits: dict[str, list[Candidate]] = {split: [] for split in SPLITS}
    for site, label in ((site, label) for site in (NIH, PADCHEST) for label in (0, 1)):
        images = cells.get((site, label), [])
        if len(images) < n:
            raise DataError(f"{n} images of label {label} are wanted from {site}", found=len(images))
        drawn = [images[i] for i in rng.permutation(len(images))[:n]]
        agrees = (site == PADCHEST) == (label == 1)
        first = int(n * ratio) if agrees else int(n * (1 - ratio))
        second = int(n / 2 * (1 - ratio)) if agrees else int(n / 2 * ratio)
        ends = (first, first + second, n)
        for split, start, end in zip(SPLITS, (0, *ends), ends, strict=False):
            splits[split] += drawn[start:end]
    trained = {image.subject for image in splits["train"]}
    leaking = {split: sum(image.subject in trained for image in splits[split]) for split in ("valid", "test")}
    return PaperSample({split: tuple(images) for split, images in splits.items()}, leaking)


def patient_level_sizes(drawn: Sequence[Candidate], seed: int = 0) -> dict[str, int]:
    """The sizes of train, valid and test that the xray preset makes of a draw, no patient in two.

    Raises:
        DataError: the draw cannot be split so.
    """
    rows = split_indices(
        filled(Source, XRAY.presets["xray"].settings),
        names=[f"{image.site}/{image.file_name}" for image in drawn],
        labels=np.array([image.label for image in drawn]),
        subjects=[image.subject for image in drawn],
        sites=[image.site for image in drawn],
        splits=[""] * len(drawn),
        seed=seed,
    )
    return {split: len(rows[split]) for split in SPLITS}


def _cells(candidates: Sequence[Candidate]) -> dict[Cell, list[Candidate]]:
    cells: dict[Cell, list[Candidate]] = {}
    for image in sorted(candidates, key=lambda image: (image.site, image.label, image.file_name)):
        cells.setdefault((image.site, image.label), []).append(image)
    for site, label in list(cells):
        if (site, 1 - label) not in cells:
            what = "healthy chests" if label else "the finding"
            raise DataError(
                f"no eligible image of {site} shows {what}; widen the rules or leave the site out"
            )
    if not cells:
        raise DataError("no image is eligible; widen the rules")
    return cells


def _check_enough(ordered: dict[Cell, list[Candidate]], wanted: int) -> None:
    for site, label in sorted(ordered, key=lambda cell: (cell[0], -cell[1])):
        found = len(ordered[site, label])
        if found < wanted:
            raise DataError(
                f"{wanted} images {_WHAT[label]} are wanted from {site}, but only {found} are eligible; "
                "ask for fewer per cell or widen the rules"
            )


def _others_first(healthy: Sequence[Candidate], drawn: Sequence[Candidate]) -> list[Candidate]:
    """Healthy images in their order, those of patients who were drawn already behind all others."""
    taken = {image.subject for image in drawn}
    return sorted(healthy, key=lambda image: image.subject in taken)


def _filled(orders: dict[Cell, list[Candidate]], wanted: int, usable: Usable) -> dict[Cell, list[Candidate]]:
    """Of each cell the first `wanted` images that can be used, all cells asked about at once."""
    kept: dict[Cell, list[Candidate]] = {cell: [] for cell in orders}
    asked = dict.fromkeys(orders, 0)
    while True:
        batch: list[tuple[Cell, Candidate]] = []
        for cell, order in orders.items():
            following = order[asked[cell] : asked[cell] + wanted - len(kept[cell])]
            asked[cell] += len(following)
            batch += [(cell, image) for image in following]
        if not batch:
            return kept
        for (cell, image), sound in zip(batch, usable([image for _, image in batch]), strict=True):
            if sound:
                kept[cell].append(image)


def _all(images: Sequence[Candidate]) -> list[bool]:
    return [True] * len(images)


def _patients_in_turn(images: Sequence[Candidate], rng: np.random.Generator) -> list[Candidate]:
    """A random order in which everybody gives a first image before anybody gives a second."""
    shuffled = [images[i] for i in rng.permutation(len(images))]
    turns: dict[str, int] = {}
    ranked: list[tuple[int, Candidate]] = []
    for image in shuffled:
        turns[image.subject] = turns.get(image.subject, -1) + 1
        ranked.append((turns[image.subject], image))
    return [image for _, image in sorted(ranked, key=lambda pair: pair[0])]
