"""What a training step can be asked for, as settings: one list from which several test files take theirs."""

from collections.abc import Iterable

import pytest

FOLLOW_UP = {
    "adversarial": 1.0,
    "adversarial_form": "followup",
    "actdiff": 1.0,
    "actdiff_layers": "pooled",
}
OBJECTIVES: dict[str, dict[str, object]] = {
    "plain": {},
    "actdiff": {"actdiff": 1.0},
    "actdiff layer": {"actdiff": 1.0, "actdiff_norm": "layer"},
    "actdiff row": {"actdiff": 1.0, "actdiff_norm": "row"},
    "actdiff detached": {"actdiff": 1.0, "actdiff_detach": True, "actdiff_layers": "last"},
    "gradmask": {"gradmask": 1.0},
    "gradmask l1": {"gradmask": 1.0, "gradmask_norm": "l1"},
    "both": {"actdiff": 1.0, "gradmask": 1.0},
    "rrr": {"rrr": 1.0},
    "expected gradients": {"expected_gradients": 1.0},
    "cdep": {"cdep": 1.0},
    "hirescam": {"hirescam": 1.0},
    "adversarial": {"adversarial": 1.0, "adversarial_steps": 2},
    "follow-up": FOLLOW_UP,
    "follow-up in turns": {**FOLLOW_UP, "adversarial_steps": 3},
    "reconstruct": {"model": "ae"},
    "reconstruct masked": {"model": "unet", "recon_masked": True},
    "unused decoder": {"model": "unet", "recon": 0.0},
    "classify masked": {"classify_masked": "train"},
    "classify masked everywhere": {"classify_masked": "all"},
    "classify shuffled": {"classify_shuffled": True},
    "cutout": {"cutout": 9},
    "cutout inside": {"cutout_inside": 9, "cutout_outside": 5},
    "noise": {"noise": "inside"},
    "noisy copy": {"actdiff": 1.0, "actdiff_copy": "noise"},
    "crop and flip": {"augment": "crop-flip", "image_size": 24, "actdiff": 1.0},
    "changed by words": {"augment": "flips,rotate,crop,intensity", "image_size": 24, "actdiff": 1.0},
    "share of masks": {"actdiff": 1.0, "masks": 0.5},
    "other masks": {"actdiff": 1.0, "train_masks": "other", "mask_shift": 0.2, "mask_grow": 0.1},
    "batch norm": {"model": "resnet18", "actdiff": 1.0},
    "batch norm twice": {"model": "resnet18", "gradmask": 1.0},
    "practice": {
        "optimizer": "adamw",
        "schedule": "cosine",
        "warmup": 1,
        "clip": 0.05,
        "ema": 0.8,
        "label_smoothing": 0.1,
        "class_balance": "weights",
    },
    "drawn alike": {"class_balance": "sampling", "patience": 2, "warmup": 1},
    "dropout": {"model": "mobilenet_v3_small", "width": 64},
}
"""By name; on a small convolutional network with a cross-entropy where nothing else is said."""


def each(names: Iterable[str], **more: object):
    """The settings of these names for `parametrize`, each with its name as id; `more` is common to all."""
    return [pytest.param({**OBJECTIVES[name], **more}, id=name) for name in names]
