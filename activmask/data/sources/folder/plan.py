"""What a table of labels asks for: which images, with which masks, of which size and depth.

Only file headers are read here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from activmask.data.dataset import COLUMNS, free_columns, means_a_file
from activmask.data.file_names import safe_name
from activmask.data.files.images import faults_of_masks
from activmask.data.files.likeness import is_missing
from activmask.data.files.nifti_names import volume_name
from activmask.data.files.tables import CsvRow, relative_path
from activmask.data.skipped import reason
from activmask.data.sources.folder.classes import canonical
from activmask.data.sources.folder.image_names import check_there
from activmask.data.sources.folder.kinds import (
    DICOM_SUFFIX,
    Header,
    Kind,
    check_mask_place,
    header_of,
    kind_of,
)
from activmask.data.sources.folder.labels_table import Place, place_of, read_labels
from activmask.data.sources.folder.mask_names import existing, is_there, mask_finder, stray_note
from activmask.data.sources.folder.several_labels import SeveralLabels, kind_of_labels, none_known
from activmask.data.sources.folder.slice_rows import SLICE, listed_slices, whole_volumes
from activmask.data.sources.folder.studies import case_of, with_one_subject_a_study
from activmask.data.sources.folder.turned import check_mask_size
from activmask.ground.errors import PATH, DataError
from activmask.ground.shown import shown

if TYPE_CHECKING:
    from activmask.data.files.nifti import Frame

_LONGEST = 90
"""Of a volume's name, so that the number of a slice finds room behind it."""


@dataclass(frozen=True)
class Item:
    """One image of the table that looks sound from outside."""

    file_name: str
    """As the table has it."""
    name: str
    """A safe name, distinct among all items."""
    image: Path
    mask: Path | None
    label: str
    """Empty where the mask tells it; of several labels whether any is true, see `kind_of_labels`."""
    subject: str
    site: str
    split: str
    size: tuple[int, int]
    """(height, width) in px."""
    bit_depth: int
    """8 or 16."""
    columns: Mapping[str, str] = field(default_factory=dict)
    """What else the table says of it."""
    kind: Kind = "picture"
    slice_number: int | None = None
    """Of a volume, from the patient's feet, counted from 0; None of a file of one image."""
    study: bytes = b""
    """Files of one DICOM study share it, as do channels of one case of nnU-Net; empty where nothing says."""
    patient: bytes = b""
    """Likewise for what the files call their patient."""
    inverted: bool = False
    """Whether 0 is white in its file, and not in the image as stored."""
    pixel_ratio: float = 1.0
    """Height over width of a pixel, as the file says."""
    labels: Mapping[str, int] = field(default_factory=dict)
    """0, 1 or unknown for each of several labels by name; none where images have a class."""

    @property
    def called(self) -> str:
        """What messages call it."""
        number = self.slice_number
        return self.file_name if number is None else f"{self.file_name} slice {number}"


@dataclass(frozen=True)
class Plan:
    """The sound items and the others."""

    items: tuple[Item, ...]
    skipped: tuple[tuple[str, str], ...]
    """(file name, reason)"""
    left_out: tuple[str, ...]
    """Columns of the table that a data set cannot keep."""
    subjects_told: bool
    """Whether the table says whom images show."""
    unused: Mapping[str, tuple[str, ...]]
    """Columns that may say that, or where images come from, and were not asked to; see `unused_columns`."""
    notes: tuple[str, ...] = ()
    """What is to be said of how the table was read, and of whom the images show."""


def plan_items(
    images: Path,
    labels: Path,
    masks: Path | None,
    *,
    label_from_mask: bool = False,
    multi_label: Sequence[str] = (),
    subject: str | None = None,
    site: str | None = None,
) -> Plan:
    """Look up every row of a table of labels; of a volume each slice that a row asks for is an item.

    Raises:
        DataError: the table is broken or contradicts itself, asks for a slice that is not there, or no
            mask belongs to any image.
        UsageError: the table lacks the column that is to be the subject or the site.
    """
    table = read_labels(
        labels,
        images,
        masks,
        label_from_mask=label_from_mask,
        multi_label=multi_label,
        roles={"subject": subject, "site": site},
    )
    rows, several = table.rows, table.several
    find_mask = mask_finder(rows, images, masks)
    names = [name for name in free_columns(rows[0].cells) if name not in several.names]
    look = _Look(
        labels,
        images,
        tuple([*names, SLICE] if table.volumes and SLICE not in names else names),
        label_from_mask,
        several,
        cache(_frame),
    )
    items: list[Item] = []
    skipped: dict[tuple[str, str], None] = {}
    seen: dict[Place, int] = {}
    bare: set[PurePosixPath] = set()
    for row in rows:
        try:
            path = _first_mention(row, seen)
            mask = find_mask(row, path)
            if mask is None and is_there(existing(images, path)):
                bare.add(path)
            items += _items(row, path, mask, look)
        except DataError as error:
            if error.row is not None:
                raise
            # Many rows may be of one broken volume.
            skipped[row["file_name"], reason(error, (images, masks))] = None
    told = "subject" in rows[0].cells
    alike, notes = with_one_subject_a_study(labels, items, named=told)
    left_out = tuple(name for name in rows[0].cells if name not in COLUMNS and means_a_file(name))
    labelled = () if label_from_mask else whole_volumes(rows)
    unplaced = _unplaced(items, look)
    stray = ""
    if masks is not None and "mask_file_name" not in rows[0].cells:
        stray = stray_note(images, masks, len(bare))
    return Plan(
        items=tuple(alike),
        skipped=tuple(skipped),
        left_out=left_out,
        subjects_told=told,
        unused=table.unused,
        notes=(*table.notes, *notes, *labelled, *unplaced, *filter(None, (stray,))),
    )


@dataclass(frozen=True)
class _Look:
    """Where and how the rows of a table are looked up."""

    table: Path
    images: Path
    columns: tuple[str, ...]
    """Further ones, which are kept."""
    label_from_mask: bool
    several: SeveralLabels
    frame: Callable[[Path], "Frame"]
    """The shape and place of a volume, read once."""
    taken: set[str] = field(default_factory=set)
    """Names of items."""


def _frame(path: Path) -> "Frame":
    # nibabel takes long to load.
    from activmask.data.files.nifti import volume_frame

    return volume_frame(path)


def _unplaced(items: Sequence[Item], look: "_Look") -> tuple[str, ...]:
    """What is to be said of volumes that do not say how they lie in the patient."""
    volumes = {item.image for item in items if item.slice_number is not None}
    if not volumes:
        return ()
    from activmask.data.files.volume_slices import unplaced_note

    note = unplaced_note(sum(not look.frame(path).placed for path in volumes))
    return (note,) if note else ()


def _first_mention(row: CsvRow, seen: dict[Place, int]) -> PurePosixPath:
    if not row["file_name"]:
        raise DataError(f"row {row.number} names no file")
    place = place_of(row)
    first = seen.setdefault(place, row.number)
    if first != row.number:
        what = "image" if place[1] is None else "slice"
        raise DataError(f"the {what} is listed already in row {first}")
    return relative_path(row["file_name"])


def _items(row: CsvRow, path: PurePosixPath, mask: Path | None, look: _Look) -> list[Item]:
    _check_cells(row, mask, look)
    check_there(look.images, path)
    image = existing(look.images, path)
    if kind_of(image) == "NIfTI":
        return _slices(row, path, image, mask, look)
    header = header_of(image)
    if mask is not None:
        _check_mask(mask, image, header)
    # What follows the last dot of a name such as 1.2.840.10008 is no ending.
    ends = header.kind == "picture" or path.suffix.lower() == DICOM_SUFFIX
    return [
        Item(
            file_name=row["file_name"],
            name=safe_name(path if ends else _with_ending(path), look.taken),
            image=image,
            mask=mask,
            size=header.size,
            bit_depth=header.bit_depth,
            columns={name: row[name] for name in look.columns},
            kind=header.kind,
            study=header.study,
            patient=header.patient,
            inverted=header.inverted,
            pixel_ratio=header.place.ratio,
            **_told(row, look),
        )
    ]


def _told(row: CsvRow, look: _Look) -> dict[str, Any]:
    """What a row says of the image itself."""
    several = look.several.of(row)
    label = kind_of_labels(several) if several else canonical(row["label"])
    return {
        "label": "" if look.label_from_mask else label,
        "labels": several,
        "subject": row["subject"] or shown(row["file_name"]),
        "site": row["site"],
        "split": row["split"],
    }


def _check_cells(row: CsvRow, mask: Path | None, look: _Look) -> None:
    if look.label_from_mask and mask is None:
        raise DataError("it has no mask, which is to tell its label")
    told = look.several.joined or not (look.label_from_mask or look.several.names)
    if none_known(look.several.of(row)):
        raise DataError("none of its labels is known")
    if told and is_missing(row["label"]):
        raise DataError(f"the label is {_shown(row['label'])}")
    if "subject" in row.cells and (is_missing(row["subject"]) or row["subject"].casefold() == "none"):
        raise DataError(f"the subject is {_shown(row['subject'])}; fill it in or remove the column")
    if row["site"] and is_missing(row["site"]):
        raise DataError(
            f"the site is {_shown(row['site'])}; leave the cell empty, or call the site otherwise"
        )


def _slices(row: CsvRow, path: PurePosixPath, image: Path, mask: Path | None, look: _Look) -> list[Item]:
    """The slices of a volume that a row asks for, from its header and its label volume's."""
    frame = look.frame(image)
    if mask is not None:
        _check_label_volume(mask, frame, look)
    width, height, depth = frame.shape
    # Cut first, so that the number stays.
    stem = str(path.with_name(volume_name(Path(path)) or path.name))[:_LONGEST]
    return [
        Item(
            file_name=row["file_name"],
            name=safe_name(_with_ending(PurePosixPath(f"{stem}-z{z:03d}")), look.taken),
            image=image,
            mask=mask,
            size=(height, width),
            bit_depth=16,
            columns={name: str(z) if name == SLICE else row[name] for name in look.columns},
            kind="NIfTI",
            slice_number=z,
            study=case_of(image, mask),
            **_told(row, look),
        )
        for z in listed_slices(look.table, row, depth)
    ]


def _check_label_volume(mask: Path, image: "Frame", look: _Look) -> None:
    from activmask.data.files.volume_slices import check_place

    if kind_of(mask) != "NIfTI":
        raise DataError(
            f"the mask {PATH} is no NIfTI volume, but its image is one",
            path=mask,
            advice="give a label volume of the same voxels",
        )
    with faults_of_masks():
        check_place(mask, look.frame(mask), image)


def _with_ending(path: PurePosixPath) -> PurePosixPath:
    """A path that loses nothing of its name when its ending is cut off."""
    return path.with_name(f"{path.name}.png")


def _check_mask(mask: Path, path: Path, image: Header) -> None:
    if kind_of(mask) == "NIfTI":
        raise DataError(
            f"the mask {PATH} is a NIfTI volume, but its image is none",
            path=mask,
            advice="give a picture or a DICOM file of the image's size",
        )
    with faults_of_masks():
        found = header_of(mask, mask=True)
    check_mask_size(mask, found.size, path, image.size)
    check_mask_place(mask, found, image)


def _shown(cell: str) -> str:
    return f"{cell!r}, a missing value" if cell else "empty"
