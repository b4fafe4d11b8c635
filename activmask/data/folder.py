"""A data set from anybody's folder of images, a table of labels and a folder of masks.

Shapes: H x W pixels.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from skimage import transform

from activmask.config import RunConfig
from activmask.data.dataset_writer import Record, Summary, write_dataset
from activmask.data.folder_plan import Item, number_classes, plan_items, reason
from activmask.data.images import Colour, check_side, read_grey, read_mask, to_stored
from activmask.errors import DataError, UsageError

Progress = Callable[[int, int], None]


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


@dataclass(frozen=True)
class _Job:
    """How images are stored, and where they come from."""

    folders: tuple[Path | None, ...]
    size: int | None
    bit_depth: int
    colour: Colour


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
    overwrite: bool = False,
    progress: Progress | None = None,
) -> FolderSummary:
    """Make a data set from the images that a table lists.

    Images are stored with 16 bits if any of them has more than 8. A broken item is left out and
    named in the summary and in `skipped.csv`.

    Args:
        images: Folder of PNG, JPEG or TIFF images.
        labels: CSV table with the columns file_name and label; mask_file_name, subject, site and
            split may follow. Labels are whole numbers or names, numbered in sorted order.
        out: The data set's folder.
        masks: Folder of PNG or TIFF masks. Without a column mask_file_name, a mask belongs to the
            image of the same relative path, whatever the suffixes; with that column, its names
            are relative to this folder, or to `images` if there is none.
        size: Resize images (anti-aliased) and masks (nearest neighbour) to this side in px.
        colour: Whether to refuse colour images or convert them to grey.
        overwrite: Replace a data set that lies at `out`.
        progress: Called with the number of items done and their total.

    Raises:
        DataError: the table is broken, or what is left after skipping cannot make a data set.
        UsageError: the arguments make no sense together.
    """
    _check_request(images, labels, out, masks, size)
    plan = plan_items(images, labels, masks)
    items, skipped = list(plan.items), list(plan.skipped)
    if size is None:
        _check_one_size(items)
    job = _Job((images, masks), size, 16 if any(item.bit_depth == 16 for item in items) else 8, colour)
    while True:
        classes = _classes(labels, items, skipped)
        card = {"source": "folder", "colour": colour, "resized_to": size, "classes": classes}
        records = _records(items, classes, job, skipped, progress)
        try:
            written = write_dataset(
                out,
                records,
                card=card,
                overwrite=overwrite,
                skipped=skipped,
                mask_blur=RunConfig().mask_blur,
            )
        except _ClassLostError:
            # The remaining classes have to be numbered anew.
            items = _sound(items, skipped)
            continue
        given = sum(item.mask is not None for item in _sound(items, skipped))
        return FolderSummary(written, classes, tuple(skipped), given - written.masks)


def _check_request(images: Path, labels: Path, out: Path, masks: Path | None, size: int | None) -> None:
    for folder in (images, masks):
        if folder is not None and not folder.is_dir():
            raise DataError(f"the folder {folder} does not exist; name an existing folder of images")
    for source in (images, labels, masks):
        if source is not None and source.resolve().is_relative_to(out.resolve()):
            raise UsageError(f"{source} lies in {out}, which would be replaced; choose another place")
    if size is not None:
        check_side(size)


def _check_one_size(items: Sequence[Item]) -> None:
    for item in items:
        if item.size != items[0].size:
            raise DataError(
                f"{item.image} is {item.size[0]} x {item.size[1]} px, but {items[0].image} is "
                f"{items[0].size[0]} x {items[0].size[1]} px; give a size to resize all images to"
            )


def _classes(labels: Path, items: Sequence[Item], skipped: Sequence[tuple[str, str]]) -> dict[str, int]:
    found = {item.label for item in items}
    if len(found) < 2:
        why = f"; {len(skipped)} were skipped, the first because {skipped[0][1]}" if skipped else ""
        classes = f"of one class, {min(found)!r}" if found else "at all"
        raise DataError(
            f"{labels} leaves {len(items)} images {classes}, but a data set needs two classes{why}"
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
    progress: Progress | None,
) -> Iterator[Record]:
    """Read one image at a time; what cannot be read is appended to `skipped`."""
    seen: set[str] = set()
    for done, item in enumerate(items, 1):
        try:
            record = _record(item, classes[item.label], job)
        except DataError as error:
            skipped.append((item.file_name, reason(error, job.folders)))
        else:
            seen.add(item.label)
            yield record
        if progress is not None:
            progress(done, len(items))
    if seen != classes.keys():
        raise _ClassLostError


def _record(item: Item, label: int, job: _Job) -> Record:
    image = read_grey(item.image, colour=job.colour)
    mask = None if item.mask is None else read_mask(item.mask)
    if mask is not None and mask.shape != image.shape:
        raise DataError(f"the mask {item.mask} is of another size than its image")
    if mask is not None and not mask.any():
        mask = None
    if job.size is not None and image.shape != (job.size, job.size):
        image = _resized_image(image, job.size)
        mask = None if mask is None else _resized_mask(item, mask, job.size)
    pixels = to_stored(image, job.bit_depth)
    return Record(item.name, pixels, mask, label, item.subject, item.site, item.split)


def _resized_image(image: np.ndarray, size: int) -> np.ndarray:
    resized = transform.resize(image, (size, size), order=1, anti_aliasing=True)
    return np.asarray(np.clip(resized, 0, 1))


def _resized_mask(item: Item, mask: np.ndarray, size: int) -> np.ndarray:
    resized = np.asarray(transform.resize(mask, (size, size), order=0))
    if not resized.any():
        raise DataError(f"the region in the mask {item.mask} vanishes at {size} px; choose a larger size")
    return resized
