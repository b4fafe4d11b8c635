"""Where the pixels of a DICOM image lie in the patient, so that a mask can be held against its image.

Attributes: DICOM PS3.3, C.7.6.2 (image plane), C.7.6.16 (the same in segmentations, whose sequences hold
them), C.7.4.1 (frame of reference) and 10.7.1 (spacing of projections).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydicom import Dataset

_SPACING, _ORIENTATION, _POSITION = "PixelSpacing", "ImageOrientationPatient", "ImagePositionPatient"
_HELD_BY = {
    _SPACING: "PixelMeasuresSequence",
    _ORIENTATION: "PlaneOrientationSequence",
    _POSITION: "PlanePositionSequence",
}
_NUMBERS = {_SPACING: 2, _ORIENTATION: 6, _POSITION: 3}
_GROUPS = ("PerFrameFunctionalGroupsSequence", "SharedFunctionalGroupsSequence")

_TOLERANCE = 1e-2
"""In mm, and of direction cosines: programs round what they write."""
_OF_A_PIXEL = 0.25
"""By which share of a pixel's side positions may differ: no pixel of a mask then lies on another's place."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """What a header says of where its pixels lie."""

    numbers: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """By attribute; those that are missing or no numbers are left out."""
    frame: bytes = b""
    """Files of one frame of reference share it, without which positions do not compare; empty if not said."""
    ratio: float = 1.0
    """Height over width of a pixel; 1 where nothing says."""


def place_of(dataset: "Dataset", frame: bytes) -> Place:
    """What a header says of where its pixels lie; `frame` is a digest of its FrameOfReferenceUID."""
    found = {keyword: _numbers(_held(dataset, keyword), count) for keyword, count in _NUMBERS.items()}
    known = {keyword: numbers for keyword, numbers in found.items() if numbers}
    return Place(numbers=known, frame=frame, ratio=_ratio(dataset, known.get(_SPACING, ())))


def differing(mask: Place, image: Place) -> tuple[str, ...]:
    """Attributes by which a mask lies elsewhere than its image; none where a header does not say."""
    both = [keyword for keyword in _NUMBERS if keyword in mask.numbers and keyword in image.numbers]
    if not mask.frame or mask.frame != image.frame:
        both = [keyword for keyword in both if keyword != _POSITION]
    pixel = min(image.numbers.get(_SPACING, ()), default=0.0)
    rooms = {_POSITION: max(_TOLERANCE, _OF_A_PIXEL * pixel)}
    return tuple(
        keyword
        for keyword in both
        if any(
            abs(a - b) > rooms.get(keyword, _TOLERANCE)
            for a, b in zip(mask.numbers[keyword], image.numbers[keyword], strict=True)
        )
    )


def _held(dataset: "Dataset", keyword: str) -> Any:
    """An attribute of an image, or of the first frame of a segmentation."""
    if keyword in dataset:
        return dataset.get(keyword)
    for groups in _GROUPS:
        frames = dataset.get(groups) or []
        held = (frames[0].get(_HELD_BY[keyword]) or []) if len(frames) else []
        if len(held) and keyword in held[0]:
            return held[0].get(keyword)
    return None


def _ratio(dataset: "Dataset", spacing: tuple[float, ...]) -> float:
    sides = (
        spacing
        or _numbers(dataset.get("ImagerPixelSpacing"), 2)
        or _numbers(dataset.get("PixelAspectRatio"), 2)
    )
    return sides[0] / sides[1] if sides and min(sides) > 0 else 1.0


def _numbers(value: Any, count: int) -> tuple[float, ...]:
    try:
        numbers = tuple(float(one) for one in value or ())
    except (TypeError, ValueError):
        return ()
    return numbers if len(numbers) == count and all(map(math.isfinite, numbers)) else ()
