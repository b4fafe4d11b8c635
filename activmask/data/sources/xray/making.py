"""X-rays made as they are drawn: a broken one gives way to the next of its cell's order.

Shapes: S x S pixels as stored.
"""

import hashlib
from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from activmask.data.files.images import to_stored
from activmask.data.files.intensities import Intensity
from activmask.data.files.mask_values import MaskReading
from activmask.data.skipped import reason
from activmask.data.sources.xray.boxes import Boxes, boxes_mask
from activmask.data.sources.xray.cache import KEY_BYTES, Made, continued
from activmask.data.sources.xray.pixels import read_intensities, read_xray_mask, resized
from activmask.data.sources.xray.sampling import sample
from activmask.data.sources.xray.tables import Candidate
from activmask.ground.errors import PATH, DataError
from activmask.ground.processes import Engine, crew
from activmask.ground.progress import ItemsDone

Files = dict[tuple[str, str], tuple[Path, Path | Boxes | None]]
"""The image and the mask of a candidate, a file or boxes, by its site and file name."""


@dataclass(frozen=True, kw_only=True)
class Making:
    """How a file becomes a stored image."""

    size: int
    """S."""
    intensity: Intensity
    reading: MaskReading
    """Of the masks."""
    folders: tuple[Path | None, ...]
    """Those of the collections, which no reason names."""


@dataclass(frozen=True, kw_only=True)
class Crew:
    """Who makes the images."""

    workers: int
    engine: Engine
    address: str | None


@dataclass
class Drawn:
    """The images of a data set, all of them in the file of finished images."""

    images: list[Candidate] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    """Where each lies in the file."""
    planned: int = 0
    """Images of each site and class that the tables and folders promised."""
    broken: tuple[tuple[str, str], ...] = ()
    """(file name, reason) of drawn images that could not be used."""


@dataclass(frozen=True)
class _Item:
    """One image to make, and from what."""

    image: Candidate
    path: Path
    mask: Path | Boxes | None


def image_name(image: Candidate) -> str:
    """What an image is called in a data set: its site and its file's name without the ending."""
    return f"{image.site}-{Path(image.file_name).stem}"


def draw_made(
    candidates: Sequence[Candidate],
    files: Files,
    per_cell: int | None,
    how: Making,
    helpers: Crew,
    cache: Path,
    progress: ItemsDone | None = None,
) -> Drawn:
    """Draw equally many images of each site and class that can be used, and make them.

    Args:
        candidates: eligible images that have a file.
        files: of every candidate.
        per_cell: images of each site and class; None takes as many as the smallest cell can give.
        how: how to make them.
        helpers: who makes them.
        cache: the file of finished images.
        progress: called with the number of images done and their total.

    Raises:
        DataError: a cell has too few images, or the file cannot be written.
    """
    expected = sample(candidates, per_cell)
    cells = {(image.site, image.label) for image in expected}
    numbers: dict[Candidate, int] = {}
    broken: list[tuple[str, str]] = []
    make = partial(_make, how=how)
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        with crew(make, workers=helpers.workers, engine=helpers.engine, address=helpers.address) as run:

            def usable(batch: Sequence[Candidate]) -> Iterator[bool]:
                items = [_Item(image, *files[image.site, image.file_name]) for image in batch]
                made_all = continued(
                    cache, items, _key, make, run, how.size, start=len(numbers) + len(broken)
                )
                for image, made in zip(batch, made_all, strict=True):
                    if made.pixels is None:
                        broken.append((image.file_name, made.reason))
                    else:
                        numbers[image] = len(numbers) + len(broken)
                    if progress is not None:
                        done = len(numbers) + len(broken)
                        progress(done, max(done, len(expected) + len(broken)))
                    yield made.pixels is not None

            images = sample(candidates, per_cell, usable=usable)
    except DataError as error:
        if not broken:
            raise
        name, why = broken[0]
        told = copy(error)
        told.what += f" ({len(broken)} could not be used, the first, {name}, because {why})"
        raise told from error
    except OSError as error:
        raise DataError(
            f"the finished images cannot be kept in {PATH} ({error.strerror or type(error).__name__})",
            path=cache,
            advice="free the disk or choose another place",
        ) from error
    return Drawn(images, [numbers[image] for image in images], len(expected) // len(cells), tuple(broken))


def _key(item: _Item) -> bytes:
    parts = (item.path, item.mask)
    facts = [f"{part}\t{_stamp(part)}" if isinstance(part, Path) else str(part) for part in parts]
    return hashlib.sha256("\n".join([image_name(item.image), *facts]).encode()).digest()[:KEY_BYTES]


def _stamp(path: Path) -> str:
    try:
        stat = path.stat()
    except OSError:
        return "gone"
    return f"{stat.st_size}\t{stat.st_mtime_ns}"


def _make(item: _Item, *, how: Making) -> Made:
    try:
        pixels = read_intensities(item.path, intensity=how.intensity, site=item.image.site)
        mask = _mask(item.mask, pixels.shape, how)
        stored = to_stored(resized(pixels, how.size))
        if stored.min() == stored.max():
            raise DataError("it has one value everywhere, so it shows nothing")
        return Made(stored, mask, "")
    except DataError as error:
        return Made(None, None, reason(error, how.folders))


def _mask(mask: Path | Boxes | None, shape: tuple[int, ...], how: Making) -> np.ndarray | None:
    height, width = shape
    if isinstance(mask, Path):
        return read_xray_mask(mask, (height, width), how.size, how.reading)
    return None if mask is None else boxes_mask(mask, (height, width), how.size)
