"""Finished X-rays in one growing file, so that an interrupted preparation continues.

Each record is 16 bytes that tell of which files it was made, one byte of kind, then S x S uint16 pixels
and S x S bytes of mask. Records lie in the order in which images were asked for; what an interruption
left of the last one is cut off. One file costs less than one per image, where creating a file takes as
long as writing it.
"""

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

import numpy as np

from activmask.data.dataset import CARD_FILE
from activmask.ground.claims import NOTES
from activmask.ground.places import real

Item = TypeVar("Item")

KEY_BYTES = 16
_TOKEN = 16
_SKIPPED, _PLAIN, _MASKED = b"S", b"P", b"M"


@dataclass(frozen=True)
class Made:
    """What became of one image."""

    pixels: np.ndarray | None
    """uint16 (S, S), or None for an image that was left out."""
    mask: np.ndarray | None
    """bool (S, S), or None for an image without a mask."""
    reason: str
    """Why it was left out, or empty."""


def cache_beside(root: Path, facts: str) -> Path:
    """The file of a data set's finished images, its own for all that decides what they are."""
    root = real(root)
    return root.with_name(f".{root.name}.{hashlib.sha256(facts.encode()).hexdigest()[:_TOKEN]}.cache")


def remove_outdated(root: Path) -> None:
    """Remove what earlier preparations kept for a data set that was finished after them."""
    root = real(root)
    card = root / CARD_FILE
    if not card.is_file():
        return
    finished = card.stat().st_mtime_ns
    ours = re.compile(rf"\.{re.escape(root.name)}\.[0-9a-f]{{{_TOKEN}}}\.cache")
    for path in sorted(root.parent.iterdir()):
        if ours.fullmatch(path.name) and path.is_file() and path.stat().st_mtime_ns <= finished:
            path.unlink()
            NOTES.warning("removed %s, finished images of a data set that is finished", path)


def continued(
    cache: Path,
    items: Sequence[Item],
    key: Callable[[Item], bytes],
    make: Callable[[Item], Made],
    make_all: Callable[[Sequence[Item]], Iterator[Made]],
    size: int,
    start: int = 0,
) -> Iterator[Made]:
    """What becomes of each item: from the file as far as it goes, computed and added to it after that.

    A record of other files than an item's, and all behind it, are dropped. An item that was left
    out is made again, because the file does not keep its reason: by `make` in this process, since
    `make_all` may start others.

    Args:
        cache: the file; it need not exist.
        items: of one round.
        key: `KEY_BYTES` that differ wherever an item's files do.
        make: one item.
        make_all: several.
        size: S.
        start: how many items earlier rounds had.
    """
    length = _length(size)
    cache.touch()
    with cache.open("r+b") as file:
        file.truncate(os.fstat(file.fileno()).st_size // length * length)
        finished = 0
        for item in items:
            record = _record_at(file, start + finished, length)
            if record[:KEY_BYTES] != key(item):
                break
            finished += 1
            made = _decoded(record[KEY_BYTES:], size)
            if made is None:
                made = make(item)
                file.seek((start + finished - 1) * length)
                file.write(key(item) + _encoded(made, size))
                file.flush()
            yield made
        rest = items[finished:]
        if rest:
            file.truncate((start + finished) * length)
    with cache.open("ab") as file:
        for item, made in zip(rest, make_all(rest), strict=True):
            file.write(key(item) + _encoded(made, size))
            yield made


def finished_images(cache: Path, numbers: Sequence[int], size: int) -> Iterator[Made]:
    """The images at some places of the file; none of them may have been left out."""
    length = _length(size)
    with cache.open("rb") as file:
        for number in numbers:
            made = _decoded(_record_at(file, number, length)[KEY_BYTES:], size)
            assert made is not None, "an image that was left out has no place in a data set"
            yield made


def _length(size: int) -> int:
    return KEY_BYTES + 1 + 3 * size * size


def _record_at(file: BinaryIO, number: int, length: int) -> bytes:
    file.seek(number * length)
    return file.read(length)


def _encoded(made: Made, size: int) -> bytes:
    if made.pixels is None:
        return _SKIPPED + bytes(3 * size * size)
    mask = np.zeros((size, size), np.bool_) if made.mask is None else made.mask
    kind = _PLAIN if made.mask is None else _MASKED
    return kind + made.pixels.astype("<u2").tobytes() + mask.tobytes()


def _decoded(record: bytes, size: int) -> Made | None:
    kind, area = record[:1], size * size
    if kind not in {_PLAIN, _MASKED}:
        return None
    pixels = np.frombuffer(record, "<u2", area, offset=1).reshape(size, size).astype(np.uint16)
    mask = np.frombuffer(record, np.bool_, area, offset=1 + 2 * area).reshape(size, size)
    return Made(pixels, mask if kind == _MASKED else None, "")
