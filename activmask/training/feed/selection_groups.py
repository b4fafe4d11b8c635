"""The groups of validation images, where the worst of them selects the best epoch.

Shapes: V images of a validation split, G groups of them.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from activmask.data.dataset import Dataset
from activmask.data.groups import FEWEST, Groups, check_groups, group_values, grouped
from activmask.data.settings import IID
from activmask.ground.errors import DataError
from activmask.ground.listed import listed
from activmask.runs.description import WORST_GROUP, RunConfig
from activmask.training.feed.group_feed import digest_of
from activmask.training.feed.origin import Origin


@dataclass(frozen=True, kw_only=True)
class SelectionGroups:
    """Of one seed's validation images; nothing where no group selects its best epoch."""

    members: Mapping[str, Tensor] = field(default_factory=dict)
    """By validation split, int64 (V,), the group of each image, of which none is empty."""
    sha256: str = ""
    """Of the groups of all these images, and of those of training."""


def selection_groups(config: RunConfig, labels: Mapping[str, Tensor], origin: Origin) -> SelectionGroups:
    """The groups of a run's validation images, as its settings use them.

    Args:
        config: the run's description.
        labels: of each split, int64 (n,).
        origin: tells of each image what groups it.

    Raises:
        DataError: images in no group, classes for groups, or a group of fewer than `FEWEST` images.
    """
    if config.training.select != WORST_GROUP:
        return SelectionGroups()
    assert origin.column is not None
    found = _found(config, {name: own.cpu().numpy() for name, own in labels.items()}, origin.column.values)
    return SelectionGroups(
        members={name: torch.from_numpy(found[name].members) for name in _of_validation(found)},
        sha256=digest_of(found["train"], *(found[name] for name in _of_validation(found))),
    )


def refuse_selection_groups(
    config: RunConfig, dataset: Dataset, rows: Mapping[str, NDArray[np.int64]]
) -> None:
    """Refuse what `selection_groups` would refuse of the splits of a data set (raises DataError).

    Args:
        config: the run's description.
        dataset: on disk.
        rows: of each split, int64 (n,).
    """
    if config.training.select != WORST_GROUP:
        return
    values = group_values(dataset, config.robustness.groups)
    _found(
        config,
        {name: dataset.labels[own] for name, own in rows.items()},
        {name: [values[row] for row in own.tolist()] for name, own in rows.items()},
    )


def _found(
    config: RunConfig, labels: Mapping[str, NDArray[np.int64]], values: Mapping[str, Sequence[str]]
) -> dict[str, Groups]:
    """The groups of each split, once those of validation were found to be large enough."""
    by, data = config.robustness.groups, config.source.data
    found = {name: grouped(by, labels[name], values[name]) for name in labels}
    for name in _of_validation(found):
        check_groups(found[name], data, name)
        _check_sizes(found[name], found["train"], data, name)
    return found


def _of_validation(splits: Iterable[str]) -> list[str]:
    """Those among some splits by which a best epoch may be chosen."""
    return [name for name in splits if name in {"valid", IID}]


def _check_sizes(groups: Groups, trained: Groups, data: str, split: str) -> None:
    """Refuse a split with too few images of a group, its own or one that training has (raises DataError).

    The worst of the other groups alone would look better the worse that group fares.
    """
    sizes: Counter[tuple[int, str]] = Counter(dict.fromkeys(_kinds(trained), 0))
    sizes.update(dict(zip(_kinds(groups), groups.sizes.tolist(), strict=True)))
    few = [
        f"class {label}, {groups.by} {value} ({size})"
        for (label, value), size in sorted(sizes.items())
        if size < FEWEST
    ]
    if few:
        raise DataError(
            f"{split} has fewer than {FEWEST} images of {listed(few)}, so the accuracy of its worst group "
            "says too little to select the best epoch",
            path=data,
            advice="enlarge that split, group by a column with fewer values, or choose another select",
        )


def _kinds(groups: Groups) -> list[tuple[int, str]]:
    return list(zip(groups.labels, groups.values, strict=True))
