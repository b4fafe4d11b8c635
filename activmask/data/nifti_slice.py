"""One axial slice of a NIfTI file, with the very pixels that `prepare_msd` would have stored.

Shapes: S px, the side of a slice as stored.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from activmask.data.dataset import read_card
from activmask.data.images import from_stored
from activmask.data.msd_folder import Case
from activmask.data.msd_volume import (
    CT_WINDOW,
    check_pair,
    percentile_window,
    resized_image,
    resized_mask,
)
from activmask.data.nifti import read_volume
from activmask.errors import DataError, UsageError

SUFFIXES = (".nii", ".nii.gz")

_CROP_MARGIN = 1.1
_PRESET_WINDOWS = {"liver": CT_WINDOW, "pancreas": CT_WINDOW, "cardiac": None}


@dataclass(frozen=True)
class StoredSlices:
    """How the slices a network was trained on were made of their volumes."""

    size: int
    """S."""
    window: tuple[float, float] | None
    """Values that became 0 and 1; None for each volume's 0.5 and 99.5 percentiles."""
    channel: int
    """Which modality; an entry of the fourth axis where a file holds several."""
    channels: int | None = 1
    """How many entries a file's fourth axis has; None where an older card does not say."""


def is_nifti(path: Path) -> bool:
    """Whether a file is named as NIfTI files are."""
    return path.name.lower().endswith(SUFFIXES)


def volume_name(path: Path) -> str:
    """A NIfTI file's name without its ending."""
    return re.sub(r"\.nii(\.gz)?$", "", path.name, flags=re.IGNORECASE)


def stored_slices(data: Path, *, preset: str, network_size: int, crops: bool) -> StoredSlices:
    """How to cut a slice for a network.

    As the card of its data set says. Where that is gone, the preset tells the window, and the
    size is the network's, or 1.1 times that where it sees crops (110 px for 100, as stored by
    default).

    Args:
        data: The data set's folder.
        preset: The run's.
        network_size: Side in px of what the network sees.
        crops: Whether that is cropped from larger slices.

    Raises:
        DataError: the data set is not of volumes, or it is gone and the preset does not tell.
    """
    card = read_card(data)
    if card:
        return _of_card(data / "card.json", card)
    if preset not in _PRESET_WINDOWS:
        raise DataError(
            f"{data} has no card.json that tells how the network's slices were scaled; put the data set "
            "back, or export the slice as an image"
        )
    size = round(_CROP_MARGIN * network_size) if crops else network_size
    return StoredSlices(size, _PRESET_WINDOWS[preset], 0)


def read_nifti_slice(
    path: Path, number: int, stored: StoredSlices, label: Path | None = None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Read a slice, and the mask of a label volume if one is given.

    Args:
        path: A `.nii` or `.nii.gz` file.
        number: Of the axial slice, from the patient's feet, counted from 0.
        stored: How to cut it.
        label: A NIfTI file of the same voxels; what is above 0 is inside.

    Returns:
        float32 (S, S) in [0, 1], and bool (S, S) or None; rows from the patient's front to back,
        columns from right to left.

    Raises:
        DataError: a file is broken or has other channels than the data set's, or the label does
            not belong to the image.
        UsageError: there is no such slice.
    """
    image = read_volume(path, 0 if stored.channels == 1 else stored.channel, stored.channels)
    slices = image.stored.shape[2]
    if not 0 <= number < slices:
        raise UsageError(f"the slice must be from 0 to {slices - 1} in {path}; found {number}")
    organ = None if label is None else read_volume(label)
    check_pair(Case(path.name, path, label or path, stored.channel), image, organ or image)
    window = stored.window or percentile_window(path, image)
    scaled = from_stored(resized_image(image, number, window, stored.size))
    if organ is None:
        return scaled, None
    return scaled, resized_mask(organ.values(number) > 0, image.spacing, stored.size)


def _of_card(path: Path, card: dict[str, object]) -> StoredSlices:
    window, size, channel = card.get("window"), card.get("width"), card.get("channel", 0)
    channels = card.get("channels")
    if card.get("source") != "msd" or not isinstance(window, dict):
        raise DataError(
            f"{path} is of a data set without volumes, so no slice fits the network; give an image"
        )
    try:
        ends = float(window["low"]), float(window["high"])
        whole = int(str(size)), int(str(channel))
        held = None if channels is None else int(str(channels))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: window, width, channel and channels must be numbers; prepare the data anew"
        ) from error
    return StoredSlices(whole[0], ends if window.get("unit") == "value" else None, whole[1], held)
