"""A data set whose images carry a known shortcut, each beside the image without it.

At which share does training take the bait, and do its maps show it? The questions of Sun et al.
(MICCAI 2023, "Right for the wrong reason: can interpretable ML techniques detect spurious correlations?")
and Jiménez-Sánchez et al. (ISBI 2023, "Detecting shortcuts in medical images: a case study in chest
X-rays").

Shapes: N images of C channels and H x W pixels, K classes.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

import numpy as np

from activmask.data.dataset import CARD_FILE, PLANTED, TABLE_FILE, Dataset, read_dataset
from activmask.data.file_names import safe_name
from activmask.data.files.images import read_levels, read_plain_mask
from activmask.data.planting.drawn import CORNERED, Stencil, cornered, framed, onto
from activmask.data.planting.limits import USUAL, Place
from activmask.data.planting.planting import (
    CARD_ENTRY,
    Planting,
    check_settings,
    class_number,
    others_of,
    shares_of,
)
from activmask.data.planting.preview import Pairs
from activmask.data.planting.shares import Dose, choose, doses
from activmask.data.planting.whole import WHOLE
from activmask.data.recipe import called_classes
from activmask.data.settings import Source, View
from activmask.data.splits import SPLITS, split_indices
from activmask.data.writer import Record, Summary, write_dataset
from activmask.ground.errors import PATH, DataError, UsageError
from activmask.ground.places import real
from activmask.ground.progress import ItemsDone


@dataclass
class Touched:
    """How far a shortcut lies on the regions of interest of the images that carry it."""

    masked: int = 0
    """Planted images that have a mask."""
    images: int = 0
    """Those among them on whose mask it lies."""
    covered_px: int = 0
    roi_px: int = 0
    """Of all their masks together."""
    unchanged: int = 0
    """Planted images whose pixels it left as they were."""

    @property
    def share(self) -> float:
        """Of the masks' area, the part that it covers."""
        return self.covered_px / self.roi_px if self.roi_px else 0.0


@dataclass(frozen=True, kw_only=True)
class Planted:
    """What was planted."""

    written: Summary
    classes: tuple[str, ...]
    """Names of the classes, their numbers where they have none."""
    number: int
    """Of the chosen class."""
    doses: tuple[Dose, ...]
    strength: float
    size: float | None
    place: Place | None
    """The corner; None of what lies in none."""
    whole: bool
    """Whether it changes the whole image, and so has no mask."""
    touched: Touched
    left_out: int
    """Images of no split."""


@dataclass(frozen=True)
class _Plan:
    dataset: Dataset
    rows: tuple[int, ...]
    """In the order of the table."""
    splits: Mapping[int, str]
    carries: Mapping[int, bool]
    ranks: Mapping[int, int]
    """Of each row's name among all, which seeds its noise."""
    planting: Planting
    strength: float
    stencil: Stencil | None
    touched: Touched = field(default_factory=Touched)
    pairs: Pairs = field(default_factory=Pairs)


def plant(
    data: Path,
    out: Path,
    planting: Planting,
    *,
    overwrite: bool = False,
    progress: ItemsDone | None = None,
) -> Planted:
    """Write a data set anew with a shortcut on some of its images; same data and seed, same bytes.

    Who carries it is drawn image by image within each class of each split, also where a subject has
    several. The masks, subjects, sites and splits stay. An image that carries nothing is its own twin.

    Args:
        data: A data set's folder.
        out: The folder to make.
        planting: What to plant, and where.
        overwrite: Replace a data set at `out`.
        progress: Called with images written and images to write.

    Raises:
        DataError: the data set is broken, has no splits, or is planted already; `out` cannot be written.
        UsageError: a setting out of its range or without effect, a class that is not there, or a shortcut
            that does not fit into the images.
    """
    check_settings(planting)
    _check_apart(data, out)
    dataset = read_dataset(data)
    _check_unplanted(dataset)
    classes = called_classes(dataset)
    number = class_number(planting.of_class, classes)
    splits = _splits(dataset, planting)
    rows = tuple(sorted(splits))
    labels = dataset.labels[list(rows)]
    carrying = choose(
        labels,
        [splits[row] for row in rows],
        [dataset.file_names[row] for row in rows],
        number=number,
        shares=shares_of(planting),
        others=others_of(planting),
        seed=planting.seed,
    )
    place, stencil = _drawing(dataset, rows, planting)
    usual = USUAL[planting.shortcut]
    plan = _Plan(
        dataset=dataset,
        rows=rows,
        splits=splits,
        carries=dict(zip(rows, carrying.tolist(), strict=True)),
        ranks={row: rank for rank, row in enumerate(sorted(rows, key=lambda row: dataset.file_names[row]))},
        planting=planting,
        strength=usual.strength if planting.strength is None else planting.strength,
        stencil=stencil,
    )
    found = doses(labels, [splits[row] for row in rows], carrying, number)
    size = (usual.size if planting.size is None else planting.size) if stencil else None
    told = {
        "shortcut": planting.shortcut,
        "class": number,
        "class_name": classes[number],
        "shares": shares_of(planting),
        "other_share": planting.other_share,
        "other_shares": others_of(planting),
        "strength": plan.strength,
        "size": size,
        "place": place,
        "seed": planting.seed,
        "split_policy": planting.split_policy,
        "counts": [
            {"split": one.split, "images": list(one.images), "planted": list(one.planted)} for one in found
        ],
        "source_sha256": _digest(dataset),
    }
    kept = {name: value for name, value in dataset.card.items() if name not in {"counts", "mask_shares"}}
    written = write_dataset(
        out,
        _records(plan, progress),
        card={**kept, CARD_ENTRY: told},
        overwrite=overwrite,
        preview=plan.pairs.draw if carrying.any() else None,
        mask_blur=View().mask_blur,
    )
    return Planted(
        written=written,
        classes=classes,
        number=number,
        doses=found,
        strength=plan.strength,
        size=size,
        place=place,
        whole=stencil is None,
        touched=plan.touched,
        left_out=len(dataset) - len(rows),
    )


def _check_apart(data: Path, out: Path) -> None:
    one, other = real(data), real(out)
    if one.is_relative_to(other) or other.is_relative_to(one):
        raise UsageError(
            f"{PATH} and {out} lie in one another; the data set stays as it is",
            path=data,
            advice="choose another place",
        )


def _check_unplanted(dataset: Dataset) -> None:
    if CARD_ENTRY in dataset.card or dataset.twin_file_names:
        raise DataError(
            f"{PATH} carries a shortcut already ({CARD_ENTRY!r} in {CARD_FILE}, or {PLANTED[1]} in "
            f"{TABLE_FILE})",
            path=dataset.root,
            advice="plant in the data set it was made of",
        )


def _splits(dataset: Dataset, planting: Planting) -> dict[int, str]:
    """The split of each row that is in one."""
    if planting.split_policy == "given":
        if not any(dataset.splits):
            raise DataError(
                f"{PATH} has no column that says what is train, valid and test",
                path=dataset.root / TABLE_FILE,
                advice="fill the column split, or choose the split policy subject, which draws it",
            )
        return dict(enumerate(dataset.splits))
    drawn = split_indices(
        Source(split_policy="subject"),
        labels=dataset.labels,
        subjects=dataset.subjects,
        sites=dataset.sites,
        splits=dataset.splits,
        names=dataset.file_names,
        seed=planting.seed,
    )
    return {int(row): split for split, rows in drawn.items() for row in rows}


def _drawing(
    dataset: Dataset, rows: Sequence[int], planting: Planting
) -> tuple[Place | None, Stencil | None]:
    """Where the shortcut lies, and what is drawn there; None of what changes the whole image."""
    size = USUAL[planting.shortcut].size if planting.size is None else planting.size
    if size is None:
        return None, None
    height, width = dataset.height, dataset.width
    if planting.shortcut not in CORNERED:
        return None, framed(height, width, size)
    corners = cornered(planting.shortcut, height, width, size)
    if planting.place != "auto":
        return planting.place, corners[planting.place]
    inside = np.zeros((height, width), np.int64)
    for row in rows:
        if dataset.mask_file_names[row]:
            inside += read_plain_mask(dataset.root / dataset.mask_file_names[row])
    place = min(corners, key=lambda corner: int(inside[corners[corner].inside].sum()))
    return place, corners[place]


def _records(plan: _Plan, progress: ItemsDone | None) -> Iterator[Record]:
    taken: set[str] = set()
    for done, row in enumerate(plan.rows, 1):
        record = _record(plan, row, taken)
        yield _with_shortcut(plan, row, record) if plan.carries[row] else record
        if progress is not None:
            progress(done, len(plan.rows))


def _record(plan: _Plan, row: int, taken: set[str]) -> Record:
    dataset = plan.dataset
    file, mask = dataset.file_names[row], dataset.mask_file_names[row]
    path = PurePosixPath(file)
    native = (0, 0) if dataset.native is None else dataset.native[row].tolist()
    return Record(
        name=safe_name(path.relative_to("images") if path.parts[0] == "images" else path, taken),
        image=_levels(dataset.root / file, dataset.channels),
        mask=read_plain_mask(dataset.root / mask) if mask else None,
        label=int(dataset.labels[row]),
        subject=dataset.subjects[row],
        site=dataset.sites[row],
        split=plan.splits[row],
        native=tuple(native) if all(native) else None,
        columns={name: values[row] for name, values in dataset.columns.items()},
    )


def _levels(path: Path, channels: int) -> np.ndarray:
    levels = read_levels(path, colour="refuse" if channels == 1 else "keep")
    if levels.dtype.kind == "f":
        raise DataError(
            f"{PATH} stores floats, but a shortcut is planted on 8 or 16 bits",
            path=path,
            advice="let prepare-folder store the images",
        )
    return levels


def _with_shortcut(plan: _Plan, row: int, record: Record) -> Record:
    twin, stencil, planting = record.image, plan.stencil, plan.planting
    if stencil is None:
        rng = np.random.default_rng([planting.seed, len(SPLITS), plan.ranks[row]])
        image = WHOLE[planting.shortcut](twin, plan.strength, rng)
    else:
        image = onto(twin, stencil, plan.strength)
    _tally(plan.touched, image, record, stencil)
    plan.pairs.add(f"class {record.label}, {record.split}", image, twin)
    return replace(record, image=image, twin=twin, shortcut=None if stencil is None else stencil.inside)


def _tally(touched: Touched, image: np.ndarray, record: Record, stencil: Stencil | None) -> None:
    touched.unchanged += bool((image == record.image).all())
    if record.mask is None or stencil is None:
        return
    covered = int((record.mask & stencil.inside).sum())
    touched.masked += 1
    touched.images += covered > 0
    touched.covered_px += covered
    touched.roi_px += int(record.mask.sum())


def _digest(dataset: Dataset) -> str:
    """Of the data set as it is: its table, and its images and masks in the order of their names."""
    digest = hashlib.sha256((dataset.root / TABLE_FILE).read_bytes())
    for name in sorted({*dataset.file_names, *filter(None, dataset.mask_file_names)}):
        digest.update(hashlib.sha256((dataset.root / name).read_bytes()).digest())
    return digest.hexdigest()
