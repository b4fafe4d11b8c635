"""Boxes that a radiologist drew on an X-ray, as its mask.

Shapes: H x W pixels of the file, S x S stored.
"""

import numpy as np

from activmask.data.sources.xray.pixels import cropped_mask
from activmask.ground.errors import DataError

Box = tuple[float, float, float, float]
"""Left, top, width and height in px of the image's file."""

Boxes = tuple[Box, ...]
"""Of one image, at least one; in no particular order."""


def boxes_mask(boxes: Boxes, shape: tuple[int, int], size: int) -> np.ndarray:
    """The union of boxes, cropped and resized as the X-ray is, bool (S, S).

    A pixel is inside where its centre is. What reaches over the edge of the image is cut off.

    Args:
        boxes: at least one.
        shape: (H, W) of the X-ray's file.
        size: S.

    Raises:
        DataError: a box lies beyond the image whole, or nothing of them is left at that size.
    """
    height, width = shape
    mask = np.zeros(shape, dtype=np.bool_)
    for left, top, wide, high in boxes:
        (first, last), (upper, lower) = _centres(left, wide, width), _centres(top, high, height)
        if left >= width or top >= height or left + wide <= 0 or top + high <= 0:
            raise DataError(f"a box lies beyond its image of {width} x {height} px")
        mask[upper:lower, first:last] = True
    small = cropped_mask(mask, size)
    if not small.any():
        raise DataError(f"nothing of its boxes is left at {size} px")
    return small


def cut_boxes(boxes: Boxes, shape: tuple[int, int]) -> int:
    """How many boxes reach over the edge of their image of (H, W) px."""
    height, width = shape
    return sum(
        left < 0 or top < 0 or left + wide > width or top + high > height for left, top, wide, high in boxes
    )


def _centres(start: float, length: float, side: int) -> tuple[int, int]:
    """The pixels, from the first to behind the last, whose centres lie in an interval along one axis."""
    first, behind = (int(np.ceil(min(max(end, 0.0), float(side)) - 0.5)) for end in (start, start + length))
    return first, behind
