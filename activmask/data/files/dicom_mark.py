"""How DICOM files are known, for which their library, which takes long to import, is not needed."""

from pathlib import Path

from activmask.ground.errors import PATH, DataError

_PREAMBLE = 128
_MAGIC = b"DICM"


def is_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM files do (PS3.10, 7.1), whatever its name.

    Raises:
        DataError: the file cannot be opened.
    """
    try:
        with path.open("rb") as file:
            return file.read(_PREAMBLE + len(_MAGIC))[_PREAMBLE:] == _MAGIC
    except OSError as error:
        raise DataError(
            f"{PATH} cannot be read ({error.strerror})", path=path, advice="check the file"
        ) from error
