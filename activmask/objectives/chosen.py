"""The objectives of a run, each with its settings, and what they ask together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from activmask.objectives import OBJECTIVES
from activmask.objectives.objective import Discriminator, Needs, Objective, together

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from activmask.ground.settings import Setting

Chosen = tuple[Any, ...]
"""The settings of all objectives, one dataclass each, in any order."""


def usual_settings() -> Chosen:
    """The defaults of every objective: classification alone."""
    return tuple(one.settings() for one in OBJECTIVES.values())


def settings_of_objectives() -> list[Setting]:
    """The settings of all objectives, in the order of the table."""
    return [known for one in OBJECTIVES.values() for known in one.declared().values()]


def switched_on(chosen: Chosen) -> Iterator[tuple[Objective[Any], Any]]:
    """The objectives that take part, with their settings, in the order of the table."""
    return iter(_switched_on(chosen, tuple(OBJECTIVES.values())))


@lru_cache(maxsize=32)
def _switched_on(chosen: Chosen, table: tuple[Objective[Any], ...]) -> tuple[tuple[Objective[Any], Any], ...]:
    """Those of a table; every training step asks a dozen times."""
    with_settings = ((one, one.of(chosen)) for one in table)
    return tuple((one, settings) for one, settings in with_settings if one.is_on(settings))


def needs(chosen: Chosen) -> Needs:
    """What the objectives of a run ask of its steps together."""
    return together(one.needs(settings) for one, settings in switched_on(chosen))


def that_need(chosen: Chosen, what: str) -> list[str]:
    """The switches that are on and need something, by the name of a field of `Needs`."""
    return [
        name
        for one, settings in switched_on(chosen)
        for name in one.switched_on(settings)
        if getattr(one.switches[name], what)
    ]


def discriminator_of(chosen: Chosen) -> tuple[Discriminator[Any], Any] | None:
    """The second network that a run trains along, with the settings of its objective; None without one."""
    found = ((one.discriminator, settings) for one, settings in switched_on(chosen) if one.discriminator)
    return next(found, None)


def term_names(chosen: Chosen) -> list[str]:
    """The objectives that add a term to the loss, in the order in which they are added."""
    return [one.name for one, _ in weighed(chosen)]


def weighed(chosen: Chosen) -> Iterator[tuple[Objective[Any], Any]]:
    """Those objectives, with their settings, in that order."""
    for one, settings in switched_on(chosen):
        if one.term and one.weight(settings):
            yield one, settings


def shown_always(chosen: Chosen) -> Chosen:
    """The settings of those objectives that change what evaluation sees too."""
    return tuple(settings for one, settings in switched_on(chosen) if one.show and one.shows_always(settings))


def paths(chosen: Chosen, images: Tensor, generator: torch.Generator) -> dict[str, tuple[Tensor, Tensor]]:
    """What `Objective.path` gives for images (B, C, H, W), by the names of those objectives that have one."""
    return {one.name: one.path(settings, images, generator) for one, settings in weighed(chosen) if one.path}


def with_paths(chosen: Chosen) -> list[str]:
    """The objectives that take a pass of their own over such points."""
    return [one.name for one, _ in weighed(chosen) if one.path]


def other_copy(chosen: Chosen) -> Callable[[Tensor, Tensor, torch.Generator], Tensor] | None:
    """What makes the copy that the other pass sees, see `Objective.copy`; None for the shuffled one."""
    found = (one.copy(settings) for one, settings in switched_on(chosen))
    return next((make for make in found if make is not None), None)


def shown(chosen: Chosen, images: Tensor, shuffled: Tensor, masks: Tensor) -> Tensor:
    """What the network sees, (B, C, H, W), of images and their shuffled copies, given masks (B, 1, H, W)."""
    for one, settings in switched_on(chosen):
        images = one.show(settings, images, shuffled, masks) if one.show else images
    return images
