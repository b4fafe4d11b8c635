"""Whether networks can be stacked, found by trying.

Shapes: B images, C channels, H x W pixels, R seeds.
"""

import math
from collections.abc import Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn

from activmask.models.output import ModelOutput
from activmask.models.stacked.network import check_layers, forward, gradients, leaves, stack
from activmask.models.stacked.seed_wise import CannotBeStackedError

MOST_APART = 1e-6
"""By which share a float64 number of a stack may differ from the same of a network alone. Sums in
another order differ by some 1e-14, and a seed that sees another's by all of its size."""

_GRADIENT = "the gradient of "


def why_not_stacked(networks: Sequence[nn.Module], images: Tensor) -> str:
    """A clause that says why networks cannot be stacked; empty where they can.

    Two of them are run on images of their own in float64, in training mode, alone and stacked:
    what they return, the gradients of their weights, and their running statistics have to be the same.

    Args:
        networks: each maps images, and whether to reconstruct, to a `ModelOutput`; left as they are.
        images: float (B, C, H, W), B at least 4, not blank; the first half is seen by one network and
            the second by another.
    """
    if clause := _unequal(networks):
        return clause
    try:
        check_layers(networks[0])
    except CannotBeStackedError as error:
        return f"the network cannot be stacked: {error}"
    pair = [
        deepcopy(network).to(images.device, torch.float64).train() for network in (networks[0], networks[-1])
    ]
    half = len(images) // 2
    seen = torch.stack([images[:half], images[half : 2 * half]]).double()
    alone = [_run(deepcopy(network), own) for network, own in zip(pair, seen, strict=True)]
    try:
        together = _run_stacked(pair, seen)
    except CannotBeStackedError as error:
        return f"the network cannot be stacked: {error}"
    except (RuntimeError, ValueError, TypeError, IndexError, AttributeError) as error:
        # The code of a foreign network may fail in any way once a tensor has other axes.
        return f"the network fails once its seeds lie side by side ({str(error).splitlines()[0]})"
    worst = max(_worst(own, other) for own, other in zip(alone, together, strict=True))
    if worst[0] > MOST_APART:
        return f"stacked, the network computes something else ({worst[1]} differs by {worst[0]:.1e})"
    return ""


def _unequal(networks: Sequence[nn.Module]) -> str:
    def shapes(network: nn.Module) -> list[tuple[str, torch.Size, torch.dtype]]:
        own = [*network.named_parameters(), *network.named_buffers()]
        return [(name, tensor.shape, tensor.dtype) for name, tensor in own]

    if any(shapes(network) != shapes(networks[0]) for network in networks):
        return "the networks have other layers or sizes"
    return ""


def _run(network: nn.Module, images: Tensor) -> dict[str, Tensor]:
    """Everything a pass and its gradients come to, by name."""
    output: ModelOutput = network(images)
    found = _returned(output)
    parameters = dict(network.named_parameters())
    gradients = torch.autograd.grad(
        _scalar(found), list(parameters.values()), allow_unused=True, materialize_grads=True
    )
    named = {_GRADIENT + name: g for name, g in zip(parameters, gradients, strict=True)}
    return found | named | dict(network.named_buffers())


def _run_stacked(networks: Sequence[nn.Module], images: Tensor) -> list[dict[str, Tensor]]:
    stacked = stack(networks)
    [weights] = leaves(stacked)
    output = forward(stacked, weights, images)
    found = [
        {name: value[seed] for name, value in _returned(output).items()} for seed in range(stacked.seeds)
    ]
    total = torch.stack([_scalar(own) for own in found]).sum()
    together = gradients(stacked, total, [weights])
    for seed, (own, network) in enumerate(zip(found, networks, strict=True)):
        for name, parameter in network.named_parameters():
            gradient = together.get(name)
            own[_GRADIENT + name] = (
                torch.zeros_like(parameter)
                if gradient is None
                else stacked.layout.of_seed(name, gradient, seed)
            )
        own |= dict(network.named_buffers())
    return found


def _returned(output: ModelOutput) -> dict[str, Tensor]:
    named = {"its output": output.logits, **output.pre_activations}
    return named if output.reconstruction is None else {**named, "its reconstruction": output.reconstruction}


def _scalar(found: dict[str, Tensor]) -> Tensor:
    """A number that every returned value decides, each in its own way."""
    return torch.stack([value.square().mean() * (1 + i) for i, value in enumerate(found.values())]).sum()


def _worst(alone: dict[str, Tensor], stacked: dict[str, Tensor]) -> tuple[float, str]:
    """The share by which a tensor differs most, and its name."""
    largest = max(_size(tensor) for name, tensor in alone.items() if name.startswith(_GRADIENT))
    # What is 0 but for rounding, as a bias before a normalisation has it, has no share to differ by.
    floors = {name: 1e-3 * largest if name.startswith(_GRADIENT) else 1e-9 for name in alone}
    return max((_apart(alone[name], stacked[name], floors[name]), name) for name in alone)


def _size(tensor: Tensor) -> float:
    return float(tensor.detach().abs().max())


def _apart(one: Tensor, other: Tensor, floor: float) -> float:
    if one.shape != other.shape:
        return math.inf
    share = _size(one.detach().double() - other.detach().double()) / max(_size(one), floor)
    # A number that is none is equal to nothing.
    return math.inf if math.isnan(share) else share
