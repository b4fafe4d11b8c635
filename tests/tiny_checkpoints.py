"""Small checkpoints, images and data for the tests of evaluation and saliency."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from activmask.data.samples import Samples
from activmask.models.build import build_model, plain_weights
from activmask.runs.checkpoint import Checkpoint, Description, load_checkpoint, save_checkpoint
from activmask.runs.description import RunConfig
from activmask.runs.making import make_config

SIDE = 28


def tiny_config(**settings: object) -> RunConfig:
    chosen = {"data": "synthetic", "model": "cnn", "width": 4, "device": "cpu", "epochs": 1, **settings}
    return make_config(**chosen)


def write_checkpoint(
    path: Path,
    *,
    seed: int = 0,
    side: int = SIDE,
    classes: int = 2,
    channels: int = 1,
    described: dict[str, Any] | None = None,
    **settings: object,
) -> Path:
    """An untrained network, saved as an earlier version would, or with more `described` of its data."""
    config = tiny_config(**settings)
    model = build_model(config.network, channels=channels, classes=classes, image_size=side, seed=seed)
    description = Description(
        config=config,
        seed=seed,
        epoch=0,
        image_size=side,
        channels=channels,
        classes=classes,
        dataset_name="synthetic",
        **(described or {}),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(path, plain_weights(model), description)
    return path


def unsealed(told: dict[str, Any]) -> dict[str, Any]:
    """What a checkpoint or a state tells, as earlier versions did, without digests of file and run."""
    old = {name: value for name, value in told.items() if name not in {"sha256", "best_sha256", "run_sha256"}}
    return {**old, "description": unsealed(old["description"])} if "description" in old else old


def tiny_checkpoint(folder: Path, **settings: object) -> Checkpoint:
    return load_checkpoint(write_checkpoint(folder / "seed-0" / "best.safetensors", **settings))


def write_image(path: Path, height: int = SIDE, width: int = SIDE, seed: int = 0) -> Path:
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def write_mask(path: Path, height: int = SIDE, width: int = SIDE) -> Path:
    mask = np.zeros((height, width), dtype=np.uint8)
    mask[height // 4 : height // 2, width // 4 : width // 2] = 255
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path)
    return path


def samples_of(images: torch.Tensor, masks: torch.Tensor, labels: list[int], sites: str = "") -> Samples:
    """Samples whose every image has a mask; `sites` gives one letter an image."""
    n = len(labels)
    return Samples(
        images=images,
        masks=masks,
        has_mask=torch.ones(n, dtype=torch.bool),
        labels=torch.tensor(labels),
        subjects=tuple(map(str, range(n))),
        sites=tuple(sites) if sites else ("",) * n,
        names=tuple(f"{i}.png" for i in range(n)),
    )
