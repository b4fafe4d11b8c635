"""Axial slices of the NIfTI volumes of a folder, and of their label volumes.

Shapes: X, Y, Z voxels as in `nifti`; S px, the side of a slice as stored; H x W px, its own.
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from activmask.data.files.images import from_stored
from activmask.data.files.nifti import Volume, read_volume
from activmask.data.files.volume_slices import (
    ORIENTATION,
    PERCENTILES,
    check_contrast,
    check_place,
    check_sides,
    organ_voxels,
    percentile_window,
    resized_image,
    resized_mask,
    upright,
    upright_image,
    whole_values,
)
from activmask.ground.errors import PATH, DataError

MAX_LABEL = 65_535

Window = tuple[float, float]
"""Values that become 0 and 1."""


@dataclass(frozen=True, kw_only=True)
class VolumeRules:
    """How volumes become slices."""

    size: int | None
    """S; None leaves slices at their own size."""
    window: Window | None
    """None for each volume's 0.5 and 99.5 percentiles."""
    labels: tuple[int, ...]
    """Values of label volumes that are inside; none for all above 0."""

    def card(self) -> dict[str, Any]:
        """What a data set's card says of it, apart from its masks."""
        low, high = self.window or PERCENTILES
        unit = "percentile of each volume" if self.window is None else "value"
        return {"window": {"low": low, "high": high, "unit": unit}, "orientation": ORIENTATION}


def card_rules(recipe: Mapping[str, Any]) -> VolumeRules:
    """How the volumes of a data set became slices, as its recipe says.

    Raises:
        DataError: it says something else.
    """
    window: Any = recipe.get("window")
    labels = recipe.get("mask_labels") or {}
    try:
        size = recipe.get("resized_to")
        given = window is not None and window.get("unit") == "value"
        return VolumeRules(
            size=None if size is None else int(size),
            window=(float(window["low"]), float(window["high"])) if given else None,
            labels=tuple(int(value) for value in labels.get("values") or ()),
        )
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            "the card's window and mask_labels must hold numbers",
            found=repr(window),
            advice="prepare the data anew",
        ) from error


@dataclass(frozen=True)
class _Held:
    """The volume that was read last."""

    files: tuple[Path, Path | None]
    """Of the volume and its labels."""
    image: Volume
    inside: np.ndarray | None
    """bool (X, Y, Z); None without a label volume."""
    window: Window


@dataclass
class VolumeReader:
    """Reads slices, and each volume once where those of one follow each other."""

    rules: VolumeRules
    failed: dict[tuple[Path, Path | None], DataError] = field(default_factory=dict)
    """Why a volume, with its labels, gives no slice at all."""
    voxels: Counter[int] = field(default_factory=Counter)
    """How many voxels of the label volumes hold which value."""
    files: int = 0
    """Label volumes that were read."""
    _held: _Held | None = None

    def slice_of(self, path: Path, label: Path | None, z: int) -> tuple[np.ndarray, np.ndarray | None]:
        """One axial slice, counted from the patient's feet from 0.

        Returns:
            float32 (S, S) or (H, W) in [0, 1], and what is inside, bool, or None where nothing is.

        Raises:
            DataError: a file is broken, the two do not belong together, or the region vanishes at S px.
        """
        held = self._opened(path, label)
        size, image = self.rules.size, held.image
        plane = None if held.inside is None or not held.inside[:, :, z].any() else held.inside[:, :, z]
        if size is None:
            return upright_image(image, z, held.window), None if plane is None else upright(plane)
        inside = None if plane is None else resized_mask(plane, image.spacing, size)
        if inside is not None and not inside.any():
            raise DataError(
                f"the region in the mask {PATH} vanishes at {size} px",
                path=label,
                advice="choose a larger size",
            )
        return from_stored(resized_image(image, z, held.window, size)), inside

    def check(self) -> None:
        """Refuse labels that no label volume held, once all were read (raises DataError)."""
        missing = [value for value in self.rules.labels if value not in self.voxels]
        if missing and self.files:
            raise DataError(
                f"mask_labels names {missing[0]}, which no label volume holds: they hold {self._shares()}"
            )

    def card(self) -> dict[str, Any]:
        """What a data set's card says of the label volumes."""
        total = self.voxels.total()
        found = {str(value): round(count / total, 6) for value, count in sorted(self.voxels.items())}
        return {"values": list(self.rules.labels) or None, "found": found, "files": self.files}

    def sentence(self) -> str:
        """What the label volumes hold and how they are read, for people; empty where there are none."""
        if not self.files:
            return ""
        who = "1 label volume holds" if self.files == 1 else f"{self.files} label volumes hold"
        chosen = ", ".join(map(str, self.rules.labels)) or "above 0"
        return f"{who} {self._shares()}; {chosen} is inside"

    def _shares(self) -> str:
        total, few = self.voxels.total(), sorted(self.voxels)[:8]
        more = f" and {len(self.voxels) - 8} more values" if len(self.voxels) > 8 else ""
        return ", ".join(f"{value} ({self.voxels[value] / total:.1%})" for value in few) + more

    def _opened(self, path: Path, label: Path | None) -> _Held:
        files = (path, label)
        if files in self.failed:
            raise self.failed[files]
        if self._held is None or self._held.files != files:
            self._held = None
            try:
                self._held = self._read(path, label)
            except DataError as error:
                self.failed[files] = error
                raise
        return self._held

    def _read(self, path: Path, label: Path | None) -> _Held:
        image = read_volume(path)
        check_sides(path, image.frame)
        inside = None if label is None else self._inside(label, image)
        window = self.rules.window or percentile_window(path, image)
        check_contrast(path, image, window)
        return _Held((path, label), image, inside, window)

    def _inside(self, path: Path, image: Volume) -> np.ndarray:
        try:
            label = read_volume(path)
            check_place(path, label.frame, image.frame)
            found = _values(path, label)
            declared = tuple(sorted({0, *found, *self.rules.labels}))
            organ = self.rules.labels or tuple(value for value in declared if value > 0)
            inside = organ_voxels(path, label, organ, declared)
        except DataError as error:
            raise error.called("the mask") from error
        self.voxels.update(found)
        self.files += 1
        return inside


def _values(path: Path, label: Volume) -> Counter[int]:
    """How many voxels hold which whole number (raises DataError for others)."""
    found: Counter[int] = Counter()
    for z in range(label.stored.shape[2]):
        values = whole_values(path, label, z)
        if values.min() < 0 or values.max() > MAX_LABEL:
            raise DataError(f"{PATH} holds values outside 0 to {MAX_LABEL}; it is no label volume", path=path)
        numbers, counts = np.unique(values, return_counts=True)
        found.update({int(n): int(count) for n, count in zip(numbers, counts, strict=True)})
    return found
