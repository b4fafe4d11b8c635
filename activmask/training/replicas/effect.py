"""A network before its training, and whether an objective has any effect in it on the training images."""

from collections.abc import Iterator

import torch
from torch import nn

from activmask.data.settings import View
from activmask.ground.errors import DataError
from activmask.models.output import ModelOutput
from activmask.objectives.chosen import switched_on
from activmask.objectives.objective import Trial
from activmask.training.feed.mask_facts import seen_masks
from activmask.training.feed.stream import AnySamples
from activmask.training.replicas.batch_sizes import Learners


def trial_of(model: nn.Module, name: str, image: tuple[int, int, int], blank: ModelOutput) -> Trial:
    """A network as objectives look at it, given its pass over a blank image."""
    return Trial(model=model, name=name, taps=blank.pre_activations, features=blank.features, image=image)


def blank_pass(model: nn.Module, image: tuple[int, int, int]) -> ModelOutput:
    """Over one blank image; leaves the network in evaluation mode."""
    with torch.no_grad():
        output: ModelOutput = model.eval()(torch.zeros(1, *image), reconstruct=False)
    return output


def notes_on_effect(learners: Learners, train: AnySamples, view: View, data: str) -> Iterator[str]:
    """On how many training images objectives do nothing, where a mask with an outside is not enough.

    Raises:
        DataError: it does nothing on any.
    """
    for one, settings in switched_on(learners.objectives):
        if one.idle is None:
            continue
        blank = blank_pass(learners.model, learners.image)
        learners.model.train()
        trial = trial_of(learners.model, learners.name, learners.image, blank)
        idle = torch.cat([one.idle(settings, trial, masks).cpu() for masks in seen_masks(train, view)])
        told = f"{one.name} does nothing on {int(idle.sum())} of the {len(idle)} training images, where "
        if idle.all():
            raise DataError(
                told + one.idle_where,
                path=data,
                advice="choose larger images, a smaller mask_blur, or a network that shrinks images less",
            )
        if idle.any():
            yield told + one.idle_where
