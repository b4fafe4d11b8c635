"""A data set of chest X-rays from NIH ChestX-ray14 and PadChest, the paper's section 6.

Shapes: S x S pixels as stored.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from activmask.data.files.images import check_side
from activmask.data.files.mask_reading import survey_given
from activmask.data.files.mask_values import MaskReading
from activmask.data.sources.xray.drawn_set import (
    Drawing,
    Eligible,
    XraySummary,
    check_place,
    mask_files,
    write_drawn,
)
from activmask.data.sources.xray.files import find_image, index_images
from activmask.data.sources.xray.findings import find_finding
from activmask.data.sources.xray.making import Crew, Files, Making
from activmask.data.sources.xray.pixels import SCALINGS
from activmask.data.sources.xray.sampling import sample
from activmask.data.sources.xray.tables import (
    NIH,
    PADCHEST,
    Candidate,
    Selection,
    Views,
    find_table,
    read_nih,
    read_padchest,
)
from activmask.ground.errors import DataError, UsageError
from activmask.ground.folders import claimed_folder
from activmask.ground.nearest import nearest
from activmask.ground.processes import Engine
from activmask.ground.progress import ItemsDone

XrayIntensity = Literal["image", "released"]

_LICENCE = (
    "NIH ChestX-ray14: free use with citation (Wang et al. 2017); PadChest: its research use agreement "
    "(Bustos et al. 2020). Neither may be passed on with this data set."
)


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
    intensity: XrayIntensity = "image",
    masks: Path | None = None,
    mask_reading: MaskReading | None = None,
    workers: int = 1,
    engine: Engine = "local",
    address: str | None = None,
    overwrite: bool = False,
    progress: ItemsDone | None = None,
) -> XraySummary:
    """Make a data set of eligible images, equally many of each site and class, drawn by patient.

    Only images whose files are there take part in the draw. A drawn image that is broken, or has
    one value everywhere, is named in `skipped.csv`, and the next of its cell's order takes its
    place; where a cell runs out of images, all become smaller alike. Finished images wait in a hidden
    file beside `out`, so that the same call continues after an interruption and ends with the
    same bytes.

    `intensity` is a property of the experiment. `released` divides NIH by 255 and PadChest by
    65,535, as the paper's code does: PadChest uses 10 or 12 of its 16 bits, so its images come out
    up to 64 times darker, and the site can be told from the mean brightness alone. That is a fault
    of units, not of hospitals: the default, `image`, scales every image of either site from its own
    minimum to its own maximum, so that what is left to tell the sites apart is in the pictures. To
    repeat the paper's experiment, ask for `released`.

    Args:
        sources: the collections.
        out: the data set's folder.
        finding: as in `eligible_xrays`, like the next two.
        views: of the NIH images.
        paper_views: the paper's rules.
        per_cell: images of each site and class; None takes as many as the smallest cell has.
        size: S in px.
        intensity: how stored values become brightness.
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
        DataError: tables or images are missing, a cell cannot give `per_cell` images, or what is left
            cannot make a data set.
        UsageError: the arguments make no sense.
    """
    check_side(size)
    if intensity not in SCALINGS:
        raise UsageError(f"there is no intensity '{intensity}'; {nearest(intensity, SCALINGS)}")
    with claimed_folder(out, "data set", lambda: check_place(out, overwrite)) as claim:
        eligible = eligible_xrays(sources, finding=finding, views=views, paper_views=paper_views)
        skipped = list(eligible.skipped)
        files = _files(sources, eligible, masks, skipped)
        candidates = [image for image in eligible.candidates if (image.site, image.file_name) in files]
        survey = survey_given(mask_files(sample(candidates, per_cell), files), mask_reading)
        how = Making(
            size=size,
            intensity=intensity,
            reading=survey.reading,
            folders=(*sources.folders().values(), masks),
        )
        return write_drawn(
            out,
            Drawing(
                eligible=eligible,
                candidates=candidates,
                files=files,
                per_cell=per_cell,
                how=how,
                crew=Crew(workers=workers, engine=engine, address=address),
                mask_reading=mask_reading,
                card=_card(eligible),
                licence=_LICENCE,
            ),
            survey,
            skipped,
            claim=claim,
            overwrite=overwrite,
            progress=progress,
        )


def _files(sources: Sources, eligible: Eligible, masks: Path | None, skipped: list[tuple[str, str]]) -> Files:
    """Where the eligible images and their masks lie; those without a file are skipped."""
    indices = {site: index_images(folder) for site, folder in sources.folders().items()}
    mask_index = index_images(masks) if masks is not None else {}
    files: Files = {}
    for image in eligible.candidates:
        try:
            path = find_image(indices[image.site], image)
            files[image.site, image.file_name] = (path, _mask_of(mask_index, image))
        except DataError as error:
            skipped.append((image.file_name, str(error)))
    if not files:
        raise DataError(
            f"none of the {len(eligible.candidates)} eligible images lies in "
            f"{' or '.join(map(str, sources.folders().values()))}; name the folders that hold them"
        )
    return files


def _mask_of(index: dict[str, list[Path]], image: Candidate) -> Path | None:
    stem = Path(image.file_name).stem
    return find_image(index, image) if stem in index else None


def _card(eligible: Eligible) -> dict[str, Any]:
    """What the card begins with."""
    return {
        "source": "xray",
        "finding": eligible.finding.name,
        "labels": {NIH: eligible.finding.nih, PADCHEST: eligible.finding.padchest},
        "classes": {"healthy": 0, eligible.finding.name: 1},
    }
