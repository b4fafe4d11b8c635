"""The paper's settings for its data sets."""

from typing import Any

_MSD: dict[str, Any] = {
    "split_policy": "subject",
    "split_ratio": "30/30/40",
    "train_images": 128,
    "valid_images": 256,
    "test_images": 256,
    "image_size": 100,
    "augment": "crop-flip",
    "evaluate_view": "whole",
    "recon_loss": "mse",
}

PRESETS: dict[str, dict[str, Any]] = {
    "synthetic": {},
    "liver": {**_MSD, "data": "data/liver", "mask_blur": 16.0, "lr": 1e-4},
    "cardiac": {**_MSD, "data": "data/cardiac", "mask_blur": 8.0, "lr": 4e-3},
    "pancreas": {**_MSD, "data": "data/pancreas", "mask_blur": 16.0, "lr": 1e-4},
    "xray": {
        "data": "data/xray",
        "split_policy": "site-correlated",
        "split_ratio": "50/25/25",
        "mask": "circle",
        "mask_blur": 0.0,
        "image_size": 128,
        "recon_loss": "mse",
        "lr": 1e-3,
        "epochs": 100,
    },
}
"""What each preset changes (paper secs. 4 to 6; learning rates as in the authors' configuration)."""

CONVNET_WIDTH = {"synthetic": 16, "liver": 64, "cardiac": 64, "pancreas": 64, "xray": 64}
RECON_WEIGHT = {"synthetic": 10.0, "liver": 1.0, "cardiac": 1.0, "pancreas": 1.0, "xray": 1.0}
