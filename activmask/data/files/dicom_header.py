"""What a DICOM header says of the pixels, checked and brought into one form before they are decoded.

Shapes: H x W pixels. Messages name the file and the attribute, never a value of text: that may be
the patient's. Attributes: DICOM PS3.3, C.7.6.3 (pixels), C.7.5.1.1.2 (padding), C.11.1 (modality
LUT) and C.11.2 (VOI LUT).
"""

from pathlib import Path
from typing import Any

import numpy as np
from pydicom import Dataset, config
from pydicom.multival import MultiValue
from pydicom.pixels.utils import pixel_array
from pydicom.uid import UID

from activmask.data.files.limits import MAX_PIXELS
from activmask.ground.errors import PATH, DataError

_GREY = ("MONOCHROME1", "MONOCHROME2")
_LEAST_WIDTHS = {"LINEAR": 1.0, "LINEAR_EXACT": np.nextafter(0, 1), "SIGMOID": np.nextafter(0, 1)}
"""The smallest WindowWidth that each VOILUTFunction can be computed with."""


def check_header(path: Path, dataset: Dataset, *, mask: bool = False) -> None:
    """Refuse what `read_dicom`, or `read_dicom_mask`, does not read, and settle what may be left open.

    Of `dataset`, the photometric interpretation is brought to capitals, and an empty rescale or
    window is removed, since an empty attribute says as little as a missing one.

    Raises:
        DataError: names the file, and the attribute where one is at fault.
    """
    if "PixelData" not in dataset:
        raise DataError(
            f"{PATH} is a DICOM file without PixelData{_kind(dataset)}",
            path=path,
            advice="name a file that holds an image",
        )
    frames = _number(path, dataset, "NumberOfFrames", absent=1)
    if frames > 1:
        raise DataError(
            f"{PATH} holds {frames} frames",
            path=path,
            expected="one",
            advice="save each frame as its own file",
        )
    samples = _number(path, dataset, "SamplesPerPixel", absent=1)
    if samples != 1:
        raise DataError(
            f"{PATH} has {samples} samples per pixel",
            path=path,
            expected="a grey image",
            advice="export it as grey",
        )
    _settle_photometric(path, dataset)
    if mask and dataset.PhotometricInterpretation == "MONOCHROME1":
        raise DataError(
            f"{PATH} is MONOCHROME1, in which 0 is white, so it is not plain what is inside",
            path=path,
            advice="export it as MONOCHROME2 or as PNG",
        )
    if not mask and _number(path, dataset, "BitsAllocated") == 1:
        raise DataError(
            f"{PATH} has 1 bit per pixel, so it is a mask",
            path=path,
            expected="a grey image",
            advice="name another file",
        )
    height, width = _number(path, dataset, "Rows"), _number(path, dataset, "Columns")
    if height < 1 or width < 1:
        raise DataError(
            f"{PATH} claims {height} x {width} pixels",
            path=path,
            expected="at least one",
            advice="export it again",
        )
    if height * width > MAX_PIXELS:
        raise DataError(f"{PATH} claims more than {MAX_PIXELS:,} pixels", path=path, advice="make it smaller")
    if not mask:
        _settle_rescale(path, dataset)
        _settle_window(path, dataset)


def _kind(dataset: Dataset) -> str:
    """What a file without an image is, such as a report; empty where no standard lists its class."""
    name = listed_name(str(dataset.get("SOPClassUID", "")))
    return f" ({name})" if name else ""


def listed_name(uid: str) -> str:
    """What the standard calls a number; empty for one that it does not list, which may be any text."""
    name = str(UID(uid, config.IGNORE).name)
    return "" if name == uid else name


def padding_of(path: Path, dataset: Dataset, values: np.ndarray) -> np.ndarray | None:
    """The pixels that only fill the frame: those from PixelPaddingValue to PixelPaddingRangeLimit.

    Both are read with the sign of the pixels, however the file encodes them: scanners write the
    -2000 of a signed image as 63536 too. A value that the stored bits cannot hold is looked for in
    the unused bits around them.

    Args:
        path: for messages.
        dataset: the file, its header checked.
        values: (H, W), the decoded pixels before any rescaling.

    Returns:
        bool (H, W), or None where the file declares no padding.

    Raises:
        DataError: an attribute is no whole number.
    """
    if dataset.get("PixelPaddingValue") is None:
        return None
    allocated, stored = _number(path, dataset, "BitsAllocated"), _number(path, dataset, "BitsStored")
    signed = _number(path, dataset, "PixelRepresentation") == 1
    first = _number(path, dataset, "PixelPaddingValue")
    last = _number(path, dataset, "PixelPaddingRangeLimit", absent=first)
    low, high = sorted(_with_sign(value, allocated, signed) for value in (first, last))
    smallest, largest = (-(2 ** (stored - 1)), 2 ** (stored - 1) - 1) if signed else (0, 2**stored - 1)
    if low < smallest or high > largest:
        values = pixel_array(dataset, correct_unused_bits=False)
    return np.asarray((values >= low) & (values <= high))


def _with_sign(value: int, bits: int, signed: bool) -> int:
    values = 1 << bits
    return (value + values // 2) % values - values // 2 if signed else value % values


def _settle_photometric(path: Path, dataset: Dataset) -> None:
    text = str(dataset.get("PhotometricInterpretation") or "").strip().upper()
    if not text:
        raise DataError(
            f"{PATH} lacks PhotometricInterpretation, so black cannot be told from white",
            path=path,
            advice="export it again",
        )
    if text not in _GREY:
        raise DataError(
            "PhotometricInterpretation is neither MONOCHROME1 nor MONOCHROME2, so the image "
            "is of palette or colour",
            path=path,
            advice="export it as grey",
        )
    dataset.PhotometricInterpretation = text


def _settle_rescale(path: Path, dataset: Dataset) -> None:
    if dataset.get("ModalityLUTSequence"):
        return
    slope, intercept = _decimal(path, dataset, "RescaleSlope"), _decimal(path, dataset, "RescaleIntercept")
    if slope == 0:
        raise DataError(
            "RescaleSlope is 0, which leaves one value everywhere", path=path, advice="export it again"
        )
    _replace(dataset, "RescaleSlope", slope if intercept is None else slope or 1.0)
    _replace(dataset, "RescaleIntercept", intercept if slope is None else intercept or 0.0)


def _settle_window(path: Path, dataset: Dataset) -> None:
    if _has_table(dataset):
        return
    centre, width = _decimal(path, dataset, "WindowCenter"), _decimal(path, dataset, "WindowWidth")
    if centre is None and width is None:
        _replace(dataset, "WindowCenter", None)
        _replace(dataset, "WindowWidth", None)
        return
    if centre is None or width is None:
        given, lacking = ("WindowCenter", "WindowWidth") if width is None else ("WindowWidth", "WindowCenter")
        raise DataError(
            f"{PATH} has a {given} but no {lacking}", path=path, advice="complete its window or remove it"
        )
    function = str(dataset.get("VOILUTFunction") or "LINEAR").strip().upper()
    least = _LEAST_WIDTHS.get(function)
    if least is None:
        raise DataError(
            f"VOILUTFunction is none of {', '.join(_LEAST_WIDTHS)}",
            path=path,
            advice="correct it or remove the window",
        )
    if not width >= least:
        bound = "at least 1" if least == 1 else "above 0"
        raise DataError(f"WindowWidth is not {bound}", path=path, advice="correct its window or remove it")
    dataset.VOILUTFunction = function


def _has_table(dataset: Dataset) -> bool:
    """Whether a VOI LUT is there, which comes before any window."""
    sequence = dataset.get("VOILUTSequence")
    return bool(sequence) and all(
        sequence[0].get(keyword) is not None for keyword in ("LUTDescriptor", "LUTData")
    )


def _replace(dataset: Dataset, keyword: str, value: float | None) -> None:
    if value is not None:
        setattr(dataset, keyword, [value] if keyword.startswith("Window") else value)
    elif keyword in dataset:
        delattr(dataset, keyword)


def _number(path: Path, dataset: Dataset, keyword: str, absent: int | None = None) -> int:
    """A whole number of the header; `absent` stands for an empty or missing one."""
    try:
        value = dataset.get(keyword)
        return int(absent if value is None and absent is not None else value)
    except (TypeError, ValueError, OverflowError):
        raise DataError(
            f"{keyword} is not a whole number in its header", path=path, advice="export it again"
        ) from None


def _decimal(path: Path, dataset: Dataset, keyword: str) -> float | None:
    """A number of the header, of several the first; None for an empty or missing one."""
    try:
        value: Any = dataset.get(keyword)
        if isinstance(value, MultiValue) and keyword.startswith("Window"):
            value = value[0] if value else None
        return None if value is None or value == "" else float(value)
    except (TypeError, ValueError, OverflowError):
        raise DataError(
            f"{keyword} is not a number in its header", path=path, advice="export it again"
        ) from None
