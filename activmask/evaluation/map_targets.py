"""What heat maps are scored against: the images of a data set, or plain masks, and which map is whose."""

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal, get_args

from activmask.data.dataset import Dataset
from activmask.data.files.heat_maps import map_stem
from activmask.data.multi_label import BETWEEN
from activmask.ground.errors import PATH, DataError, UsageError
from activmask.ground.nearest import nearest
from activmask.ground.walking import walked

SplitChoice = Literal["train", "valid", "test", "all"]

_MASK_SUFFIXES = (".png", ".tif", ".tiff")
_SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Target:
    """One image that a map may be of."""

    name: str
    """Its file, relative to the data set; the mask's, where there are masks alone."""
    mask: Path | None
    """The file of its mask."""
    subject: str
    site: str = ""
    split: str = ""
    label: str = ""
    native: tuple[int, int] | None = None
    """Height and width in px of the grid that its mask was drawn on; None where it is the stored one."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """The maps of a folder, by the images they are of."""

    maps: Mapping[str, Path]
    """By the image's name."""
    extra: tuple[Path, ...]
    """Maps of no image."""
    others: int
    """Files of other kinds."""


def targets_of(dataset: Dataset) -> list[Target]:
    """Every image of a data set, in the order of its table."""
    native = (
        [None] * len(dataset) if dataset.native is None else [(int(h), int(w)) for h, w in dataset.native]
    )
    return [
        Target(
            name=dataset.file_names[i],
            mask=dataset.root / dataset.mask_file_names[i] if dataset.mask_file_names[i] else None,
            subject=dataset.subjects[i],
            site=dataset.sites[i],
            split=dataset.splits[i],
            label=_label(dataset, i),
            native=native[i],
        )
        for i in range(len(dataset))
    ]


def _label(dataset: Dataset, row: int) -> str:
    """The class of an image, or the names of those of its labels that are true."""
    if not dataset.label_names:
        return str(dataset.labels[row])
    true = [name for name, value in zip(dataset.label_names, dataset.labels[row], strict=True) if value == 1]
    return BETWEEN.join(true) or "none of its labels"


def targets_in(masks: Path) -> list[Target]:
    """Every mask below a folder, each of a subject of its own.

    Raises:
        DataError: there is none, or no such folder.
    """
    names = [name for name in _files(masks, "masks") if name.lower().endswith(_MASK_SUFFIXES)]
    if not names:
        raise DataError(f"{PATH} holds no masks", path=masks, expected="PNG or TIFF files")
    return [Target(name=name, mask=masks / name, subject=name) for name in names]


def of_split(targets: Sequence[Target], split: SplitChoice | None) -> tuple[list[Target], SplitChoice]:
    """The images of a split and its name; by default test, or all where the data name no splits.

    Raises:
        UsageError: an unknown split, or one of data that name none.
        DataError: the split has no image.
    """
    there = any(one.split for one in targets)
    chosen: SplitChoice = split or ("test" if there else "all")
    if chosen not in get_args(SplitChoice):
        raise UsageError(f"there is no split '{chosen}'; {nearest(chosen, get_args(SplitChoice))}")
    if chosen == "all":
        return list(targets), chosen
    if not there:
        raise UsageError(
            f"the data set names no splits, so split {chosen} means nothing; leave it out to take all images"
        )
    own = [one for one in targets if one.split == chosen]
    if not own:
        raise DataError(f"the data set has no image in its {chosen} split; choose another split")
    return own, chosen


def find_maps(folder: Path, targets: Sequence[Target]) -> Found:
    """The map of each image: that at the image's own place below the folder, or that of its name anywhere.

    Names are compared without their endings, and letters however they are composed.

    Args:
        folder: of the maps.
        targets: all images, of every split, so that a map of another split is known as one.

    Raises:
        DataError: no map is an image's, an image has several, or a map may be one of several images'.
    """
    names = _files(folder, "heat maps")
    stems = {name: _composed(stem) for name in names if (stem := map_stem(name)) is not None}
    if not stems:
        raise DataError(
            f"{PATH} holds no heat maps",
            path=folder,
            expected="npy, npz, PNG, TIFF or NIfTI files, one an image",
        )
    by_place = _gathered((_place(one.name), one.name) for one in targets)
    by_stem = _gathered((PurePosixPath(_place(one.name)).name, one.name) for one in targets)
    owners: dict[str, list[str]] = defaultdict(list)
    extra = []
    for name, stem in stems.items():
        images = by_place.get(stem) or by_stem.get(PurePosixPath(stem).name, [])
        if len(images) > 1:
            raise DataError(
                f"{PATH} may be the map of {_some(images)}",
                path=folder / name,
                advice="lay maps as their images",
            )
        if images:
            owners[images[0]].append(name)
        else:
            extra.append(folder / name)
    for image, own in owners.items():
        if len(own) > 1:
            raise DataError(
                f"the image {image} has {len(own)} maps ({_some(own)})", path=folder, advice="keep one"
            )
    if not owners:
        raise DataError(
            f"no map in {PATH} is called as an image",
            path=folder,
            expected=f"for example {PurePosixPath(targets[0].name).stem}.npy",
            found=PurePosixPath(min(stems)).name,
        )
    return Found(
        maps={image: folder / own for image, (own,) in owners.items()},
        extra=tuple(extra),
        others=len(names) - len(stems),
    )


def _gathered(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    gathered: dict[str, list[str]] = defaultdict(list)
    for key, value in pairs:
        gathered[key].append(value)
    return gathered


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more


def _place(name: str) -> str:
    """An image's path without its ending."""
    return _composed(str(PurePosixPath(name).with_suffix("")))


def _composed(text: str) -> str:
    return unicodedata.normalize("NFC", text)


def _files(folder: Path, what: str) -> list[str]:
    """The files below a folder, relative to it, without hidden ones."""
    if not folder.is_dir():
        raise DataError(
            f"{PATH} is no folder", path=folder, expected=f"a folder of {what}, one file an image"
        )

    def refused(error: OSError) -> None:
        raise DataError(f"{PATH} cannot be listed ({error.strerror})", path=error.filename) from error

    return [
        (place / name).relative_to(folder).as_posix()
        for place, _, names in walked(folder, refused)
        for name in names
        if not name.startswith(".")
    ]
