"""Networks of torchvision and timm by name, with weights of a file or of the library itself.

Shapes: C channels, K classes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from activmask.ground.errors import UsageError
from activmask.machine.compiler import without_compiler
from activmask.models.foreign_code import failures_told
from activmask.models.library_names import IMAGENET
from activmask.models.library_networks import check_library, timm_library
from activmask.models.torchvision_models import give_first_convolution
from activmask.models.weights import channels_in, load_weights, outputs_in
from activmask.predictors.preprocessing import Preprocessing
from activmask.runs.weights_file import read_weights

_USUAL_OUTPUTS = 1000


@dataclass(frozen=True, kw_only=True)
class Named:
    """A network of a library with its weights."""

    network: nn.Module
    preprocessing: Preprocessing
    """What the library does to images for its own weights, as far as it is said here."""
    notes: tuple[str, ...] = ()


def library_network(library: str, name: str, weights: str | Path | None) -> Named:
    """A network of a library, by the library's name for it.

    Of a file of weights, how many outputs and channels the network has follows from their shapes.

    Args:
        library: a key of `LIBRARIES`.
        name: of the network.
        weights: a safetensors file, or `imagenet` for the library's own, which the library fetches where
            they are not in its cache.

    Raises:
        UsageError: there is no such network, it has no weights of its own, weights are not said, or the
            library is not installed.
        CheckpointError: the weights cannot be read, fetched, or are another network's.
    """
    if weights is None:
        raise UsageError(
            f"{library}:{name} needs weights",
            advice=f"give a safetensors file, or {IMAGENET} for the library's own",
        )
    return LIBRARIES[library](name, None if weights == IMAGENET else Path(weights))


def _of_torchvision(name: str, weights: Path | None) -> Named:
    with without_compiler():
        from torchvision.models import get_model, get_model_weights

    called = f"torchvision:{name}"
    check_library(called)
    own = get_model_weights(name)
    usual = own.DEFAULT.transforms() if len(own) else None
    how = Preprocessing()
    if usual is not None:
        how = Preprocessing(size=usual.crop_size[0], mean=tuple(usual.mean), std=tuple(usual.std))
    if weights is None:
        if not len(own):
            raise UsageError(f"{called} has no weights of its own; give a safetensors file")
        with failures_told(called, "to load the library's own weights"):
            return Named(network=get_model(name, weights=own.DEFAULT, progress=False), preprocessing=how)
    held = read_weights(weights)
    options: dict[str, Any] = {"init_weights": False} if name in {"googlenet", "inception_v3"} else {}
    if options:
        options["aux_logits"] = any("aux" in one.lower() for one in held)
    with torch.device("meta"):
        outline = get_model(name, weights=None, **options)
    outputs = outputs_in(held, outline.state_dict(), _USUAL_OUTPUTS)
    network = get_model(name, weights=None, num_classes=outputs, **options)
    channels = channels_in(held, network)
    if channels is not None and channels != 3:
        give_first_convolution(network, channels)
    notes = load_weights(network, held, weights, called)
    return Named(network=network, preprocessing=_for_channels(how, channels), notes=tuple(notes))


def _of_timm(name: str, weights: Path | None) -> Named:
    called, timm = f"timm:{name}", timm_library()
    check_library(called)
    if weights is None:
        if not timm.models.is_model_pretrained(name):
            raise UsageError(f"{called} has no weights of its own; give a safetensors file")
        with failures_told(called, "to load the library's own weights"):
            network = timm.create_model(name, pretrained=True)
        return Named(network=network, preprocessing=_of_timm_config(network))
    held = read_weights(weights)
    with failures_told(called, "to be built"):
        outline = timm.create_model(name, num_classes=_USUAL_OUTPUTS)
        outputs = outputs_in(held, outline.state_dict(), _USUAL_OUTPUTS)
        channels = channels_in(held, outline)
        network = timm.create_model(name, num_classes=outputs, in_chans=channels or 3)
    notes = load_weights(network, held, weights, called)
    how = _for_channels(_of_timm_config(network), channels)
    return Named(network=network, preprocessing=how, notes=tuple(notes))


def _of_timm_config(network: nn.Module) -> Preprocessing:
    told = network.pretrained_cfg
    assert isinstance(told, dict)
    _, height, width = told["input_size"]
    return Preprocessing(size=(height, width), mean=tuple(told["mean"]), std=tuple(told["std"]))


def _for_channels(how: Preprocessing, channels: int | None) -> Preprocessing:
    """The same for a network of so many channels; of others than 3, mean and std are those of all."""
    if channels is None or not how.mean or len(how.mean) in {1, channels}:
        return how
    mean, std = (sum(values) / len(values) for values in (how.mean, how.std))
    return replace(how, mean=(mean,), std=(std,))


LIBRARIES: dict[str, Callable[[str, Path | None], Named]] = {
    "torchvision": _of_torchvision,
    "timm": _of_timm,
}
"""By the word before the colon."""


def with_library_values(said: Preprocessing, library: Preprocessing) -> tuple[Preprocessing, list[str]]:
    """What the user says of preprocessing, and the library's values for what is not said."""
    if said.function is not None:
        return said, []
    taken = {
        name: getattr(library, name)
        for name, silent in (("size", said.size is None), ("mean", not said.mean), ("std", not said.std))
        if silent and getattr(library, name)
    }
    if not taken:
        return said, []
    words = Preprocessing(**{"mean": (), "std": (), **taken}).in_words()
    return replace(said, **taken), [
        f"Images are prepared as the library does for its own weights: {words}; say size, mean and std if "
        "this network was trained otherwise."
    ]
