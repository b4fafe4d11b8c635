"""One original X-ray, and its mask, with the very pixels that `prepare_xray` would have stored."""

from pathlib import Path

from activmask.data.files.images import bit_depth, from_stored, read_grey, to_stored
from activmask.data.files.intensities import FULL_RANGE, Intensity
from activmask.data.raw_files import Preparing, RawImage, in_data_set, reading_of
from activmask.data.sources.xray.pixels import read_intensities, read_xray_mask, resized
from activmask.ground.errors import PATH, DataError


def read_original(how: Preparing, path: Path, mask: Path | None) -> RawImage:
    """The middle square of an original at any size, resized and rounded as stored.

    Raises:
        DataError: a file is broken, or the network was not trained on X-rays.
    """
    if how.source != "xray":
        what = how.images or "images that are not known to be X-rays"
        raise DataError(
            f"{PATH} is a DICOM file, but the network of {how.network} was trained on {what}, and "
            "nothing tells how such a file would have been scaled and cropped for it",
            path=path,
            advice="give an image like its training images",
        )
    original = read_intensities(path, intensity=how.intensity)
    pixels = from_stored(to_stored(resized(original, how.side)))
    if mask is None:
        return RawImage(pixels=pixels, inside=None)
    height, width = original.shape
    inside = read_xray_mask(mask, (height, width), how.side, reading_of(how, mask))
    return RawImage(pixels=pixels, inside=inside)


def stored_range(how: Preparing, path: Path) -> Intensity:
    """How the values of a picture of the stored size are read: over the range of their depth.

    Raises:
        DataError: it cannot be told whether they were scaled already.
    """
    scaled = bit_depth(path) == 16 and how.intensity in {"image", "mixed"}
    if scaled and not in_data_set(how, path) and not _fills_its_depth(path):
        raise DataError(
            f"{PATH} has the size of the network's data set but lies in none, so it cannot be told "
            "whether its 16-bit values were scaled already",
            path=path,
            advice="give the data set's own file, or the original image",
        )
    return FULL_RANGE


def _fills_its_depth(path: Path) -> bool:
    """Whether scaling an image from its own range would change nothing."""
    pixels = read_grey(path)
    return float(pixels.min()) == 0 and float(pixels.max()) == 1
