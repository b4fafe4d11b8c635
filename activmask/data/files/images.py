"""Images, grey or in colour, and masks from PNG, JPEG, TIFF, WebP and BMP files.

Shapes: H x W pixels.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
from PIL import Image

from activmask.data.files.decoding import (
    SIDEWAYS,
    check_file,
    check_pixels,
    decoded,
    failures_named,
    is_turned,
    opened,
    orientation,
    stored_size,
)
from activmask.data.files.limits import SIDES
from activmask.data.files.mask_values import MaskReading, StoredMask, inside, is_plain, value_counts
from activmask.data.files.png import upright_png_size
from activmask.ground.errors import PATH, DataError

Colour = Literal["refuse", "grey", "keep"]
"""What becomes of a picture in colour: it is refused, becomes its luma, or keeps its three channels."""

CHANNELS = (1, 3)
"""Of images as they are stored: grey, or red, green and blue."""

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
"""Weights of red, green and blue (ITU-R BT.601)."""

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".webp", ".bmp")
"""Of the files that folders are searched for."""

_FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP")
# JPEG and WebP leave small values around every edge, all of which would count as inside.
_MASK_FORMATS = ("PNG", "TIFF", "BMP")


def read_grey(path: Path, *, colour: Colour = "refuse") -> np.ndarray:
    """Read a grey image of 1, 8 or 16 bits, or of floats in [0, 1].

    An opaque alpha channel is dropped; three equal channels are grey. Other colours are refused,
    or become their ITU-R BT.601 luma where `colour` is "grey".

    Returns:
        float32 (H, W) in [0, 1]: the stored value over the largest its depth can hold.

    Raises:
        DataError: not a readable picture of these formats, or an image this function refuses.
    """
    levels = read_levels(path, colour=colour)
    return levels if levels.dtype.kind == "f" else from_stored(levels)


def read_levels(path: Path, *, colour: Colour = "refuse") -> np.ndarray:
    """Read a grey image as `read_grey` does, or one in colour, and leave its values as they are stored.

    Returns:
        uint8 or uint16 (H, W); float32 (H, W) in [0, 1] where the file stores floats or a colour became
        its luma; uint8 (H, W, 3), of a grey image too, where colours are kept.

    Raises:
        DataError: as `read_grey` and `read_colours`.
    """
    if colour == "keep":
        return read_colours(path)
    pixels = read_pixels(path, _FORMATS)
    if pixels.ndim == 3:
        pixels = _without_colour(path, pixels, colour)
    return _checked_floats(path, pixels) if pixels.dtype.kind == "f" else pixels


def read_colours(path: Path) -> np.ndarray:
    """Read an image in colour: red, green and blue as they are stored, of 8 bits each.

    A palette is looked up, an opaque alpha channel dropped, and a grey image of 8 bits has three equal
    channels. Colour profiles that a file carries are not applied.

    Returns:
        uint8 (H, W, 3).

    Raises:
        DataError: not a readable file, transparent, of other than 8 bits a channel, or in printer's colours.
    """
    with failures_named(path, _FORMATS), decoded(path, _FORMATS) as (image, _):
        if image.mode == "CMYK":
            raise DataError(
                f"{PATH} is in printer's colours (CMYK), which are none of a screen without a profile",
                path=path,
                advice="save it as RGB",
            )
        pixels = _as_array(path, image)
    if pixels.dtype != np.uint8:
        raise DataError(
            f"{PATH} is grey with more than 8 bits, but images in colour have 8 a channel",
            path=path,
            advice="save it with 8 bits, or make all images grey",
        )
    return pixels if pixels.ndim == 3 else np.repeat(pixels[:, :, None], 3, axis=2)


def has_colours(path: Path) -> bool:
    """Whether a picture shows any colour; of what is grey by its header, no pixel is read.

    Raises:
        DataError: as `read_pixels`.
    """
    with failures_named(path, _FORMATS), opened(path, _FORMATS) as image:
        if image.mode in {"1", "L", "F"} or image.mode.startswith("I"):
            return False
    pixels = read_pixels(path, _FORMATS)
    return pixels.ndim == 3 and not is_grey(pixels)


def is_grey(pixels: np.ndarray) -> bool:
    """Whether red, green and blue of (H, W, 3) are equal in every pixel."""
    return bool((pixels == pixels[:, :, :1]).all())


def read_stored(path: Path, channels: int) -> np.ndarray:
    """Read an image of a data set.

    Args:
        path: its file.
        channels: C, 1 of a data set of grey images and 3 of one in colour.

    Returns:
        float32 (C, H, W) in [0, 1].

    Raises:
        DataError: as `read_grey` or `read_colours`.
    """
    return read_grey(path)[None] if channels == 1 else channels_first(from_stored(read_colours(path)))


def channels_first(picture: np.ndarray) -> np.ndarray:
    """A picture (H, W) or (H, W, 3) as (C, H, W), its values as they are."""
    return picture[None] if picture.ndim == 2 else np.ascontiguousarray(np.moveaxis(picture, 2, 0))


def from_stored(pixels: np.ndarray) -> np.ndarray:
    """uint8 or uint16 of any shape as float32 in [0, 1]: over the largest value of their depth."""
    return pixels.astype(np.float32) / np.float32(np.iinfo(pixels.dtype).max)


def to_stored(shares: np.ndarray, bits: int = 16) -> np.ndarray:
    """Values in [0, 1], of any shape, as uint8 or uint16: the nearest that `from_stored` gives back."""
    kind = np.uint16 if bits == 16 else np.uint8
    return np.asarray(np.rint(shares * np.float32(np.iinfo(kind).max)), kind)


def check_side(size: int) -> None:
    """Refuse a side in px that no square image can be stored with (raises UsageError)."""
    SIDES.check("size", size)


def read_mask(path: Path, reading: MaskReading | None = None) -> np.ndarray:
    """Read a mask from a PNG, TIFF or BMP file; JPEG and WebP, which blur edges, only with a threshold.

    Args:
        path: the file.
        reading: which stored values are inside; by default whatever is above 0.

    Returns:
        bool (H, W), True inside.

    Raises:
        DataError: not a readable PNG, TIFF or BMP.
    """
    reading = reading or MaskReading()
    return inside(read_stored_mask(path, blurred=reading.threshold is not None), reading)


def read_plain_mask(path: Path) -> np.ndarray:
    """Read a mask of which nobody said what is inside: it must hold 0 and at most one other value.

    Returns:
        bool (H, W), True where it is not 0.

    Raises:
        DataError: as `read_mask`, or a mask of several values, which are listed.
    """
    mask = read_stored_mask(path)
    if not is_plain(mask):
        counts = value_counts(mask)
        shown = ", ".join(f"{word} ({n / mask.values.size:.1%})" for word, n in counts[:8])
        more = f" and {len(counts) - 8} more values" if len(counts) > 8 else ""
        raise DataError(
            f"the mask {PATH} holds {shown}{more}, but expected were 0, which is outside, and one "
            "other value",
            path=path,
            advice="draw it so, or let prepare-folder read it",
        )
    return inside(mask, MaskReading())


def read_stored_mask(path: Path, *, blurred: bool = False) -> StoredMask:
    """Read a mask's pixels as its file stores them; also those of a DICOM file, known by its content.

    Raises:
        DataError: not a readable PNG, TIFF or BMP (or a kind that blurs), transparent, or floats that are
            not finite.
    """
    with faults_of_masks():
        formats = _FORMATS if blurred else _MASK_FORMATS
        with failures_named(path, formats):
            if path.suffix.lower() not in SUFFIXES and path.is_file():
                # pydicom takes long to load.
                from activmask.data.files.dicom import read_dicom_mask
                from activmask.data.files.dicom_mark import is_dicom

                if is_dicom(path):
                    return StoredMask(kind="grey", values=read_dicom_mask(path))
        return _read_stored_mask(path, formats)


@contextmanager
def faults_of_masks() -> Iterator[None]:
    """Have what is wrong with a file be told of the mask that it is, as its image may have the same name."""
    try:
        yield
    except DataError as error:
        raise error.called("the mask") from error


def _read_stored_mask(path: Path, formats: tuple[str, ...]) -> StoredMask:
    with failures_named(path, formats), decoded(path, formats) as (image, white_is_zero):
        if image.mode == "P":
            # Transparent pixels are refused; a palette that could have some is a palette all the same.
            _as_array(path, image)
            return _palette_mask(image)
        pixels = _as_array(path, image)
    if pixels.dtype.kind == "f" and not np.isfinite(pixels).all():
        raise DataError(
            f"the mask {PATH} holds values that are not finite", path=path, advice="replace them by 0"
        )
    if pixels.ndim == 2:
        return StoredMask(kind="grey", values=_inverted(pixels) if white_is_zero else pixels)
    if is_grey(pixels):
        return StoredMask(kind="grey", values=np.ascontiguousarray(pixels[:, :, 0]))
    return StoredMask(kind="colour", values=_packed(pixels))


def _palette_mask(image: Image.Image) -> StoredMask:
    indices = np.asarray(image)
    colours = np.array(image.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    palette = np.zeros(256, np.int64)
    palette[: len(colours)] = _packed(colours)
    # Grey images saved with a palette of all greys in order.
    if (palette[indices] == indices * np.int64(0x010101)).all():
        return StoredMask(kind="grey", values=indices)
    return StoredMask(kind="palette", values=indices, palette=palette)


def _packed(colours: np.ndarray) -> np.ndarray:
    """uint8 (..., 3) as int64 (...): red * 65536 + green * 256 + blue."""
    return np.asarray(colours.astype(np.int64) @ np.array([1 << 16, 1 << 8, 1]))


def image_size(path: Path) -> tuple[int, int]:
    """The (height, width) of an image in px, from its header alone.

    Raises:
        DataError: not a readable picture, or larger than `MAX_PIXELS`.
    """
    with failures_named(path, _FORMATS):
        check_file(path)
        # Six times faster than Pillow, which counts in data sets of 100,000 images.
        size = upright_png_size(path)
        if size is not None:
            check_pixels(path, *size)
            return size
        with opened(path, _FORMATS) as image:
            height, width = stored_size(image)
            return (width, height) if orientation(image) in SIDEWAYS else (height, width)


def is_turned_picture(path: Path) -> bool:
    """Whether a picture's file says that it is to be turned or mirrored (raises DataError)."""
    return is_turned(path, _FORMATS)


def bit_depth(path: Path) -> Literal[8, 16]:
    """The bits a pixel needs when the image is stored as PNG, from its header alone.

    Raises:
        DataError: not a readable picture.
    """
    with failures_named(path, _FORMATS), opened(path, _FORMATS) as image:
        return 16 if image.mode.startswith(("I", "F")) else 8


def read_pixels(path: Path, formats: tuple[str, ...]) -> np.ndarray:
    """Read pixels as they are stored: uint8, uint16 or float (H, W), or uint8 (H, W, 3).

    Raises:
        DataError: not a readable file of one of the formats, or transparent.
    """
    with failures_named(path, formats), decoded(path, formats) as (image, white_is_zero):
        pixels = _as_array(path, image)
    return _inverted(pixels) if white_is_zero else pixels


def _inverted(pixels: np.ndarray) -> np.ndarray:
    return np.asarray(np.iinfo(pixels.dtype).max - pixels)


def _as_array(path: Path, image: Image.Image) -> np.ndarray:
    if image.mode in ("LA", "RGBA", "PA") or (image.mode == "P" and "transparency" in image.info):
        return _without_alpha(path, np.asarray(image.convert("RGBA")))
    if image.mode not in ("1", "L", "RGB", "F") and not image.mode.startswith("I"):
        image = image.convert("RGB")
    pixels = np.asarray(image.convert("L") if image.mode == "1" else image)
    if image.mode.startswith("I"):
        pixels = pixels.astype(np.uint16)
    _check_transparent_colour(path, pixels, image.info.get("transparency"))
    return pixels


def _without_alpha(path: Path, pixels: np.ndarray) -> np.ndarray:
    if (pixels[:, :, 3] != 255).any():
        raise DataError(
            f"{PATH} has transparent pixels, which have no value of their own",
            path=path,
            advice="flatten the image",
        )
    return pixels[:, :, :3]


def _check_transparent_colour(path: Path, pixels: np.ndarray, colour: Any) -> None:
    if colour is None:
        return
    hits = pixels == np.asarray(colour)
    if (hits.all(axis=2) if hits.ndim == 3 else hits).any():
        raise DataError(
            f"{PATH} has transparent pixels, which have no value of their own",
            path=path,
            advice="flatten the image",
        )


def _without_colour(path: Path, pixels: np.ndarray, colour: Colour) -> np.ndarray:
    if is_grey(pixels):
        return pixels[:, :, 0]
    if colour == "refuse":
        raise DataError(
            f"{PATH} is a colour image",
            path=path,
            expected="grey",
            advice="save it as grey, or let prepare-folder make a data set of such images",
        )
    luma = pixels.astype(np.float32) @ LUMA / np.float32(255)
    return np.asarray(np.clip(luma, 0, 1))


def _checked_floats(path: Path, pixels: np.ndarray) -> np.ndarray:
    if not ((pixels >= 0) & (pixels <= 1)).all():
        raise DataError(
            f"{PATH} holds floating-point values outside [0, 1] or not finite",
            path=path,
            advice="rescale it to [0, 1]",
        )
    return pixels.astype(np.float32)
