"""How many images each step of an epoch takes, where a network may not learn from a single one.

Batch normalisation over one value per channel is no normalisation, and torch refuses it in the
middle of an epoch. Which networks that concerns is found by trying: it depends on the side of the
images as much as on the layers.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from functools import cache

import torch
from torch import nn

from activmask.ground.errors import UsageError
from activmask.machine.device import attention
from activmask.machine.memory import is_out_of_memory
from activmask.machine.world import World
from activmask.objectives.chosen import Chosen, discriminator_of, needs
from activmask.objectives.step import step_terms


@dataclass(frozen=True, kw_only=True)
class Learners:
    """What learns in a step, and from what."""

    name: str
    """The network's, for messages."""
    objectives: Chosen
    model: nn.Module
    """As built: none of its layers talks to other processes yet."""
    discriminator: nn.Module | None
    image: tuple[int, int, int]
    """C, H and W of an image that it is shown."""
    with_values: "Callable[[], Learners] | None" = None
    """Makes the same with values, where these are on the meta device, on which no step can be taken."""


def batch_sizes(
    images: int, batch_size: int, learners: Learners, world: World, *, synced: bool = False
) -> tuple[tuple[int, ...], str]:
    """The images of each step of an epoch, and a note where they are not what was asked for.

    All steps take `batch_size` and the last what is left. Where that is one image, which the network
    cannot learn from, it is added to the step before; how many processes there are changes nothing
    about that.

    Args:
        images: to train on, at least 1.
        batch_size: of a step, over all processes.
        learners: are tried where a process would have a single image, and left as they are.
        world: the processes that share each step's images.
        synced: whether batch normalisation takes its statistics over all of them.

    Raises:
        UsageError: a process would have no image of a step, or a single one that cannot be learned from.
    """
    sizes = [min(batch_size, images - first) for first in range(0, images, batch_size)]
    alone = cache(lambda: why_not_one(learners))
    note = ""
    if sizes[-1] == 1 and (reason := alone()):
        if len(sizes) == 1 or sizes[-2] == 1:
            wanted = "train on more images" if images == 1 else "choose a larger batch_size"
            raise UsageError(
                f"each step would take a single image, which {learners.name} cannot learn from ({reason})",
                advice=wanted,
            )
        sizes[-2:] = [sizes[-2] + 1]
        note = (
            f"the last of {images} training images would be a batch by itself, which {learners.name} cannot "
            f"learn from: the last batch of an epoch has {sizes[-1]} images instead of {batch_size}"
        )
    _check_shares(min(sizes), learners, world, synced=synced, alone=alone)
    return tuple(sizes), note


def _check_shares(
    smallest: int, learners: Learners, world: World, *, synced: bool, alone: Callable[[], str]
) -> None:
    if smallest < world.size:
        raise UsageError(
            f"the last batch of an epoch has {smallest} images, fewer than the {world.size} processes that "
            "share it; choose another batch_size or fewer processes"
        )
    if world.size == 1 or smallest // world.size > 1:
        return
    if reason := why_not_one(learners, synced=True) if synced else alone():
        raise UsageError(
            f"the last batch of an epoch has {smallest} images for {world.size} processes, so that one has a "
            f"single image, which {learners.name} cannot learn from ({reason}); choose another batch_size, "
            "fewer processes or sync_batchnorm"
        )


def why_not_one(learners: Learners, *, synced: bool = False) -> str:
    """What a step over a single image fails with, where one over two does not; empty if it does not.

    Args:
        learners: copies of them take the steps.
        synced: whether two-dimensional batch normalisation sees the images of other processes too.

    Raises:
        UsageError: no step can be taken with such images.
    """
    if learners.with_values is not None:
        learners = learners.with_values()
    failure = _failure(1, learners, synced=synced)
    if failure and (other := _failure(2, learners, synced=synced)):
        side = learners.image[-1]
        raise UsageError(f"{learners.name} cannot be trained on images of {side} px ({other})")
    return failure


def _failure(images: int, learners: Learners, *, synced: bool) -> str:
    """The first line of what a step over so many blank images fails with; empty if it does not."""
    model = deepcopy(learners.model).cpu().train()
    discriminator = deepcopy(learners.discriminator)
    if synced:
        for module in model.modules():
            module.train(not isinstance(module, nn.BatchNorm2d))
    try:
        with torch.random.fork_rng(devices=[]):
            _step(images, learners, model, None if discriminator is None else discriminator.cpu())
    except (RuntimeError, ValueError, IndexError) as error:
        if is_out_of_memory(error):
            raise
        return (str(error) or type(error).__name__).splitlines()[0]
    return ""


def _step(images: int, learners: Learners, model: nn.Module, discriminator: nn.Module | None) -> None:
    channels, height, width = learners.image
    masks = torch.zeros(images, 1, height, width, dtype=torch.bool)
    masks[..., : width // 2] = True
    with attention(second_derivative=needs(learners.objectives).second_derivative):
        result = step_terms(
            learners.objectives,
            model,
            torch.zeros(images, channels, height, width),
            masks,
            torch.zeros(images, dtype=torch.int64),
            torch.Generator(),
            discriminator,
        )
    found = discriminator_of(learners.objectives)
    if found is not None and discriminator is not None and result.pair is not None:
        found[0].loss(found[1], discriminator, *result.pair)
