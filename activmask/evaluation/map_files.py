"""Heat maps made elsewhere, scored file by file against the masks of a data set.

Only one map is in memory at a time, and nothing loads PyTorch.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from activmask.data.dataset import read_dataset
from activmask.data.dilation import grown
from activmask.data.files.heat_maps import NiftiAxes, read_heat_map
from activmask.data.files.images import read_plain_mask
from activmask.evaluation.localisation import PerImage
from activmask.evaluation.map_scores import (
    ALL_METRICS,
    MapScores,
    Sign,
    counting_part,
    is_blank,
    summarised,
    unsaid_sign,
)
from activmask.evaluation.map_targets import (
    Found,
    SplitChoice,
    Target,
    find_maps,
    of_split,
    targets_in,
    targets_of,
)
from activmask.ground.errors import PATH, DataError, UsageError
from activmask.ground.progress import ItemsDone

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
            name or "none named": _summary(
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


def score_maps(
    maps: Path,
    *,
    data: Path | None = None,
    masks: Path | None = None,
    options: Options = Options(),
    done: ItemsDone | None = None,
) -> ScoredFolder:
    """Score every heat map of a folder against the mask of the image of its name.

    Images without a mask, or with one that is empty or covers everything, cannot be scored and need no map.

    Args:
        maps: the folder.
        data: a data set's folder.
        masks: in its place, a folder of masks.
        options: how maps are read and compared.
        done: told of each image.

    Raises:
        UsageError: both or none of data and masks, or maps with negative values without a sign.
        DataError: the data set or a mask is broken, or no image can be scored.
    """
    if (data is None) == (masks is None):
        raise UsageError(
            "maps are scored against data, which is a data set's folder, or masks: give one of them"
        )
    against = data if data is not None else masks
    assert against is not None
    everything = targets_in(against) if data is None else targets_of(read_dataset(against))
    chosen, split = of_split(everything, options.split)
    found = find_maps(maps, everything)
    images = []
    for number, target in enumerate(chosen, 1):
        images.append(_scored(target, found.maps.get(target.name), options))
        if done is not None:
            done(number, len(chosen))
    signed = [one for one in images if one.negative]
    if signed and options.sign is None:
        raise unsaid_sign(len(signed), sum(one.stored is not None for one in images))
    scores = _summary(images, options.seed)
    if not scores.n and not any(one.unreadable for one in images):
        raise DataError(
            f"none of the {len(chosen)} images can be scored: their masks are missing, empty or full",
            path=against,
        )
    return ScoredFolder(
        maps=maps,
        against=against,
        split=split,
        options=options,
        scores=scores,
        images=tuple(images),
        notes=tuple(_notes(images, found, {one.name for one in chosen})),
    )


def _scored(target: Target, path: Path | None, options: Options) -> ImageScores:
    image = ImageScores(target=target, path=path)
    if target.mask is None:
        return replace(image, left_out="no mask")
    inside = _mask(target, options.mask_blur)
    image = replace(image, mask_share=float(inside.mean()))
    if not inside.any() or inside.all():
        return replace(image, left_out="mask covers everything" if inside.any() else "mask is empty")
    if path is None:
        return replace(image, left_out="no map", unreadable=f"the image {target.name} has no map")
    try:
        stored = read_heat_map(path, nifti_axes=options.nifti_axes, size=inside.shape)
        _check_size(path, stored, inside, resize=options.resize)
    except DataError as error:
        return replace(image, left_out="map unreadable", unreadable=str(error))
    image = replace(
        image,
        negative=bool((stored < 0).any()),
        stored=stored.shape,
        resized=stored.shape[1:] != inside.shape,
    )
    if image.negative and options.sign is None:
        return image
    counted = _fitted(counting_part(stored, options.sign).mean(axis=0), inside.shape)
    return replace(image, blank=bool(is_blank(counted[None])[0]), values=_values(counted, inside))


def _mask(target: Target, blur: float) -> NDArray[np.bool_]:
    assert target.mask is not None
    inside = read_plain_mask(target.mask)
    if blur and target.native is not None and 0 in target.native:
        raise DataError(
            f"mask_blur {blur:g} counts px of the original slice, but the data set, of an earlier version, "
            "does not say of how many px it was; prepare it anew or set mask_blur to 0",
            path=target.mask,
        )
    return grown(inside, blur, target.native)


def _check_size(path: Path, stored: NDArray[np.float64], inside: NDArray[np.bool_], *, resize: bool) -> None:
    if stored.shape[1:] != inside.shape and not resize:
        raise DataError(
            f"{PATH} is {_px(stored.shape[1:])}, but its image is {_px(inside.shape)} (width x height)",
            path=path,
            advice="ask for resize, or write maps of the images' size",
        )


def _px(size: Sequence[int]) -> str:
    height, width = size
    return f"{width} x {height} px"


def _fitted(values: NDArray[np.float64], size: tuple[int, ...]) -> NDArray[np.float64]:
    """A map at the size of its image, bilinearly, and smoothed first where it shrinks."""
    if values.shape == size:
        return values
    if values.min() == values.max():
        # Interpolation would break the ties by its rounding.
        return np.full(size, values.flat[0])
    from skimage.transform import resize

    return np.asarray(resize(values, size, order=1, mode="edge", anti_aliasing=True, preserve_range=True))


def _values(counted: NDArray[np.float64], inside: NDArray[np.bool_]) -> dict[str, tuple[float, float]]:
    found = {name: metric(counted[None], inside[None]) for name, metric in ALL_METRICS.items()}
    return {name: (float(one.values[0]), float(one.chance[0])) for name, one in found.items()}


def _summary(images: Sequence[ImageScores], seed: int) -> MapScores:
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


def _notes(images: Sequence[ImageScores], found: Found, chosen: set[str]) -> list[str]:
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
    sizes = sorted({_px(one.stored[1:]) for one in resized if one.stored})
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
