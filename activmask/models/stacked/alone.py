"""A seed's network in memory of its own, as any other network lies there.

As a view of a stack a vector may begin wherever the seed before it ends: two classes make a bias of two
numbers, 8 bytes. Libraries' kernels take 16 for granted, and more: on an H200 a product of such a view
ended in a misaligned address, after which a process computes nothing more.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import Tensor, nn


def live_alone(network: nn.Module) -> None:
    """Give a network its weights and buffers in memory of its own; they stay the same objects."""
    for tensor in _tensors(network):
        tensor.data = tensor.data.clone()


@contextmanager
def alone(network: nn.Module) -> Iterator[None]:
    """Have a network compute in memory of its own; what it changes is written back at the end."""
    tensors = _tensors(network)
    places = [tensor.data for tensor in tensors]
    live_alone(network)
    try:
        yield
    finally:
        for tensor, place in zip(tensors, places, strict=True):
            place.copy_(tensor.data)
            tensor.data = place


def _tensors(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]
