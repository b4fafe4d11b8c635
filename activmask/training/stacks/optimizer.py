"""One optimizer for the weights of all seeds; what each seed's own holds are views of it.

Shapes: R seeds, P parameters of each, N numbers of all seeds' parameters.
"""

from collections.abc import Container, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from activmask.kernels.adam import Parts, adam, parts_of
from activmask.models.stacked.network import Stack, lay_together
from activmask.training.replicas.replica import Replica


@dataclass(frozen=True, kw_only=True)
class Moments:
    """What Adam remembers of all seeds' weights, laid out as `Stack.weights`."""

    first: Tensor
    """float32 (N,), the running mean of gradients."""
    second: Tensor
    """float32 (N,), that of their squares."""
    steps: Tensor
    """float32 (P, R), how many steps each parameter has taken."""
    parts: Parts
    """Of each parameter and seed."""
    gradient: Tensor
    """float32 (N,), that of the step; 0 where a parameter decides nothing."""


def new_moments(stacked: Stack, replicas: Sequence[Replica]) -> Moments:
    """Take over what the replicas' optimizers remember: their states become views.

    Args:
        stacked: the replicas' networks.
        replicas: their optimizers have a state of every parameter that has had a gradient.
    """
    layout, weights = stacked.layout, stacked.weights
    sizes = [place.shape.numel() for place in layout.places for _ in replicas]
    moments = Moments(
        first=torch.zeros_like(weights),
        second=torch.zeros_like(weights),
        steps=weights.new_zeros(len(layout.places), len(replicas)),
        parts=parts_of(sizes, weights.device),
        gradient=torch.zeros_like(weights),
    )
    for seed, replica in enumerate(replicas):
        state = replica.optimizer.state
        known = {name for name, own in replica.model.named_parameters() if own in state}
        _tie(moments, stacked, replica, seed, known)
    return moments


def take_optimizer_step(
    moments: Moments, stacked: Stack, replicas: Sequence[Replica], found: dict[str, Tensor], stopped: Tensor
) -> None:
    """Take a step of Adam by the gradients of all seeds, but for those that have stopped.

    Args:
        moments: are changed.
        stacked: its weights are changed.
        replicas: their optimizers get a state of the parameters that have a gradient for the first time.
        found: from `network.gradients`.
        stopped: float32 (R,), 1 where a seed has stopped: its weights, moments and steps stay.
    """
    for seed, replica in enumerate(replicas):
        state = replica.optimizer.state
        new = {name for name, own in replica.model.named_parameters() if name in found and own not in state}
        _tie(moments, stacked, replica, seed, new)
    lay_together(stacked, found, moments.gradient)
    take_laid_step(moments, stacked, replicas, stopped)


def take_laid_step(moments: Moments, stacked: Stack, replicas: Sequence[Replica], stopped: Tensor) -> None:
    """The same step by the gradients that lie in the moments."""
    [settings] = replicas[0].optimizer.param_groups
    adam(
        stacked.weights,
        moments.gradient,
        moments.first,
        moments.second,
        moments.steps.view(-1),
        stopped,
        moments.parts,
        lr=settings["lr"],
        betas=settings["betas"],
        eps=settings["eps"],
    )


def _tie(moments: Moments, stacked: Stack, replica: Replica, seed: int, names: Container[str]) -> None:
    """Make the states of some of a replica's parameters views of the moments, with what they hold."""
    index = {place.name: number for number, place in enumerate(stacked.layout.places)}
    first, second = (stacked.layout.by_seed(part)[seed] for part in (moments.first, moments.second))
    for name, parameter in replica.model.named_parameters():
        if name not in names:
            continue
        views = {
            "step": moments.steps[index[name], seed],
            "exp_avg": first[name],
            "exp_avg_sq": second[name],
        }
        for key, before in replica.optimizer.state[parameter].items():
            views[key].copy_(before)
        replica.optimizer.state[parameter] = views
