"""Where the images of a chest X-ray collection lie, whatever folders they were unpacked into."""

from collections.abc import Iterator
from pathlib import Path

from activmask.data.files.images import SUFFIXES
from activmask.data.sources.xray.tables import Candidate
from activmask.ground.errors import PATH, DataError
from activmask.ground.listed import listed
from activmask.ground.places import real
from activmask.ground.walking import walked

_SUFFIXES = (*SUFFIXES, ".dcm")


def index_images(folder: Path) -> dict[str, list[Path]]:
    """The image files anywhere below a folder, by name without suffix.

    Hidden files are left out, macOS's `._` files among them; links to folders are followed.

    Raises:
        DataError: the folder does not exist or holds no image.
    """
    if not folder.is_dir():
        raise DataError(
            f"the folder {PATH} does not exist", path=folder, advice="name the folder of the images"
        )
    found: dict[str, list[Path]] = {}
    for path in _files(folder):
        if path.suffix.lower() in _SUFFIXES:
            found.setdefault(path.stem, []).append(path)
    if not found:
        raise DataError(
            f"{PATH} holds no image ({', '.join(_SUFFIXES)}) at any depth",
            path=folder,
            advice="unpack the archives",
        )
    return found


def find_image(index: dict[str, list[Path]], image: Candidate) -> Path:
    """The file of an eligible image.

    Of several, the one in the folder that the collection's table names, else the only one; links to it
    are no others.

    Raises:
        DataError: there is none, or it cannot be told which.
    """
    paths = index.get(Path(image.file_name).stem, [])
    if len(paths) > 1:
        paths = [path for path in paths if path.parent.name == image.folder] or paths
        paths = [*{real(path): path for path in reversed(paths)}.values()]
    if not paths:
        raise DataError("no file of that name is in the folder")
    if len(paths) > 1:
        names = listed(sorted({path.name for path in paths}))
        folders = len({path.parent for path in paths})
        where = "one folder" if folders == 1 else f"{folders} folders"
        raise DataError(f"{names} {'lies' if names == paths[0].name else 'lie'} in {where}; keep one")
    return paths[0]


def _files(folder: Path) -> Iterator[Path]:
    for parent, folders, names in walked(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if not name.startswith("."):
                yield Path(parent, name)
