"""Whether a run could begin, found out before anybody is told to start it."""

from pathlib import Path

import torch

from activmask.data.dataset import read_dataset
from activmask.ground.errors import ActivmaskError
from activmask.runs.description import RunConfig
from activmask.training.feed.sources import check_scale, check_split, split_rows
from activmask.training.replicas.replica import new_replica

SMALL = 2000
"""Images up to which everything is tried: data sets that lack what training needs are mostly small."""


def refusal(config: RunConfig, seed: int = 0) -> ActivmaskError | None:
    """Why `train` would refuse a run on a data set on disk before its first step; None if it would not.

    Of more than `SMALL` images, only the table and its splits are looked at.
    """
    try:
        dataset = read_dataset(Path(config.source.data))
        if len(dataset) <= SMALL:
            new_replica(config, seed, Path(), torch.device("cpu"))
            return None
        check_scale(dataset, config.view, config.objectives)
        labels, masks = torch.from_numpy(dataset.labels), torch.tensor([*map(bool, dataset.mask_file_names)])
        for name, rows in split_rows(config.source, dataset, seed).items():
            check_split(
                name,
                (dataset.height, dataset.width),
                labels[rows],
                masks[rows],
                config.view,
                config.objectives,
                config.source.data,
            )
    except ActivmaskError as error:
        return error
    return None
