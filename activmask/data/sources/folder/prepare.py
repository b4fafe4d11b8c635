"""A data set from anybody's folder of images, a table of labels and a folder of masks.

Shapes: H x W pixels.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from skimage import transform

from activmask.data.duplicates import DuplicateFinder, Duplicates, watched
from activmask.data.files.images import (
    Colour,
    read_levels,
    read_mask,
    read_plain_mask,
    to_stored,
)
from activmask.data.files.intensities import FULL_RANGE, Intensity, as_shares
from activmask.data.files.mask_reading import MaskSurvey, survey_given
from activmask.data.files.mask_values import MaskReading
from activmask.data.settings import View
from activmask.data.skipped import reason
from activmask.data.sources.folder.classes import ABSENT, PRESENT, number_classes
from activmask.data.sources.folder.kinds import kind_of
from activmask.data.sources.folder.originals import by_volume, columns_note, dicom_note, formats, named
from activmask.data.sources.folder.plan import Item, plan_items
from activmask.data.sources.folder.requests import (
    check_intensity,
    check_one_size,
    check_request,
    check_volumes,
)
from activmask.data.sources.folder.volumes import VolumeReader, VolumeRules, Window
from activmask.data.used_ranges import UsedRanges, check_ranges, constant_images
from activmask.data.writer import Record, Summary, write_dataset
from activmask.ground.errors import PATH, DataError, UsageError
from activmask.ground.progress import ItemsDone


@dataclass(frozen=True)
class FolderSummary:
    """What was written, and what was left out."""

    written: Summary
    classes: dict[str, int]
    """The number that each label of the table became."""
    skipped: tuple[tuple[str, str], ...]
    """(file name, reason) of the images left out."""
    empty_masks: int
    """Masks without a pixel inside; their images are stored as having no mask."""
    notes: tuple[str, ...]
    """Sentences on what the images' values may give away."""
    masks: MaskSurvey
    """Which values the masks hold, and how they were read."""
    volumes: str
    """Which values the label volumes hold and how they were read, as a sentence; empty without any."""
    duplicates: Duplicates
    """Pictures that occur under several subjects."""


@dataclass(frozen=True)
class _Job:
    """How images are stored, and where they come from."""

    folders: tuple[Path | None, ...]
    size: int | None
    bit_depth: int
    colour: Colour
    intensity: Intensity
    reading: MaskReading | None
    """Of the masks; None takes a mask that is plain and refuses any other."""
    volumes: VolumeReader


class _ClassLostError(Exception):
    """Every image of a class turned out broken while the data set was being written."""


def prepare_folder(
    images: Path,
    labels: Path,
    out: Path,
    *,
    masks: Path | None = None,
    size: int | None = None,
    colour: Colour = "refuse",
    intensity: Literal["image"] | int | None = None,
    mask_reading: MaskReading | None = None,
    mask_labels: tuple[int, ...] = (),
    window: Window | None = None,
    label_from_mask: bool = False,
    positive: str | None = None,
    name: str = "",
    title: str = "",
    allow_duplicates: bool = False,
    overwrite: bool = False,
    progress: ItemsDone | None = None,
) -> FolderSummary:
    """Make a data set from the images that a table lists.

    Images are stored with 16 bits if any of them has more than 8. A broken item is left out and
    named in the summary and in `skipped.csv`. Images with one value everywhere are kept and named,
    in the card too.

    Args:
        images: Folder of PNG, JPEG, TIFF, WebP, BMP or DICOM images, or of NIfTI volumes, whose axial
            slices become images, see `VolumeReader`.
        labels: CSV table with the columns file_name and label; mask_file_name, subject, site and
            split may follow, and further columns, such as sex or scanner, which are kept as they are.
            Labels are whole numbers or names, numbered in sorted order. A row without a `slice` asks for
            all slices of its volume, a row with one for that slice.
        out: The data set's folder.
        masks: Folder of PNG, TIFF, BMP or DICOM masks, and of label volumes for volumes. Without a
            column mask_file_name, a mask belongs to the image of the same relative path, whatever the
            suffixes; with that column, its names are relative to this folder, or to `images` if there
            is none.
        size: Resize images (anti-aliased) and masks (nearest neighbour) to this side in px.
        colour: Whether to refuse colour images or convert them to grey.
        intensity: The largest value that images of 16 bits can have, 4095 for 12 bits; or `image`,
            which takes every image from its own minimum to its own maximum. Left out, it is 65,535,
            and images whose used parts of their ranges are a factor of four apart, by class, site or
            depth, are refused.
        mask_reading: Which stored values of the masks are inside. Left out, what is not 0, if all masks
            hold 0 and one other value.
        mask_labels: Values of label volumes that are inside; none for all above 0.
        window: Values of volumes that become 0 and 1; left out, the 0.5 and 99.5 percentiles of each.
        label_from_mask: Take an image with something inside its mask as `present`, one with nothing as
            `absent`, and one without a mask not at all; the table then has no column label.
        positive: Of two labels the one that becomes class 1; left out, the later in order.
        name: What tables call the data set, kept in its card.
        title: What headings call it, likewise.
        allow_duplicates: Take equal pixels in two of the given splits, which are refused otherwise.
        overwrite: Replace a data set that lies at `out`.
        progress: Called with the number of items done and their total.

    Raises:
        UnclearMasks: the masks hold other values than 0 and one more, and nobody said which are inside.
        DataError: the table is broken, the images' ranges are unequal, or what is left after skipping
            cannot make a data set.
        UsageError: the arguments make no sense together.
    """
    check_request(images, labels, out, masks, size)
    check_intensity(intensity)
    plan = plan_items(images, labels, masks, label_from_mask=label_from_mask)
    items, skipped = by_volume(plan.items), list(plan.skipped)
    rules = VolumeRules(size=size, window=window, labels=mask_labels)
    check_volumes(items, rules, mask_reading)
    if size is None:
        check_one_size(items)
    if allow_duplicates and not any(item.split for item in items):
        raise UsageError(
            f"allow_duplicates has no effect: {PATH} gives no splits", path=labels, advice="leave it out"
        )
    survey = survey_given([item.mask for item in items if item.slice_number is None], mask_reading)
    depth = 16 if any(item.bit_depth == 16 for item in items) or intensity == "image" else 8
    range_ = FULL_RANGE if intensity is None else intensity
    lost: set[str] = set()
    while True:
        reader = VolumeReader(rules)
        job = _Job((images, masks), size, depth, colour, range_, survey.reading, reader)
        classes = _classes(labels, items, skipped, positive, label_from_mask=label_from_mask)
        card = {"source": "folder", "colour": colour, "resized_to": size, "classes": classes}
        card |= {"intensity": job.intensity}
        card |= {"mask_reading": survey.card()} if survey.files else {}
        card |= named(name, title) | formats(items, rules)
        used, finder = UsedRanges(), DuplicateFinder()
        records = _records(items, classes, job, skipped, lost, used, progress)
        records = _checked(records, used, intensity, card, reader)
        try:
            written = write_dataset(
                out,
                watched(records, card, finder, allow=allow_duplicates),
                card=card,
                overwrite=overwrite,
                skipped=skipped,
                mask_blur=View().mask_blur,
            )
        except _ClassLostError:
            # The remaining classes have to be numbered anew.
            items = [item for item in items if item.name not in lost]
            continue
        given = sum(item.mask is not None for item in items if item.name not in lost)
        notes = tuple(
            note
            for note in (
                check_ranges(used, intensity),
                constant_images(used.constant),
                *plan.notes,
                dicom_note(items),
                columns_note(plan.left_out),
            )
            if note
        )
        return FolderSummary(
            written=written,
            classes=classes,
            skipped=tuple(skipped),
            empty_masks=given - written.masks,
            notes=notes,
            masks=survey,
            volumes=reader.sentence(),
            duplicates=finder.result,
        )


def _classes(
    labels: Path,
    items: Sequence[Item],
    skipped: Sequence[tuple[str, str]],
    positive: str | None,
    *,
    label_from_mask: bool,
) -> dict[str, int]:
    found = {ABSENT, PRESENT} if label_from_mask and items else {item.label for item in items}
    if len(found) < 2:
        why = f"; {len(skipped)} were skipped, the first because {skipped[0][1]}" if skipped else ""
        classes = f"of one class, {min(found)!r}" if found else "at all"
        raise DataError(
            f"{PATH} leaves {len(items)} images {classes}, but a data set needs two classes{why}",
            path=labels,
        )
    return number_classes(found, positive)


def _records(
    items: Sequence[Item],
    classes: dict[str, int],
    job: _Job,
    skipped: list[tuple[str, str]],
    lost: set[str],
    used: UsedRanges,
    progress: ItemsDone | None,
) -> Iterator[Record]:
    """Read one image at a time; what cannot be read is appended to `skipped`, its name to `lost`."""
    seen: set[int] = set()
    for done, item in enumerate(items, 1):
        try:
            record = _record(item, classes, job, used)
        except DataError as error:
            lost.add(item.name)
            whole = (item.image, item.mask) in job.volumes.failed
            told = (item.file_name if whole else item.called, reason(error, job.folders))
            # The slices of a broken volume say it once.
            if not whole or told not in skipped:
                skipped.append(told)
        else:
            seen.add(record.label)
            yield record
        if progress is not None:
            progress(done, len(items))
    if len(seen) == len(classes):
        return
    if any(item.label for item in items):
        raise _ClassLostError
    found = [label for label, number in classes.items() if number in seen]
    raise DataError(
        f"the masks leave {f'images of one class, {found[0]!r}' if found else 'no image at all'}, but a data "
        "set needs two classes"
        + (f"; {len(skipped)} were skipped, the first because {skipped[0][1]}" if skipped else "")
    )


def _checked(
    records: Iterator[Record],
    used: UsedRanges,
    intensity: Intensity | None,
    card: dict[str, Any],
    volumes: VolumeReader,
) -> Iterator[Record]:
    """The records; what images and label volumes came to is checked and told to the card at the end."""
    yield from records
    check_ranges(used, intensity)
    volumes.check()
    if volumes.files:
        card["mask_labels"] = volumes.card()
    card["ranges"] = used.rows()
    card["constant_images"] = used.constant


def _record(item: Item, classes: Mapping[str, int], job: _Job, used: UsedRanges) -> Record:
    levels, mask = _read(item, job)
    image = as_shares(item.image, levels, job.intensity)
    if mask is not None and mask.shape != image.shape:
        raise DataError(f"the mask {PATH} is of another size than its image", path=item.mask)
    if mask is not None and not mask.any():
        mask = None
    if job.size is not None and image.shape != (job.size, job.size):
        image = _resized_image(image, job.size)
        mask = None if mask is None else _resized_mask(item, mask, job.size)
    pixels = to_stored(image, job.bit_depth)
    label = item.label or (ABSENT if mask is None else PRESENT)
    used.add(item.called, label, item.site, levels)
    return Record(
        item.name,
        pixels,
        mask,
        classes[label],
        item.subject,
        item.site,
        item.split,
        columns=item.columns,
    )


def _read(item: Item, job: _Job) -> tuple[np.ndarray, np.ndarray | None]:
    """The stored values of an image, and its mask; those of a slice have the size asked for."""
    if item.slice_number is not None:
        return job.volumes.slice_of(item.image, item.mask, item.slice_number)
    mask = None if item.mask is None else _mask(item.mask, job.reading)
    if item.kind == "picture":
        return read_levels(item.image, colour=job.colour), mask
    # pydicom takes long to load.
    from activmask.data.files.dicom import read_dicom

    return read_dicom(item.image), mask


def _mask(path: Path, reading: MaskReading | None) -> np.ndarray:
    return read_plain_mask(path) if reading is None else read_mask(path, reading)


def _resized_image(image: np.ndarray, size: int) -> np.ndarray:
    resized = transform.resize(image, (size, size), order=1, anti_aliasing=True)
    return np.asarray(np.clip(resized, 0, 1))


def _resized_mask(item: Item, mask: np.ndarray, size: int) -> np.ndarray:
    resized = np.asarray(transform.resize(mask, (size, size), order=0))
    if not resized.any():
        raise DataError(
            f"the region in the mask {PATH} vanishes at {size} px",
            path=item.mask,
            advice="choose a larger size",
        )
    return resized


def as_prepared(
    image: Path,
    mask: Path | None,
    number: int | None,
    *,
    bits: int,
    colour: Colour,
    intensity: Intensity,
    reading: MaskReading | None,
    rules: VolumeRules,
) -> tuple[np.ndarray, np.ndarray | None]:
    """One image and its mask with the very pixels that `prepare_folder` would have stored.

    Args:
        image: a picture, a DICOM file or a volume.
        mask: of the same size, or None.
        number: of the volume's axial slice; None for any other file.
        bits: 8 or 16, those of the data set.
        colour: whether the data set refused colour images.
        intensity: the range that its values were taken from.
        reading: which values of its masks are inside.
        rules: the size that it was resized to, and how volumes became slices.

    Returns:
        uint8 or uint16 (H, W), and bool (H, W) or None; an empty mask is none.

    Raises:
        DataError: a file is broken, of another size than its image, or vanishes at that size.
    """
    item = Item(
        file_name=image.name,
        name=image.stem,
        image=image,
        mask=mask,
        label=PRESENT,
        subject="",
        site="",
        split="",
        size=(0, 0),
        bit_depth=bits,
        kind=kind_of(image),
        slice_number=number,
    )
    job = _Job((), rules.size, bits, colour, intensity, reading, VolumeReader(rules))
    record = _record(item, {PRESENT: 1}, job, UsedRanges())
    return record.image, record.mask
