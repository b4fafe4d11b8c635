"""A data set of the RSNA Pneumonia Detection Challenge: pneumonia, and the view as what goes with it.

The authors' follow-up (Viviano et al. 2021, "Saliency is a possible red herring when diagnosing poor
generalization") draws equally many images of each view and class, and lets view and class go together in
training. Here the view stands in the column of sites, so that site-correlated splits do the same.

Shapes: H x W pixels of the file, S x S stored.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from activmask.data.files.dicom import dicom_view
from activmask.data.files.images import check_side
from activmask.data.files.mask_reading import survey_given
from activmask.data.skipped import reason
from activmask.data.sources.xray.boxes import cut_boxes
from activmask.data.sources.xray.drawn_set import Drawing, Eligible, XraySummary, check_place, write_drawn
from activmask.data.sources.xray.files import find_image, index_images
from activmask.data.sources.xray.findings import Finding
from activmask.data.sources.xray.making import Crew, Files, Making
from activmask.data.sources.xray.rsna_tables import NORMAL, RsnaImage, find_tables, read_rsna
from activmask.data.sources.xray.tables import Candidate, Step
from activmask.ground.errors import DataError
from activmask.ground.folders import claimed_folder
from activmask.ground.processes import Engine
from activmask.ground.progress import ItemsDone

Negatives = Literal["all", "normal"]

SITE = "rsna"
IMAGES = "stage_2_train_images"
VIEWS = ("AP", "PA")
PNEUMONIA = Finding("pneumonia", "Target 1", "")
CLASSES = {"no pneumonia": 0, "pneumonia": 1}
_RULE = {"all": "a view, AP or PA, in the header", "normal": "of those without pneumonia the normal ones"}
_LICENCE = (
    "RSNA Pneumonia Detection Challenge (Shih et al. 2019), images of NIH ChestX-ray14: non-commercial use "
    "with citation; not to be passed on with this data set."
)


@dataclass(frozen=True, kw_only=True)
class RsnaEligible:
    """What tables and headers say."""

    eligible: Eligible
    files: Files
    """Of every candidate: its file, and its boxes or None."""
    cut: int
    """Boxes that reach over the edge of their image, and are cut there."""


def eligible_rsna(
    folder: Path, *, negatives: Negatives = "all", progress: ItemsDone | None = None
) -> RsnaEligible:
    """Read the collection's tables, and the view of each image from its header; no pixel is read.

    Label 1 is pneumonia, an image with boxes, which are its mask; one without has no mask, which is not to
    say that nothing of it is of interest. Nothing of a header is kept but whether it says AP or PA.

    Args:
        folder: that holds the tables and `stage_2_train_images`.
        negatives: images without a box: all, as the follow-up takes them, or those called normal.
        progress: called with the number of headers read and of all.

    Raises:
        DataError: a table or the folder of images is missing or broken.
    """
    find_tables(folder)
    images, skipped = read_rsna(folder, with_classes=negatives == "normal")
    index, left_out = index_images(folder / IMAGES), list(skipped)
    listed: list[tuple[RsnaImage, Candidate]] = []
    files: Files = {}
    cut = 0
    for number, image in enumerate(images, 1):
        try:
            candidate, path, over = _candidate(index, image)
        except DataError as error:
            left_out.append((image.name, reason(error, (folder,))))
        else:
            cut += over
            listed.append((image, candidate))
            files[candidate.site, candidate.file_name] = (path, image.boxes or None)
        if progress is not None:
            progress(number, len(images))
    if not listed:
        raise DataError(
            f"none of the {len(images)} images of the tables lies in {IMAGES} and says its view; name the "
            "folder of the collection as it was released"
        )
    kept = [one for image, one in listed if negatives == "all" or image.boxes or image.normal]
    steps = _steps([one for _, one in listed], _RULE["all"])
    if negatives == "normal":
        steps += _steps(kept, _RULE["normal"])
    eligible = Eligible(PNEUMONIA, tuple(kept), tuple(steps), tuple(left_out))
    return RsnaEligible(eligible=eligible, files=files, cut=cut)


def _candidate(index: dict[str, list[Path]], image: RsnaImage) -> tuple[Candidate, Path, int]:
    """An image with its view, its file, and how many of its boxes are cut at its edge."""
    path = find_image(index, Candidate(f"{image.name}.dcm", "", "", "", 0))
    view, size = dicom_view(path)
    if view not in VIEWS:
        raise DataError("its header names neither AP nor PA as its view")
    candidate = Candidate(
        file_name=f"{image.name}.dcm",
        folder=IMAGES,
        subject=f"{SITE}-{image.name}",
        site=view,
        label=int(bool(image.boxes)),
    )
    return candidate, path, cut_boxes(image.boxes, size)


def _steps(images: Sequence[Candidate], rule: str) -> list[Step]:
    counts = Counter((image.site, image.label) for image in images)
    return [
        Step(
            site=view,
            rule=rule,
            positives=counts[view, 1],
            positive_patients=counts[view, 1],
            healthy=counts[view, 0],
            healthy_patients=counts[view, 0],
            images=counts[view, 0] + counts[view, 1],
            patients=counts[view, 0] + counts[view, 1],
        )
        for view in VIEWS
    ]


def prepare_rsna(
    folder: Path,
    out: Path,
    *,
    negatives: Negatives = "all",
    per_cell: int | None = None,
    size: int = 128,
    workers: int = 1,
    engine: Engine = "local",
    address: str | None = None,
    overwrite: bool = False,
    progress: ItemsDone | None = None,
) -> tuple[XraySummary, int]:
    """Make a data set of the collection, equally many images of each view and class.

    The view is the site; boxes are masks; images without pneumonia have none. A drawn image that is broken
    gives way to the next, as in `prepare_xray`, and an interrupted call continues likewise. Each image is
    a subject: the collection does not tell which images are of one patient.

    Args:
        folder: as in `eligible_rsna`, like `negatives`.
        out: the data set's folder.
        negatives: which images without pneumonia.
        per_cell: images of each view and class; None takes as many as the smallest cell has.
        size: S in px.
        workers: processes.
        engine: processes of this machine, or a Ray cluster.
        address: of the Ray cluster; None starts one here.
        overwrite: replace a data set that lies at `out`.
        progress: called with the number of images done and their total, headers first.

    Returns:
        What was written, and how many boxes of eligible images are cut at the edge of their image.

    Raises:
        DataError: tables or images are missing, a cell cannot give `per_cell` images, or what is left
            cannot make a data set.
    """
    check_side(size)
    with claimed_folder(out, "data set", lambda: check_place(out, overwrite)) as claim:
        found = eligible_rsna(folder, negatives=negatives, progress=progress)
        survey = survey_given([], None)
        how = Making(size=size, intensity="image", reading=survey.reading, folders=(folder,))
        drawing = Drawing(
            eligible=found.eligible,
            candidates=found.eligible.candidates,
            files=found.files,
            per_cell=per_cell,
            how=how,
            crew=Crew(workers=workers, engine=engine, address=address),
            mask_reading=None,
            card=_card(negatives, found.cut),
            licence=_LICENCE,
        )
        skipped = list(found.eligible.skipped)
        written = write_drawn(
            out, drawing, survey, skipped, claim=claim, overwrite=overwrite, progress=progress
        )
    return written, found.cut


def _card(negatives: Negatives, cut: int) -> dict[str, Any]:
    return {
        "source": "xray",
        "collection": SITE,
        "finding": PNEUMONIA.name,
        "labels": {SITE: PNEUMONIA.nih},
        "classes": CLASSES,
        "negatives": NORMAL if negatives == "normal" else "all",
        "mask_of": "the union of the boxes of pneumonia; images without pneumonia have no mask",
        "boxes_cut_at_the_edge": cut,
        "subjects": "images: the collection does not tell which are of one patient",
    }
