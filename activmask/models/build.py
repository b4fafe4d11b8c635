"""From a run's description to an untrained network."""

from functools import partial

import torch
from torch import Tensor, nn

from activmask.ground.errors import UsageError
from activmask.models.convnet import SMALLEST_SIDE, ConvNet
from activmask.models.output import ModelOutput
from activmask.models.settings import Network
from activmask.models.taps import Tapped
from activmask.models.torchvision_models import (
    check_torchvision_model,
    give_released_head,
    torchvision_classifier,
)

CONVNETS = {
    "cnn": partial(ConvNet),
    "ae": partial(ConvNet, decoder=True),
    "unet": partial(ConvNet, decoder=True, skips=True),
}


def check_model(wanted: Network) -> None:
    """Raise a UsageError for a model or width that does not exist, before any data is read."""
    if wanted.model not in CONVNETS:
        check_torchvision_model(wanted.model, wanted.width)


def build_model(wanted: Network, *, channels: int, classes: int, image_size: int, seed: int) -> nn.Module:
    """Build the network that is wanted, its initial weights drawn from `seed` alone.

    Args:
        wanted: its name, width and head.
        channels: C of the images.
        classes: number of classes.
        image_size: side of the square images in px.
        seed: of the initial weights.

    Returns:
        A module mapping images (B, C, H, W) to a `ModelOutput`, in training mode.

    Raises:
        UsageError: unknown model, or images too small for it.
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        if wanted.model in CONVNETS:
            if image_size < SMALLEST_SIDE:
                raise UsageError(
                    f"images of {image_size} px are too small for {wanted.model}, which needs {SMALLEST_SIDE}"
                )
            return CONVNETS[wanted.model](
                channels=channels, classes=classes, image_size=image_size, width=wanted.width
            )
        network = torchvision_classifier(wanted.model, channels=channels, classes=classes, width=wanted.width)
        if wanted.head == "released":
            give_released_head(network, wanted.model, image_size)
        model = Tapped(network)
        _try_out(model, wanted.model, channels, image_size)
    return model


def _try_out(model: nn.Module, name: str, channels: int, image_size: int) -> ModelOutput:
    """One pass over a blank image, so that an unsuitable size is refused before training starts."""
    model.eval()
    try:
        with torch.no_grad():
            output: ModelOutput = model(torch.zeros(1, channels, image_size, image_size))
    except (RuntimeError, AssertionError, ValueError) as error:
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(f"{name} cannot take images of {image_size} px: {first_line}") from error
    model.train()
    return output


def plain_weights(model: nn.Module) -> dict[str, Tensor]:
    """The network's weights under its own names, as plain torchvision would load them."""
    return (model.network if isinstance(model, Tapped) else model).state_dict()


def load_plain_weights(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """The inverse of `plain_weights`, strict about names and shapes (raises RuntimeError)."""
    (model.network if isinstance(model, Tapped) else model).load_state_dict(weights)
