"""What a training costs, in arithmetic operations that are counted on the meta device, where none is done."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from activmask.data.dataset import Dataset, read_dataset
from activmask.models import find_model
from activmask.models.output import ModelOutput
from activmask.objectives.chosen import needs, with_paths
from activmask.runs.description import RunConfig, changed
from activmask.training.feed.sources import network_shape, split_rows

PER_SECOND = 100e9
"""Operations that two CPU cores with AVX-512 do in a second in these networks: a ruler, not a promise."""

QUICK_SECONDS = 120
"""Which a quick form may take by that ruler."""

QUICK_EPOCHS = 20
"""Of a quick form at most: enough to see the losses fall."""

QUICK_WIDTH = 16
"""Channels of a quick form's first layer where the usual ones leave it few epochs."""

_FEW_EPOCHS = 10


@dataclass(frozen=True, kw_only=True)
class Quick:
    """Settings with which a run is soon over, and what it costs without them."""

    settings: dict[str, int]
    """To be chosen beside the others; empty where the whole run is quick."""
    seconds: float
    """Of one seed by `PER_SECOND`, without these settings."""


def quick_form(config: RunConfig, seed: int = 0, *, dataset: Dataset | None = None) -> Quick:
    """How a run on a data set on disk is tried within about two minutes on two CPU cores.

    Args:
        config: the run's description.
        seed: of the run.
        dataset: its data set, where the caller has read it.

    Raises:
        DataError: the data set is missing or broken, or cannot be split as asked.
    """
    dataset = dataset or read_dataset(Path(config.source.data), multi_label=True)
    shape = network_shape(dataset, config.view)
    images = len(split_rows(config.source, dataset, seed)["train"])
    usual = image_operations(config, **shape) * images / PER_SECOND
    whole = usual * config.training.epochs
    if whole <= QUICK_SECONDS:
        return Quick(settings={}, seconds=whole)
    narrow = config.network.width > QUICK_WIDTH and find_model(config.network.model).any_width
    if narrow and usual * _FEW_EPOCHS > QUICK_SECONDS:
        width = {"width": QUICK_WIDTH}
        epoch = image_operations(changed(config, **width), **shape) * images / PER_SECOND
        return Quick(settings={"epochs": _epochs(config, epoch), **width}, seconds=whole)
    return Quick(settings={"epochs": _epochs(config, usual)}, seconds=whole)


def _epochs(config: RunConfig, seconds: float) -> int:
    return max(1, min(QUICK_EPOCHS, config.training.epochs, int(QUICK_SECONDS / seconds)))


def image_operations(config: RunConfig, channels: int, size: int, classes: int) -> float:
    """About how many operations training does for one image: multiplications and additions of its passes.

    Objectives that look at another image take as much again, second derivatives twice as much.

    Args:
        config: the run's description.
        channels: C of the images.
        size: their side in px.
        classes: K.
    """
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        model = find_model(config.network.model).build(
            config.network, channels=channels, classes=classes, image_size=size
        )
        images = torch.zeros(1, channels, size, size)
    asked = needs(config.objectives)
    with FlopCounterMode(display=False) as counted:
        output: ModelOutput = model.eval()(images, reconstruct=asked.decoder)
        end = output.logits.sum()
        if output.reconstruction is not None:
            end = end + output.reconstruction.sum()
        end.backward()
    passes = 1 + bool(asked.other_pass) + 2 * bool(asked.second_derivative) + 2 * bool(asked.decomposed)
    passes += len(with_paths(config.objectives))
    return float(counted.get_total_flops() * passes)
