"""One axial slice of a NIfTI file, with the very pixels that `prepare_msd` would have stored.

Shapes: S px, the side of a slice as stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from activmask.data.files.images import bit_depth, from_stored
from activmask.data.files.intensities import FULL_RANGE, Intensity
from activmask.data.files.nifti import Volume, read_volume
from activmask.data.files.nifti_names import CHANNEL, is_nifti
from activmask.data.files.volume_slices import (
    check_place,
    check_sides,
    native_sides,
    organ_voxels,
    percentile_window,
    resized_image,
    resized_mask,
)
from activmask.data.raw_files import Preparing, RawImage, read_raw_mask
from activmask.data.recipe import Recipe
from activmask.data.sources.msd.cases import MAX_LABEL
from activmask.data.sources.msd.organs import CROP_MARGIN, ORGANS
from activmask.data.sources.msd.volume import SliceRules
from activmask.ground.errors import PATH, DataError, UsageError


@dataclass(frozen=True)
class StoredSlices:
    """How the slices a network was trained on were made of their volumes."""

    size: int
    """S."""
    window: tuple[float, float] | None
    """Values that became 0 and 1; None for each volume's 0.5 and 99.5 percentiles."""
    channel: int
    """Which modality: an entry of the fourth axis where a file holds several, or which of a case's files."""
    channels: int | None = 1
    """How many entries a file's fourth axis has; None where an older card does not say."""
    organ: tuple[int, ...] = ()
    """Label values that count as the organ; none where that is not known, which takes all above 0."""
    declared: tuple[int, ...] = ()
    """Every value a label volume may hold; none where that is not known."""
    layout: str = ""
    """`decathlon` keeps channels as a fourth axis, `nnunet` one file each; empty where that is not known."""


def read_slice(how: Preparing, path: Path, mask: Path | None, number: int) -> RawImage:
    """Read one slice of a volume as a network's data set would have stored it.

    Args:
        how: the files of that data set became images.
        path: A `.nii` or `.nii.gz` file.
        mask: A label volume, a picture of the stored size, or None.
        number: Of the axial slice, from the patient's feet, counted from 0.

    Raises:
        DataError: a file is broken or does not belong to the others or to the data set.
        UsageError: there is no such slice.
    """
    cut = stored_slices(
        how.recipe,
        preset=how.preset,
        network_size=how.network_size,
        crops=how.crops,
        network=how.network,
    )
    label = mask if mask is not None and is_nifti(mask) else None
    pixels, inside, native = read_nifti_slice(path, number, cut, label)
    if mask is not None and inside is None:
        inside = read_raw_mask(how, mask, path, pixels.shape)
    return RawImage(pixels=pixels, inside=inside, native=native)


def stored_range(how: Preparing, path: Path) -> Intensity:
    """How the values of a picture of the stored size are read: over the range of their depth.

    Raises:
        DataError: it has another depth than the slices of the data set.
    """
    stored, found = how.recipe.get("bit_depth"), bit_depth(path)
    if stored is not None and found != stored:
        raise DataError(
            f"{PATH} has {found} bits per pixel, but the slices of the network's data set have "
            f"{stored}, so it is none of them and its window is not known",
            path=path,
            advice="give the volume and the number of the slice",
        )
    return FULL_RANGE


def stored_slices(
    recipe: Recipe, *, preset: str, network_size: int, crops: bool, network: str
) -> StoredSlices:
    """How to cut a slice for a network.

    As the recipe of its data set says. Where there is none, the preset tells the window, and the
    size is the network's, or 1.1 times that where it sees crops (110 px for 100, as stored by
    default).

    Args:
        recipe: The data set's; empty if not known.
        preset: The run's.
        network_size: Side in px of what the network sees.
        crops: Whether that is cropped from larger slices.
        network: What it is called in messages.

    Raises:
        DataError: the data set is not of volumes, or it is not known and the preset does not tell.
    """
    if recipe:
        return _of_recipe(network, recipe)
    if preset not in ORGANS:
        raise DataError(
            f"the data set of {network} has no card.json that tells how its slices were scaled; put the data "
            "set back, or give a slice as the data set stores it"
        )
    size = round(CROP_MARGIN * network_size) if crops else network_size
    return StoredSlices(size, ORGANS[preset].window, 0, None)


def read_nifti_slice(
    path: Path, number: int, stored: StoredSlices, label: Path | None = None
) -> tuple[np.ndarray, np.ndarray | None, tuple[int, int]]:
    """Read a slice, and the mask of a label volume if one is given.

    Args:
        path: A `.nii` or `.nii.gz` file.
        number: Of the axial slice, from the patient's feet, counted from 0.
        stored: How to cut it.
        label: A NIfTI file of the same voxels.

    Returns:
        float32 (S, S) in [0, 1], and bool (S, S) or None; rows from the patient's front to back,
        columns from right to left; as in the data set, an organ of a single voxel is none. And height
        and width in px of the padded slice that they were resized from.

    Raises:
        DataError: a file is broken or has other channels than the data set's, or the label does not
            belong to the image or holds values that the data set's labels did not.
        UsageError: there is no such slice.
    """
    image = _read_channel(path, stored)
    slices = image.stored.shape[2]
    if not 0 <= number < slices:
        raise UsageError(f"the slice must be from 0 to {slices - 1} in {PATH}", path=path, found=number)
    organ = None if label is None else read_volume(label)
    if organ is not None and label is not None:
        check_place(label, organ.frame, image.frame)
    check_sides(path, image.frame)
    window = stored.window or percentile_window(path, image)
    scaled = from_stored(resized_image(image, number, window, stored.size))
    if organ is None or label is None:
        return scaled, None, native_sides(image)
    plane = replace(organ, stored=organ.stored[:, :, number : number + 1])
    rules = _rules(label, plane, stored)
    inside = organ_voxels(label, plane, rules.organ, rules.declared)[:, :, 0]
    if inside.sum() <= 1:
        return scaled, np.zeros((stored.size, stored.size), np.bool_), native_sides(image)
    return scaled, resized_mask(inside, image.spacing, stored.size), native_sides(image)


def _read_channel(path: Path, stored: StoredSlices) -> Volume:
    """The network's channel of a file, which is an entry of its fourth axis, or all that the file holds."""
    named = CHANNEL.search(path.name)
    number = None if named is None else int(named[1])
    if stored.layout == "nnunet":
        if number != stored.channel and (number is not None or stored.channel):
            found = "does not say a channel" if number is None else f"is of channel {number}"
            raise DataError(
                f"{PATH} {found} by its name, but the network was trained on channel {stored.channel} "
                "of nnU-Net's files",
                path=path,
                advice=f"give the file whose name ends in _{stored.channel:04d}.nii.gz",
            )
        return read_volume(path)
    try:
        return read_volume(path, 0 if stored.channels == 1 else stored.channel, stored.channels)
    except DataError:
        if stored.layout or number != stored.channel:
            raise
        # Where the layout is not known, a file without that entry may still be named as nnU-Net's are.
        return read_volume(path)


def _rules(path: Path, label: Volume, stored: StoredSlices) -> SliceRules:
    """Which label values count; what the data set does not tell is read off the labels themselves."""
    values = np.rint(label.values(0))
    if stored.declared:
        declared: Sequence[int] = stored.declared
    elif values.min() >= 0 and values.max() <= MAX_LABEL:
        declared = sorted({0, *stored.organ, *np.unique(values).astype(int).tolist()})
    else:
        raise DataError(
            f"{PATH} holds label values outside 0 to {MAX_LABEL}; it is no label volume", path=path
        )
    organ = stored.organ or tuple(value for value in declared if value > 0)
    return SliceRules(
        organ=organ, declared=tuple(declared), size=stored.size, window=stored.window, per_volume=0
    )


def _of_recipe(network: str, recipe: Recipe) -> StoredSlices:
    window, size, channel = recipe.get("window"), recipe.get("width"), recipe.get("channel", 0)
    channels = recipe.get("channels")
    if recipe.get("source") != "msd" or not isinstance(window, dict):
        raise DataError(
            f"{network} is of a data set without volumes, so no slice fits the network; give an image"
        )
    try:
        ends = float(window["low"]), float(window["high"])
        whole = int(str(size)), int(str(channel))
        organ, declared = (tuple(map(int, recipe.get(name, ()))) for name in ("labels", "declared"))
        held = None if channels is None else int(str(channels))
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"the recipe of {network}: window, width, channel, channels and labels must be numbers; prepare "
            "the data anew"
        ) from error
    return StoredSlices(
        size=whole[0],
        window=ends if window.get("unit") == "value" else None,
        channel=whole[1],
        channels=held,
        organ=organ,
        declared=declared,
        layout=str(recipe.get("layout", "")),
    )
