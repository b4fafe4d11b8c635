"""Settings that could not take effect, by one table."""

from collections.abc import Callable, Mapping
from typing import Any

from activmask.config import ONLY_WITH, masks_images
from activmask.data.settings import IN_MEMORY, draws_images
from activmask.objectives.actdiff import POOLED
from activmask.objectives.chosen import needs
from activmask.runs.description import RunConfig
from activmask.runs.presets import CONVNETS, PRESETS, default_of

Acts = Callable[[RunConfig], object]


def _on_disk(config: RunConfig) -> bool:
    return config.source.data != IN_MEMORY


def _drawn(config: RunConfig) -> bool:
    return _on_disk(config) and config.source.split_policy != "given"


def _needs_weight(name: str) -> tuple[Acts, str]:
    return lambda config: config[name], f"while {name} is 0; give {name} a weight"


def _compares_layers() -> tuple[Acts, str]:
    return (
        lambda config: config["actdiff"] and config["actdiff_layers"] != POOLED,
        "while actdiff is 0; give actdiff a weight, and other layers than pooled, which are compared by one "
        "norm after the ReLU",
    )


_IN_MEMORY_SPLITS = "on data synthetic, which is drawn in memory in splits of its own; give a data set folder"

NEEDS: Mapping[str, tuple[Acts, str]] = {
    "split_policy": (_on_disk, _IN_MEMORY_SPLITS),
    "split_seed": (
        draws_images,
        "while split_policy given takes every image of the data set's own split; draw a number of images "
        "(train_images) or choose another split_policy",
    ),
    "split_ratio": (
        _drawn,
        "where no split is drawn; it belongs to the split policies subject and site-correlated, and to a "
        "data set folder",
    ),
    "train_images": (_on_disk, _IN_MEMORY_SPLITS),
    "valid_images": (_on_disk, _IN_MEMORY_SPLITS),
    "test_images": (_on_disk, _IN_MEMORY_SPLITS),
    "correlation": (
        lambda config: _on_disk(config) and config.source.split_policy == "site-correlated",
        "here: it belongs to the split policy site-correlated of a data set folder",
    ),
    "duplicates": (
        _on_disk,
        "on data synthetic, whose splits share no picture; leave it off",
    ),
    "evaluate_view": (
        lambda config: config.view.image_size > 0,
        "while image_size is 0 and every image is seen as it is stored; give image_size",
    ),
    "mask_blur": (
        lambda config: config.view.mask != "circle" or config.view.mask_blur == 0,
        "on circles, which are never dilated; leave it out or take masks from files",
    ),
    "masks": (uses_masks, ": no objective of this run looks at masks"),
    "masks_without": (
        lambda config: needs(config.objectives).masks and config.view.mask == "file",
        "unless an objective of this run looks at masks from files: with circles every image has a mask",
    ),
    **{name: _needs_weight(weight) for name, weight in ONLY_WITH.items()},
    "actdiff_norm": _compares_layers(),
    "actdiff_at": _compares_layers(),
    "head": (
        lambda config: config.network.model.startswith(("resnet", "resnext", "wide_resnet")),
        "on networks other than ResNets; leave it at pooled",
    ),
    "masked_fill": (
        masks_images,
        "while classify_masked is off, when nothing is masked out; choose classify_masked train or all",
    ),
    "recon_loss": (
        lambda config: config["recon"] > 0,
        "without a reconstruction: use the model ae or unet with recon above 0",
    ),
    "sync_batchnorm": (
        lambda config: config.network.model not in CONVNETS,
        "on cnn, ae and unet, which have no batch normalisation; leave it off",
    ),
}
"""What each setting needs in order to act, as a test of the whole run and in words after "has no effect"."""


def without_effect(config: RunConfig) -> list[str]:
    """What is wrong with each setting that departs from its preset's value in vain.

    A preset's own values may be idle, such as a reconstruction's loss in a network without decoder:
    only what was chosen is promised to act.
    """
    return [
        f"{name} has no effect{'' if why.startswith(':') else ' '}{why}"
        for name, (acts, why) in NEEDS.items()
        if config[name] != _usual(config, name) and not acts(config)
    ]


def _usual(config: RunConfig, name: str) -> Any:
    return PRESETS[config.preset].get(name, default_of(name, config.network.model))
