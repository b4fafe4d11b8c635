"""Image files as they are opened and decoded: one frame, upright, none too large, and no failure unnamed.

Which decoder reads a file follows from its bytes, never from its name.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from activmask.data.files.foreign import foreign
from activmask.data.files.limits import MAX_PIXELS
from activmask.ground.errors import PATH, DataError
from activmask.ground.listed import listed

_SPELT = {"WEBP": "WebP"}
"""As their makers write them, where Pillow does not."""

SIDEWAYS = (5, 6, 7, 8)
"""Orientations by which height and width change places."""

_MP_ENTRIES = 0xB002
_IMAGE_WIDTH, _IMAGE_LENGTH, _PHOTOMETRIC = 256, 257, 262
_WHITE_IS_ZERO = 0
_SAMPLE_FORMAT, _SIGNED = 339, 2
_START_OF_SCAN, _END_OF_IMAGE = b"\xda", b"\xff\xd9"
_TELLING = frozenset({"exif", "Raw profile type exif", "XML:com.adobe.xmp", "xmp"})
"""Where Pillow keeps the orientation of a PNG, whose search takes a tenth of reading a small one."""


@contextmanager
def decoded(path: Path, formats: tuple[str, ...]) -> Iterator[tuple[Image.Image, bool]]:
    """The image, upright, and whether 0 is white in it."""
    with opened(path, formats) as image:
        _check_depth(path, image)
        white_is_zero = _is_inverted(image)
        image.load()
        _check_end(path, image)
        yield _upright(image), white_is_zero


@contextmanager
def failures_named(path: Path, formats: tuple[str, ...]) -> Iterator[None]:
    """Turn whatever a decoder raises on broken bytes into a sentence about the file."""
    try:
        with warnings.catch_warnings():
            # What Pillow warns about either fails on decoding or is checked here.
            warnings.simplefilter("ignore")
            yield
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise _too_large(path) from error
    except UnidentifiedImageError as error:
        raise _unidentified(path, formats) from error
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(
            f"{PATH} cannot be read as an image ({reason})", path=path, advice="replace the file"
        ) from error


@contextmanager
def opened(path: Path, formats: tuple[str, ...]) -> Iterator[Image.Image]:
    """The image of one frame that a file holds, its pixels not read yet."""
    check_file(path)
    # From a file's name, Pillow 11 to 13 map raw TIFFs into memory and scramble those that lie on their side.
    with path.open("rb") as file, Image.open(file, formats=formats) as image:
        check_pixels(path, image.height, image.width)
        frames = getattr(image, "n_frames", 1)
        if frames != 1 and not _begins_with_the_photograph(image):
            raise DataError(
                f"{PATH} holds {frames} frames",
                path=path,
                expected="one",
                advice="save each frame as its own file",
            )
        yield image


def _begins_with_the_photograph(image: Image.Image) -> bool:
    """Whether what follows the first frame is only made from it, as cameras and phones append previews.

    CIPA DC-007, multi-picture format: the first image is the primary one; the others of a stereo or a
    panorama are further views, of which none is the picture.
    """
    told: Any = getattr(image, "mpinfo", {}).get(_MP_ENTRIES, [])
    kinds = [entry.get("Attribute", {}).get("MPType", "") for entry in told]
    return image.format == "MPO" and not any(kind.startswith("Multi-Frame") for kind in kinds)


def _unidentified(path: Path, formats: tuple[str, ...]) -> DataError:
    found = foreign(path, formats)
    return DataError(
        f"{PATH} is not a {listed([_SPELT.get(name, name) for name in formats], 'or')} image",
        path=path,
        found=found.what,
        advice=found.advice,
    )


def check_file(path: Path) -> None:
    """Refuse what is no file (raises DataError)."""
    if path.is_dir():
        raise DataError(f"{PATH} is a folder", path=path, expected="an image file")
    if not path.is_file():
        leads = " (it is a link that leads nowhere)" if path.is_symlink() else ""
        raise DataError(f"{PATH} does not exist or is not a file{leads}; expected an image", path=path)


def check_pixels(path: Path, height: int, width: int) -> None:
    """Refuse a size above `MAX_PIXELS` (raises DataError)."""
    if height * width > MAX_PIXELS:
        raise _too_large(path)


def _too_large(path: Path) -> DataError:
    return DataError(f"{PATH} claims more than {MAX_PIXELS:,} pixels", path=path, advice="make it smaller")


def _check_depth(path: Path, image: Image.Image) -> None:
    """Refuse 16-bit channels beside others, which Pillow would cut to 8 bits without a word."""
    stored = str([tile[3] for tile in getattr(image, "tile", [])])
    # A BMP file of 16 bits has them for all three channels together.
    if ";16" in stored and image.format != "BMP" and not image.mode.startswith("I"):
        raise DataError(
            f"{PATH} has several channels of 16 bits",
            path=path,
            advice="save it in colour with 8 bits a channel, or as a grey image of 16 bits",
        )
    tags: Any = getattr(image, "tag_v2", {})
    # Pillow takes signed integers of 8 bits for unsigned ones.
    signed = _SIGNED in tags.get(_SAMPLE_FORMAT, ())
    if signed or (image.mode == "I" and image.format != "PNG"):
        raise DataError(
            f"{PATH} holds signed or 32-bit integers", path=path, advice="save it as a grey image of 16 bits"
        )


def _check_end(path: Path, image: Image.Image) -> None:
    """Refuse a JPEG without its end mark, as an interrupted copy leaves one filled up with zeros.

    libjpeg decodes zeros as further pixels, and what it warns of is lost in Pillow.
    """
    if image.format in {"JPEG", "MPO"} and not _has_end(path.read_bytes()):
        raise DataError(
            f"{PATH} lacks the mark that ends a JPEG image, so part of its pixels may be missing",
            path=path,
            advice="copy or download it again",
        )


def _has_end(content: bytes) -> bool:
    """Whether the pixels of a JPEG file are followed by the mark EOI (ITU-T T.81, B.1.1 and B.2)."""
    place = 2
    # The segments before the pixels, which may hold a whole JPEG of their own.
    while (
        content[place : place + 1] == b"\xff" and (mark := content[place + 1 : place + 2]) != _START_OF_SCAN
    ):
        place += 1 if mark == b"\xff" else 2 + int.from_bytes(content[place + 2 : place + 4], "big")
    return content.find(_END_OF_IMAGE, place) >= 0


def _is_inverted(image: Image.Image) -> bool:
    # Pillow inverts such TIFFs of up to 8 bits itself, but not those of 16.
    tags: Any = getattr(image, "tag_v2", {})
    return image.mode.startswith("I") and tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO


def stored_size(image: Image.Image) -> tuple[int, int]:
    """The (height, width) of the pixels as the file has them, in px."""
    # Some releases of Pillow turn the size of a TIFF in advance, others when its pixels are read.
    tags: Any = getattr(image, "tag_v2", {})
    return tags.get(_IMAGE_LENGTH, image.height), tags.get(_IMAGE_WIDTH, image.width)


def orientation(image: Image.Image) -> int:
    """How the image is to be turned, 1 to 8 as EXIF numbers it; 1 is not at all."""
    found: int = image.getexif().get(ExifTags.Base.Orientation, 1)
    return found


def is_turned(path: Path, formats: tuple[str, ...]) -> bool:
    """Whether a file says that its pixels are to be turned or mirrored to be upright (raises DataError)."""
    with failures_named(path, formats), opened(path, formats) as image:
        return orientation(image) != 1


def _upright(image: Image.Image) -> Image.Image:
    # Masks are drawn on what viewers show. Where Pillow has turned pixels itself, it has removed the tag.
    if image.format == "PNG" and _TELLING.isdisjoint(image.info):
        return image
    return image if orientation(image) == 1 else ImageOps.exif_transpose(image)
