"""Where pictures, sheets and raw maps are written; nothing is written before all of it can be."""

import io
from collections.abc import Mapping, Sequence
from itertools import chain, count
from pathlib import Path

import numpy as np

from activmask.ground.claims import claimed
from activmask.ground.errors import PATH, UsageError
from activmask.ground.files import write_whole
from activmask.ground.places import real
from activmask.ground.refusals import make_folder
from activmask.saliency.choices import HEAT, ColourMap
from activmask.saliency.explain import Explanation
from activmask.saliency.inputs import PICTURE_SUFFIX
from activmask.saliency.known_images import data_set_around, refuse_in_data_set
from activmask.saliency.raw_images import stems_of
from activmask.saliency.render import draw, png_bytes
from activmask.saliency.sheet import draw_sheet
from activmask.saliency.told import sheet_rows

USUAL_FOLDER = Path("saliency")
"""Where the sheet and the table of several images go if nobody says, below the working folder."""

SHEET_FILE, TABLE_FILE = "sheet.png", "saliency.csv"
"""What they are called."""


def picture_paths(
    images: Sequence[Path], out: Path | None = None, *, slice_number: int | None = None
) -> list[Path]:
    """One picture's path per image: next to it, or where `out` says.

    Of an image in a data set, next to which nothing may lie, it is in the working folder.

    Args:
        images: the image files.
        out: a file ending in `.png` for a single image, or a folder, made if needed; None puts
            `img.saliency.png` next to each `img.png`.
        slice_number: of volumes; `vol.nii.gz` then gives `vol-z007.saliency.png`.

    Raises:
        UsageError: one file for several images, or two pictures that would be one file, or a
            picture that would replace an image or lie inside a data set.
    """
    if out is not None and out.suffix.lower() == ".png" and not out.is_dir():
        if len(images) > 1:
            raise UsageError(
                f"{PATH} is one file for the pictures of {len(images)} images",
                path=out,
                advice="give a folder to write them to",
            )
        paths = [out]
    else:
        paths = [
            (out or _beside(image)) / f"{_stem(image, slice_number)}{PICTURE_SUFFIX}" for image in images
        ]
    _refuse_collisions(images, paths)
    refuse_in_data_set(paths)
    return paths


def _beside(image: Path) -> Path:
    return image.parent if data_set_around(image.parent) is None else Path()


def sheet_folder(images: Sequence[Path], out: Path | None = None) -> Path:
    """The folder of the contact sheet and the table of several images: `out`, else `saliency`.

    Raises:
        UsageError: `out` is a picture's name, or lies inside a data set.
    """
    if out is not None and out.suffix.lower() == ".png" and not out.is_dir():
        raise UsageError(
            f"{PATH} is one file for the pictures of {len(images)} images",
            path=out,
            advice="give a folder to write them to",
        )
    folder = out or USUAL_FOLDER
    refuse_in_data_set([folder / SHEET_FILE])
    return folder


def _stem(image: Path, slice_number: int | None) -> str:
    stem = stems_of(image)[0]
    return stem if slice_number is None else f"{stem}-z{slice_number:03d}"


def _refuse_collisions(images: Sequence[Path], paths: Sequence[Path]) -> None:
    sources = {real(image) for image in images}
    first_of: dict[Path, Path] = {}
    for image, path in zip(images, paths, strict=True):
        place = real(path)
        if place in sources:
            raise UsageError(
                f"the picture {PATH} would replace an image",
                path=path,
                advice="choose another place for the pictures",
            )
        if place in first_of:
            raise UsageError(
                f"the pictures of {first_of[place]} and {image} would both be {PATH}",
                path=path,
                advice="explain them one at a time, each with a place of its own",
            )
        first_of[place] = image


def raw_is_folder(raw: Path) -> bool:
    """Whether raw attributions are written one file an image: into a folder, or what has no ending."""
    return raw.is_dir() or not raw.suffix


def check_raw_path(raw: Path, images: Sequence[Path]) -> None:
    """Refuse a raw file that is no `.npy`, replaces an image or lies in a data set (raises UsageError)."""
    refuse_in_data_set([raw / "map.npy" if raw_is_folder(raw) else raw])
    if raw_is_folder(raw):
        stems = [stems_of(image)[0] for image in images]
        if len(set(stems)) < len(stems):
            raise UsageError(
                f"several images would have one file of raw attributions in {PATH}",
                path=raw,
                advice="explain them one at a time, or give a file ending in .npy",
            )
        return
    if raw.suffix.lower() != ".npy":
        raise UsageError(
            "the raw attributions are a folder or one NumPy file, whose name must end in .npy",
            found=raw,
        )
    if real(raw) in {real(image) for image in images}:
        raise UsageError(
            f"the raw attributions {PATH} would replace an image", path=raw, advice="choose another name"
        )


def write_pictures(
    explanations: Sequence[Explanation], paths: Sequence[Path], *, top: float, colours: ColourMap = HEAT
) -> list[Path]:
    """Draw and write one picture per explanation; returns those that have replaced a different one.

    Args:
        explanations: what to draw.
        paths: of the PNG files; their folders are made.
        top: share of the pixels that the overlay marks, in (0, 1].
        colours: of the maps.

    Raises:
        UsageError: `top` is no such share.
        DataError: a file cannot be written.
    """
    check_top(top)
    replaced: list[Path] = []
    for explanation, path in zip(explanations, paths, strict=True):
        content = png_bytes(draw(explanation, top=top, colours=colours))
        if not _replaces_nothing({path.name: content}, path.parent):
            replaced.append(path)
        _write(path, content)
    return replaced


def check_top(top: float) -> None:
    """Refuse a share of pixels to mark that is not in (0, 1] (raises UsageError)."""
    if not 0 < top <= 1:
        raise UsageError(
            "the pixels to mark must be above 0 % and at most 100 % of all", found=f"{100 * top:g} %"
        )


def sheet_files(
    explanations: Sequence[Explanation],
    *,
    title: str,
    lost: Sequence[tuple[str, str]] = (),
    colours: ColourMap = HEAT,
) -> dict[str, bytes]:
    """Explanations, at least one, as a contact sheet and as a table: the bytes of each file by its name.

    Args:
        explanations: of one network and method.
        title: of the sheet.
        lost: files that could not be explained, and why, for the table.
        colours: of the maps.
    """
    sheet = png_bytes(draw_sheet(explanations, title, colours=colours))
    return {SHEET_FILE: sheet, TABLE_FILE: sheet_rows(explanations, lost)}


def write_sheet(files: Mapping[str, bytes], folder: Path) -> list[Path]:
    """Write what `sheet_files` made into a folder, made if needed; returns the files.

    Raises:
        DataError: a file cannot be written.
    """
    for name, content in files.items():
        _write(folder / name, content)
    return [folder / name for name in files]


def folder_beside(files: Mapping[str, bytes], folder: Path = USUAL_FOLDER) -> Path:
    """A folder that nobody chose, or the first of `saliency-2`, `saliency-3` ... that replaces nothing.

    Files that lie in it with these very bytes are of the same images, network and method; any other is kept,
    and so is what cannot be read.
    """
    numbered = (folder.with_name(f"{folder.name}-{number}") for number in count(2))
    return next(place for place in chain([folder], numbered) if _replaces_nothing(files, place))


def _replaces_nothing(files: Mapping[str, bytes], folder: Path) -> bool:
    lying = {folder / name: content for name, content in files.items() if (folder / name).exists()}
    try:
        return all(path.read_bytes() == content for path, content in lying.items())
    except OSError:
        return False


def write_raw(explanations: Sequence[Explanation], path: Path, images: Sequence[Path] = ()) -> None:
    """Write the attributions as one `.npy` file, float32, or into a folder as one (H, W) an image.

    The shape of one file is (H, W) for a single image and (N, H, W) for several. In a folder each is called
    as its image, as `score` looks for it, and an image without an explanation has none.

    Args:
        explanations: at least one.
        path: of the file, or of the folder.
        images: all that were asked for, in whose order the maps are; one without an explanation is NaN
            everywhere. Left out, they are those of `explanations`.

    Raises:
        DataError: the file cannot be written.
    """
    if raw_is_folder(path):
        for explanation in explanations:
            _write(path / f"{stems_of(explanation.path)[0]}.npy", _npy(explanation.attribution))
        return
    by_image = {explanation.path: explanation.attribution for explanation in explanations}
    unknown = np.full_like(explanations[0].attribution, np.nan)
    maps = [by_image.get(image, unknown) for image in images] or [one.attribution for one in explanations]
    _write(path, _npy(maps[0] if len(maps) == 1 else np.stack(maps)))


def _npy(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def _write(path: Path, content: bytes) -> None:
    with claimed(path, "file"):
        make_folder(path.parent)
        write_whole(path, content)
