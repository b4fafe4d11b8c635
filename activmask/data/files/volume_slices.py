"""Axial slices of volumes as they are stored: upright, of square pixels where they are resized.

Shapes: X, Y, Z voxels as in `nifti`; S px, the side of a slice as stored.
"""

from functools import cache
from pathlib import Path

import numpy as np
from scipy import sparse
from skimage import transform

from activmask.data.files.images import to_stored
from activmask.data.files.nifti import Frame, Volume
from activmask.ground.errors import PATH, DataError

ORIENTATION = "axial; rows from the patient's front to back, columns from the patient's right to left"
PERCENTILES = (0.5, 99.5)

_AFFINE_TOLERANCE = 1e-2
_LABEL_TOLERANCE = 1e-3
_LEAST_SHOWN = 0.01
"""Of a window, that a volume's values have to fill."""
_MAX_SIDE = 2**13


def check_place(path: Path, label: Frame, image: Frame) -> None:
    """Refuse a label volume of another shape or place than its image.

    Raises:
        DataError: names the label, `path`, and what differs.
    """
    if image.shape != label.shape:
        shapes = [" x ".join(map(str, frame.shape)) for frame in (label, image)]
        raise DataError(f"{PATH} has {shapes[0]} voxels but its image {shapes[1]}", path=path)
    if not np.allclose(image.affine, label.affine, rtol=0, atol=_AFFINE_TOLERANCE):
        raise DataError(
            f"{PATH} lies elsewhere in the patient than its image (their affines differ)", path=path
        )


def unplaced_note(count: int) -> str:
    """How many volumes do not say how they lie in the patient, as a sentence; empty without one."""
    if not count:
        return ""
    who, whose = ("1 volume does", "its") if count == 1 else (f"{count} volumes do", "their")
    return (
        f"{who} not say how {whose} axes lie in the patient (sform_code and qform_code are 0): they are "
        "taken to lead to the left, the front and the head, so slices may be mirrored or lie otherwise"
    )


def check_contrast(path: Path, image: Volume, window: tuple[float, float]) -> None:
    """Refuse a volume of which a window makes one grey (raises DataError)."""
    ends = np.array([image.stored.min(), image.stored.max()], np.float64) * image.slope + image.intercept
    low, high = sorted(ends.tolist())
    shown = np.clip([low, high], *window)
    if shown[1] - shown[0] < _LEAST_SHOWN * (window[1] - window[0]):
        raise DataError(
            f"{PATH} holds values from {low:g} to {high:g}, of which the window from {window[0]:g} to "
            f"{window[1]:g} makes one grey",
            path=path,
            advice="choose another window",
        )


def check_sides(path: Path, image: Frame) -> None:
    """Refuse slices that are too large to handle once they are square (raises DataError)."""
    sides = np.multiply(image.shape[:2], image.spacing[:2])
    if sides.max() / image.spacing[:2].min() > _MAX_SIDE:
        raise DataError(
            f"{PATH} has slices of more than {_MAX_SIDE} px a side",
            path=path,
            advice="crop or resample it",
        )


def organ_voxels(path: Path, label: Volume, organ: tuple[int, ...], declared: tuple[int, ...]) -> np.ndarray:
    """Where the organ is, bool (X, Y, Z), once every value is a declared one.

    Raises:
        DataError: a value that is not declared, or between whole numbers.
    """
    known, wanted = _lookup(declared, declared), _lookup(organ, declared)
    inside = np.zeros(label.stored.shape, np.bool_, order="F")
    for z in range(label.stored.shape[2]):
        values = whole_values(path, label, z)
        low, high = values.min(), values.max()
        if low == high == 0:
            continue
        if low < 0 or high >= len(known) or not known[values.astype(np.intp)].all():
            told = ", ".join(map(str, declared))
            raise DataError(
                f"{PATH} holds a label value that dataset.json does not declare ({told})", path=path
            )
        inside[:, :, z] = wanted[values.astype(np.intp)]
    return inside


def whole_values(path: Path, label: Volume, z: int) -> np.ndarray:
    """The values of one slice of a label volume, (X, Y) whole numbers of any type.

    Raises:
        DataError: a value between whole numbers.
    """
    whole = label.stored.dtype.kind in "iu" and (label.slope, label.intercept) == (1, 0)
    return label.stored[:, :, z] if whole else _rounded(path, label.values(z))


def _lookup(values: tuple[int, ...], declared: tuple[int, ...]) -> np.ndarray:
    table = np.zeros(max(declared) + 1, np.bool_)
    table[list(values)] = True
    return table


def _rounded(path: Path, values: np.ndarray) -> np.ndarray:
    whole = np.rint(values)
    if np.abs(values - whole).max() > _LABEL_TOLERANCE:
        raise DataError(f"{PATH} holds label values between whole numbers; it is no label volume", path=path)
    return np.asarray(whole)


def percentile_window(path: Path, image: Volume) -> tuple[float, float]:
    """The values at `PERCENTILES` of a volume.

    Raises:
        DataError: both are the same value.
    """
    ends = np.percentile(image.stored, PERCENTILES).astype(np.float64) * image.slope + image.intercept
    low, high = sorted(ends.tolist())
    if low == high:
        raise DataError(
            f"{PATH} holds one value almost everywhere, so it has no contrast to scale", path=path
        )
    return low, high


def resized_image(image: Volume, z: int, window: tuple[float, float], size: int) -> np.ndarray:
    """uint16 (S, S): clipped to the window, padded to a square with its low end, resized."""
    square = _square(upright_image(image, z, window), image.spacing)
    resized = _operator(square.shape[0], size) @ square @ _operator(square.shape[1], size).T
    return to_stored(np.clip(resized, 0, 1))


def upright_image(image: Volume, z: int, window: tuple[float, float]) -> np.ndarray:
    """float32 (Y, X) in [0, 1]: clipped to the window, of the volume's own pixels."""
    low, high = window
    with np.errstate(over="ignore"):
        scaled = np.clip((image.values(z) - low) / (high - low), 0, 1).astype(np.float32)
    return upright(scaled)


def resized_mask(inside: np.ndarray, spacing: np.ndarray, size: int) -> np.ndarray:
    """Bool (S, S) of bool (X, Y): padded to a square, resized by nearest neighbour."""
    square = _square(upright(inside), spacing)
    return np.asarray(transform.resize(square, (size, size), order=0), np.bool_)


def native_sides(image: Volume) -> tuple[int, int]:
    """Height and width in px of a volume's axial slices, upright and padded to a square."""
    width, height = image.stored.shape[:2]
    return _square_sides((height, width), image.spacing)


def upright(plane: np.ndarray) -> np.ndarray:
    """(Y, X) from (X, Y): seen from the feet, the patient's front at the top."""
    return plane[::-1, ::-1].T


def _square(plane: np.ndarray, spacing: np.ndarray) -> np.ndarray:
    """Pad with 0 on both sides until the plane is as wide as high, in mm."""
    sides = np.array(_square_sides(plane.shape, spacing))
    before = (sides - plane.shape) // 2
    return np.pad(plane, [(b, s - n - b) for b, s, n in zip(before, sides, plane.shape, strict=True)])


def _square_sides(shape: tuple[int, ...], spacing: np.ndarray) -> tuple[int, int]:
    """The px along rows' and columns' ends of a plane (Y, X) once it is as wide as high, in mm."""
    steps = spacing[[1, 0]]
    side = np.multiply(shape, steps).max()
    height, width = np.maximum(np.rint(side / steps).astype(int), shape).tolist()
    return height, width


@cache
def _operator(length: int, size: int) -> sparse.csr_array:
    """float32 (S, length), what an anti-aliased resize does along one axis.

    The resize of scikit-image (Gaussian, then linear interpolation) is linear and separable, so
    its result on the unit vectors says all; as a sparse product it is several times faster.
    """
    unit = np.eye(length, dtype=np.float32)
    return sparse.csr_array(transform.resize(unit, (size, length), order=1, anti_aliasing=True))
