"""Networks as torchvision and timm build them, their own stems and all, and the weights that they have.

Shapes: B images, C channels, H x W pixels, K classes.
"""

from __future__ import annotations

import difflib
from types import ModuleType
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from activmask.ground.errors import UsageError
from activmask.ground.nearest import nearest
from activmask.machine.compiler import without_compiler
from activmask.models.foreign_code import failures_told
from activmask.models.library_names import IMAGENET, library_of
from activmask.models.taps import Tapped
from activmask.models.torchvision_models import give_first_convolution, torchvision_names

if TYPE_CHECKING:
    from activmask.models.settings import Network

_SUGGESTED = 5
_OWN_SCALE = {"googlenet": 0.5, "inception_v3": 0.5}
"""Mean and SD of images where torchvision's networks change them once more themselves, of three channels."""


class Normalised(nn.Module):
    """Images on the scale that a library's weights were trained on."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]) -> None:
        """By one number each, or one of each channel."""
        super().__init__()
        for name, values in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(values).view(1, -1, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Normalise images (B, C, H, W) in [0, 1]."""
        return (images - self.mean) / self.std


def timm_library() -> ModuleType:
    """The library timm (raises UsageError where it is not installed)."""
    try:
        import timm
    except ImportError as error:
        raise UsageError("timm is not installed", advice="install activmask[timm]") from error
    found: ModuleType = timm
    return found


def check_library(name: str) -> None:
    """Refuse a network that its library does not have (raises UsageError)."""
    library, network = library_of(name)
    if library == "timm":
        timm = timm_library()
        if not timm.is_model(network):
            close = difflib.get_close_matches(network, timm.list_models(), n=_SUGGESTED, cutoff=0)
            raise UsageError(f"timm has no model '{network}'; the nearest are {', '.join(close)}")
        return
    known = torchvision_names()
    if network not in known:
        raise UsageError(f"torchvision has no classifier '{network}'; {nearest(network, known)}")


def built_by_library(wanted: Network, *, channels: int, classes: int) -> Tapped:
    """An untrained network of a library for images (B, C, H, W) and K classes, its taps found.

    To start from the library's own weights, images are normalised as the library does for them; of other
    channels than three by the mean of its numbers. Its first convolution takes C channels as it stands.

    Args:
        wanted: its name, and the weights that it is to start from.
        channels: C.
        classes: K.

    Raises:
        CheckpointError: the library fails.
    """
    library, name = library_of(wanted.model)
    with failures_told(wanted.model, "to be built"):
        if library == "timm":
            network: nn.Module = timm_library().create_model(name, num_classes=classes, in_chans=channels)
        else:
            network = _of_torchvision(name, channels, classes)
    if wanted.weights != IMAGENET:
        return Tapped(network)
    mean, std = _scale(library, name, network, channels)
    shown = "; std ".join(", ".join(f"{value:.3g}" for value in values) for values in (mean, std))
    note = f"images are normalised as {library} does for its own weights (mean {shown})"
    return Tapped(network, before=Normalised(mean, std), notes=(note,))


def _of_torchvision(name: str, channels: int, classes: int) -> nn.Module:
    with without_compiler():
        from torchvision.models import get_model

    options = {"aux_logits": False, "init_weights": True} if name in _OWN_SCALE else {}
    network: nn.Module = get_model(name, weights=None, num_classes=classes, **options)
    if channels != 3:
        give_first_convolution(network, channels)
    return network


def _scale(
    library: str, name: str, network: nn.Module, channels: int
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The mean and SD by which a library normalises images for its own weights, of C channels or of all."""
    if library == "timm":
        told = network.pretrained_cfg
        assert isinstance(told, dict)
        both = tuple(told["mean"]), tuple(told["std"])
    elif name in _OWN_SCALE:
        both = (_OWN_SCALE[name],), (_OWN_SCALE[name],)
    else:
        with without_compiler():
            from torchvision.models import get_model_weights

        usual = get_model_weights(name).DEFAULT.transforms()
        both = tuple(usual.mean), tuple(usual.std)
    mean, std = (values if len(values) == channels else (sum(values) / len(values),) for values in both)
    return mean, std


def own_weights(name: str) -> dict[str, Tensor]:
    """The weights that a library has for a network, which it fetches where they are not in its cache.

    Draws nothing from torch's global generators.

    Raises:
        UsageError: it has none.
        CheckpointError: they cannot be had.
    """
    library, network = library_of(name)
    with torch.random.fork_rng(devices=[]), failures_told(name, "to load the library's own weights"):
        if library == "timm":
            timm = timm_library()
            if not timm.models.is_model_pretrained(network):
                raise UsageError(f"{name} has no weights of its own; give a safetensors file")
            found: nn.Module = timm.create_model(network, pretrained=True)
        else:
            with without_compiler():
                from torchvision.models import get_model, get_model_weights

            own = get_model_weights(network)
            if not len(own):
                raise UsageError(f"{name} has no weights of its own; give a safetensors file")
            found = get_model(network, weights=own.DEFAULT, progress=False)
    return found.state_dict()
