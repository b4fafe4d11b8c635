"""Volumes from NIfTI files, checked to their last byte and turned to the patient's axes.

Format: NIfTI-1.1 and NIfTI-2 in one file, `.nii` or `.nii.gz` (nifti.nimh.nih.gov).
Shapes: X, Y, Z voxels towards the patient's right, front and head (nibabel's RAS+).
"""

import gzip
import io
import math
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from activmask.ground.errors import PATH, DataError
from activmask.machine.memory import memory_bytes

MAX_VOXELS = 2**31
"""Larger volumes are refused from their header: a few bytes can claim terabytes."""

# mypy takes these functions, which have no annotations, for untyped calls.
_orientation: Any = nibabel.io_orientation
_turned: Any = nibabel.apply_orientation
_turn_back: Any = nibabel.orientations.inv_ornt_aff

_MOST_SCALED = 1.2
"""By which the sides of voxels may differ between sform and qform."""
_LEAST_ALIKE = 0.5
"""The cosine of the angle between an axis by sform and by qform, which a registration may turn a little."""
_ATLAS = frozenset({3, 4})
"""Codes of an affine that leads into an atlas, which is larger or smaller than the patient (NIfTI-1)."""

_GZIP_START = b"\x1f\x8b"
# Deflate packs at most 1032 bytes into one.
_MOST_PACKED = 1100
_TRAILER = 2**20
_HEADER_BYTES: dict[int, tuple[Any, bytes]] = {
    348: (nibabel.Nifti1Header, b"n+1"),
    540: (nibabel.Nifti2Header, b"n+2"),
}


@dataclass(frozen=True)
class Frame:
    """Where the voxels of a volume lie, seen along the patient's axes."""

    shape: tuple[int, int, int]
    """(X, Y, Z) voxels."""
    affine: np.ndarray
    """float64 (4, 4), from voxel indices to mm."""
    placed: bool = True
    """Whether its header says how its axes lie in the patient; if not, left, front and head are taken."""

    @property
    def spacing(self) -> np.ndarray:
        """float64 (3,), the voxels' sides in mm."""
        return _spacing(self.affine)


@dataclass(frozen=True)
class Volume:
    """One volume as stored, seen along the patient's axes."""

    stored: np.ndarray
    """(X, Y, Z) integers or floats; a voxel's value is `stored * slope + intercept`."""
    slope: float
    intercept: float
    affine: np.ndarray
    """float64 (4, 4), from voxel indices to mm."""
    seconds: float
    """Spent on reading and decompressing the file."""
    placed: bool
    """As of its `Frame`."""

    def values(self, z: int) -> np.ndarray:
        """float64 (X, Y), the values of one axial slice."""
        return self.stored[:, :, z].astype(np.float64) * self.slope + self.intercept

    @property
    def frame(self) -> Frame:
        """Where its voxels lie."""
        x, y, z = self.stored.shape
        return Frame(shape=(x, y, z), affine=self.affine, placed=self.placed)

    @property
    def spacing(self) -> np.ndarray:
        """float64 (3,), the voxels' sides in mm."""
        return self.frame.spacing


def read_volume(path: Path, channel: int = 0, channels: int | None = 1) -> Volume:
    """Read a volume; of a fourth axis one channel.

    The file is decompressed once, to its end, so that its checksum is verified.

    Args:
        path: a `.nii` or `.nii.gz` file.
        channel: which entry of the fourth axis to take.
        channels: how many entries it must have, 1 where it may be missing. None if nobody knows: then
            a first of several is refused, since it may be taken by mistake.

    Raises:
        DataError: the file is missing, broken, too large, not NIfTI, not finite or has another
            number of channels.
    """
    with _failures_named(path):
        began = time.perf_counter()
        header, content = _read(path)
        seconds = time.perf_counter() - began
        voxels = _voxels(path, header, content)
        slope, intercept = header.get_slope_inter()
        affine = _affine(path, header)
    stored = _channel(path, voxels, channel, channels)
    _check_finite(path, stored)
    turned, affine = _canonical(path, stored, affine)
    return Volume(
        stored=turned,
        slope=1.0 if slope is None else float(slope),
        intercept=0.0 if intercept is None else float(intercept),
        affine=affine,
        seconds=seconds,
        placed=_is_placed(header),
    )


def volume_frame(path: Path) -> Frame:
    """Where a volume's voxels lie, from its header alone.

    Raises:
        DataError: as `read_volume`, but for what only the voxels tell.
    """
    with _failures_named(path), _unpacked(path) as (stream, most):
        header = _header(path, stream.read(max(_HEADER_BYTES)))
        _bytes_claimed(path, header, most)
        affine = _affine(path, header)
    # One byte stands for all voxels: only their order is asked for.
    voxels = np.broadcast_to(np.zeros(1, np.uint8), _shape(path, header)[:4])
    turned, affine = _canonical(path, _channel(path, voxels, 0, 1), affine)
    x, y, z = turned.shape
    return Frame(shape=(x, y, z), affine=affine, placed=_is_placed(header))


@contextmanager
def _failures_named(path: Path) -> Iterator[None]:
    """Turn whatever a broken file raises into a sentence about it."""
    try:
        yield
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{PATH} is truncated or its gzip is corrupt", path=path, advice="download it again"
        ) from error
    # A ValueError is how nibabel answers a quaternion that is none.
    except (ImageFileError, HeaderDataError, ValueError) as error:
        raise DataError(f"{PATH} has a broken NIfTI header", path=path, advice="download it again") from error
    except MemoryError as error:
        raise DataError(
            f"{PATH} needs more memory than is free", path=path, advice="crop it or ask for fewer workers"
        ) from error
    except OSError as error:
        raise DataError(
            f"{PATH} cannot be read: {error.strerror or 'its gzip is corrupt'}", path=path
        ) from error


def _read(path: Path) -> tuple[Any, bytearray]:
    with _unpacked(path) as (stream, most):
        return _read_stream(path, stream, most)


@contextmanager
def _unpacked(path: Path) -> Iterator[tuple[io.BufferedIOBase, int]]:
    """A file's content, and how many bytes of it there are at most."""
    with path.open("rb") as file:
        packed = file.read(2) == _GZIP_START
        most = file.seek(0, io.SEEK_END) * (_MOST_PACKED if packed else 1)
        file.seek(0)
        if not packed:
            yield file, most
            return
        with gzip.GzipFile(fileobj=file) as stream:
            yield stream, most


def _read_stream(path: Path, stream: io.BufferedIOBase, most: int) -> tuple[Any, bytearray]:
    """The header, and all bytes up to the last voxel's."""
    start = stream.read(max(_HEADER_BYTES))
    header = _header(path, start)
    size = _bytes_claimed(path, header, most)
    content = bytearray(size)
    content[: len(start)] = start[:size]
    view, done = memoryview(content), min(len(start), size)
    while done < size:
        got = stream.readinto(view[done:])
        if not got:
            raise EOFError
        done += got
    # Only the end of a gzip stream holds its checksum.
    rest = 0
    while block := stream.read(2**16):
        rest += len(block)
        if rest > _TRAILER:
            raise DataError(
                f"{PATH} goes on far behind its last voxel", path=path, advice="download it again"
            )
    return header, content


def _bytes_claimed(path: Path, header: Any, most: int) -> int:
    """The bytes up to the last voxel's, of which a file holds `most` at most (raises DataError)."""
    size = _first_byte(header) + math.prod(_shape(path, header)) * _dtype(path, header).itemsize
    if size > most:
        raise DataError(
            f"{PATH} is truncated: its header claims {size:,} bytes", path=path, advice="download it again"
        )
    there = memory_bytes()
    if there is not None and size > there:
        raise DataError(
            f"{PATH} claims {size:,} bytes of voxels, and there are {there:,} bytes of memory",
            path=path,
            advice="crop it",
        )
    return size


def _header(path: Path, start: bytes) -> Any:
    for order in ("little", "big"):
        size = int.from_bytes(start[:4], order)
        if size in _HEADER_BYTES and len(start) >= size:
            kind, magic = _HEADER_BYTES[size]
            header = kind(start[:size], "<" if order == "little" else ">", False)
            if bytes(header["magic"]).startswith(magic):
                return header
    raise DataError(
        f"{PATH} is not a NIfTI file in one piece (.nii or .nii.gz)", path=path, advice="convert it"
    )


def _first_byte(header: Any) -> int:
    offset = float(header["vox_offset"])
    smallest = int(header["sizeof_hdr"])
    if not math.isfinite(offset) or not smallest <= offset <= 2**31:
        raise HeaderDataError("vox_offset")
    return int(offset)


def _shape(path: Path, header: Any) -> tuple[int, ...]:
    dim = [int(n) for n in header["dim"]]
    shape = tuple(dim[1 : dim[0] + 1])
    if not 1 <= dim[0] <= 7 or min(shape) < 0:
        raise HeaderDataError("dim")
    if math.prod(shape) > MAX_VOXELS:
        raise DataError(f"{PATH} claims more than {MAX_VOXELS:,} voxels", path=path, advice="crop it")
    if len(shape) < 3 or math.prod(shape) == 0 or max(shape[4:], default=1) > 1:
        raise DataError(
            f"{PATH} has {' x '.join(map(str, shape))} voxels", path=path, expected="a volume with slices"
        )
    return shape


def _dtype(path: Path, header: Any) -> np.dtype[Any]:
    try:
        dtype: np.dtype[Any] = header.get_data_dtype()
    except KeyError as error:
        raise HeaderDataError("datatype") from error
    if dtype.kind not in "iuf":
        raise DataError(
            f"{PATH} holds colours or complex numbers",
            path=path,
            expected="one number per voxel",
            advice="convert it",
        )
    return dtype


def _voxels(path: Path, header: Any, content: bytearray) -> np.ndarray:
    shape, offset = _shape(path, header)[:4], _first_byte(header)
    return np.ndarray(shape, _dtype(path, header), buffer=content, offset=offset, order="F")


def _channel(path: Path, voxels: np.ndarray, channel: int, channels: int | None) -> np.ndarray:
    found = voxels.shape[3] if voxels.ndim == 4 else 1
    if channels is None and (channel >= found or (channel == 0 and found > 1)):
        raise DataError(
            f"{PATH} has {found} channel{'s' * (found > 1)}, but the data set, of an earlier "
            "version, does not say how many its volumes had",
            path=path,
            advice="prepare it anew",
        )
    if channels is not None and found != channels:
        raise DataError(
            f"{PATH} has {found} channel{'s' * (found > 1)} in its fourth axis, expected {channels}; "
            f"{_remedy(channels)}",
            path=path,
        )
    return voxels[..., channel] if voxels.ndim == 4 else voxels


def _remedy(channels: int) -> str:
    if channels == 1:
        return "keep one, and of a label with one channel per class make one volume of numbers"
    return "store all channels that dataset.json declares in one file"


def _check_finite(path: Path, stored: np.ndarray) -> None:
    if stored.dtype.kind == "f" and not all(
        np.isfinite(stored[:, :, k]).all() for k in range(stored.shape[2])
    ):
        raise DataError(
            f"{PATH} holds voxels that are NaN or infinite", path=path, advice="repair or remove the volume"
        )


def _is_placed(header: Any) -> bool:
    """Whether a header has an affine of its own, coded as NIfTI-1 asks for (methods 2 and 3)."""
    return bool(header["sform_code"] > 0 or header["qform_code"] > 0)


def _affine(path: Path, header: Any) -> np.ndarray:
    """From voxel indices as stored to mm: the sform, else the qform, float64 (4, 4).

    Raises:
        DataError: both are there, and lead an axis elsewhere or give voxels of other sides.
    """
    sform, qform = header.get_sform(coded=True)[0], _qform(header)
    into_atlas = not _ATLAS.isdisjoint({int(header["sform_code"]), int(header["qform_code"])})
    if sform is not None and qform is not None and _contradict(sform, qform, scaled=into_atlas):
        raise DataError(
            f"{PATH} says in two ways how its voxels lie in the patient: its sform and its qform contradict "
            "each other",
            path=path,
            advice="set the code of the wrong one to 0",
        )
    return np.asarray(header.get_best_affine(), np.float64)


def _qform(header: Any) -> np.ndarray | None:
    """The qform, where the header has one that can be computed."""
    try:
        found: np.ndarray | None = header.get_qform(coded=True)[0]
    except (ValueError, HeaderDataError):
        return None
    return found


def _contradict(sform: np.ndarray, qform: np.ndarray, *, scaled: bool) -> bool:
    """Whether two affines lead an axis elsewhere, or give voxels of other sides.

    A registration may turn and scale a little, and move; with `scaled` sides may be any.
    """
    if not all(np.isfinite(one).all() and abs(np.linalg.det(one[:3, :3])) > 0 for one in (sform, qform)):
        return False
    sides = _spacing(sform), _spacing(qform)
    cosines = (sform[:3, :3] / sides[0] * (qform[:3, :3] / sides[1])).sum(axis=0)
    factors = sides[0] / sides[1]
    resized = not scaled and bool((np.maximum(factors, 1 / factors) > _MOST_SCALED).any())
    return resized or bool((cosines < _LEAST_ALIKE).any())


def _spacing(affine: np.ndarray) -> np.ndarray:
    return np.asarray(np.sqrt((affine[:3, :3] ** 2).sum(axis=0)))


def _canonical(path: Path, stored: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Reorder and flip the axes, without copying, as `nibabel.as_closest_canonical` does."""
    sound = np.isfinite(affine).all() and abs(np.linalg.det(affine[:3, :3])) > 0
    turn = _orientation(affine) if sound else np.full((3, 2), np.nan)
    if np.isnan(turn).any():
        raise DataError(
            f"{PATH} does not say how its axes lie in the patient", path=path, advice="repair its affine"
        )
    turned = _turned(stored, turn)
    return turned, affine @ _turn_back(turn, stored.shape)
