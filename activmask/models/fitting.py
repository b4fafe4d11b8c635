"""Fit a network that others made to a run: channels of its first convolution, outputs of its last layer.

Shapes: B images, C channels, H x W pixels, K classes.
"""

from copy import deepcopy
from typing import cast

import torch
from torch import Tensor, nn

from activmask.ground.errors import UsageError

_HEADS = (nn.Linear, nn.Conv2d)


def fit_channels(network: nn.Module, channels: int, name: str) -> list[str]:
    """Give a network's first convolution the channels of the images, in place, and say so.

    Of the three colours' weights the sum is left for grey images, which answers as the network does where
    grey is repeated to three channels; for colours, a third of the one weight each.

    Args:
        network: its first convolution is the first that it defines.
        channels: C of the images.
        name: of the network.

    Raises:
        UsageError: the two are neither equal nor 1 and 3.
    """
    place, first = first_convolution(network)
    if first is None or first.in_channels == channels:
        return []
    if first.groups != 1 or {first.in_channels, channels} != {1, 3}:
        raise UsageError(
            f"the first convolution of {name} takes {first.in_channels} channels, and images have {channels}",
            advice="let the function take 'channels'",
        )
    weight = fitted_kernel(first.weight.detach(), channels)
    before = first.in_channels
    first.in_channels = channels
    first.weight = nn.Parameter(weight, requires_grad=first.weight.requires_grad)
    how = "summed to one" if channels == 1 else "shared out to three"
    return [f"the first convolution of {name}, {place}, took {before} channels, whose weights are {how}"]


def fitted_kernel(weight: Tensor, channels: int) -> Tensor:
    """A kernel (K, C', h, w) for so many channels: summed over colours to one, or shared out to three."""
    if weight.shape[1] == channels:
        return weight
    return weight.sum(dim=1, keepdim=True) if channels == 1 else (weight / channels).repeat(1, channels, 1, 1)


def first_convolution(network: nn.Module) -> tuple[str, nn.Conv2d | None]:
    """The first convolution that a network defines, and its name."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            return name, module
    return "", None


def last_layer(network: nn.Module, images: Tensor) -> str:
    """The name of the linear layer or convolution that a pass over images goes through last.

    Args:
        network: any; a copy of it is asked.
        images: (B, C, H, W) as it takes them, on its device.

    Returns:
        Empty where there is none.
    """
    trial, ran = deepcopy(network).eval(), []
    for name, module in trial.named_modules():
        if isinstance(module, _HEADS):
            module.register_forward_hook(lambda _module, _inputs, _output, name=name: ran.append(name))
    with torch.no_grad():
        trial(images.clone())
    return ran[-1] if ran else ""


def replace_head(network: nn.Module, name: str, outputs: int, classes: int) -> bool:
    """Replace a layer of so many outputs by a new one of so many classes, drawn from torch's generator.

    Returns:
        False where it has other outputs, or is none that could be replaced.
    """
    old = network.get_submodule(name) if name else None
    new: nn.Module
    if type(old) is nn.Linear and old.out_features == outputs:
        new = nn.Linear(old.in_features, classes, bias=old.bias is not None)
    elif type(old) is nn.Conv2d and old.out_channels == outputs and old.groups == 1:
        new = nn.Conv2d(
            old.in_channels,
            classes,
            cast(tuple[int, int], old.kernel_size),
            stride=cast(tuple[int, int], old.stride),
            padding=cast(tuple[int, int], old.padding),
            bias=old.bias is not None,
        )
    else:
        return False
    parent, _, own = name.rpartition(".")
    setattr(network.get_submodule(parent), own, new)
    return True
