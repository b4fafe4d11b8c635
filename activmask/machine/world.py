"""The processes that train one network together, as torchrun starts them."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, distributed, nn

from activmask.ground.errors import PeerLost, UsageError


@dataclass(frozen=True, kw_only=True)
class World:
    """This process among those that train together."""

    rank: int = 0
    """Its number, from 0; number 0 alone evaluates, writes and talks."""
    size: int = 1
    """How many there are."""
    local_rank: int = 0
    """Its number on its own machine, which is also its GPU's."""

    @property
    def writes(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0


ALONE = World()


def read_world(environment: Mapping[str, str] = os.environ) -> World:
    """The world that torchrun describes in the environment; alone where it did not start this process.

    Raises:
        UsageError: the variables are there, but hold no numbers.
    """
    if "TORCHELASTIC_RUN_ID" not in environment:
        return ALONE
    names = {"rank": "RANK", "size": "WORLD_SIZE", "local_rank": "LOCAL_RANK"}
    try:
        return World(**{field: int(environment[name]) for field, name in names.items()})
    except (KeyError, ValueError) as error:
        raise UsageError(
            f"torchrun's variable {error} is missing or no number; start with torchrun"
        ) from error


@contextmanager
def joined(world: World, device: torch.device) -> Iterator[None]:
    """Connect to the other processes for as long as the context lasts: NCCL on CUDA, else Gloo.

    Raises:
        UsageError: the processes do not find each other, or there are more of them than GPUs.
        PeerLost: another process ended before this one.
    """
    if world.size == 1:
        yield
        return
    _connect(world, device)
    try:
        yield
    except RuntimeError as error:
        if not _is_of_peers(error):
            raise
        raise PeerLost(
            "another process of this training has ended; the last epoch that all of them finished is on "
            "disk, resume from it"
        ) from error
    finally:
        if distributed.is_initialized():
            distributed.destroy_process_group()


def _connect(world: World, device: torch.device) -> None:
    if device.type == "cuda":
        if world.local_rank >= torch.cuda.device_count():
            raise UsageError(
                f"process {world.local_rank} of this machine has no GPU, there are "
                f"{torch.cuda.device_count()}; start as many processes as there are GPUs"
            )
        torch.cuda.set_device(world.local_rank)
    try:
        distributed.init_process_group("nccl" if device.type == "cuda" else "gloo")
    except (RuntimeError, ValueError) as error:
        raise UsageError(
            f"the processes cannot reach each other ({error}); check MASTER_ADDR and MASTER_PORT"
        ) from error


def _is_of_peers(error: RuntimeError) -> bool:
    # Gloo reports a closed connection as a bare RuntimeError.
    return isinstance(error, distributed.DistError) or "peer" in str(error) or "gloo" in str(error)


def share(count: int, world: World) -> slice:
    """Which of `count` images of a batch are this process's; shares differ by one image at most."""
    return slice(count * world.rank // world.size, count * (world.rank + 1) // world.size)


def mean_of_all(values: Tensor, world: World) -> Tensor:
    """The mean over all processes of a detached tensor, the same on each of them."""
    return sum_of_all(values, world) / world.size if world.size > 1 else values


def sum_of_all(values: Tensor, world: World) -> Tensor:
    """The sum over all processes of a detached tensor, the same on each of them."""
    if world.size == 1:
        return values
    total = values.clone()
    distributed.all_reduce(total)
    return total


def average_gradients(module: nn.Module, world: World) -> None:
    """Replace a small module's gradients by their means over all processes."""
    for parameter in module.parameters():
        if parameter.grad is not None:
            parameter.grad.copy_(mean_of_all(parameter.grad, world))


def check_all_agree(number: int, device: torch.device, world: World) -> None:
    """Return when every process is here with the same number, of runs or epochs that are done.

    Raises:
        UsageError: they have different ones.
    """
    if world.size == 1:
        return
    extremes = torch.tensor([number, -number], device=device)
    distributed.all_reduce(extremes, distributed.ReduceOp.MAX)
    most, least = extremes.tolist()
    if most != -least:
        raise UsageError(
            f"the processes see different run folders, in which {-least} to {most} runs or epochs are done; "
            "put it where all of them see it"
        )
