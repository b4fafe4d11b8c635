"""The images and masks to explain, read from files and made as the network sees them.

Shapes: N images, H x W pixels of the network's size.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from activmask.data.images import read_grey, read_mask
from activmask.data.masks import circle
from activmask.data.samples import Samples
from activmask.errors import CheckpointError, DataError, UsageError
from activmask.training.checkpoint import Checkpoint
from activmask.training.sources import as_seen

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
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
        if path.suffix.lower() in SUFFIXES and not path.name.endswith(PICTURE_SUFFIX) and path.is_file()
    ]
    if not images:
        raise DataError(
            f"{folder} holds no image: expected files ending in {', '.join(SUFFIXES)}; name the files "
            "themselves"
        )
    return images


def read_inputs(checkpoint: Checkpoint, paths: Sequence[Path], mask: Path | None = None) -> Inputs:
    """Read images, and their masks if any, as evaluation shows them to the network.

    An image of the network's size is taken as it is. Where the run crops (`image_size`), a larger
    square image is cropped to its middle, and masks are dilated before the crop, as in evaluation.
    A run whose masks are circles needs no mask file.

    Args:
        checkpoint: whose network will see them.
        paths: image files.
        mask: a mask file for a single image, or a folder in which each image's mask has its name.

    Raises:
        DataError: an image or mask is unreadable or of another size, or a mask is missing.
        CheckpointError: a network of other than one channel.
        UsageError: one mask file for several images.
    """
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
    read = [_read_one(checkpoint, path, mask) for path in paths]
    masks = [inside for _, inside in read if inside is not None]
    return Inputs(
        paths=tuple(paths),
        images=torch.stack([image for image, _ in read]),
        masks=torch.stack(masks) if masks else None,
    )


def _read_one(checkpoint: Checkpoint, path: Path, mask: Path | None) -> tuple[Tensor, Tensor | None]:
    """Image (1, H, W) and mask (H, W) as the network sees them."""
    pixels = read_grey(path, colour="refuse")
    _check_size(checkpoint, path, pixels.shape)
    inside: Tensor | None = None
    if mask is not None:
        inside = _read_mask(mask if not mask.is_dir() else _mask_of(path, mask), path, pixels.shape)
    elif checkpoint.config.mask == "circle":
        inside = circle(pixels.shape[0])[0]
    seen = as_seen(_as_samples(path, pixels, inside), checkpoint.config)
    return seen.images[0], None if inside is None else seen.masks[0, 0]


def _as_samples(path: Path, pixels: np.ndarray, inside: Tensor | None) -> Samples:
    mask = torch.ones(pixels.shape, dtype=torch.bool) if inside is None else inside
    return Samples(
        images=torch.from_numpy(np.ascontiguousarray(pixels))[None, None],
        masks=mask[None, None],
        has_mask=torch.tensor([inside is not None]),
        labels=torch.zeros(1, dtype=torch.int64),
        subjects=(path.name,),
        sites=("",),
        names=(path.name,),
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
    candidates = [folder / image.name, *(folder / f"{image.stem}{suffix}" for suffix in SUFFIXES)]
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
