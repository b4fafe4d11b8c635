"""Where the weights of all seeds lie in one stretch of memory.

A parameter of n numbers takes R * n of them, seed after seed, so that a seed's own is a view, and
so is what one grouped convolution, normalisation or batched product of all seeds computes with.

Shapes: R seeds, C channels in, D channels out, K x L kernel.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor, nn


@dataclass(frozen=True, kw_only=True)
class Place:
    """Of one parameter or buffer."""

    name: str
    shape: torch.Size
    """One seed's."""
    channels_last: bool
    """Whether each seed's channels lie side by side in memory."""
    batched: bool
    """Whether seeds are an axis of their own, as in a batched product, or lie in the first one."""

    def of_one(self, part: Tensor) -> Tensor:
        """One seed's, given its numbers (n,)."""
        return self._shaped(part, self.shape)

    def of_all(self, chunk: Tensor, seeds: int) -> Tensor:
        """That of all seeds, (R, ...) or (R * D, ...), given all its numbers (R * n,)."""
        first, *rest = self.shape
        shape = (seeds, first, *rest) if self.batched else (seeds * first, *rest)
        return self._shaped(chunk, torch.Size(shape))

    def _shaped(self, flat: Tensor, shape: torch.Size) -> Tensor:
        if not self.channels_last:
            return flat.view(shape)
        outputs, inputs, height, width = shape
        return flat.view(outputs, height, width, inputs).permute(0, 3, 1, 2)


def place(name: str, tensor: Tensor, *, batched: bool) -> Place:
    """The place of what one seed's network calls `name`."""
    last = torch.channels_last
    return Place(
        name=name,
        shape=tensor.shape,
        channels_last=tensor.ndim == 4
        and tensor.is_contiguous(memory_format=last)
        and not tensor.is_contiguous(),
        batched=batched,
    )


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Of a list of places that follow each other."""

    places: tuple[Place, ...]
    seeds: int
    """R."""

    @property
    def by_name(self) -> dict[str, Place]:
        """The places by name, in their order."""
        return {place.name: place for place in self.places}

    def count(self, numbers: int) -> int:
        """How many places come first in so many numbers."""
        ends = accumulate(self.sizes)
        return sum(1 for end in ends if end <= numbers)

    @property
    def sizes(self) -> list[int]:
        """How many numbers each place takes, all seeds together."""
        return [self.seeds * place.shape.numel() for place in self.places]

    def of_all(self, chunks: Sequence[Tensor]) -> dict[str, Tensor]:
        """What all seeds compute with, by name, given one flat tensor for each place."""
        return {
            place.name: place.of_all(chunk, self.seeds)
            for place, chunk in zip(self.places, chunks, strict=True)
        }

    def of_seed(self, name: str, together: Tensor, seed: int) -> Tensor:
        """One seed's part of what all seeds compute with, as a view."""
        return together[seed] if self.by_name[name].batched else together.chunk(self.seeds)[seed]

    def by_seed(self, flat: Tensor) -> list[dict[str, Tensor]]:
        """Each seed's own by name, as views of all numbers of the layout."""
        chunks = [chunk.view(self.seeds, -1) for chunk in flat.split(self.sizes)]
        return [
            {place.name: place.of_one(chunk[seed]) for place, chunk in zip(self.places, chunks, strict=True)}
            for seed in range(self.seeds)
        ]


def copied_together(layout: Layout, networks: Iterable[nn.Module], like: Tensor) -> Tensor:
    """All numbers of the layout, copied from networks that have them by its names; (sum of sizes,)."""
    flat = like.new_empty(sum(layout.sizes))
    for views, network in zip(layout.by_seed(flat), networks, strict=True):
        own = dict(network.named_parameters()) | dict(network.named_buffers())
        for name, view in views.items():
            view.copy_(own[name].detach())
    return flat
