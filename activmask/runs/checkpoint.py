"""Checkpoints: safetensors with the run's description in the header, and nothing pickled."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from activmask.data.recipe import Recipe
from activmask.ground.errors import PATH, ActivmaskError, CheckpointError
from activmask.ground.files import write_whole
from activmask.ground.spelling import spelled_plainly
from activmask.models.build import build_model, load_plain_weights, plain_weights
from activmask.runs.checkpoint_format import FORMAT, refuse_newer
from activmask.runs.description import RunConfig, flat
from activmask.runs.folder import BEST_FILE, LAST_FILE
from activmask.runs.making import written_config


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

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary that `from_json` reads back."""
        return {**vars(self), "config": flat(self.config), "format": FORMAT}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Description":
        """Rebuild the description; raises KeyError, TypeError or an ActivmaskError on nonsense.

        What earlier versions did not write yet is left at its default.
        """
        fields = {name: value[name] for name in _KINDS if name not in _LATER or name in value}
        for name, item in fields.items():
            if not isinstance(item, _KINDS[name]):
                raise TypeError(name)
        fields["class_names"] = tuple(fields.get("class_names", ()))
        return cls(config=written_config(value["config"]), **fields)


_LATER: dict[str, type] = {
    "data_path": str,
    "data_images": int,
    "class_names": list,
    "recipe": dict,
    "split_sha256": dict,
}
_KINDS: dict[str, type] = {
    "seed": int,
    "epoch": int,
    "image_size": int,
    "channels": int,
    "classes": int,
    "dataset_name": str,
    **_LATER,
}


@dataclass(frozen=True, kw_only=True)
class Checkpoint(Description):
    """A trained network and what it says of itself."""

    path: Path
    """The file it was read from."""
    model: nn.Module
    """Maps images (B, C, H, W) to a `ModelOutput`; in evaluation mode on the CPU."""


def save_checkpoint(path: Path, weights: dict[str, Tensor], description: Description) -> None:
    """Write weights under the network's own names, whole or not at all."""
    metadata = {"activmask": json.dumps(description.to_json())}
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in weights.items()}
    write_whole(path, save(contiguous, metadata))


def load_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint and build its network.

    Raises:
        CheckpointError: the file is missing, damaged, or no checkpoint of this program.
    """
    weights, header = read_safetensors(path)
    try:
        written = json.loads(header["activmask"])
        refuse_newer(path, written)
        description = Description.from_json(written)
        model = build_model(
            description.config.network,
            channels=description.channels,
            classes=description.classes,
            image_size=description.image_size,
            seed=0,
        )
        load_plain_weights(model, weights)
    except CheckpointError:
        raise
    except (KeyError, TypeError, ValueError, RuntimeError, ActivmaskError) as error:
        raise CheckpointError(
            f"{PATH} is a safetensors file but not a checkpoint this version can read "
            f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'empty'})",
            path=path,
            advice=f"give a {BEST_FILE} or {LAST_FILE} that train wrote",
        ) from error
    return Checkpoint(path=path, model=model.eval(), **vars(description))


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors of a safetensors file and its header's metadata.

    Raises:
        CheckpointError: the file is missing or damaged.
    """
    if not path.is_file():
        raise CheckpointError(
            f"there is no checkpoint file {PATH}; a run's lie in its folder as seed-<k>/{BEST_FILE}",
            path=path,
        )
    try:
        with spelled_plainly(path) as plain, safe_open(plain, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
            return tensors, file.metadata() or {}
    except (SafetensorError, OSError, ValueError, UnicodeDecodeError) as error:
        raise CheckpointError(
            f"{PATH} is no safetensors file or is damaged ({error})",
            path=path,
            advice="train again or copy it anew",
        ) from error


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the network's weights as they are now, on the device they are on."""
    with torch.no_grad():
        return {name: tensor.detach().clone() for name, tensor in plain_weights(model).items()}
