"""One original of a folder, and its mask, with the pixels that the data set stores.

Shapes: H x W pixels of an original, S px the side of what it is resized to.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from activmask.data.files.images import Colour, is_grey, read_levels, read_mask, read_plain_mask, to_stored
from activmask.data.files.intensities import Intensity, as_shares
from activmask.data.files.mask_values import MaskReading
from activmask.data.sources.folder.classes import ABSENT, PRESENT
from activmask.data.sources.folder.colours import ColourTally
from activmask.data.sources.folder.fitting import Fit, FitTally, fitted_image, fitted_mask
from activmask.data.sources.folder.kinds import kind_of
from activmask.data.sources.folder.plan import Item
from activmask.data.sources.folder.turned import check_mask_size, is_turned
from activmask.data.sources.folder.volumes import VolumeReader, VolumeRules
from activmask.data.used_ranges import UsedRanges
from activmask.data.writer import Record
from activmask.ground.errors import PATH, DataError


@dataclass(frozen=True)
class Job:
    """How images are stored, and where they come from."""

    folders: tuple[Path | None, ...]
    size: int | None
    bit_depth: int
    colour: Colour
    intensity: Intensity
    fit: Fit
    reading: MaskReading | None
    """Of the masks; None takes a mask that is plain and refuses any other."""
    volumes: VolumeReader


@dataclass(frozen=True)
class Seen:
    """What is counted while images are read."""

    used: UsedRanges
    colours: ColourTally
    fitted: FitTally
    turned: list[str] = field(default_factory=list)
    """Pictures with a mask whose files say how they are to be turned."""
    without_mask: list[str] = field(default_factory=list)
    """What images are called that have no mask, or an empty one."""


def nothing_seen(job: Job) -> Seen:
    """Nothing counted yet."""
    return Seen(UsedRanges(), ColourTally(job.colour), FitTally(job.size, job.fit))


def as_record(item: Item, classes: Mapping[str, int], job: Job, seen: Seen) -> Record:
    """Read an item as it is stored, and count it.

    Args:
        item: what to read.
        classes: the number of each label.
        job: how.
        seen: grows by it.

    Raises:
        DataError: a file is broken, a mask of another size than its image, or a region vanishes.
    """
    levels, mask = _read(item, job)
    image = as_shares(item.image, levels, job.intensity)
    shape = image.shape[:2]
    if mask is not None and item.mask is not None:
        check_mask_size(item.mask, (mask.shape[0], mask.shape[1]), item.image, (shape[0], shape[1]))
        if is_turned(item.image):
            seen.turned.append(item.called)
    if mask is not None and not mask.any():
        mask = None
    if mask is None:
        seen.without_mask.append(item.called)
    whole = mask
    if job.size is not None:
        image = fitted_image(image, job.size, job.fit)
        mask = None if mask is None else _fitted_mask(item, mask, job.size, job.fit)
    pixels = to_stored(image, job.bit_depth)
    label = item.label or (ABSENT if mask is None else PRESENT)
    seen.used.add(item.called, label, item.site, levels)
    seen.colours.add(label, _showed_colours(levels, item))
    seen.fitted.add(label, (shape[0], shape[1]), whole)
    return Record(
        item.name,
        pixels,
        mask,
        0 if item.labels else classes[label],
        item.subject,
        item.site,
        item.split,
        columns=item.columns,
        labels=item.labels,
    )


def _read(item: Item, job: Job) -> tuple[np.ndarray, np.ndarray | None]:
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


def _showed_colours(levels: np.ndarray, item: Item) -> bool:
    """Whether the picture of these levels did; colours that became grey are floats, of 8 bits once."""
    return not is_grey(levels) if levels.ndim == 3 else levels.dtype.kind == "f" and item.bit_depth == 8


def _fitted_mask(item: Item, mask: np.ndarray, size: int, fit: Fit) -> np.ndarray:
    fitted = fitted_mask(mask, size, fit)
    if not fitted.any():
        cut = fit == "crop" and mask.shape[0] != mask.shape[1]
        raise DataError(
            f"the region in the mask {PATH} vanishes at {size} px" + (" in its middle square" if cut else ""),
            path=item.mask,
            advice=f"choose a larger size{' or the fit pad' if cut else ''}",
        )
    return fitted


def as_prepared(
    image: Path,
    mask: Path | None,
    number: int | None,
    *,
    bits: int,
    colour: Colour,
    intensity: Intensity,
    fit: Fit,
    reading: MaskReading | None,
    rules: VolumeRules,
) -> tuple[np.ndarray, np.ndarray | None]:
    """One image and its mask with the very pixels that `prepare_folder` would have stored.

    Args:
        image: a picture, a DICOM file or a volume.
        mask: of the same size, or None.
        number: of the volume's axial slice; None for any other file.
        bits: 8 or 16, those of the data set.
        colour: what became of pictures in colour.
        intensity: the range that its values were taken from.
        fit: how pictures that are not square became so.
        reading: which values of its masks are inside.
        rules: the size that it was resized to, and how volumes became slices.

    Returns:
        uint8 or uint16 (H, W), or uint8 (H, W, 3), and bool (H, W) or None; an empty mask is none.

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
    job = Job((), rules.size, bits, colour, intensity, fit, reading, VolumeReader(rules))
    record = as_record(item, {PRESENT: 1}, job, nothing_seen(job))
    return record.image, record.mask
