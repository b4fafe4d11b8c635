"""Checkpoints: safetensors with the run's description in the header, and nothing pickled."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from activmask.data.recipe import Recipe
from activmask.ground.errors import PATH, ActivmaskError, CheckpointError
from activmask.machine.memory import is_out_of_memory
from activmask.models.build import build_model, load_plain_weights, plain_weights
from activmask.runs.checkpoint_format import FORMAT
from activmask.runs.description import RunConfig, written
from activmask.runs.entries import ALWAYS, DESCRIPTION
from activmask.runs.folder import (
    BEST_FILE,
    LAST_FILE,
    METRICS_FILE,
    read_metrics,
    read_written,
    seed_of,
)
from activmask.runs.identity import other_run
from activmask.runs.making import written_config
from activmask.runs.tensor_file import check_tensors, not_readable, read_tensors, write_tensors
from activmask.runs.written_values import what_is_wrong


@dataclass(frozen=True, kw_only=True)
class Description:
    """What a checkpoint says of itself."""

    config: RunConfig
    """The run it belongs to."""
    seed: int
    """The replica it belongs to."""
    epoch: int
    """The epoch, counted from 0, after which these weights were taken."""
    image_size: int
    """Side in px of the square images the network sees; stored images are cropped to it."""
    channels: int
    """Channels of the images, whose values are scaled to [0, 1]."""
    classes: int
    """Number of classes."""
    dataset_name: str
    """The data set's folder name."""
    data_path: str = ""
    """The data set's folder from the root of the file system; empty for images drawn in memory."""
    data_images: int = 0
    """How many images the data set held, those in no split included."""
    class_names: tuple[str, ...] = ()
    """Of classes 0, 1, ...; empty where the data set names none."""
    recipe: Recipe = field(default_factory=dict)
    """How the data set made its images of raw files."""
    split_sha256: dict[str, str] = field(default_factory=dict)
    """A digest of the files, labels, subjects and sites of each split; empty from earlier versions."""
    run_sha256: str = ""
    """Which run it is of, see `identity.run_digest`; empty from earlier versions."""

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary that `from_json` reads back."""
        return {**vars(self), "config": written(self.config), "format": FORMAT}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Description":
        """Rebuild the description; what earlier versions did not write yet is left at its default.

        Raises:
            ValueError: an entry is missing or no such value.
            UsageError: a setting is.
        """
        if wrong := what_is_wrong(value, DESCRIPTION, ALWAYS):
            raise ValueError(wrong)
        fields = {name: value[name] for name in DESCRIPTION if name in value}
        config = written_config(fields.pop("config"))
        fields["class_names"] = tuple(fields.get("class_names", ()))
        if fields["epoch"] >= config.training.epochs:
            raise ValueError(f"its epoch is {fields['epoch']}, of {config.training.epochs} from 0 on")
        if fields["class_names"] and len(fields["class_names"]) != fields["classes"]:
            raise ValueError(f"it names {len(fields['class_names'])} of {fields['classes']} classes")
        return cls(config=config, **fields)


@dataclass(frozen=True, kw_only=True)
class Checkpoint(Description):
    """A trained network and what it says of itself."""

    path: Path
    """The file it was read from."""
    model: nn.Module
    """Maps images (B, C, H, W) to a `ModelOutput`; in evaluation mode on the CPU."""


def save_checkpoint(path: Path, weights: dict[str, Tensor], description: Description) -> None:
    """Write weights under the network's own names, whole or not at all."""
    write_tensors(path, weights, description.to_json())


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint and build its network.

    Raises:
        CheckpointError: the file is missing, damaged or edited, no checkpoint of this program, or, in a
            seed's folder, not that seed's of that run.
        MemoryError: there is too little for the network, or torch's RuntimeError of that.
    """
    file = read_tensors(path)
    description = read_description(path, file.told)
    _check_place(path, description)
    try:
        _check_sizes(description, file.tensors)
        model = build_model(
            description.config.network,
            channels=description.channels,
            classes=description.classes,
            image_size=description.image_size,
            seed=0,
        )
    except (ActivmaskError, RuntimeError, ValueError, TypeError, OverflowError) as error:
        if is_out_of_memory(error):
            raise
        why = str(error).splitlines()
        raise not_readable(path, why[0] if why else type(error).__name__) from error
    check_tensors(path, file.tensors, plain_weights(model), "the weights of the network that it describes")
    load_plain_weights(model, file.tensors)
    return Checkpoint(path=path, model=model.eval(), **vars(description))


def read_description(path: Path, told: object) -> Description:
    """The description that a file tells.

    Raises:
        CheckpointError: it is none.
    """
    try:
        if not isinstance(told, dict):
            raise ValueError("it does not say what it is")
        return Description.from_json(told)
    except (ValueError, ActivmaskError) as error:
        raise not_readable(path, str(error)) from error


def _check_place(path: Path, description: Description) -> None:
    """Refuse a file in a seed's folder that is of another seed, run or epoch than its place says."""
    folder = path.parent
    if (seed := seed_of(folder)) is None:
        return
    metrics, written = read_metrics(folder), read_written(folder)
    epochs = {} if metrics is None else {BEST_FILE: metrics["best_epoch"]}
    if metrics is not None and "epochs" in metrics:
        epochs[LAST_FILE] = metrics["epochs"] - 1
    wrong = "" if seed == description.seed else f"it is of seed {description.seed}, its folder of seed {seed}"
    wrong = wrong or ("" if written is None else other_run(written, description))
    if not wrong and description.epoch != epochs.get(path.name, description.epoch):
        wrong = f"it is of epoch {description.epoch}, {METRICS_FILE} tells of epoch {epochs[path.name]}"
    if wrong:
        raise CheckpointError(
            f"{PATH} does not belong to the run in its folder ({wrong})",
            path=path,
            advice="restore the file that train wrote there, or train again",
        )


def _check_sizes(description: Description, tensors: Mapping[str, Tensor]) -> None:
    """Refuse numbers that no tensor bears out before a network of that size takes the memory."""
    sides = {side for tensor in tensors.values() for side in tensor.shape}
    for what in ("classes", "channels"):
        if getattr(description, what) not in sides:
            raise ValueError(f"no tensor has its {getattr(description, what)} {what}")


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the network's weights as they are now, on the device they are on."""
    with torch.no_grad():
        return {name: tensor.detach().clone() for name, tensor in plain_weights(model).items()}
