"""What `prepare_folder` is asked for, checked before anything is read or written."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from activmask.data.files.images import check_side
from activmask.data.files.intensities import FULL_RANGE
from activmask.data.files.limits import STORED, SizeNeeded
from activmask.data.files.mask_values import MaskReading
from activmask.data.sources.folder.plan import Item
from activmask.data.sources.folder.volumes import MAX_LABEL, VolumeRules
from activmask.ground.errors import PATH, DataError, UsageError
from activmask.ground.places import real


def check_request(images: Path, labels: Path, out: Path, masks: Path | None, size: int | None) -> None:
    """Refuse folders that are missing or would be replaced (raises DataError, UsageError)."""
    for what, folder in (("images", images), ("masks", masks)):
        if folder is not None and not folder.is_dir():
            raise DataError(
                f"{PATH} is no folder" if folder.exists() else f"the folder {PATH} does not exist",
                path=folder,
                advice=f"name an existing folder of {what}",
            )
    for source in (images, labels, masks):
        if source is not None and real(source).is_relative_to(real(out)):
            raise UsageError(
                f"{PATH} lies in {out}, which would be replaced", path=source, advice="choose another place"
            )
    if size is not None:
        check_side(size)


def check_intensity(intensity: Literal["image"] | int | None) -> None:
    """Refuse what is no range of 16-bit images (raises UsageError)."""
    if intensity in {None, "image"} or (isinstance(intensity, int) and 1 <= intensity <= FULL_RANGE):
        return
    raise UsageError(
        f"intensity must be image, or the largest value of 16-bit images, from 1 to {FULL_RANGE}",
        found=intensity,
    )


def check_one_size(items: Sequence[Item]) -> None:
    """Refuse images of several sizes where none was given to resize them to (raises SizeNeeded)."""
    for item in items:
        if item.size != items[0].size:
            raise SizeNeeded(
                f"{PATH} is {item.size[0]} x {item.size[1]} px, but {items[0].image} is "
                f"{items[0].size[0]} x {items[0].size[1]} px",
                path=item.image,
                advice="give a size to resize all images to",
            )


def check_volumes(items: Sequence[Item], rules: VolumeRules, reading: MaskReading | None) -> None:
    """Refuse what is asked of volumes where there are none, or of pictures where there are only volumes.

    Raises:
        UsageError: says what has no effect, or makes no sense.
    """
    masked = {item.kind for item in items if item.mask is not None}
    if masked == {"NIfTI"} and reading not in {None, MaskReading()}:
        raise UsageError(
            "mask_values, mask_threshold and mask_invert have no effect: all masks are label volumes",
            advice="say which of their labels are inside by mask_labels",
        )
    volumes = [item for item in items if item.slice_number is not None]
    if rules.window is not None and not volumes:
        raise UsageError("the window has no effect: no image is a NIfTI volume", advice="leave it out")
    if any(not 0 < value <= MAX_LABEL for value in rules.labels):
        raise UsageError(f"mask_labels must be from 1 to {MAX_LABEL:,}", found=rules.labels)
    if rules.labels and not any(item.mask for item in volumes):
        raise UsageError("mask_labels has no effect: no NIfTI volume has a mask", advice="leave it out")
    if rules.window is not None and not STORED.least <= rules.window[0] < rules.window[1] <= STORED.most:
        raise UsageError("the window must rise from a low to a high value", found=rules.window)
