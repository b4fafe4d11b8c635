"""Whether a run could begin, found out before anybody is told to start it."""

from collections.abc import Sequence
from pathlib import Path

import torch

from activmask.data.dataset import Dataset, read_dataset
from activmask.data.settings import IN_MEMORY
from activmask.ground.errors import ActivmaskError, DataError
from activmask.machine.world import ALONE
from activmask.runs.description import RunConfig
from activmask.training.feed.group_feed import refuse_training_groups
from activmask.training.feed.selection_groups import refuse_selection_groups
from activmask.training.feed.sources import check_scale, check_split, network_shape, split_rows
from activmask.training.replicas.batch_sizes import batch_sizes
from activmask.training.replicas.outline import outlined
from activmask.training.replicas.replica import new_replica
from activmask.training.replicas.step_objective import refuse_of_classes

SMALL = 2000
"""Images up to which everything is tried: data sets that lack what training needs are mostly small."""


def refusal(config: RunConfig, seed: int = 0, *, dataset: Dataset | None = None) -> ActivmaskError | None:
    """Why `train` would refuse a run before its first step; None if it would not.

    Of more than `SMALL` images, the table, its splits and one image are looked at, and the networks tried.

    Args:
        config: the run's description.
        seed: of the run.
        dataset: its data set, where the caller has read it.
    """
    try:
        if config.source.data == IN_MEMORY:
            _try_all(config, seed)
            return None
        dataset = dataset or read_dataset(Path(config.source.data), multi_label=True)
        if len(dataset) <= SMALL:
            _try_all(config, seed)
            return None
        check_scale(dataset, config.view, config.objectives)
        images = _check_splits(config, dataset, seed)
        _try_networks(config, dataset, seed, images)
    except ActivmaskError as error:
        return error
    return None


def refusal_of_seeds(config: RunConfig, seeds: Sequence[int]) -> ActivmaskError | None:
    """As `refusal`, of the first of several seeds; of the others their splits alone are drawn."""
    first, *others = seeds
    if (found := refusal(config, first)) is not None or config.source.data == IN_MEMORY:
        return found
    try:
        dataset = read_dataset(Path(config.source.data), multi_label=True)
        for seed in others:
            _check_splits(config, dataset, seed)
    except ActivmaskError as error:
        return error
    return None


def waits_for_data(config: RunConfig, error: ActivmaskError | None) -> bool:
    """Whether nothing but the data set's folder, of which nothing is there yet, is in the way of a run."""
    return (
        isinstance(error, DataError)
        and config.source.data != IN_MEMORY
        and not Path(config.source.data).exists()
    )


def _try_all(config: RunConfig, seed: int) -> None:
    """Make all that a run begins with, of its networks the outlines (raises ActivmaskError)."""
    new_replica(config, seed, Path(), torch.device("cpu"), networks=outlined)


def _check_splits(config: RunConfig, dataset: Dataset, seed: int) -> int:
    """Refuse splits that cannot be used; how many images training would have (raises DataError)."""
    labels, masks = torch.from_numpy(dataset.labels), torch.tensor([*map(bool, dataset.mask_file_names)])
    found = split_rows(config.source, dataset, seed)
    if dataset.label_names:
        refuse_of_classes(config)
    refuse_training_groups(config, dataset, found["train"])
    refuse_selection_groups(config, dataset, found)
    for name, rows in found.items():
        check_split(
            name,
            (dataset.height, dataset.width),
            labels[rows],
            masks[rows],
            config.view,
            config.objectives,
            config.source.data,
        )
    return len(found["train"])


def _try_networks(config: RunConfig, dataset: Dataset, seed: int, images: int) -> None:
    """Refuse networks that do not fit the images, or batches that they cannot learn from."""
    learners, _ = outlined(config, seed, **network_shape(dataset, config.view))
    batch_sizes(images, config.training.batch_size, learners, ALONE)
