"""A data set of chest X-rays from NIH ChestX-ray14 and PadChest, the paper's section 6.

Shapes: S x S pixels as stored.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from activmask.data.dataset_writer import Record, Summary, write_dataset
from activmask.data.duplicates import DuplicateFinder, Duplicates, watched
from activmask.data.folder_plan import reason
from activmask.data.images import check_side, to_stored
from activmask.data.mask_reading import JudgedMasks, judge_given
from activmask.data.mask_values import MaskReading
from activmask.data.parallel import Engine, in_order
from activmask.data.xray_cache import Made, continued
from activmask.data.xray_files import find_image, index_images
from activmask.data.xray_findings import Finding, find_finding
from activmask.data.xray_pixels import (
    CROP,
    SCALING,
    read_intensities,
    read_xray_mask,
    resized,
)
from activmask.data.xray_preview import SiteMeans
from activmask.data.xray_sampling import sample
from activmask.data.xray_tables import (
    NIH,
    PADCHEST,
    Candidate,
    Selection,
    Step,
    Views,
    find_table,
    read_nih,
    read_padchest,
)
from activmask.errors import DataError, UsageError

Progress = Callable[[int, int], None]


@dataclass(frozen=True, kw_only=True)
class Sources:
    """The collections as they lie on disk; either may be missing."""

    nih: Path | None = None
    """Folder below which the NIH images lie."""
    padchest: Path | None = None
    nih_table: Path | None = None
    """Its metadata table; looked for in and around the folder if not given."""
    padchest_table: Path | None = None

    def folders(self) -> dict[str, Path]:
        """The given folders by site."""
        pairs = ((NIH, self.nih), (PADCHEST, self.padchest))
        return {site: folder for site, folder in pairs if folder is not None}


@dataclass(frozen=True)
class Eligible:
    """What the tables alone say."""

    finding: Finding
    candidates: tuple[Candidate, ...]
    steps: tuple[Step, ...]
    skipped: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class XraySummary:
    """What was written, and what was left out."""

    written: Summary
    eligible: Eligible
    cells: dict[tuple[str, int], int]
    """Images written by site and label."""
    skipped: tuple[tuple[str, str], ...]
    """(file name, reason) of rows and images left out."""
    masks: JudgedMasks
    """Which values the masks hold, and how they were read."""
    duplicates: Duplicates
    """Pictures that occur under several patients."""


@dataclass(frozen=True)
class _Item:
    """One image to make, and from what."""

    image: Candidate
    path: Path
    mask: Path | None

    @property
    def name(self) -> str:
        return f"{self.image.site}-{Path(self.image.file_name).stem}"


def eligible_xrays(
    sources: Sources, *, finding: str = "emphysema", views: Views = "PA", paper_views: bool = False
) -> Eligible:
    """Read the collections' tables and apply the rules of eligibility; no image is read.

    Args:
        sources: the collections.
        finding: what label 1 means, by the name both collections know.
        views: of the NIH images; those of PadChest are always PA.
        paper_views: the paper's rules: every NIH view, PadChest's DICOM view and label substrings.

    Raises:
        DataError: a table is missing or broken.
        UsageError: no collection, or an unknown finding.
    """
    known = find_finding(finding)
    folders = sources.folders()
    if not folders:
        raise UsageError("neither nih nor padchest is given; name the folder of at least one")
    selections: list[Selection] = []
    if NIH in folders:
        table = sources.nih_table or find_table(folders[NIH], NIH)
        selections.append(read_nih(table, finding=known, views="all" if paper_views else views))
    if PADCHEST in folders:
        table = sources.padchest_table or find_table(folders[PADCHEST], PADCHEST)
        selections.append(read_padchest(table, finding=known, paper=paper_views, adults=not paper_views))
    return Eligible(
        known,
        tuple(image for selection in selections for image in selection.candidates),
        tuple(step for selection in selections for step in selection.steps),
        tuple(row for selection in selections for row in selection.skipped),
    )


def prepare_xray(
    sources: Sources,
    out: Path,
    *,
    finding: str = "emphysema",
    views: Views = "PA",
    paper_views: bool = False,
    per_cell: int | None = None,
    size: int = 128,
    masks: Path | None = None,
    mask_reading: MaskReading | None = None,
    workers: int = 1,
    engine: Engine = "local",
    address: str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> XraySummary:
    """Make a data set of eligible images, equally many of each site and class, drawn by patient.

    Only images whose files are there take part in the draw. A broken image is left out, named in
    `skipped.csv`, and makes its cell smaller. Finished images wait in a hidden file beside
    `out`, so that the same call continues after an interruption and ends with the same bytes.

    Args:
        sources: the collections.
        out: the data set's folder.
        finding: as in `eligible_xrays`, like the next two.
        views: of the NIH images.
        paper_views: the paper's rules.
        per_cell: images of each site and class; None takes as many as the smallest cell has.
        size: S in px.
        masks: folder of PNG or TIFF masks, anywhere below it, named like the images; images
            without one get none.
        mask_reading: which stored values of the masks are inside; left out, what is not 0, if the masks
            hold 0 and one other value.
        workers: processes.
        engine: processes of this machine, or a Ray cluster.
        address: of the Ray cluster; None starts one here.
        overwrite: replace a data set that lies at `out`.
        progress: called with the number of images done and their total.

    Raises:
        UnclearMasks: the masks hold other values than 0 and one more, and nobody said which are inside.
        DataError: tables or images are missing, or what is left cannot make a data set.
        UsageError: the arguments make no sense.
    """
    check_side(size)
    eligible = eligible_xrays(sources, finding=finding, views=views, paper_views=paper_views)
    skipped = list(eligible.skipped)
    items = _drawn(sources, eligible, masks, per_cell, skipped)
    judged = judge_given([item.mask for item in items], mask_reading)
    cache = _cache(out, items, size, judged.reading)
    means, cells = SiteMeans(), dict[tuple[str, int], int]()
    make = partial(_make, size=size, reading=judged.reading, folders=(*sources.folders().values(), masks))

    def records() -> Iterator[Record]:
        cache.parent.mkdir(parents=True, exist_ok=True)
        made = continued(
            cache,
            items,
            make,
            lambda rest: in_order(make, rest, workers=workers, engine=engine, address=address),
            size,
        )
        for done, (item, result) in enumerate(zip(items, made, strict=True), 1):
            if result.pixels is None:
                skipped.append((item.image.file_name, result.reason))
            else:
                cell = (item.image.site, item.image.label)
                cells[cell] = cells.get(cell, 0) + 1
                means.add(item.image.site, result.pixels)
                yield _record(item, result.pixels, result.mask)
            if progress is not None:
                progress(done, len(items))

    card = _card(eligible, size, len(items) // len({(item.image.site, item.image.label) for item in items}))
    card |= {"mask_reading": judged.card()} if judged.files else {}
    finder = DuplicateFinder()
    written = write_dataset(
        out,
        watched(records(), card, finder),
        card=card,
        overwrite=overwrite,
        preview=means.draw,
        skipped=skipped,
    )
    cache.unlink()
    return XraySummary(written, eligible, cells, tuple(skipped), judged, finder.result)


def _drawn(
    sources: Sources,
    eligible: Eligible,
    masks: Path | None,
    per_cell: int | None,
    skipped: list[tuple[str, str]],
) -> list[_Item]:
    """The images of the draw with their files; eligible ones without a file are skipped."""
    indices = {site: index_images(folder) for site, folder in sources.folders().items()}
    mask_index = index_images(masks) if masks is not None else {}
    paths: dict[tuple[str, str], tuple[Path, Path | None]] = {}
    for image in eligible.candidates:
        try:
            path = find_image(indices[image.site], image)
            paths[image.site, image.file_name] = (path, _mask_of(mask_index, image))
        except DataError as error:
            skipped.append((image.file_name, str(error)))
    present = [image for image in eligible.candidates if (image.site, image.file_name) in paths]
    if not present:
        raise DataError(
            f"none of the {len(eligible.candidates)} eligible images lies in "
            f"{' or '.join(map(str, sources.folders().values()))}; name the folders that hold them"
        )
    return [_Item(image, *paths[image.site, image.file_name]) for image in sample(present, per_cell)]


def _mask_of(index: dict[str, list[Path]], image: Candidate) -> Path | None:
    stem = Path(image.file_name).stem
    return find_image(index, image) if stem in index else None


def _cache(out: Path, items: Sequence[_Item], size: int, reading: MaskReading) -> Path:
    """The file of finished images, which another plan or changed files never share."""
    digest = hashlib.sha256(f"{size}\n{SCALING}\n{CROP}\n{reading}".encode())
    for item in items:
        for path in (item.path, item.mask):
            if path is not None:
                stat = path.stat()
                digest.update(f"\n{item.name}\t{path}\t{stat.st_size}\t{stat.st_mtime_ns}".encode())
    root = out.resolve()
    return root.parent / f".{root.name}.{digest.hexdigest()[:16]}.cache"


def _make(item: _Item, *, size: int, reading: MaskReading, folders: tuple[Path | None, ...]) -> Made:
    try:
        pixels = read_intensities(item.path)
        mask = None if item.mask is None else read_xray_mask(item.mask, pixels.shape, size, reading)
        return Made(to_stored(resized(pixels, size)), mask, "")
    except DataError as error:
        return Made(None, None, reason(error, folders))


def _record(item: _Item, pixels: np.ndarray, mask: np.ndarray | None) -> Record:
    image = item.image
    return Record(item.name, pixels, mask, image.label, image.subject, image.site, "")


def _card(eligible: Eligible, size: int, per_cell: int) -> dict[str, Any]:
    return {
        "source": "xray",
        "finding": eligible.finding.name,
        "labels": {NIH: eligible.finding.nih, PADCHEST: eligible.finding.padchest},
        "classes": {"healthy": 0, eligible.finding.name: 1},
        "rules": [vars(step) for step in eligible.steps],
        "per_cell": per_cell,
        "resized_to": size,
        "crop": CROP,
        "intensities": SCALING,
        "licence": "NIH ChestX-ray14: free use with citation (Wang et al. 2017); PadChest: its research use "
        "agreement (Bustos et al. 2020). Neither may be passed on with this data set.",
    }
