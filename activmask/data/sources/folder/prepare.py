"""A data set from anybody's folder of images, a table of labels and a folder of masks.

Shapes: H x W pixels.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from skimage import transform

from activmask.data.duplicates import DuplicateFinder, Duplicates, watched
from activmask.data.files.images import (
    Colour,
    bit_depth,
    check_side,
    image_size,
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
from activmask.data.sources.folder.plan import Item, number_classes, plan_items
from activmask.data.used_ranges import UsedRanges, check_ranges, constant_images
from activmask.data.writer import Record, Summary, write_dataset
from activmask.ground.errors import PATH, DataError, UsageError
from activmask.ground.places import real
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


class _ClassLostError(Exception):
    """Every image of a class turned out broken while the data set was being written."""


def prepare_folder(
    images: str | Path,
    labels: str | Path,
    out: str | Path,
    *,
    masks: str | Path | None = None,
    size: int | None = None,
    colour: Colour = "refuse",
    intensity: Literal["image"] | int | None = None,
    mask_reading: MaskReading | None = None,
    allow_duplicates: bool = False,
    overwrite: bool = False,
    progress: ItemsDone | None = None,
) -> FolderSummary:
    """Make a data set from the images that a table lists.

    Images are stored with 16 bits if any of them has more than 8. A broken item is left out and
    named in the summary and in `skipped.csv`. Images with one value everywhere are kept and named,
    in the card too.

    Args:
        images: Folder of PNG, JPEG or TIFF images.
        labels: CSV table with the columns file_name and label; mask_file_name, subject, site and
            split may follow, and further columns, such as sex or scanner, which are kept as they are.
            Labels are whole numbers or names, numbered in sorted order.
        out: The data set's folder.
        masks: Folder of PNG or TIFF masks. Without a column mask_file_name, a mask belongs to the
            image of the same relative path, whatever the suffixes; with that column, its names
            are relative to this folder, or to `images` if there is none.
        size: Resize images (anti-aliased) and masks (nearest neighbour) to this side in px.
        colour: Whether to refuse colour images or convert them to grey.
        intensity: The largest value that images of 16 bits can have, 4095 for 12 bits; or `image`,
            which takes every image from its own minimum to its own maximum. Left out, it is 65,535,
            and images whose used parts of their ranges are a factor of four apart, by class, site or
            depth, are refused.
        mask_reading: Which stored values of the masks are inside. Left out, what is not 0, if all masks
            hold 0 and one other value.
        allow_duplicates: Take equal pixels in two of the given splits, which are refused otherwise.
        overwrite: Replace a data set that lies at `out`.
        progress: Called with the number of items done and their total.

    Raises:
        UnclearMasks: the masks hold other values than 0 and one more, and nobody said which are inside.
        DataError: the table is broken, the images' ranges are unequal, or what is left after skipping
            cannot make a data set.
        UsageError: the arguments make no sense together.
    """
    images, labels, out = Path(images), Path(labels), Path(out)
    masks = None if masks is None else Path(masks)
    _check_request(images, labels, out, masks, size)
    _check_intensity(intensity)
    plan = plan_items(images, labels, masks)
    items, skipped = list(plan.items), list(plan.skipped)
    if size is None:
        _check_one_size(items)
    if allow_duplicates and not any(item.split for item in items):
        raise UsageError(
            f"allow_duplicates has no effect: {PATH} gives no splits", path=labels, advice="leave it out"
        )
    survey = survey_given([item.mask for item in items], mask_reading)
    depth = 16 if any(item.bit_depth == 16 for item in items) or intensity == "image" else 8
    range_ = FULL_RANGE if intensity is None else intensity
    job = _Job((images, masks), size, depth, colour, range_, survey.reading)
    while True:
        classes = _classes(labels, items, skipped)
        card = {"source": "folder", "colour": colour, "resized_to": size, "classes": classes}
        card |= {"intensity": job.intensity}
        card |= {"mask_reading": survey.card()} if survey.files else {}
        used, finder = UsedRanges(), DuplicateFinder()
        records = _checked(_records(items, classes, job, skipped, used, progress), used, intensity, card)
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
            items = _sound(items, skipped)
            continue
        given = sum(item.mask is not None for item in _sound(items, skipped))
        notes = tuple(
            note
            for note in (
                check_ranges(used, intensity),
                constant_images(used.constant),
                _columns_note(plan.left_out),
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
            duplicates=finder.result,
        )


def _columns_note(left_out: Sequence[str]) -> str:
    if not left_out:
        return ""
    return (
        f"the table's {', '.join(map(repr, left_out))} is not kept, as a column of that name means a "
        "picture to programs that read data sets; call it otherwise to keep it"
    )


def _check_request(images: Path, labels: Path, out: Path, masks: Path | None, size: int | None) -> None:
    for folder in (images, masks):
        if folder is not None and not folder.is_dir():
            raise DataError(
                f"the folder {PATH} does not exist", path=folder, advice="name an existing folder of images"
            )
    for source in (images, labels, masks):
        if source is not None and real(source).is_relative_to(real(out)):
            raise UsageError(
                f"{PATH} lies in {out}, which would be replaced", path=source, advice="choose another place"
            )
    if size is not None:
        check_side(size)


def _check_intensity(intensity: Literal["image"] | int | None) -> None:
    if intensity in {None, "image"} or (isinstance(intensity, int) and 1 <= intensity <= FULL_RANGE):
        return
    raise UsageError(
        f"intensity must be image, or the largest value of 16-bit images, from 1 to {FULL_RANGE}",
        found=intensity,
    )


def _check_one_size(items: Sequence[Item]) -> None:
    for item in items:
        if item.size != items[0].size:
            raise DataError(
                f"{PATH} is {item.size[0]} x {item.size[1]} px, but {items[0].image} is "
                f"{items[0].size[0]} x {items[0].size[1]} px",
                path=item.image,
                advice="give a size to resize all images to",
            )


def _classes(labels: Path, items: Sequence[Item], skipped: Sequence[tuple[str, str]]) -> dict[str, int]:
    found = {item.label for item in items}
    if len(found) < 2:
        why = f"; {len(skipped)} were skipped, the first because {skipped[0][1]}" if skipped else ""
        classes = f"of one class, {min(found)!r}" if found else "at all"
        raise DataError(
            f"{PATH} leaves {len(items)} images {classes}, but a data set needs two classes{why}",
            path=labels,
        )
    return number_classes(found)


def _sound(items: Sequence[Item], skipped: Sequence[tuple[str, str]]) -> list[Item]:
    broken = {name for name, _ in skipped}
    return [item for item in items if item.file_name not in broken]


def _records(
    items: Sequence[Item],
    classes: dict[str, int],
    job: _Job,
    skipped: list[tuple[str, str]],
    used: UsedRanges,
    progress: ItemsDone | None,
) -> Iterator[Record]:
    """Read one image at a time; what cannot be read is appended to `skipped`."""
    seen: set[str] = set()
    for done, item in enumerate(items, 1):
        try:
            record = _record(item, classes[item.label], job, used)
        except DataError as error:
            skipped.append((item.file_name, reason(error, job.folders)))
        else:
            seen.add(item.label)
            yield record
        if progress is not None:
            progress(done, len(items))
    if seen != classes.keys():
        raise _ClassLostError


def _checked(
    records: Iterator[Record], used: UsedRanges, intensity: Intensity | None, card: dict[str, Any]
) -> Iterator[Record]:
    """The records; what their images' ranges come to is checked and told to the card at the end."""
    yield from records
    check_ranges(used, intensity)
    card["ranges"] = used.rows()
    card["constant_images"] = used.constant


def _record(item: Item, label: int, job: _Job, used: UsedRanges) -> Record:
    levels = read_levels(item.image, colour=job.colour)
    image = as_shares(item.image, levels, job.intensity)
    mask = None if item.mask is None else _mask(item.mask, job.reading)
    if mask is not None and mask.shape != image.shape:
        raise DataError(f"the mask {PATH} is of another size than its image", path=item.mask)
    if mask is not None and not mask.any():
        mask = None
    if job.size is not None and image.shape != (job.size, job.size):
        image = _resized_image(image, job.size)
        mask = None if mask is None else _resized_mask(item, mask, job.size)
    pixels = to_stored(image, job.bit_depth)
    used.add(item.file_name, item.label, item.site, levels)
    return Record(item.name, pixels, mask, label, item.subject, item.site, item.split, columns=item.columns)


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
    *,
    size: int,
    bits: int,
    colour: Colour,
    intensity: Intensity,
    reading: MaskReading | None,
) -> tuple[np.ndarray, np.ndarray | None]:
    """One image and its mask with the very pixels that `prepare_folder` would have stored.

    Args:
        image: a PNG, JPEG or TIFF file.
        mask: of the same size, or None.
        size: side in px that the data set was resized to.
        bits: 8 or 16, those of the data set.
        colour: whether the data set refused colour images.
        intensity: the range that its values were taken from.
        reading: which values of its masks are inside.

    Returns:
        uint8 or uint16 (S, S), and bool (S, S) or None; an empty mask is none.

    Raises:
        DataError: a file is broken, of another size than its image, or vanishes at that size.
    """
    item = Item(
        file_name=image.name,
        name=image.stem,
        image=image,
        mask=mask,
        label="",
        subject="",
        site="",
        split="",
        size=image_size(image),
        bit_depth=bit_depth(image),
    )
    record = _record(item, 0, _Job((), size, bits, colour, intensity, reading), UsedRanges())
    return record.image, record.mask
