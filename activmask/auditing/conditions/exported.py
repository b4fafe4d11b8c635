"""An export read back: who takes part, and which picture is of whom under which condition.

Shapes: n images that take part, of H x W pixels.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from activmask.auditing.conditions.conditions import Judged
from activmask.auditing.conditions.variants import CARD, COLUMNS, FORMAT_VERSION, MANIFEST
from activmask.auditing.conditions.versions import CONDITIONS, FULL
from activmask.data.files.images import read_plain_mask
from activmask.data.files.tables import CsvRow, read_table, read_text, relative_path
from activmask.evaluation.participants import MaskCount
from activmask.ground.errors import PATH, DataError
from activmask.ground.folders import way_back

_ANEW = "export it anew"


@dataclass(frozen=True, kw_only=True)
class Export:
    """A folder of exported conditions."""

    root: Path
    those: Judged
    """Who takes part."""
    images: tuple[str, ...]
    """(n,) their names in the data set."""
    classes: tuple[str, ...]
    """Names of the classes 0, 1, ..."""
    files: Mapping[str, Sequence[Sequence[str]]]
    """By condition, for each draw, the n pictures in the order of those who take part."""


def read_export(root: Path) -> Export:
    """Read what scoring needs of an export; the pictures themselves are not opened.

    Raises:
        DataError: it is missing, broken, or was changed.
    """
    if not root.is_dir():
        raise DataError(
            f"the folder of variants {PATH} does not exist",
            path=root,
            advice=way_back(root) or "audit export makes one",
        )
    card = _card(root / CARD)
    table = root / MANIFEST
    rows = read_table(table, COLUMNS)
    full = [row for row in rows if row["condition"] == FULL]
    images = tuple(row["image"] for row in full)
    files = _files(table, rows, images, card["draws"])
    masks = np.stack([read_plain_mask(root / relative_path(row["mask"])) for row in full])
    labels = np.array([_label(table, row, len(card["classes"])) for row in full], np.int64)
    if len(np.unique(labels)) < len(card["classes"]):
        raise DataError(f"{PATH} lacks a class that {CARD} names", path=table, advice=_ANEW)
    return Export(
        root=root,
        those=Judged(
            labels=labels,
            subjects=np.array([row["subject"] for row in full], dtype=object),
            masks=torch.from_numpy(masks)[:, None],
            borrowed=card["borrowed"],
            mask_counts=tuple(MaskCount(**one) for one in card["mask_counts"]),
            blank_background=card["blank_background"],
            draws=card["draws"],
            seed=card["seed"],
            blur_px=card["blur_px"],
        ),
        images=images,
        classes=tuple(card["classes"]),
        files=files,
    )


_KINDS: dict[str, type | tuple[type, ...]] = {
    "classes": list,
    "draws": int,
    "seed": int,
    "blur_px": (int, float),
    "blank_background": bool,
    "borrowed": int,
    "mask_counts": list,
}


def _card(path: Path) -> dict[str, Any]:
    try:
        card = json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{PATH} is not valid JSON ({error})", path=path, advice=_ANEW) from error
    version = card.get("format") if isinstance(card, dict) else None
    if version != FORMAT_VERSION:
        raise DataError(
            f"{PATH} is of no export that this version of activmask knows",
            path=path,
            expected=f"format {FORMAT_VERSION}",
            found=version,
            advice=_ANEW,
        )
    wrong = [name for name, kind in _KINDS.items() if not isinstance(card.get(name), kind)]
    counts = card.get("mask_counts")
    if not wrong and not all(
        isinstance(one, dict) and sorted(one) == ["images", "label", "masked"] for one in counts
    ):
        wrong = ["mask_counts"]
    if not wrong and not (len(card["classes"]) > 1 and all(isinstance(one, str) for one in card["classes"])):
        wrong = ["classes"]
    if wrong:
        raise DataError(f"{PATH} does not say {wrong[0]}", path=path, advice=_ANEW)
    return dict(card)


def _files(
    table: Path, rows: Sequence[CsvRow], images: Sequence[str], draws: int
) -> dict[str, list[list[str]]]:
    """The pictures by condition and draw, each in the order of `images` (raises DataError)."""
    found: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        of_draw = found.setdefault((row["condition"], row["draw"]), {})
        if row["image"] in of_draw:
            raise DataError(
                f"{row['image']!r} has two pictures of one draw", path=table, row=row.number, advice=_ANEW
            )
        of_draw[row["image"]] = row["file"]
    wanted = {one.name: [str(draw + 1) for draw in range(draws if one.random else 1)] for one in CONDITIONS}
    whole = all(len(of_draw) == len(images) for of_draw in found.values())
    known = {(name, draw) for name, drawn in wanted.items() for draw in drawn}
    if not images or not whole or set(found) != known:
        raise DataError(
            f"{PATH} does not name one picture for each image, condition and draw",
            path=table,
            advice=_ANEW,
        )
    try:
        return {
            name: [[found[name, draw][image] for image in images] for draw in drawn]
            for name, drawn in wanted.items()
        }
    except KeyError as error:
        raise DataError(f"{PATH} lacks pictures of {error}", path=table, advice=_ANEW) from error


def _label(table: Path, row: CsvRow, classes: int) -> int:
    text = row["label"]
    if not (text.isascii() and text.isdigit() and int(text) < classes):
        raise DataError(
            f"label must be a class number below {classes}",
            path=table,
            row=row.number,
            found=repr(text),
            advice=_ANEW,
        )
    return int(text)
