"""A step of all seeds at once that their device can do alone: the host reads nothing.

It is the step of `replicas.epoch` seed by seed, up to the order in which sums are added.

Shapes: R seeds, B images of a step, T terms.
"""

import torch
from torch import Tensor

from activmask.data.augment import random_crop_flip
from activmask.data.settings import CROP_FLIP
from activmask.machine.device import autocast
from activmask.models.stacked.network import gradients, mode
from activmask.objectives.classification import Classify
from activmask.objectives.stacked_step import StackedTerms, stacked_step_terms
from activmask.training.stacks.group import Group
from activmask.training.stacks.optimizer import take_optimizer_step


def take_step(group: Group, size: int) -> None:
    """Take all seeds' next step of the epoch; no weight of a seed changes once its loss is not finite.

    Args:
        group: `order`, `places` and `step` say which images; its networks, moments and counts change.
        size: B.
    """
    picked = group.order.index_select(1, group.places[:size])
    with mode(group.stacked, training=True):
        passed = forward(group, picked)
    losses = passed.losses
    values = torch.stack([losses, *passed.terms.values()], dim=1).detach()
    group.values.index_copy_(0, group.step, values[None])
    # A number less itself is 0 where it is finite, and else no number, which counts as true.
    group.stopped.logical_or_(values[:, 0] - values[:, 0])
    found = gradients(group.stacked, losses, passed.passes)
    take_optimizer_step(group.moments, group.stacked, group.replicas, found, group.stopped)
    group.places.add_(size)
    group.step.add_(1)


def forward(group: Group, picked: Tensor) -> StackedTerms:
    """A step's passes over images of each seed, int64 (R, B), counted among all; nothing is read back."""
    config = group.replicas[0].config
    images, masks, labels = group.images[picked], group.masks[picked], group.labels[picked]
    if config.view.augment == CROP_FLIP:
        size, pairs = config.view.image_size, zip(images, masks, group.generators, strict=True)
        cropped = [random_crop_flip(own, its, size, generator) for own, its, generator in pairs]
        images, masks = (torch.stack(part) for part in zip(*cropped, strict=True))
    with autocast(config.training.precision, images.device):
        return stacked_step_terms(
            config.objectives,
            group.stacked,
            images,
            masks,
            labels,
            group.generators,
            Classify(smoothing=config.optimisation.label_smoothing),
        )
