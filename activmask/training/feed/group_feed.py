"""What training is told of the groups of its images: how much each counts, or by what it is drawn.

Shapes: N training images, G groups.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from activmask.data.dataset import Dataset
from activmask.data.groups import Groups, check_groups, group_notes, group_values, grouped
from activmask.machine.world import World, sum_of_all
from activmask.objectives.group_losses import GroupWeights, size_term
from activmask.runs.description import RunConfig
from activmask.runs.robustness import uses_groups, weighs_images
from activmask.training.feed.class_balance import chances, class_weights
from activmask.training.feed.origin import Origin


@dataclass(frozen=True, kw_only=True)
class TrainingGroups:
    """Of one seed's training images; nothing where all of them count alike."""

    members: Tensor | None = None
    """int64 (N,), the group of each, on the device."""
    weights: GroupWeights | None = None
    """How much each group counts."""
    chance: Tensor | None = None
    """float64 (N,) on the CPU, by what each image is drawn."""
    sha256: str = ""
    """Of the groups of all images."""
    notes: tuple[str, ...] = ()
    """Clauses on groups that are empty or small."""


def training_groups(
    config: RunConfig, labels: Tensor, origin: Origin, device: torch.device, world: World
) -> TrainingGroups:
    """The groups of a run's training images, as its settings use them.

    Args:
        config: the run's description.
        labels: int64 (N,).
        origin: tells of each image what groups it.
        device: where the loss is computed.
        world: the processes that share each batch.

    Raises:
        DataError: images in no group, too many groups, or classes for groups.
    """
    how, data = config.robustness, config.source.data
    if origin.column is None or not how.groups or how.retrain_head:
        return TrainingGroups()
    found = grouped(how.groups, labels.cpu().numpy(), origin.column.values["train"])
    if not uses_groups(how):
        return TrainingGroups(notes=tuple(group_notes(found)))
    check_groups(found, data, "training")
    members, count = torch.from_numpy(found.members), len(found)
    weights = None
    if how.group_dro:
        start = torch.full((count,), 1 / count, device=device)
        total = partial(sum_of_all, world=world) if world.size > 1 else None
        sizes = torch.from_numpy(found.sizes).to(start)
        added = size_term(sizes, how.group_dro_size) if how.group_dro_size else None
        weights = GroupWeights(weights=start, step=how.group_dro, added=added, sum_of_all=total)
    elif how.group_balance == "weights":
        weights = GroupWeights(weights=class_weights(members, count, data).to(device))
    return TrainingGroups(
        members=members.to(device) if weighs_images(how) else None,
        weights=weights,
        chance=chances(members, count, data) if how.group_balance == "sampling" else None,
        sha256=digest_of(found),
        notes=tuple(group_notes(found)),
    )


def refuse_training_groups(config: RunConfig, dataset: Dataset, rows: NDArray[np.int64]) -> None:
    """Refuse what `training_groups` would refuse of some training images of a data set (raises DataError)."""
    how = config.robustness
    if not how.groups:
        return
    values = group_values(dataset, how.groups)
    if uses_groups(how) and not how.retrain_head:
        found = grouped(how.groups, dataset.labels[rows], [values[row] for row in rows.tolist()])
        check_groups(found, config.source.data, "training")


def digest_of(*found: Groups) -> str:
    """SHA-256 of the groups of some images, in hex digits."""
    told = [[one.by, one.labels, one.values, one.members.tolist()] for one in found]
    # Of one alone as before there were several, so that older states are of the same groups.
    return hashlib.sha256(json.dumps(told[0] if len(told) == 1 else told).encode()).hexdigest()
