"""What is true of anybody's folder of images."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from activmask.data.source import DataSource

if TYPE_CHECKING:
    from activmask.data.files.intensities import Intensity
    from activmask.data.raw_files import Preparing, RawImage


def _read(how: Preparing, path: Path, mask: Path | None, number: int | None) -> RawImage | None:
    from activmask.data.sources.folder.raw import read_original

    return read_original(how, path, mask, number)


def _takes(how: Preparing, path: Path) -> bool:
    from activmask.data.sources.folder.raw import takes

    return takes(how, path)


def _stored_range(how: Preparing, path: Path) -> Intensity:
    from activmask.data.sources.folder.raw import stored_range

    return stored_range(how, path)


FOLDER = DataSource(
    command="prepare-folder",
    images="plain pictures",
    takes=_takes,
    read=_read,
    stored_range=_stored_range,
)
