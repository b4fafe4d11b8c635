"""Checkpoints: safetensors with the run's description in the header, and nothing pickled."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from activmask.data.recipe import Recipe
from activmask.ground.errors import PATH, ActivmaskError, CheckpointError
from activmask.ground.listed import listed
from activmask.machine.memory import is_out_of_memory
from activmask.models.build import build_model, load_plain_weights, plain_weights
from activmask.models.own_code import code_digest, code_of, is_own_code
from activmask.models.settings import Network
from activmask.runs.checkpoint_format import FORMAT, FORMAT_WITH_LABELS
from activmask.runs.description import RunConfig, written
from activmask.runs.entries import ALWAYS, DESCRIPTION
from activmask.runs.folder import (
    BEST_FILE,
    LAST_FILE,
    METRICS_FILE,
    OTHER_FILE,
    read_metrics,
    read_written,
    seed_of,
)
from activmask.runs.identity import CODE, other_run
from activmask.runs.making import written_config
from activmask.runs.tensor_file import check_tensors, hold, not_readable, read_tensors, write_tensors
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
    built_from: dict[str, str] = field(default_factory=dict)
    """SHA-256 of what the network was built from besides this program: `code` is the user's file."""
    multi_label: bool = False
    """Whether its classes are labels that do not exclude each other: a logit is then the log odds of one."""

    def to_json(self) -> dict[str, Any]:
        """A plain dictionary that `from_json` reads back."""
        rarely = {"built_from", "multi_label"}
        said = {name: value for name, value in vars(self).items() if name not in rarely or value}
        return {
            **said,
            "config": written(self.config),
            "format": FORMAT_WITH_LABELS if self.multi_label else FORMAT,
        }

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
        if fields.get("multi_label") and not fields["class_names"]:
            raise ValueError("it tells several labels and names none")
        return cls(config=config, **fields)


@dataclass(frozen=True, kw_only=True)
class Checkpoint(Description):
    """A trained network and what it says of itself."""

    path: Path
    """The file it was read from."""
    model: nn.Module
    """Maps images (B, C, H, W) to a `ModelOutput`; in evaluation mode on the CPU."""


def refuse_several_labels(path: Path, description: Description) -> None:
    """Refuse a network of labels that do not exclude each other where classes alone are understood.

    Raises:
        CheckpointError: names the labels.
    """
    if description.multi_label:
        raise CheckpointError(
            f"the network of {PATH} tells labels that do not exclude each other "
            f"({listed(description.class_names)}), and this takes networks of classes",
            path=path,
            advice="name one of its labels, where that can be said",
        )


def save_checkpoint(path: Path, weights: dict[str, Tensor], description: Description) -> None:
    """Write weights under the network's own names, whole or not at all."""
    write_tensors(path, hold(weights), description.to_json())


def load_checkpoint(
    path: str | Path, *, code: Sequence[str | Path] = (), multi_label: bool = False
) -> Checkpoint:
    """Read a checkpoint and build its network.

    Args:
        path: of the file.
        code: Python files that may run: one of them made the network, where a user's own function did.
            It is known by its digest, wherever it lies now. No other code runs.
        multi_label: take a network of labels that do not exclude each other, too.

    Raises:
        CheckpointError: it knows several labels where the caller knows classes alone;
            the file is missing, damaged or edited, no checkpoint of this program, or, in a
            seed's folder, not that seed's of that run; or the code that made its network is not among `code`.
        MemoryError: there is too little for the network, or torch's RuntimeError of that.
    """
    path = Path(path)
    file = read_tensors(path)
    description = read_description(path, file.told)
    _check_place(path, description)
    if not multi_label:
        refuse_several_labels(path, description)
    network = _with_code(path, description, code)
    try:
        _check_sizes(description, file.tensors)
        model = build_model(
            network,
            channels=description.channels,
            classes=description.classes,
            image_size=description.image_size,
            seed=None,
        )
    except (ActivmaskError, RuntimeError, ValueError, TypeError, OverflowError) as error:
        if is_out_of_memory(error):
            raise
        why = str(error).splitlines()
        raise not_readable(path, why[0] if why else type(error).__name__) from error
    check_tensors(path, file.tensors, plain_weights(model), "the weights of the network that it describes")
    load_plain_weights(model, file.tensors)
    return Checkpoint(path=path, model=model.eval(), **vars(description))


def _with_code(path: Path, description: Description, code: Sequence[str | Path]) -> Network:
    """The network that is to be built, made by one of the files that may run if by any code at all.

    Raises:
        CheckpointError: it takes code that is not among them.
    """
    wanted = description.config.network
    if not is_own_code(wanted.model):
        return wanted
    file, function = code_of(wanted.model)
    for named in map(Path, code):
        if code_digest(named) == description.built_from.get(CODE):
            return replace(wanted, model=f"{named}:{function}")
    if code:
        raise CheckpointError(
            f"the network of {PATH} was made by another {file.name} than that which is named as code",
            path=path,
            advice="name the file as it was when the network was trained; it is known by its digest",
        )
    raise CheckpointError(
        f"the network of {PATH} is made by {wanted.model}, and code runs only where you name it",
        path=path,
        advice=f"name that file as code, if you trust it: {file}",
    )


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
    if metrics is not None and "other" in metrics:
        epochs[OTHER_FILE] = metrics["other"]["best_epoch"]
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
    if is_own_code(description.config.network.model):
        return  # Its code decides what its tensors are like.
    for what in ("classes", "channels"):
        if getattr(description, what) not in sides:
            raise ValueError(f"no tensor has its {getattr(description, what)} {what}")


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the network's weights as they are now, on the device they are on."""
    with torch.no_grad():
        return {name: tensor.detach().clone() for name, tensor in plain_weights(model).items()}
