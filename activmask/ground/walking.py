"""Everything below a folder, links to folders included."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from activmask.ground.refusals import refused


def walked(
    top: Path, failed: Callable[[OSError], None] | None = None
) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Each folder from `top` down, itself first, with the sorted names of its folders and of all else.

    Links to folders are followed, as collections are often put together of them; one that leads back to
    a folder that it lies in is passed over, or there would be no end. A folder that is reached by two
    ways is met under both names. Who removes names from the first list keeps out of those folders.

    Args:
        top: where to begin.
        failed: told of each folder that cannot be listed; the error's `filename` is the folder. Left out,
            the first one is raised.

    Raises:
        DataError: a folder cannot be listed, and nobody is to be told.
    """
    waiting: list[tuple[Path, frozenset[tuple[int, int]]]] = [(top, frozenset())]
    while waiting:
        folder, above = waiting.pop()
        try:
            stat = folder.stat()
            with os.scandir(folder) as entries:
                found = {entry.name: _is_folder(entry) for entry in entries}
        except OSError as error:
            if failed is None:
                raise refused(error, folder, "read") from error
            error.filename = str(folder)
            failed(error)
            continue
        here = (stat.st_dev, stat.st_ino)
        if here in above:
            continue
        folders = sorted(name for name, is_folder in found.items() if is_folder)
        yield folder, folders, sorted(found.keys() - {*folders})
        waiting += [(folder / name, above | {here}) for name in reversed(folders)]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # A link in a circle of links, which leads nowhere.
        return False
