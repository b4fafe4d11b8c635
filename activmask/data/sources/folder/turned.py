"""Pictures whose files say how they are to be turned, and masks that do not lie on them pixel by pixel.

Shapes: sizes are (height, width) in px.
"""

from collections.abc import Sequence
from pathlib import Path

from activmask.data.files.images import is_turned_picture
from activmask.data.sources.folder.kinds import kind_of
from activmask.ground.errors import PATH, DataError


def is_turned(image: Path) -> bool:
    """Whether an original is a picture whose file says that it is to be turned (raises DataError)."""
    return kind_of(image) == "picture" and is_turned_picture(image)


def check_mask_size(mask: Path, found: tuple[int, int], image: Path, size: tuple[int, int]) -> None:
    """Refuse a mask of another size than its image; it is never resized to fit (raises DataError)."""
    if found == size:
        return
    advice = "draw it on the picture itself"
    if found == size[::-1] and is_turned(image):
        advice = "draw it upright: its program ignored the orientation in the picture's file (EXIF)"
    raise DataError(
        f"the mask {PATH} is of another size than its image",
        path=mask,
        expected=f"{size[0]} x {size[1]} px",
        found=f"{found[0]} x {found[1]}",
        advice=advice,
    )


def turned_note(turned: Sequence[str]) -> str:
    """How pictures that were turned fit their masks, as a sentence; empty without any.

    Args:
        turned: what pictures with masks are called that were.
    """
    if not turned:
        return ""
    some = f"1 picture with a mask ({turned[0]!r}) was"
    if len(turned) > 1:
        some = f"{len(turned)} pictures with masks (the first is {turned[0]!r}) were"
    return (
        f"{some} turned upright, as the orientation in the file (EXIF) says; masks are taken as drawn on the "
        "upright picture, which viewers show, so look at one that was drawn by a program that ignores it"
    )
