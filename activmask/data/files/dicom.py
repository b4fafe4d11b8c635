"""Grey images and masks from DICOM files.

Shapes: H x W pixels. What a header says of the patient stays in it: messages name the file alone.
Steps from stored values to grey values: DICOM PS3.3, C.11.1 (modality LUT) and C.11.2 (VOI LUT).
"""

import hashlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from pydicom import Dataset, dcmread
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
from pydicom.pixels.utils import pixel_array

from activmask.data.files.dicom_header import check_header, listed_name, padding_of
from activmask.data.files.dicom_mark import is_dicom
from activmask.data.files.dicom_place import Place, place_of
from activmask.ground.errors import PATH, DataError

Found = TypeVar("Found")

_EXTRA_PLUGIN = "pylibjpeg"
_EXTRA_SYNTAXES = {
    "1.2.840.10008.1.2.4.51",  # JPEG extended, 12 bits
    "1.2.840.10008.1.2.4.57",  # JPEG lossless
    "1.2.840.10008.1.2.4.70",  # JPEG lossless, first-order prediction
    "1.2.840.10008.1.2.4.80",  # JPEG-LS lossless
    "1.2.840.10008.1.2.4.81",  # JPEG-LS near-lossless
    "1.2.840.10008.1.2.4.201",  # HTJ2K lossless
    "1.2.840.10008.1.2.4.202",  # HTJ2K lossless, RPCL
    "1.2.840.10008.1.2.4.203",  # HTJ2K
}
_DEFERRED = 1024
"""Bytes from which on an element stays on disk where only the header is asked for."""


@dataclass(frozen=True, kw_only=True)
class DicomFacts:
    """What a file's header says, without a word of it: what names a visit or a patient is a digest."""

    size: tuple[int, int]
    """(height, width) in px."""
    study: bytes
    """Files of one visit share it; empty where the header does not say."""
    patient: bytes
    """Files that give one number to their patient share it; empty where the header gives none."""
    inverted: bool
    """Whether 0 is white in it (MONOCHROME1)."""
    place: Place
    """Where its pixels lie in the patient."""


def read_dicom(path: Path) -> np.ndarray:
    """Read one grey frame as a viewer shows it.

    Modality LUT or rescale and the first VOI LUT or window are applied, MONOCHROME1 is inverted,
    and the result is scaled from its own range, so that no two scanners' bit depths differ. Padding
    pixels (PixelPaddingValue, PixelPaddingRangeLimit) are black and count for no range.

    Returns:
        float32 (H, W) in [0, 1], higher is brighter; a constant image is 0 everywhere.

    Raises:
        DataError: not a readable DICOM file, or one without a single grey frame of finite values.
    """

    def grey(dataset: Dataset) -> np.ndarray:
        check_header(path, dataset)
        stored: np.ndarray = pixel_array(dataset)
        padding = padding_of(path, dataset, stored)
        values = _grey_values(dataset, stored)
        inverted = _is_inverted(dataset)
        return _scaled(path, values, padding, inverted=inverted)

    return _asked(path, grey)


def read_dicom_mask(path: Path) -> np.ndarray:
    """Read the pixels of a mask as they are stored, without rescale or window, which are for the eye.

    Returns:
        integers (H, W); of a file of 1 bit, 0 and 1.

    Raises:
        DataError: as `read_dicom`, or a mask in which 0 is white.
    """

    def stored(dataset: Dataset) -> np.ndarray:
        check_header(path, dataset, mask=True)
        return np.asarray(pixel_array(dataset))

    return _asked(path, stored)


def dicom_facts(path: Path, *, mask: bool = False) -> DicomFacts:
    """What the header alone says of an image, or of a mask.

    Raises:
        DataError: as `read_dicom` and `read_dicom_mask`, but for what only the pixels tell.
    """

    def facts(dataset: Dataset) -> DicomFacts:
        check_header(path, dataset, mask=mask)
        return DicomFacts(
            size=(int(dataset.Rows), int(dataset.Columns)),
            study=_digest(dataset, "StudyInstanceUID"),
            patient=_digest(dataset, "PatientID"),
            inverted=_is_inverted(dataset),
            place=place_of(dataset, _digest(dataset, "FrameOfReferenceUID")),
        )

    return _asked(path, facts, header_only=True)


def dicom_view(path: Path) -> tuple[Literal["AP", "PA", ""], tuple[int, int]]:
    """From which side an X-ray was taken, by ViewPosition (DICOM PS3.3, C.8.1.1), and its sides.

    Returns:
        `AP` or `PA`, empty where the header says anything else or nothing; and (height, width) in px.

    Raises:
        DataError: as `read_dicom`, but for what only the pixels tell.
    """

    def view(dataset: Dataset) -> tuple[Literal["AP", "PA", ""], tuple[int, int]]:
        check_header(path, dataset)
        said = str(dataset.get("ViewPosition") or "").strip().upper()
        size = int(dataset.Rows), int(dataset.Columns)
        # One of three words of ours, so that no word of the header goes any further.
        return "AP" if said == "AP" else "PA" if said == "PA" else "", size

    return _asked(path, view, header_only=True)


def _is_inverted(dataset: Dataset) -> bool:
    return bool(dataset.PhotometricInterpretation == "MONOCHROME1")


def _digest(dataset: Dataset, keyword: str) -> bytes:
    text = str(dataset.get(keyword) or "").strip()
    return hashlib.blake2b(text.encode(), digest_size=16).digest() if text else b""


def _asked(path: Path, ask: Callable[[Dataset], Found], *, header_only: bool = False) -> Found:
    """What is asked of an opened file; whatever fails is told without a word of its header."""
    if not is_dicom(path):
        raise DataError(
            f"{PATH} is not a DICOM file: it lacks the DICM mark at byte 128",
            path=path,
            advice="export it again",
        )
    dataset: Dataset | None = None
    try:
        with warnings.catch_warnings():
            # Warnings of pydicom quote header values.
            warnings.simplefilter("ignore")
            dataset = dcmread(path, defer_size=_DEFERRED if header_only else None)
            return ask(dataset)
    except DataError:
        raise
    except Exception as error:  # noqa: BLE001 - raised again, without its text
        # Errors of pydicom quote header values, so neither their text nor their chain is kept.
        raise DataError(f"{PATH} {_reason(error, dataset)}", path=path) from None


def _grey_values(dataset: Dataset, stored: np.ndarray) -> np.ndarray:
    rescaled = apply_modality_lut(stored, dataset)
    for keyword in ("RescaleSlope", "RescaleIntercept"):
        # A window would give its greys in the other order under a negative slope.
        if keyword in dataset:
            delattr(dataset, keyword)
    return apply_voi_lut(rescaled, dataset, index=0)


def _scaled(path: Path, values: np.ndarray, padding: np.ndarray | None, *, inverted: bool) -> np.ndarray:
    if values.ndim != 2:
        raise DataError(
            f"{PATH} decodes to {values.ndim} dimensions",
            path=path,
            expected="one grey frame",
            advice="export it again",
        )
    shown = values if padding is None else values[~padding]
    low, high = (float(shown.min()), float(shown.max())) if shown.size else (0.0, 0.0)
    # Finite ends of which the difference overflows are no grey values either.
    if not np.isfinite(high - low):
        raise DataError(
            f"{PATH} holds values that are not finite after its rescaling",
            path=path,
            advice="export it again",
        )
    if low == high:
        return np.zeros(values.shape, np.float32)
    shares = (values.astype(np.float64) - low) / (high - low)
    shares = 1 - shares if inverted else shares
    if padding is not None:
        shares[padding] = 0
    return shares.astype(np.float32)


def _reason(error: Exception, dataset: Dataset | None) -> str:
    if dataset is not None and isinstance(error, RuntimeError) and _lacks_decoder(dataset):
        return (
            f"is compressed as {_syntax(dataset)}, which needs more decoders; install activmask[dicom] and "
            "try again"
        )
    if dataset is not None and isinstance(error, NotImplementedError | RuntimeError):
        return f"stores its pixels as {_syntax(dataset)}, which cannot be decoded; export it uncompressed"
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read ({error.strerror}); check the file"
    return f"is a broken DICOM file ({type(error).__name__} on reading); export it again"


def _transfer_syntax(dataset: Dataset) -> str:
    meta: Any = getattr(dataset, "file_meta", None)
    return str(meta.get("TransferSyntaxUID", "")) if meta is not None else ""


def _syntax(dataset: Dataset) -> str:
    """The transfer syntax by name and number; not one that no standard lists, as that may be any text."""
    syntax = _transfer_syntax(dataset)
    name = listed_name(syntax)
    return f"{name} (transfer syntax {syntax})" if name else "no transfer syntax that is known"


def _lacks_decoder(dataset: Dataset) -> bool:
    syntax = _transfer_syntax(dataset)
    return syntax in _EXTRA_SYNTAXES and _EXTRA_PLUGIN not in get_decoder(syntax).available_plugins
