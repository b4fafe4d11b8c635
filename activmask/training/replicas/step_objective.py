"""What a step of a replica computes: its objectives' terms, in one process or in its share of several."""

from collections.abc import Callable
from dataclasses import fields
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from activmask.data.multi_label import is_multi_label
from activmask.ground.errors import UsageError
from activmask.machine.world import World
from activmask.models import find_model
from activmask.models.output import ModelOutput
from activmask.objectives.chosen import Chosen, needs, switched_on
from activmask.objectives.classification import PLAIN, Classify
from activmask.objectives.group_losses import GroupWeights
from activmask.objectives.step import StepTerms, step_terms
from activmask.runs.description import WORST_GROUP, RunConfig
from activmask.runs.robustness import Robustness
from activmask.training.feed.class_balance import class_weights


def form_of_classify(
    config: RunConfig, labels: Tensor, classes: int, groups: GroupWeights | None = None
) -> Classify:
    """The form of the cross-entropy that a run's settings ask for, given its training labels.

    Raises:
        UsageError: labels (N, K) do not exclude each other, and something is asked for that knows classes
            alone.
    """
    how = config.optimisation
    if is_multi_label(labels):
        refuse_of_classes(config)
        return PLAIN
    weights = None
    if how.class_balance == "weights":
        weights = class_weights(labels, classes, config.source.data).to(labels.device)
    return Classify(weights=weights, smoothing=how.label_smoothing, groups=groups)


def refuse_of_classes(config: RunConfig) -> None:
    """Refuse settings that know classes alone, where images have several labels (raises UsageError)."""
    why = "knows classes that exclude each other, and these images have several labels"
    how = config.optimisation
    asked = {
        f"select {WORST_GROUP}": config.training.select == WORST_GROUP,
        "class_balance": how.class_balance in {"weights", "sampling"},
        "label_smoothing": how.label_smoothing != 0,
        **{one.name: getattr(config.robustness, one.name) != one.default for one in fields(Robustness)},
    }
    for name in [name for name, on in asked.items() if on]:
        raise UsageError(f"{name} {why}", advice="leave it out")
    for one, settings in switched_on(config.objectives):
        if one.several_labels is None and one.score is not None:
            raise UsageError(f"{one.name} {why}", advice="leave it out")
        if wrong := "" if one.several_labels is None else one.several_labels(settings):
            raise UsageError(wrong)


def step_objective(
    config: RunConfig,
    model: nn.Module,
    discriminator: nn.Module | None,
    world: World,
    form: Classify,
) -> Callable[..., StepTerms]:
    """A function of images, masks, labels, a generator, the part that is computed here, and groups.

    See `step_terms`.

    Where several processes share the steps, it averages their gradients as they are computed.
    """
    forward = torch.compile(model) if config.machine.compile else model
    if world.size == 1:
        return partial(step_terms, config.objectives, forward, discriminator=discriminator, classify=form)
    known = find_model(config.network.model)
    unused = known.foreign or (known.decoder and not needs(config.objectives).decoder)
    return DistributedDataParallel(
        _Objective(config.objectives, forward, discriminator, form), find_unused_parameters=unused
    )


class _Objective(nn.Module):
    """All passes of a step as one module, so that gradients are averaged once, after the last."""

    def __init__(
        self,
        chosen: Chosen,
        model: Callable[..., ModelOutput],
        discriminator: nn.Module | None,
        classify: Classify,
    ) -> None:
        super().__init__()
        self.chosen, self.model, self.classify = chosen, model, classify
        # In a tuple the discriminator is no part of this module: it has an optimizer of its own.
        self.discriminator = (discriminator,)

    def forward(
        self,
        images: Tensor,
        masks: Tensor,
        labels: Tensor,
        generator: torch.Generator,
        part: slice,
        members: Tensor | None = None,
    ) -> StepTerms:
        return step_terms(
            self.chosen,
            self.model,
            images,
            masks,
            labels,
            generator,
            discriminator=self.discriminator[0],
            part=part,
            classify=self.classify,
            members=members,
        )
