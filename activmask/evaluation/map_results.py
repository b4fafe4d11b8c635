"""What the scores of a folder of heat maps came to, image by image and together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from activmask.data.files.heat_maps import NiftiAxes
from activmask.evaluation.localisation import PerImage
from activmask.evaluation.map_scores import ALL_METRICS, MapScores, summarised
from activmask.evaluation.map_targets import Found, SplitChoice, Target
from activmask.ground.errors import UsageError
from activmask.saliency.maps import Sign

By = Literal["site", "label", "subject"]

FEW = 20
"""Subjects below which intervals are told to be too narrow: of 10, 90 % hold the true mean, of 5, 86 %."""

_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Options:
    """How maps are read and compared."""

    split: SplitChoice | None = None
    """None is test, or everything where the data name no splits."""
    sign: Sign | None = None
    """Which values of signed maps count."""
    mask_blur: float = 0.0
    """Sigma in native px by which masks grow, as in training."""
    resize: bool = False
    """Whether maps of other sizes are resized to their images'."""
    nifti_axes: NiftiAxes | None = None
    """Which axis NIfTI files store first."""
    seed: int = 0
    """Of the bootstrap."""


@dataclass(frozen=True, kw_only=True)
class ImageScores:
    """What became of one image and its map."""

    target: Target
    path: Path | None
    """Its map's file; None where it has none."""
    left_out: str = ""
    """Why it has no scores; empty where it has."""
    unreadable: str = ""
    """The sentence, where its map is missing or cannot be used."""
    mask_share: float | None = None
    """Of the image's pixels, in [0, 1]."""
    values: dict[str, tuple[float, float]] | None = None
    """By metric, the value and its chance."""
    blank: bool = False
    """Whether every pixel of the map counts the same."""
    negative: bool = False
    """Whether the map holds negative values."""
    stored: tuple[int, int, int] | None = None
    """Channels, height and width of the map as it is stored."""
    resized: bool = False
    """Whether that was not its image's size."""


@dataclass(frozen=True, kw_only=True)
class ScoredFolder:
    """A folder of heat maps, scored."""

    maps: Path
    against: Path
    """The data set, or the folder of masks."""
    split: SplitChoice
    options: Options
    scores: MapScores
    images: tuple[ImageScores, ...]
    """Every image of the split."""
    notes: tuple[str, ...]
    """Sentences on what a reader of the scores should know."""

    @property
    def unreadable(self) -> tuple[str, ...]:
        """A sentence for each image whose map is missing or cannot be used."""
        return tuple(one.unreadable for one in self.images if one.unreadable)

    def by(self, column: By) -> dict[str, MapScores]:
        """The scores of each value of a column, by name.

        Raises:
            UsageError: the data do not have the column.
        """
        names = sorted({getattr(one.target, column) for one in self.images if one.values})
        if names == [""]:
            raise UsageError(f"there is no {column} to tell the scores by: the data do not name any")
        return {
            name or "none named": summary_of(
                [one for one in self.images if getattr(one.target, column) == name], self.options.seed
            )
            for name in names
        }

    def to_json(self, by: By | None = None) -> dict[str, Any]:
        """Plain dicts, lists, numbers, strings and None, ready for `json.dumps`."""
        left = [one.left_out for one in self.images if one.left_out]
        return {
            "maps": str(self.maps),
            "data": str(self.against),
            "split": self.split,
            "sign": self.options.sign,
            "mask_blur": self.options.mask_blur,
            "seed": self.options.seed,
            **self.scores.to_json(),
            "left_out": {why: left.count(why) for why in sorted(set(left))},
            "unreadable": list(self.unreadable),
            "notes": list(self.notes),
            **({} if by is None else {"by": {by: {k: v.to_json() for k, v in self.by(by).items()}}}),
        }

    def table(self) -> tuple[list[str], list[list[object]]]:
        """One row per image of the split: whose it is, why it has no scores, its scores and chance."""
        header = ["file", "map", "subject", "site", "split", "label", "left_out", "mask_share"]
        header += [f"{name}{more}" for name in ALL_METRICS for more in ("", ", by chance")]
        return header, [_line(one) for one in self.images]


def px(size: Sequence[int]) -> str:
    """A height and a width in px, as people read them."""
    height, width = size
    return f"{width} x {height} px"


def summary_of(images: Sequence[ImageScores], seed: int) -> MapScores:
    """The scores of some images together; `seed` is that of the bootstrap."""
    scored = [one for one in images if one.values is not None]
    values = {
        name: PerImage(*np.array([one.values[name] for one in scored if one.values]).reshape(-1, 2).T)
        for name in ALL_METRICS
    }
    undefined = sum(one.left_out.startswith("mask ") for one in images)
    blank = np.array([one.blank for one in scored], bool)
    found = summarised(values, [one.target.subject for one in scored], blank, seed=seed)
    return replace(found, undefined=undefined)


def _line(one: ImageScores) -> list[object]:
    target = one.target
    values = one.values or {}
    return [
        target.name,
        "" if one.path is None else str(one.path),
        target.subject,
        target.site,
        target.split,
        target.label,
        one.left_out,
        "" if one.mask_share is None else one.mask_share,
        *(number for name in ALL_METRICS for number in values.get(name, ("", ""))),
    ]


def notes_on(images: Sequence[ImageScores], found: Found, chosen: set[str]) -> list[str]:
    """What a reader of the scores should know; `chosen` are the names of the split's images."""
    notes = []
    for why in ("no mask", "mask is empty", "mask covers everything"):
        names = [one.target.name for one in images if one.left_out == why]
        if names:
            notes.append(f"{_count(names, 'image')} cannot be scored, {why}: {_some(names)}")
    scored = [one for one in images if one.values]
    whose = len({one.target.subject for one in scored})
    blank = [str(one.path) for one in scored if one.blank]
    if blank:
        notes.append(f"of {_count(scored, 'map')} {len(blank)} constant, which scores chance: {_some(blank)}")
    resized = [one for one in scored if one.resized]
    sizes = sorted({px(one.stored[1:]) for one in resized if one.stored})
    if resized:
        notes.append(f"of {_count(scored, 'map')} {len(resized)} resized bilinearly, from {_some(sizes)}")
    coloured = [one for one in scored if one.stored and one.stored[0] > 1]
    if coloured:
        notes.append(
            f"{_count(coloured, 'map')} of several channels: their mean is scored, taken after the sign"
        )
    outside = [name for name in found.maps if name not in chosen]
    if outside:
        notes.append(f"{_count(outside, 'map')} of images of other splits are left aside")
    if 1 < whose < FEW:
        notes.append(
            f"the intervals are of {whose} subjects, which are few for a bootstrap: they are too narrow"
        )
    if found.extra:
        notes.append(
            f"{_count(found.extra, 'map')} of no image: {_some([str(path) for path in found.extra])}"
        )
    if found.others:
        one = found.others == 1
        what = "file of another kind among the maps is" if one else "files of other kinds among the maps are"
        notes.append(f"{found.others} {what} passed over")
    return notes


def _count(names: Sequence[object], what: str) -> str:
    return f"{len(names)} {what}{'s' * (len(names) != 1)}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more
