"""Data sets for the tests: records that differ in everything, and a folder's bytes."""

from pathlib import Path
from typing import Any

import numpy as np

from activmask.data.writer import Record

SHAPE = (6, 5)


def record(number: int, **changes: Any) -> Record:
    rng = np.random.default_rng(number)
    fields = {
        "name": f"image-{number:03d}",
        "image": rng.integers(0, 256, SHAPE, dtype=np.uint8),
        "mask": rng.random(SHAPE) > 0.5 if number % 3 else None,
        "label": number % 2,
        "subject": f"subject {number // 2}",
        "site": "oslo" if number % 2 else "søndre",
        "split": ("train", "valid", "test")[number // 2 % 3],
    }
    return Record(**{**fields, **changes})


def records(n: int = 12, **changes: Any) -> list[Record]:
    return [record(i, **changes) for i in range(n)]


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
