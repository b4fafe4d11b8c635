"""Finished X-rays in one growing file, so that an interrupted preparation continues.

Each record is one byte of kind, then S x S uint16 pixels and S x S bytes of mask. Records lie in the
order of the images; what an interruption left of the last one is cut off. One file costs less than
one per image, where creating a file takes as long as writing it.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

Item = TypeVar("Item")

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


def continued(
    cache: Path,
    items: Sequence[Item],
    make: Callable[[Item], Made],
    make_all: Callable[[Sequence[Item]], Iterator[Made]],
    size: int,
) -> Iterator[Made]:
    """What becomes of each item: from the file as far as it goes, computed and added to it after that.

    An item that was left out is made again, because the file does not keep its reason: by `make`
    in this process, since `make_all` may start others.
    """
    length = 1 + 3 * size * size
    cache.touch()
    finished = min(cache.stat().st_size // length, len(items))
    with cache.open("r+b") as file:
        file.truncate(finished * length)
        for item in items[:finished]:
            known = _decoded(file.read(length), size)
            yield make(item) if known is None else known
    with cache.open("ab") as file:
        for made in make_all(items[finished:]):
            file.write(_encoded(made, size))
            yield made


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
