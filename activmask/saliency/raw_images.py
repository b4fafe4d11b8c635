"""One image file, and its mask, with the pixels that the network's data set would have stored.

Shapes: S px, the side of an image as stored; T px, the side of what the network sees.
"""

from pathlib import Path

from activmask.data.files.images import image_size, read_levels
from activmask.data.files.intensities import FULL_RANGE, as_shares
from activmask.data.raw_files import Preparing, RawImage, read_raw_mask, recipe_beside
from activmask.data.recipe import Recipe, recipe_differences
from activmask.data.source import DataSource
from activmask.data.sources import SOURCES
from activmask.data.sources.presets import source_of
from activmask.ground.errors import PATH, DataError
from activmask.runs.checkpoint import Checkpoint


def preparing(checkpoint: Checkpoint, recipe: Recipe) -> Preparing:
    """How files are prepared for a checkpoint whose data set had this recipe."""
    preset = checkpoint.config.preset
    told = recipe.get("source")
    name, by_preset = source_of(preset)
    # A preset whose source reads no raw files is where every run starts, and tells nothing.
    guessed = name if not recipe and by_preset.read is not None else None
    return Preparing(
        network=str(checkpoint.path),
        recipe=recipe,
        images=SOURCES[told].images if told in SOURCES else "",
        source=guessed if told is None else told,
        preset=preset,
        network_size=checkpoint.image_size,
        channels=checkpoint.channels,
        crops=checkpoint.config.view.image_size > 0,
        margin=by_preset.margin,
    )


def own_source(how: Preparing) -> DataSource | None:
    """The source of the network's data set; None where that is not known."""
    return None if how.source is None else SOURCES.get(how.source)


def source_that_knows(path: Path) -> DataSource | None:
    """The source that a file is a raw file of, by its name or content; None for plain pictures.

    None also of what cannot be opened, as its reading will say.
    """
    try:
        return next((one for one in SOURCES.values() if one.knows(path)), None)
    except DataError:
        return None


def stems_of(path: Path) -> tuple[str, ...]:
    """What a file's mask may be called without the ending, its own name first."""
    known = source_that_knows(path)
    return known.stems(path) if known else (path.stem,)


def read_as_stored(how: Preparing, path: Path, mask: Path | None, number: int | None) -> RawImage:
    """Read an image and its mask as the data set would have stored them.

    Raises:
        DataError: a file is broken, or of a kind or size that the data set was not made of.
        UsageError: there is no such slice.
    """
    known, own = source_that_knows(path), own_source(how)
    size = None if known else image_size(path)
    if size in {(how.side, how.side), (how.network_size, how.network_size)}:
        return _read_stored(how, path, mask)
    mine = own is not None and own.takes is not None and own.takes(how, path)
    reader = own if mine else known or own
    raw = reader.read(how, path, mask, number) if reader and reader.read else None
    if raw is None:
        raise _wrong_size(how, path, size or image_size(path))
    return raw


def _wrong_size(how: Preparing, path: Path, size: tuple[int, int]) -> DataError:
    network, stored = (f"{side} x {side}" for side in (how.network_size, how.side))
    crop = f", or images of {stored} as its data set stores them" if stored != network else ""
    unknown = "" if how.recipe else " (the recipe of its data set is not known)"
    return DataError(
        f"{PATH} is {size[1]} x {size[0]} px but the checkpoint's network takes {network}{crop}{unknown}",
        path=path,
        advice="prepare it as its training images were",
    )


def _read_stored(how: Preparing, path: Path, mask: Path | None) -> RawImage:
    """Of a file that has the size of the stored images, or of what the network sees."""
    _check_neighbours(how, path)
    own = own_source(how)
    values = own.stored_range(how, path) if own and own.stored_range else FULL_RANGE
    pixels = as_shares(path, read_levels(path, colour=how.colour), values)
    inside = None if mask is None else read_raw_mask(how, mask, path, pixels.shape[:2])
    return RawImage(pixels=pixels, inside=inside)


def _check_neighbours(how: Preparing, path: Path) -> None:
    """Refuse an image of a data set that was prepared otherwise than the network's."""
    other = recipe_beside(path)
    if other is not None and (found := recipe_differences(how.recipe, other)):
        raise DataError(
            f"{PATH} lies in a data set that was prepared otherwise than that of {how.network} "
            f"({'; '.join(found)})",
            path=path,
            advice="give an image that was prepared alike, or the original",
        )
