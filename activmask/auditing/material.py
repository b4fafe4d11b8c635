"""What a classifier is audited on.

Shapes: N images, C channels, H x W pixels.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from activmask.data.multi_label import yes_and_no
from activmask.data.samples import Samples
from activmask.data.splits import SPLITS
from activmask.evaluation.planted import Pairs
from activmask.ground.errors import DataError, UsageError
from activmask.ground.nearest import nearest

SITE = "site"


@dataclass(frozen=True, kw_only=True)
class Material:
    """Images that a classifier is judged on, and all that is known of them."""

    samples: Samples
    """Images as stored or given, with masks, labels, subjects, sites and names. Of labels that do not
    exclude each other the audit is made label by label, each with labels 0 and 1 of its own."""
    class_names: tuple[str, ...]
    """Of the labels 0, 1, ..."""
    columns: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Further facts of each image as text, (N,) by name, such as `sex`; empty text where unknown. The
    sites are among them as `site` where they are known."""
    splits: tuple[str, ...] | None = None
    """(N,) the split of each image; None where the data name none."""
    source: str = ""
    """What the data are called in tables and pages; foreign text."""
    title: str = ""
    """What headings call them; empty where they have no title. Foreign text."""
    root: Path | None = None
    """The folder that the images' names are files of; None where they are in no folder."""
    label: str = ""
    """Which of several labels this is about; empty where classes exclude each other. Foreign text."""
    notes: tuple[str, ...] = ()
    """Sentences on what was made of the data."""
    pairs_of: Callable[[Samples], Pairs | None] | None = None
    """Gives what was planted on those among the images that are judged, and their twins without it; None
    where nothing was planted."""

    def __len__(self) -> int:
        """The number of images N."""
        return len(self.samples)

    def at(self, rows: Sequence[int]) -> "Material":
        """The images at `rows`, in that order."""
        return replace(
            self,
            samples=self.samples.subset(rows),
            columns={name: tuple(values[i] for i in rows) for name, values in self.columns.items()},
            splits=None if self.splits is None else tuple(self.splits[i] for i in rows),
        )

    def of_split(self, split: str) -> "Material | None":
        """The images of one split; None where there are none."""
        rows = [] if self.splits is None else [i for i, one in enumerate(self.splits) if one == split]
        return self.at(rows) if rows else None


def label_by_label(base: Material, labels: NDArray[np.int64], names: Sequence[str]) -> tuple[Material, ...]:
    """The same images by each of several labels, those left out of which it is not known.

    Args:
        base: whose own labels do not count.
        labels: (N, L) of 0 and 1, -1 where unknown.
        names: of the L labels.
    """
    return tuple(_one_label(base, name, labels[:, k]) for k, name in enumerate(names))


def _one_label(base: Material, name: str, values: NDArray[np.int64]) -> Material:
    rows = np.flatnonzero(values >= 0)
    known = base.at(rows.tolist()) if len(rows) < len(values) else base
    lost = len(values) - len(rows)
    notes = (f"{lost} images are left out, of which this label is not known.",) if lost else ()
    return replace(
        known,
        samples=replace(known.samples, labels=torch.from_numpy(values[rows].astype(np.int64))),
        class_names=yes_and_no(name),
        label=name,
        notes=(*base.notes, *notes),
    )


def judged_split(material: Material, asked: str | None) -> str:
    """Which split is judged: the one asked for, else test, else `all` where the data name no splits.

    Raises:
        UsageError: there is no such split, or none at all.
        DataError: no image is in it.
    """
    if asked is not None and asked not in {*SPLITS, "all"}:
        raise UsageError(f"there is no split '{asked}'; {nearest(asked, [*SPLITS, 'all'])}")
    if material.splits is None:
        if asked not in {None, "all"}:
            raise UsageError(
                f"there is no split '{asked}': the data name no splits", advice="leave it out, or ask for all"
            )
        return "all"
    split = asked or "test"
    if split != "all" and split not in material.splits:
        named = ", ".join(dict.fromkeys(filter(None, material.splits)))
        raise DataError(f"no image is in the split {split}", found=named or "none", advice="ask for another")
    return split


def check_judged(material: Material) -> None:
    """Refuse images on which nothing can be asked of a classifier (raises DataError)."""
    counts = np.bincount(material.samples.labels.numpy(), minlength=len(material.class_names))
    present = [name for name, n in zip(material.class_names, counts, strict=True) if n]
    if len(present) < 2:
        raise DataError(
            "the images to judge are of one class, so nothing can be told apart",
            found=present[0] if present else "none",
            advice="give images of two classes at least",
        )
