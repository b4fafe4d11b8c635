"""Groups of images: those of one class that share a value of a column (Sagawa et al. 2020, sec. 2).

The column is the site, whether a shortcut was planted on the image, or any other of the data set's table.

Shapes: N images, G groups.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from activmask.data.dataset import TABLE_FILE, Dataset
from activmask.ground.errors import PATH, DataError
from activmask.ground.listed import listed
from activmask.ground.nearest import nearest

SITE, SHORTCUT = "site", "shortcut"

PLANTED, PLAIN = "planted", "plain"
"""The values of `SHORTCUT`: on which images one lies, and on which none does."""

FEWEST = 10
"""Images below which a group is told of, and its accuracy is not taken for the worst."""

MOST = 100
"""Groups, and values of a column; one of more is none that groups images."""


@dataclass(frozen=True, kw_only=True)
class Groups:
    """The groups that occur among some images, by class and then by value."""

    by: str
    """The column."""
    members: NDArray[np.int64]
    """(N,), the number of each image's group; -1 where the column says nothing of it."""
    labels: tuple[int, ...]
    """(G,), the class of each."""
    values: tuple[str, ...]
    """(G,), the value of each; foreign text."""

    def __len__(self) -> int:
        """The number of groups G."""
        return len(self.labels)

    @property
    def sizes(self) -> NDArray[np.int64]:
        """(G,), images of each."""
        return np.bincount(self.members[self.members >= 0], minlength=len(self))

    def name(self, group: int) -> str:
        """For people, for example `class 1, site A`."""
        return f"class {self.labels[group]}, {self.by} {self.values[group]}"


def usual_groups(dataset: Dataset) -> str:
    """By what images are grouped where nobody says: a planted shortcut; empty where there is none."""
    return SHORTCUT if dataset.twin_file_names else ""


def group_values(dataset: Dataset, by: str) -> tuple[str, ...]:
    """The value of every image of a data set (N,); empty where the table has none.

    Args:
        dataset: whose table is asked.
        by: `site`, `shortcut` or a column of its own.

    Raises:
        DataError: it has no such column, or one of more than `MOST` values.
    """
    values = _values(dataset, by)
    if (distinct := len({*values} - {""})) > MOST:
        raise DataError(
            f"'{by}' of {PATH} has {distinct} values, more than {MOST}, so it groups no images",
            path=dataset.root / TABLE_FILE,
            advice="put numbers into a few ranges first, or group by another column",
        )
    return values


def _values(dataset: Dataset, by: str) -> tuple[str, ...]:
    if by == SITE and any(dataset.sites):
        return dataset.sites
    if by == SHORTCUT and dataset.twin_file_names:
        pairs = zip(dataset.file_names, dataset.twin_file_names, strict=True)
        return tuple(PLAIN if twin == name else PLANTED for name, twin in pairs)
    if by in dataset.columns:
        return dataset.columns[by]
    known = [
        *([SITE] if any(dataset.sites) else []),
        *([usual_groups(dataset)] if usual_groups(dataset) else []),
    ]
    known += dataset.columns
    raise DataError(
        f"the table of {PATH} has no column to group images by '{by}'; "
        f"{nearest(by, known) if known else 'it says neither sites nor shortcuts, nor anything further'}",
        path=dataset.root / TABLE_FILE,
    )


def grouped(by: str, labels: NDArray[np.int64], values: Sequence[str]) -> Groups:
    """The groups of some images.

    Args:
        by: the column, for people.
        labels: (N,).
        values: (N,) of the column; empty where it says nothing.
    """
    pairs = list(zip(labels.tolist(), values, strict=True))
    found = sorted({pair for pair in pairs if pair[1]})
    number = {pair: k for k, pair in enumerate(found)}
    return Groups(
        by=by,
        members=np.array([number.get(pair, -1) for pair in pairs], dtype=np.int64),
        labels=tuple(label for label, _ in found),
        values=tuple(value for _, value in found),
    )


def check_groups(groups: Groups, data: str, split: str) -> None:
    """Refuse groups that cannot be weighed against each other.

    Args:
        groups: of the images that are learned from.
        data: the data set's name, for errors.
        split: of which these images are, likewise.

    Raises:
        DataError: images in no group, too many groups, or classes for groups.
    """
    if unknown := int((groups.members < 0).sum()):
        raise DataError(
            f"{unknown} of {len(groups.members)} {split} images have no {groups.by}, so are in no group",
            path=data,
            advice="fill the column in every row, or group by another",
        )
    if len(groups) > MOST:
        raise DataError(
            f"{groups.by} makes {len(groups)} groups of the {split} images, more than {MOST}",
            path=data,
            advice="put numbers into a few ranges first, or group by another column",
        )
    if len(set(groups.values)) == 1:
        raise DataError(
            f"every {split} image has the {groups.by} {groups.values[0]}, so the groups are the classes",
            path=data,
            advice="group by a column of several values, or use class_balance",
        )


def group_notes(groups: Groups) -> Iterator[str]:
    """Sentences on groups that training has none or few of."""
    present = set(zip(groups.labels, groups.values, strict=True))
    of_values = dict.fromkeys(sorted(groups.values))
    lacking = [
        f"class {label}, {groups.by} {value}"
        for label in sorted(set(groups.labels))
        for value in of_values
        if (label, value) not in present
    ]
    if lacking:
        yield f"no training image is in {listed(lacking, 'or in')}: nothing can be learned of it"
    few = [f"{groups.name(k)} ({size})" for k, size in enumerate(groups.sizes.tolist()) if size < FEWEST]
    if few:
        yield f"of fewer than {FEWEST} training images each: {'; '.join(few)}"


def dealt_anew(
    values: NDArray[np.int64], labels: NDArray[np.int64], subjects: Sequence[str], rng: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """The values dealt out at random within each class, again and again.

    Where each subject has one class and one value, subjects are dealt to, else images.

    Args:
        values: (N,).
        labels: (N,).
        subjects: (N,), whom each image shows.
        rng: deals.
    """
    _, first, owners = np.unique(np.asarray(subjects, dtype=str), return_index=True, return_inverse=True)
    if (values[first][owners] != values).any() or (labels[first][owners] != labels).any():
        first = owners = np.arange(len(values))
    held, kinds = values[first], labels[first]
    members = [np.flatnonzero(kinds == kind) for kind in np.unique(kinds)]
    while True:
        dealt = held.copy()
        for own in members:
            dealt[own] = held[own[rng.permutation(len(own))]]
        yield dealt[owners]
