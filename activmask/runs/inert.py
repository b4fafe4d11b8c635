"""Settings that could not take effect."""

from collections.abc import Callable, Mapping
from typing import Any

from activmask.data.settings import IN_MEMORY, draws_images
from activmask.data.sources.presets import presets
from activmask.ground.listed import listed
from activmask.ground.settings import Text, said
from activmask.models import MODELS, find_model
from activmask.objectives import OBJECTIVES
from activmask.objectives.chosen import needs
from activmask.objectives.objective import Objective
from activmask.runs.description import RunConfig, defaults_of, flat

Acts = Callable[[RunConfig], object]


def _on_disk(config: RunConfig) -> bool:
    return config.source.data != IN_MEMORY


def _drawn(config: RunConfig) -> bool:
    return _on_disk(config) and config.source.split_policy != "given"


_IN_MEMORY_SPLITS = "on data synthetic, which is drawn in memory in splits of its own; give a data set folder"


def _without_batch_norm() -> str:
    names = [name for name, one in MODELS.items() if not one.batch_norm]
    return f"on {listed(names)}, which have no batch normalisation; leave it off"


_ACTS_WHERE: Mapping[str, tuple[Acts, Text]] = {
    "split_policy": (_on_disk, _IN_MEMORY_SPLITS),
    "split_seed": (
        lambda config: draws_images(config.source),
        "while split_policy given takes every image of the data set's own split; draw a number of images "
        "(train_images), hold some out (valid_iid) or choose another split_policy",
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
    **dict.fromkeys(
        ("valid_correlation", "test_correlation"),
        (
            lambda config: _on_disk(config) and config.source.split_policy == "site-correlated",
            "here: it belongs to the split policy site-correlated of a data set folder; the benchmark's own "
            "are options of make-synthetic",
        ),
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
    "masks": (
        lambda config: needs(config.objectives).masks,
        ": no objective of this run looks at masks",
    ),
    "masks_without": (
        lambda config: needs(config.objectives).masks and config.view.mask == "file",
        "unless an objective of this run looks at masks from files: with circles every image has a mask",
    ),
    "train_masks": (
        lambda config: (
            needs(config.objectives).masks
            and not (config.view.mask == "circle" and config.view.train_masks == "other")
        ),
        "unless an objective of this run looks at masks, nor is any image's circle other than its own",
    ),
    "mask_shift": (
        lambda config: needs(config.objectives).masks and config.view.train_masks != "random",
        "unless an objective of this run looks at masks, nor on train_masks random, which lie anywhere",
    ),
    "mask_grow": (
        lambda config: needs(config.objectives).masks,
        ": no objective of this run looks at masks",
    ),
    "head": (
        lambda config: config.network.head in find_model(config.network.model).heads,
        "on networks other than ResNets; leave it at pooled",
    ),
    "sync_batchnorm": (
        lambda config: find_model(config.network.model).batch_norm,
        _without_batch_norm,
    ),
    "weight_decay": (
        lambda config: config.optimisation.optimizer == "adamw",
        "on adam, which shrinks no weights; choose optimizer adamw",
    ),
    "group_dro_size": (
        lambda config: config.robustness.group_dro > 0,
        "while group_dro is 0: it adds to the losses by which GroupDRO's weights grow; give group_dro",
    ),
    "upweight": (
        lambda config: config.robustness.upweight_errors_of,
        "unless upweight_errors_of names the run whose errors count more",
    ),
}
"""What each setting needs in order to act, as a test of the whole run and in words after "has no effect".

Objectives say the same of their own settings."""


def without_effect(config: RunConfig) -> list[str]:
    """What is wrong with each setting that departs from its preset's value in vain.

    A preset's own values may be idle, such as a reconstruction's loss in a network without decoder:
    only what was chosen is promised to act.
    """
    values = flat(config)
    usual = {**defaults_of(config.network.model), **presets()[config.preset].settings}
    chosen = {name for name, value in values.items() if value != usual[name]}
    vain = {
        name: said(why) for name, (acts, why) in _ACTS_WHERE.items() if name in chosen and not acts(config)
    }
    for one in OBJECTIVES.values():
        vain |= {name: why for name, why in _idle(one, one.of(config.objectives)).items() if name in chosen}
    return [
        f"{name} has no effect{'' if vain[name].startswith(':') else ' '}{vain[name]}"
        for name in values
        if name in vain
    ]


def _idle(one: Objective[Any], settings: Any) -> dict[str, str]:
    """The settings of an objective that do not act under its others, and why."""
    weightless = (one.is_on, f"while {one.name} is 0; give {one.name} a weight")
    found = {}
    for name in one.declared():
        acts, why = one.without_effect.get(name, weightless)
        if name not in one.switches and not acts(settings):
            found[name] = said(why)
    return found
