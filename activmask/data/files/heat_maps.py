"""Heat maps that other programs made, one file an image, as the numbers that they hold.

Shapes: C channels, H x W pixels.
"""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import nibabel
import numpy as np
import tifffile
from numpy.typing import NDArray

from activmask.data.files.foreign import foreign
from activmask.data.files.images import read_pixels
from activmask.data.files.limits import LARGEST, MAX_PIXELS
from activmask.ground.errors import PATH, DataError

NiftiAxes = Literal["rows-first", "columns-first"]
"""Which axis a NIfTI file stores first: that down the image, as of a NumPy array saved as it is, or that
along it, as NIfTI's own x."""

MAP_SUFFIXES = (".npy", ".npz", ".png", ".tif", ".tiff", ".nii", ".nii.gz")

_PICTURES = (".jpg", ".jpeg")
"""Of files that are no maps, and are told to be none rather than passed over."""

_TIFF_STARTS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_NUMBERS = (tifffile.PHOTOMETRIC.MINISBLACK, tifffile.PHOTOMETRIC.MINISWHITE)
"""How a TIFF says that it is no picture in colours."""

_MOST_CHANNELS = 4
"""Axes up to this long are channels, and longer ones are rows or columns."""


def map_stem(name: str) -> str | None:
    """A map's name without its ending; None for files of other kinds."""
    endings = [end for end in (*MAP_SUFFIXES, *_PICTURES) if name.lower().endswith(end)]
    return name[: -max(map(len, endings))] if endings else None


def read_heat_map(
    path: Path, *, nifti_axes: NiftiAxes | None = None, size: tuple[int, int] | None = None
) -> NDArray[np.float64]:
    """Read the numbers of a heat map: NumPy's npy or npz, grey PNG or TIFF, or NIfTI.

    Integers stay what they are, without gamma and without a scale. NIfTI files are taken as they are
    stored: their affine, which may flip or turn, is not applied.

    Args:
        path: the file; which reader reads it follows from its bytes, NIfTI from its name.
        nifti_axes: which axis a NIfTI file stores first.
        size: (height, width) in px of its image, from which the axes follow if it is not square.

    Returns:
        float64 (C, H, W), finite.

    Raises:
        DataError: the file is empty, broken, too large, or holds colours, several maps, or what is no
            finite real number.
    """
    with _failures_named(path):
        stored = _stored(path)
        _check_numbers(path, stored)
        if _is_nifti(path):
            stored = _rows_first(path, stored, nifti_axes, size)
        values = _channels_first(path, stored).astype(np.float64)
    wrong = int((~(np.abs(values) <= LARGEST)).sum())
    if wrong:
        raise DataError(
            f"{PATH} holds {wrong:,} values of {values.size:,} that are NaN, infinite or beyond {LARGEST:g}",
            path=path,
            expected="finite numbers",
        )
    return values


@contextmanager
def _failures_named(path: Path) -> Iterator[None]:
    try:
        yield
    except DataError:
        raise
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise DataError(
            f"{PATH} cannot be read as a heat map ({reason})", path=path, advice="write it anew"
        ) from error


def _stored(path: Path) -> NDArray[Any]:
    if not path.is_file():
        raise DataError(f"{PATH} is not a file", path=path, expected="a heat map")
    with path.open("rb") as file:
        head = file.read(6)
    if not head:
        raise DataError(f"{PATH} is an empty file (0 bytes)", path=path, advice="write it anew")
    if head == b"\x93NUMPY":
        # Mapped, a header that claims more than there is takes no memory.
        return np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    if head.startswith(b"PK\x03\x04"):
        return _of_archive(path)
    if _is_nifti(path):
        return _of_nifti(path)
    if path.suffix.lower() in {".npy", ".npz"}:
        found = foreign(path)
        raise DataError(f"{PATH} is no NumPy array", path=path, found=found.what, advice="write it anew")
    if head.startswith(_TIFF_STARTS):
        return _of_tiff(path)
    return _of_picture(path, ("PNG",))


def _of_archive(path: Path) -> NDArray[Any]:
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        if len(members) != 1:
            names = ", ".join(repr(one.filename.removesuffix(".npy")) for one in members[:5])
            raise DataError(
                f"{PATH} holds {len(members)} arrays ({names})",
                path=path,
                expected="one, the map of one image",
            )
        if members[0].file_size > 8 * _MOST_CHANNELS * MAX_PIXELS:
            raise _too_large(path)
        with archive.open(members[0]) as member:
            return np.asarray(np.lib.format.read_array(member, allow_pickle=False))


def _of_nifti(path: Path) -> NDArray[Any]:
    image: Any = nibabel.load(path)
    if np.prod(image.shape, dtype=float) > _MOST_CHANNELS * MAX_PIXELS:
        raise _too_large(path)
    return np.asarray(image.dataobj)


def _of_tiff(path: Path) -> NDArray[Any]:
    """All numbers that a TIFF can hold; Pillow takes signed bytes for unsigned, and no double precision."""
    with tifffile.TiffFile(path) as file:
        if len(file.series) != 1:
            raise DataError(f"{PATH} holds {len(file.series)} pictures", path=path, expected="one")
        (series,) = file.series
        pages = [page.aspage() for page in series.pages if page is not None]
        if series.size > _MOST_CHANNELS * MAX_PIXELS:
            raise _too_large(path)
        ends = [
            sum(ends) for page in pages for ends in zip(page.dataoffsets, page.databytecounts, strict=True)
        ]
        if max(ends, default=0) > path.stat().st_size:
            raise DataError(f"{PATH} is truncated", path=path, advice="write it anew")
        if any(page.photometric not in _NUMBERS for page in pages) and series.dtype.kind == "u":
            return _of_picture(path, ("TIFF",))
        if any(page.photometric == tifffile.PHOTOMETRIC.MINISWHITE for page in pages):
            raise DataError(
                f"{PATH} shows 0 as white, so it does not say whether more is more",
                path=path,
                advice="save it with 0 as black",
            )
        kind = series.dtype
        try:
            return np.asarray(series.asarray())
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
    pixels = _of_picture(path, ("TIFF",))
    if pixels.dtype != kind:
        raise DataError(
            f"{PATH} is compressed in a way that is not read", path=path, advice="save it without"
        )
    return pixels


def _of_picture(path: Path, formats: tuple[str, ...]) -> NDArray[Any]:
    if path.suffix.lower() in _PICTURES:
        raise DataError(
            f"{PATH} is a JPEG, which changes numbers to look alike",
            path=path,
            advice="save the map's numbers, as with numpy.save, or as grey PNG or TIFF",
        )
    pixels = read_pixels(path, formats)
    if pixels.ndim == 2:
        return pixels
    if (pixels != pixels[:, :, :1]).any():
        raise DataError(
            f"{PATH} is a picture in colours, and colours are no numbers: nobody can tell which is more",
            path=path,
            advice="save the map's numbers, as with numpy.save, or as grey PNG or TIFF",
        )
    return np.asarray(pixels[:, :, 0])


def _check_numbers(path: Path, stored: NDArray[Any]) -> None:
    if stored.size == 0:
        raise DataError(f"{PATH} holds no values", path=path, advice="write it anew")
    if stored.size > _MOST_CHANNELS * MAX_PIXELS:
        raise _too_large(path)
    if stored.dtype.kind not in "biuf":
        raise DataError(
            f"{PATH} holds values of the type {stored.dtype}", path=path, expected="one real number a pixel"
        )


def _too_large(path: Path) -> DataError:
    return DataError(f"{PATH} claims more than {MAX_PIXELS:,} pixels", path=path, advice="make it smaller")


def _is_nifti(path: Path) -> bool:
    return path.name.lower().endswith((".nii", ".nii.gz"))


def _rows_first(
    path: Path, stored: NDArray[Any], axes: NiftiAxes | None, size: tuple[int, int] | None
) -> NDArray[Any]:
    """The array with its first two axes as rows and columns."""
    flat = stored
    while flat.ndim > 2 and flat.shape[-1] == 1:
        flat = flat[..., 0]
    if flat.ndim != 2:
        raise _no_map(path, stored.shape)
    if axes is None and size is not None and size[0] != size[1]:
        fitting: dict[tuple[int, ...], NiftiAxes] = {size: "rows-first", size[::-1]: "columns-first"}
        axes = fitting.get(flat.shape)
    if axes is None:
        raise DataError(
            f"{PATH} does not say which of its axes is which",
            path=path,
            found=" x ".join(map(str, flat.shape)),
            advice="give nifti_axes: rows-first where a NumPy array was saved as it is, columns-first where "
            "the first axis runs along the image, as NIfTI's x",
        )
    return flat if axes == "rows-first" else flat.T


def _channels_first(path: Path, stored: NDArray[Any]) -> NDArray[Any]:
    """(C, H, W) of (H, W), (C, H, W) or (H, W, C), with further axes of length 1 in front."""
    array = stored
    while array.ndim > 3 and array.shape[0] == 1:
        array = array[0]
    if array.ndim == 2:
        return array[None]
    if array.ndim == 3:
        first, last = array.shape[0], array.shape[2]
        if first <= _MOST_CHANNELS and min(array.shape[1:]) > _MOST_CHANNELS:
            return array
        if last <= _MOST_CHANNELS and min(array.shape[:2]) > _MOST_CHANNELS:
            return np.moveaxis(array, 2, 0)
        if 1 in {first, last}:
            return array if first == 1 else np.moveaxis(array, 2, 0)
    raise _no_map(path, stored.shape)


def _no_map(path: Path, shape: tuple[int, ...]) -> DataError:
    return DataError(
        f"{PATH} is an array of {' x '.join(map(str, shape))}",
        path=path,
        expected=f"one map (height, width), or one of up to {_MOST_CHANNELS} channels, first or last",
        advice="write one file an image",
    )
