"""Why a preparation leaves an item out."""

from collections.abc import Iterable
from pathlib import Path

from activmask.ground.errors import DataError


def reason(error: DataError, folders: Iterable[Path | None]) -> str:
    """Why an item is left out, without the place of the folders on this machine."""
    return str(error.told_from(folders))
