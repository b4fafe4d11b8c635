"""Networks that a user's own function makes: by the name `file.py:function`, and by the file's digest."""

import hashlib
from pathlib import Path

from activmask.ground.errors import PATH, DataError, UsageError

_BETWEEN = ".py:"


def is_own_code(name: str) -> bool:
    """Whether the name of a network is that of a function in a Python file."""
    return _BETWEEN in name


def code_of(name: str) -> tuple[Path, str]:
    """The file and the function that such a name tells."""
    file, _, function = name.rpartition(":")
    return Path(file), function


def check_own_code(name: str) -> None:
    """Refuse a function that cannot be there, without running anything (raises UsageError or DataError)."""
    file, function = code_of(name)
    if not function.isidentifier():
        raise UsageError(
            f"{file} is a file of code", found=f"'{function}'", advice=f"name its function: {file}:FUNCTION"
        )
    if not file.is_file():
        raise DataError(f"there is no file {PATH}", path=file)


def code_digest(file: Path) -> str:
    """SHA-256 of a file of code; what it imports is not in it.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(f"{PATH} cannot be read ({error.strerror})", path=file) from error
