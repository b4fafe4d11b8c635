"""The images and masks to explain, read from files and made as the network sees them.

Shapes: N images, H x W pixels of the network's size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from activmask.data.dataset import REQUIRED, native_sides, read_card
from activmask.data.dicom import is_dicom, read_dicom
from activmask.data.dilation import dilation_radius
from activmask.data.images import SUFFIXES, from_stored, read_grey, read_mask, to_stored
from activmask.data.masks import circle
from activmask.data.nifti_slice import StoredSlices, is_nifti, read_nifti_slice, stored_slices, volume_name
from activmask.data.samples import Samples
from activmask.data.tables import read_table
from activmask.data.xray_pixels import read_xray_mask, resized
from activmask.errors import CheckpointError, DataError, UsageError
from activmask.training.checkpoint import Checkpoint
from activmask.training.run_folder import MSD_PRESETS
from activmask.training.sources import as_seen

_SUFFIXES = (*SUFFIXES, ".dcm")
_Sides = tuple[int, int] | None
"""Height and width in px of the slice that an image was resized from; None if there was none."""
PICTURE_SUFFIX = ".saliency.png"
"""What the pictures of this package are called, so that a folder of images can hold them."""


@dataclass(frozen=True)
class Inputs:
    """What a network is asked to explain."""

    paths: tuple[Path, ...]
    """The image files."""
    images: Tensor
    """float32 (N, 1, H, W) in [0, 1]."""
    masks: Tensor | None
    """bool (N, H, W), dilated as in training; None without masks."""


def image_files(paths: Sequence[Path]) -> list[Path]:
    """Files as they are named, folders as the images directly in them by name.

    Raises:
        DataError: a path that does not exist, or a folder without images.
    """
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += _images_in(path)
        elif path.exists():
            found.append(path)
        else:
            raise DataError(f"{path} does not exist; give an image file or a folder of images")
    return found


def _images_in(folder: Path) -> list[Path]:
    images = [
        path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in _SUFFIXES
        and not path.name.endswith(PICTURE_SUFFIX)
        # macOS leaves a file ._NAME beside each NAME in archives.
        and not path.name.startswith(".")
        and path.is_file()
    ]
    if not images:
        raise DataError(
            f"{folder} holds no image: expected files ending in {', '.join(_SUFFIXES)}; name the files "
            "themselves"
        )
    return images


def read_inputs(
    checkpoint: Checkpoint,
    paths: Sequence[Path],
    mask: Path | None = None,
    *,
    slice_number: int | None = None,
) -> Inputs:
    """Read images, and their masks if any, as evaluation shows them to the network.

    An image of the network's size is taken as it is. Where the run crops (`image_size`), a larger
    square image is cropped to its middle, and masks are dilated before the crop, as in evaluation.
    A run whose masks are circles needs no mask file.

    A DICOM file, known by its content, is cropped to its middle square and resized as
    `prepare_xray` does, and so is its mask, an image of the DICOM file's own size. Of a NIfTI file
    one axial slice is cut as `prepare_msd` does; its mask is a NIfTI file too, or an image of the
    slice as stored. A mask drawn on a stored slice is dilated by as many of its px as the table of its
    data set says, so such an image has to lie there.

    Args:
        checkpoint: whose network will see them.
        paths: image files.
        mask: a mask file for a single image, or a folder in which each image's mask has its name.
        slice_number: of the axial slice of NIfTI files, from the patient's feet, counted from 0.

    Raises:
        DataError: an image or mask is unreadable or of another size, or a mask is missing.
        CheckpointError: a network of other than one channel.
        UsageError: one mask file for several images, a slice of what is not NIfTI, or NIfTI
            without one.
    """
    _check_slice(paths, slice_number)
    if checkpoint.channels != 1:
        raise CheckpointError(
            f"the checkpoint's network takes {checkpoint.channels} channels, but image files are read as "
            "one grey channel; give a checkpoint of grey images"
        )
    if mask is not None and not mask.is_dir() and len(paths) > 1:
        raise UsageError(
            f"the mask {mask} is one file for {len(paths)} images; give a folder that holds a mask of each "
            "image's name"
        )
    read = [_read_one(checkpoint, path, mask, slice_number) for path in paths]
    masks = [inside for _, inside in read if inside is not None]
    return Inputs(
        paths=tuple(paths),
        images=torch.stack([image for image, _ in read]),
        masks=torch.stack(masks) if masks else None,
    )


def _check_slice(paths: Sequence[Path], slice_number: int | None) -> None:
    for path in paths:
        if is_nifti(path) and slice_number is None:
            raise UsageError(f"{path} is a volume; give the number of the axial slice to explain")
        if not is_nifti(path) and slice_number is not None:
            raise UsageError(
                f"{path} is no NIfTI volume (.nii or .nii.gz), so it has no slice {slice_number}; leave the "
                "slice out"
            )


def _read_one(
    checkpoint: Checkpoint, path: Path, mask: Path | None, slice_number: int | None
) -> tuple[Tensor, Tensor | None]:
    """Image (1, H, W) and mask (H, W) as the network sees them."""
    mask_file = _mask_of(path, mask) if mask is not None and mask.is_dir() else mask
    pixels, inside, native = _read_pair(checkpoint, path, mask_file, slice_number)
    _check_size(checkpoint, path, pixels.shape)
    if inside is None and checkpoint.config.mask == "circle":
        inside = circle(pixels.shape[0])[0]
    if inside is not None and native is None:
        native = _stored_native(checkpoint, path)
    seen = as_seen(_as_samples(path, pixels, inside, native), checkpoint.config)
    return seen.images[0], None if inside is None else seen.masks[0, 0]


def _read_pair(
    checkpoint: Checkpoint, path: Path, mask: Path | None, slice_number: int | None
) -> tuple[np.ndarray, Tensor | None, _Sides]:
    """Image (S, S) and mask (S, S) as a data set stores them, and the sides of a volume's slice."""
    native: _Sides = None
    if slice_number is not None:
        label = mask if mask is not None and is_nifti(mask) else None
        pixels, inside, native = read_nifti_slice(path, slice_number, _stored_slices(checkpoint), label)
        if inside is not None:
            return pixels, torch.from_numpy(inside), native
    elif path.is_file() and is_dicom(path):
        return *_read_dicom_pair(path, mask, _stored_side(checkpoint)), None
    else:
        pixels = read_grey(path, colour="refuse")
    return pixels, None if mask is None else _read_mask(mask, path, pixels.shape), native


def _stored_native(checkpoint: Checkpoint, path: Path) -> _Sides:
    """The sides of the slice that the image of a stored one was resized from, by its data set's table."""
    config = checkpoint.config
    if config.mask == "circle" or dilation_radius(config.mask_blur) == 0 or not _of_slices(checkpoint):
        return None
    folder = path.parent.resolve()
    table, name = folder.parent / "metadata.csv", f"{folder.name}/{path.name}"
    rows = read_table(table, REQUIRED) if table.is_file() else []
    found = [native_sides(table, row) for row in rows if row["file_name"] == name]
    if not found or found[0] is None:
        raise DataError(
            f"{table} does not say of how many px the slice of {path.name} was (native_height and "
            f"native_width), by which mask_blur {config.mask_blur:g} is scaled; explain the volume itself "
            "with its label, or an image where prepare-msd stored it, or leave the mask out"
        )
    return found[0]


def _of_slices(checkpoint: Checkpoint) -> bool:
    """Whether a network was trained on slices of volumes, as far as its data set or preset tells."""
    card = read_card(Path(checkpoint.config.data))
    return card.get("source") == "msd" if card else checkpoint.config.preset in MSD_PRESETS


def _read_dicom_pair(path: Path, mask: Path | None, side: int) -> tuple[np.ndarray, Tensor | None]:
    """Image (S, S) and mask (S, S): the middle squares, resized and rounded as stored."""
    original = read_dicom(path)
    pixels = from_stored(to_stored(resized(original, side)))
    if mask is None:
        return pixels, None
    height, width = original.shape
    return pixels, torch.from_numpy(read_xray_mask(mask, (height, width), side))


def _stored_side(checkpoint: Checkpoint) -> int:
    """Side in px of the images that a run's data set stores, as far as it is still there."""
    width = read_card(Path(checkpoint.config.data)).get("width")
    crops = checkpoint.config.image_size > 0
    return (
        width if crops and isinstance(width, int) and width > checkpoint.image_size else checkpoint.image_size
    )


def _stored_slices(checkpoint: Checkpoint) -> StoredSlices:
    return stored_slices(
        Path(checkpoint.config.data),
        preset=checkpoint.config.preset,
        network_size=checkpoint.image_size,
        crops=checkpoint.config.image_size > 0,
    )


def _as_samples(path: Path, pixels: np.ndarray, inside: Tensor | None, native: _Sides) -> Samples:
    mask = torch.ones(pixels.shape, dtype=torch.bool) if inside is None else inside
    return Samples(
        images=torch.from_numpy(np.ascontiguousarray(pixels))[None, None],
        masks=mask[None, None],
        has_mask=torch.tensor([inside is not None]),
        labels=torch.zeros(1, dtype=torch.int64),
        subjects=(path.name,),
        sites=("",),
        names=(path.name,),
        native=None if native is None else torch.tensor([native]),
    )


def _check_size(checkpoint: Checkpoint, path: Path, shape: tuple[int, ...]) -> None:
    height, width = shape
    size = checkpoint.image_size
    if height == width == size:
        return
    if checkpoint.config.image_size and height == width and height > size:
        return
    crop = ", or a larger square image to crop" if checkpoint.config.image_size else ""
    raise DataError(
        f"{path} is {width} x {height} px but the checkpoint's network takes {size} x {size}{crop}; resize "
        "it as its training images were"
    )


def _mask_of(image: Path, folder: Path) -> Path:
    """The file in `folder` that is called like the image, whatever kind of image it is."""
    stem = volume_name(image) if is_nifti(image) else image.stem
    candidates = [folder / image.name, *(folder / f"{stem}{suffix}" for suffix in _SUFFIXES)]
    for candidate in candidates:
        if candidate.is_file():
            return candidate
    raise DataError(f"{folder} holds no mask for {image}: expected {image.name} or {image.stem}.png in it")


def _read_mask(path: Path, image: Path, shape: tuple[int, ...]) -> Tensor:
    if not path.exists():
        raise DataError(f"the mask {path} does not exist; give a mask file or a folder of masks")
    mask = read_mask(path)
    if mask.shape != shape:
        raise DataError(
            f"the mask {path} is {mask.shape[1]} x {mask.shape[0]} px but its image {image} is "
            f"{shape[1]} x {shape[0]}; a mask needs its image's size"
        )
    return torch.from_numpy(np.ascontiguousarray(mask))
