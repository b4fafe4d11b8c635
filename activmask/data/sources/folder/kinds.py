"""What kind of file an image or a mask is, and what its header says.

Shapes: H x W pixels.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from activmask.data.files.decoding import check_file
from activmask.data.files.dicom_place import Place, differing
from activmask.data.files.images import SUFFIXES, bit_depth, image_size
from activmask.data.files.nifti_names import is_nifti
from activmask.ground.errors import PATH, DataError
from activmask.ground.listed import listed

Kind = Literal["picture", "DICOM", "NIfTI"]

DICOM_SUFFIX = ".dcm"
"""Of most DICOM files; others are known by their content."""


@dataclass(frozen=True, kw_only=True)
class Header:
    """What is known of a file of one image before its pixels are read."""

    kind: Kind
    size: tuple[int, int]
    """(height, width) in px."""
    bit_depth: int
    """8 or 16, of the image as stored."""
    study: bytes = b""
    """Files of one visit share it; empty where nothing says."""
    patient: bytes = b""
    """Likewise for what the files call their patient."""
    inverted: bool = False
    """Whether 0 is white in the file, and not in the image as stored."""
    place: Place = field(default_factory=Place)
    """Where its pixels lie in the patient; of a picture nothing is known."""


def kind_of(path: Path) -> Kind:
    """What kind of file it is: NIfTI by its name, DICOM by its content, and a picture else."""
    if is_nifti(path):
        return "NIfTI"
    suffix = path.suffix.lower()
    return "DICOM" if suffix == DICOM_SUFFIX or (suffix not in SUFFIXES and _is_dicom(path)) else "picture"


def header_of(path: Path, *, mask: bool = False) -> Header:
    """The header of a picture or a DICOM file.

    Raises:
        DataError: the file is missing, broken, too large or not one grey image.
    """
    if kind_of(path) != "DICOM":
        size = image_size(path)
        return Header(kind="picture", size=size, bit_depth=8 if mask else bit_depth(path))
    from activmask.data.files.dicom import dicom_facts

    check_file(path)
    facts = dicom_facts(path, mask=mask)
    return Header(
        kind="DICOM",
        size=facts.size,
        bit_depth=16,
        study=facts.study,
        patient=facts.patient,
        inverted=facts.inverted,
        place=facts.place,
    )


def check_mask_place(mask: Path, found: Header, image: Header) -> None:
    """Refuse a DICOM mask that lies elsewhere in the patient than its DICOM image (raises DataError)."""
    if attributes := differing(found.place, image.place):
        raise DataError(
            f"the mask {PATH} lies elsewhere in the patient than its image: their headers differ in "
            f"{listed(attributes)}",
            path=mask,
            advice="draw it on the image itself, or export it anew",
        )


def _is_dicom(path: Path) -> bool:
    try:
        if not path.is_file():
            return False
    except OSError:  # A name too long for this file system.
        return False
    # pydicom takes long to load.
    from activmask.data.files.dicom_mark import is_dicom

    try:
        return is_dicom(path)
    except DataError:  # Whoever reads it says what is wrong with it.
        return False
