"""Axial slices of one volume of the Medical Segmentation Decathlon.

Shapes: X, Y, Z voxels as in `nifti`; S px, the side of a slice as stored.
"""

import hashlib
import time
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from scipy import sparse
from skimage import transform

from activmask.data.files.images import to_stored
from activmask.data.files.nifti import Volume, read_volume
from activmask.data.sources.msd.cases import Case
from activmask.ground.errors import PATH, DataError

ORIENTATION = "axial; rows from the patient's front to back, columns from the patient's right to left"
PERCENTILES = (0.5, 99.5)

_AFFINE_TOLERANCE = 1e-2
_LABEL_TOLERANCE = 1e-3
_MAX_SIDE = 2**13


@dataclass(frozen=True)
class SliceRules:
    """How a volume becomes slices."""

    organ: tuple[int, ...]
    """Label values that count as the organ."""
    declared: tuple[int, ...]
    """Every value a label volume may hold."""
    size: int
    """Side of a slice as stored, in px."""
    window: tuple[float, float] | None
    """Values that become 0 and 1; None for the volume's 0.5 and 99.5 percentiles."""
    per_volume: int
    """Slices to draw from a volume, half of each class; 0 for all."""
    seed: int = 0


@dataclass(frozen=True)
class Slice:
    """One axial slice as stored."""

    z: int
    """Its number, from the patient's feet."""
    image: np.ndarray
    """uint16 (S, S)"""
    mask: np.ndarray | None
    """bool (S, S), True inside the organ; None where there is no organ."""
    native: tuple[int, int]
    """Height and width in px of the padded slice that both were resized from."""


@dataclass(frozen=True)
class Slices:
    """What a volume gave."""

    slices: tuple[Slice, ...]
    vanished: tuple[int, ...]
    """Numbers of the slices left out because the organ vanishes at the stored size."""
    failure: DataError | None
    """Why the volume was left out; None if it was not."""
    seconds_decompressing: float
    seconds_elsewhere: float


def cut(case: Case, rules: SliceRules) -> Slices:
    """Cut a case into slices; a broken one gives none, and the reason."""
    began = time.perf_counter()
    reading = 0.0
    try:
        image = read_volume(case.image, case.channel, case.channels)
        reading += image.seconds
        label = read_volume(case.label)
        reading += label.seconds
        slices, vanished = _cut(case, image, label, rules)
    except DataError as error:
        return Slices((), (), error, reading, time.perf_counter() - began - reading)
    return Slices(slices, vanished, None, reading, time.perf_counter() - began - reading)


def _cut(
    case: Case, image: Volume, label: Volume, rules: SliceRules
) -> tuple[tuple[Slice, ...], tuple[int, ...]]:
    check_pair(case, image, label)
    organ = organ_voxels(case.label, label, rules)
    window = rules.window or percentile_window(case.image, image)
    kept: list[Slice] = []
    vanished: list[int] = []
    positive = organ.sum(axis=(0, 1)) > 1
    native = native_sides(image)
    for z in _drawn(positive, case.subject, rules):
        mask = resized_mask(organ[:, :, z], image.spacing, rules.size) if positive[z] else None
        if mask is not None and not mask.any():
            vanished.append(z)
            continue
        kept.append(Slice(z, resized_image(image, z, window, rules.size), mask, native))
    return tuple(kept), tuple(vanished)


def check_pair(case: Case, image: Volume, label: Volume) -> None:
    """Refuse a label that is of another shape or place than its image, or slices too large to handle.

    Raises:
        DataError: names the file and what differs.
    """
    if image.stored.shape != label.stored.shape:
        shapes = [" x ".join(map(str, volume.stored.shape)) for volume in (label, image)]
        raise DataError(f"{PATH} has {shapes[0]} voxels but its image {shapes[1]}", path=case.label)
    if not np.allclose(image.affine, label.affine, rtol=0, atol=_AFFINE_TOLERANCE):
        raise DataError(
            f"{PATH} lies elsewhere in the patient than its image (their affines differ)", path=case.label
        )
    sides = np.multiply(image.stored.shape[:2], image.spacing[:2])
    if sides.max() / image.spacing[:2].min() > _MAX_SIDE:
        raise DataError(
            f"{PATH} has slices of more than {_MAX_SIDE} px a side",
            path=case.image,
            advice="crop or resample it",
        )


def organ_voxels(path: Path, label: Volume, rules: SliceRules) -> np.ndarray:
    """Where the organ is, bool (X, Y, Z), once every value is a declared one.

    Raises:
        DataError: a value that is not declared, or between whole numbers.
    """
    declared, organ = _lookup(rules.declared, rules.declared), _lookup(rules.organ, rules.declared)
    inside = np.zeros(label.stored.shape, np.bool_, order="F")
    whole = label.stored.dtype.kind in "iu" and (label.slope, label.intercept) == (1, 0)
    for z in range(label.stored.shape[2]):
        values = label.stored[:, :, z] if whole else _rounded(path, label.values(z))
        low, high = values.min(), values.max()
        if low == high == 0:
            continue
        if low < 0 or high >= len(declared) or not declared[values.astype(np.intp)].all():
            known = ", ".join(map(str, rules.declared))
            raise DataError(
                f"{PATH} holds a label value that dataset.json does not declare ({known})", path=path
            )
        inside[:, :, z] = organ[values.astype(np.intp)]
    return inside


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


def _drawn(positive: np.ndarray, subject: str, rules: SliceRules) -> list[int]:
    """The slices to keep, in order; which ones depends on the seed and the subject alone."""
    if rules.per_volume == 0:
        return list(range(len(positive)))
    digest = hashlib.sha256(subject.encode()).digest()
    rng = np.random.default_rng([rules.seed, int.from_bytes(digest[:8], "little")])
    shares = (rules.per_volume - rules.per_volume // 2, rules.per_volume // 2)
    drawn = [
        rng.permutation(np.flatnonzero(of_class))[:share]
        for of_class, share in zip((positive, ~positive), shares, strict=True)
    ]
    return sorted(int(z) for z in np.concatenate(drawn))


def resized_image(image: Volume, z: int, window: tuple[float, float], size: int) -> np.ndarray:
    """uint16 (S, S): clipped to the window, padded to a square with its low end, resized."""
    low, high = window
    with np.errstate(over="ignore"):
        scaled = np.clip((image.values(z) - low) / (high - low), 0, 1).astype(np.float32)
    square = _square(_upright(scaled), image.spacing)
    resized = _operator(square.shape[0], size) @ square @ _operator(square.shape[1], size).T
    return to_stored(np.clip(resized, 0, 1))


def resized_mask(inside: np.ndarray, spacing: np.ndarray, size: int) -> np.ndarray:
    """Bool (S, S) of bool (X, Y): padded to a square, resized by nearest neighbour."""
    square = _square(_upright(inside), spacing)
    return np.asarray(transform.resize(square, (size, size), order=0), np.bool_)


def native_sides(image: Volume) -> tuple[int, int]:
    """Height and width in px of a volume's axial slices, upright and padded to a square."""
    width, height = image.stored.shape[:2]
    return _square_sides((height, width), image.spacing)


def _upright(plane: np.ndarray) -> np.ndarray:
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
