"""Which mask belongs to which image: by the table, or by its name."""

import unicodedata
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from activmask.data.files.images import SUFFIXES
from activmask.data.files.likeness import is_missing
from activmask.data.files.nifti_names import case_name, is_nifti, volume_name
from activmask.data.files.tables import CsvRow, relative_path
from activmask.data.sources.folder.kinds import DICOM_SUFFIX, kind_of
from activmask.ground.errors import PATH, DataError
from activmask.ground.walking import walked

FindMask = Callable[[CsvRow, PurePosixPath], Path | None]
"""From a row and its image's path to the mask, or None."""

_KNOWN = (*SUFFIXES, DICOM_SUFFIX)


def mask_finder(rows: Sequence[CsvRow], images: Path, masks: Path | None) -> FindMask:
    """A function that finds the masks of a table's images.

    Raises:
        DataError: no mask of the folder belongs to any image that is there.
    """
    if "mask_file_name" in rows[0].cells:
        folder = masks or images
        return lambda row, _: _named_mask(folder, row["mask_file_name"])
    if masks is None:
        return lambda _row, _path: None
    by_stem = _files_by_stem(masks)
    # Where no image is there, its name is at fault and the masks are not.
    paths = [path for row in rows if (path := _image_there(images, row["file_name"])) is not None]
    if paths and not any(stem in by_stem for path in paths for stem in stems(path)):
        first = min(paths, key=lambda path: stems(path)[0])
        raise DataError(
            f"no image has a mask of its name in {PATH}; expected for example "
            f"{stems(first)[0]}{'.nii.gz' if is_nifti(Path(first)) else '.png'}",
            path=masks,
            advice="rename the masks or name them in a column mask_file_name",
        )
    return lambda _, path: _only_mask(by_stem, path)


def stray_note(images: Path, masks: Path, without: int) -> str:
    """Which masks have the name of no image, where images have none, as a sentence; empty without any.

    Masks of images that a table leaves out are no strays.

    Args:
        images: the folder of images.
        masks: that of masks, found by their names.
        without: how many images of the table have no mask.
    """
    if not without:
        return ""
    named = {stem for path in _paths(images) for stem in stems(path)}
    strays = [found[0] for stem, found in _files_by_stem(masks).items() if stem not in named]
    strays = [path for path in strays if not path.name.startswith(".")]
    if not strays:
        return ""
    who = "1 mask has" if len(strays) == 1 else f"{len(strays)} masks have"
    lack = "1 image has" if without == 1 else f"{without} images have"
    return (
        f"{who} the name of no image, the first {strays[0].relative_to(masks).as_posix()!r}, and {lack} no "
        "mask; rename them, or name them in a column mask_file_name"
    )


def existing(folder: Path, path: PurePosixPath) -> Path:
    """The file of that name, by whichever of Unicode's two ways to write its accents."""
    if str(path).isascii():
        return folder / path
    forms = (str(path), *(unicodedata.normalize(form, str(path)) for form in ("NFC", "NFD")))
    return next((folder / form for form in forms if is_there(folder / form)), folder / path)


def composed(path: PurePosixPath) -> PurePosixPath:
    """The path, its accents written in one way."""
    return PurePosixPath(unicodedata.normalize("NFC", str(path)))


def stems(path: PurePosixPath) -> tuple[PurePosixPath, ...]:
    """What the mask of an image may be called without its ending, the likeliest first.

    Of a volume, nnU-Net's number of its channel may be left out; what follows the last dot of a name
    such as 1.2.840.10008 is no ending.
    """
    path = composed(path)
    if is_nifti(Path(path)):
        names = (volume_name(Path(path)), case_name(Path(path)))
        return tuple(dict.fromkeys(path.with_name(name) for name in names if name)) or (path,)
    bare = path.with_suffix("")
    return (bare,) if path.suffix.lower() in _KNOWN else tuple(dict.fromkeys((path, bare)))


def is_there(path: Path) -> bool:
    """Whether there is a file of that name."""
    try:
        return path.is_file()
    except OSError:  # A name too long for this file system.
        return False


def _image_there(images: Path, name: str) -> PurePosixPath | None:
    try:
        path = relative_path(name)
    except DataError:
        return None
    return path if is_there(existing(images, path)) else None


def _named_mask(folder: Path, name: str) -> Path | None:
    return None if is_missing(name) else existing(folder, relative_path(name))


def _files_by_stem(masks: Path) -> dict[PurePosixPath, list[Path]]:
    found: dict[PurePosixPath, list[Path]] = defaultdict(list)
    for path in _paths(masks):
        if path.suffix.lower() in _KNOWN or kind_of(masks / path) != "picture":
            found[stems(path)[0]].append(masks / path)
    return found


def _paths(folder: Path) -> list[PurePosixPath]:
    """All files below a folder, relative to it, in order."""
    paths = [place / name for place, _, names in walked(folder) for name in names]
    return [PurePosixPath(path.relative_to(folder).as_posix()) for path in sorted(paths)]


def _only_mask(by_stem: dict[PurePosixPath, list[Path]], path: PurePosixPath) -> Path | None:
    candidates = next((by_stem[stem] for stem in stems(path) if stem in by_stem), [])
    if len(candidates) > 1:
        first, second = candidates[:2]
        raise DataError(f"two masks have its name: {PATH} and {second.name}", path=first, advice="keep one")
    return candidates[0] if candidates else None
