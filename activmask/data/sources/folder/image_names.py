"""Which file of a folder a row means: by a path from the folder, from elsewhere, or without its ending."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path, PurePosixPath

from activmask.data.files.images import SUFFIXES
from activmask.data.files.nifti_names import is_nifti, volume_name
from activmask.data.files.tables import CsvRow, relative_path
from activmask.data.sources.folder.kinds import DICOM_SUFFIX
from activmask.data.sources.folder.mask_names import existing, is_there
from activmask.ground.errors import PATH, DataError
from activmask.ground.places import real

_ENDINGS = (*SUFFIXES, DICOM_SUFFIX)


def with_file_names(
    rows: Sequence[CsvRow], images: Path, masks: Path | None
) -> tuple[list[CsvRow], tuple[str, ...]]:
    """The rows, their files named from the folders and with their endings, and what is to be said of it.

    An absolute path inside its folder becomes a relative one. Where every image lacks the ending of its
    file, and each is the name of exactly one without it, those are meant.

    Args:
        rows: of the table.
        images: the folder of images.
        masks: that of masks; None where there is none.
    """
    folders = {"file_name": images, "mask_file_name": masks or images}
    inside = [replace(row, cells=_from_folders(row.cells, folders)) for row in rows]
    whole = _whole_names(inside, images)
    if not whole:
        return inside, ()
    first = inside[0]["file_name"]
    named = [replace(row, cells={**row.cells, "file_name": whole[row["file_name"]]}) for row in inside]
    return named, (
        f"the table names no image with the ending of its file ({first!r} is {whole[first]!r}); each is the "
        "name of one file alone, which is taken",
    )


def check_there(images: Path, path: PurePosixPath) -> None:
    """Refuse an image that is not there where another file may be meant (raises DataError)."""
    file = existing(images, path)
    if is_there(file):
        return
    for meant in (_from_further_down(images, path), *_alike(_by_stem(images / path.parent), path)):
        if meant is not None:
            raise DataError(f"{PATH} does not exist", path=file, advice=f"did you mean {str(meant)!r}?")


def _from_folders(cells: Mapping[str, str], folders: Mapping[str, Path]) -> dict[str, str]:
    return {
        column: _inside(text, folders[column]) if column in folders else text
        for column, text in cells.items()
    }


def _inside(text: str, folder: Path) -> str:
    """An absolute path as seen from a folder that it lies in; any other text as it is."""
    if not Path(text).is_absolute():
        return text
    path = Path(os.path.normpath(text))
    # A link below the folder may lead out of it, and one above both leads them elsewhere.
    for place, above in ((path, folder.absolute()), (real(path.parent) / path.name, real(folder))):
        if place.is_relative_to(above):
            return place.relative_to(above).as_posix()
    return text


def _whole_names(rows: Sequence[CsvRow], images: Path) -> dict[str, str]:
    """By name in the table that of its file, where all names lack the ending; else none."""
    listing = cache(_by_stem)
    found = {}
    for row in rows:
        whole = _whole_name(row["file_name"], images, listing)
        if whole is None:
            return {}
        found[row["file_name"]] = whole
    return found


def _whole_name(
    name: str, images: Path, listing: Callable[[Path], Mapping[str, Sequence[str]]]
) -> str | None:
    try:
        path = relative_path(name)
    except DataError:
        return None
    if _bare(path.name) != path.name or is_there(existing(images, path)):
        return None
    candidates = _alike(listing(images / path.parent), path)
    one = len(candidates) == 1 and _bare(candidates[0].name) == path.name
    return str(candidates[0]) if one else None


def _alike(by_stem: Mapping[str, Sequence[str]], path: PurePosixPath) -> list[PurePosixPath]:
    """Files beside a path that have its name but for the ending and the case of letters."""
    alike = by_stem.get(_bare(path.name).casefold(), ())
    return [path.with_name(name) for name in alike if name != path.name]


def _from_further_down(images: Path, path: PurePosixPath) -> PurePosixPath | None:
    """The end of a path that names a file of the folder, where its beginning is the folder's own."""
    parts = path.parts
    ends = (PurePosixPath(*parts[k:]) for k in range(1, len(parts)))
    return next((end for end in ends if is_there(existing(images, end))), None)


def _by_stem(folder: Path) -> dict[str, list[str]]:
    """The names of files by their names without endings, in lower case."""
    found: dict[str, list[str]] = {}
    try:
        names = sorted(entry.name for entry in folder.iterdir())
    except (OSError, ValueError):
        return {}
    for name in names:
        found.setdefault(_bare(name).casefold(), []).append(name)
    return found


def _bare(name: str) -> str:
    """A name without the ending of an image; what follows the last dot of 1.2.840.10008 is none."""
    if is_nifti(Path(name)):
        return volume_name(Path(name))
    path = PurePosixPath(name)
    return path.stem if path.suffix.lower() in _ENDINGS else name
