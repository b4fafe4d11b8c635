"""Axial slices of one volume of the Medical Segmentation Decathlon.

Shapes: X, Y, Z voxels as in `nifti`; S px, the side of a slice as stored.
"""

import hashlib
import time
from dataclasses import dataclass

import numpy as np

from activmask.data.files.nifti import Volume, read_volume
from activmask.data.files.volume_slices import (
    check_contrast,
    check_place,
    check_sides,
    native_sides,
    organ_voxels,
    percentile_window,
    resized_image,
    resized_mask,
)
from activmask.data.sources.msd.cases import Case
from activmask.ground.errors import DataError


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
    placed: bool
    """Whether its header says how its axes lie in the patient."""
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
        return Slices((), (), error, True, reading, time.perf_counter() - began - reading)
    return Slices(slices, vanished, None, image.placed, reading, time.perf_counter() - began - reading)


def _cut(
    case: Case, image: Volume, label: Volume, rules: SliceRules
) -> tuple[tuple[Slice, ...], tuple[int, ...]]:
    check_place(case.label, label.frame, image.frame)
    check_sides(case.image, image.frame)
    organ = organ_voxels(case.label, label, rules.organ, rules.declared)
    window = rules.window or percentile_window(case.image, image)
    check_contrast(case.image, image, window)
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
