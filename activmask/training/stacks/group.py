"""Replicas that train as one: their stacked networks, and their images beside each other on the device.

Shapes: R seeds, N training images, S steps an epoch, T terms, C channels, H x W pixels, V judged images.
"""

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from activmask.data.samples import Samples
from activmask.data.settings import augmentations
from activmask.ground.listed import listed
from activmask.models.build import load_plain_weights, plain_weights
from activmask.models.stacked.network import Stack, stack
from activmask.models.stacked.trial import why_not_stacked
from activmask.objectives.stacked_step import why_no_stacked_step
from activmask.objectives.step import loss_names
from activmask.runs.description import RunConfig
from activmask.runs.optimisation import changes_rate
from activmask.runs.robustness import weighs_images
from activmask.training.graphs.epoch_verdict import new_verdict
from activmask.training.replicas.epoch import judged_splits, step_count
from activmask.training.replicas.replica import Replica, class_count
from activmask.training.stacks.optimizer import Moments, new_moments

_TRIED = 8
"""Images by which it is tried whether networks can be stacked."""


@dataclass(frozen=True, kw_only=True)
class JudgedTogether:
    """A split of each seed that the epoch is scored on."""

    images: Tensor
    """(R, V, C, H, W)."""
    labels: Tensor
    """int64 (R, V)."""
    classes: int


@dataclass(frozen=True, kw_only=True)
class Group:
    """What the seeds' common epochs read and write, all of it on the device."""

    replicas: tuple[Replica, ...]
    stacked: Stack
    """Their networks, which are views of it."""
    best: Stack
    """Networks as each was after its best epoch; the replicas' `best_weights` are views of it."""
    moments: Moments
    """Their optimizers' states, which are views of it."""
    images: Tensor
    """(R * N, C, H, W), as training sees them."""
    masks: Tensor
    """bool (R * N, 1, H, W)."""
    labels: Tensor
    """int64 (R * N,)."""
    order: Tensor
    """int64 (R, N), each seed's images in the order of the epoch, counted among all; written before it."""
    places: Tensor
    """int64 (largest batch,), where in the order a step's images are; it moves on with each step."""
    step: Tensor
    """int64 (1,), how many steps of the epoch are over."""
    values: Tensor
    """float32 (S, R, 1 + T), each step's losses and weighted terms."""
    splits: dict[str, JudgedTogether]
    stopped: Tensor
    """float32 (R,), 1 from the first step on whose loss was not finite; that seed's weights then stay."""
    merits: Tensor
    """float64 (R,), the merit of each seed's best epoch so far, see `selection.merit`."""
    verdicts: Tensor
    """float64 (R, numbers of a verdict), what the last epoch came to, see `epoch_verdict`."""
    generators: tuple[torch.Generator, ...]
    """One a seed: it draws what it would draw for the seed alone."""


def why_not_grouped(replicas: Sequence[Replica]) -> str:
    """A clause that says why replicas cannot train as one network; empty where they can.

    Args:
        replicas: of one run, their images in memory.
    """
    first = replicas[0]
    if clause := why_no_stacked_step(first.config.objectives) or _of_each_seed(first.config):
        return clause
    if any(_sizes(replica) != _sizes(first) for replica in replicas):
        return "the seeds' splits are of different sizes"
    valid = first.splits["valid"]
    assert isinstance(valid, Samples)
    images = valid.images[:_TRIED].to(first.device)
    if len(images) < _TRIED // 2:
        return "there are too few validation images to try it with"
    return why_not_stacked([replica.model for replica in replicas], images)


def _of_each_seed(config: RunConfig) -> str:
    """What a seed's own training does that the stack's does not; empty where there is nothing."""
    how = config.optimisation
    asked = {
        "adamw": how.optimizer == "adamw",
        "a learning rate that changes": changes_rate(how),
        "clip": how.clip,
        "ema": how.ema,
        "class_balance weights": how.class_balance == "weights",
        "groups that count differently": weighs_images(config.robustness),
        "patience": how.patience,
        "augment by words": augmentations(config.view),
    }
    if names := [name for name, on in asked.items() if on]:
        return f"{listed(names)} {'is' if len(names) == 1 else 'are'} each seed's own"
    return ""


def _sizes(replica: Replica) -> object:
    shapes = [samples.images.shape for samples in (replica.train, *replica.splits.values())]
    return shapes, class_count(replica.splits), replica.batch_sizes


def new_group(replicas: Sequence[Replica]) -> Group:
    """Lay the replicas' networks and images beside each other; each lives on as views of them.

    Args:
        replicas: for which `why_not_grouped` has nothing to say, all after the same epoch.
    """
    first, device = replicas[0], replicas[0].device
    kept = [deepcopy(replica.model) for replica in replicas]
    for replica, network in zip(replicas, kept, strict=True):
        if replica.best_weights:
            load_plain_weights(network, replica.best_weights)
    best = stack(kept)
    stacked = stack([replica.model for replica in replicas])
    for replica, network in zip(replicas, kept, strict=True):
        replica.best_weights = plain_weights(network)
    images, masks, labels = _train_together(replicas)
    splits = {name: _judged(replicas, name) for name in judged_splits(first.config.training)}
    steps, terms = step_count(first), len(loss_names(first.config.objectives))
    return Group(
        replicas=tuple(replicas),
        stacked=stacked,
        best=best,
        moments=new_moments(stacked, replicas),
        images=images,
        masks=masks,
        labels=labels,
        order=torch.zeros(len(replicas), len(first.train), dtype=torch.int64, device=device),
        places=torch.arange(max(first.batch_sizes), device=device),
        step=torch.zeros(1, dtype=torch.int64, device=device),
        values=torch.zeros(steps, len(replicas), 1 + terms, device=device),
        splits=splits,
        stopped=torch.zeros(len(replicas), device=device),
        merits=torch.tensor([replica.best_score for replica in replicas], dtype=torch.float64, device=device),
        verdicts=new_verdict(len(splits), device).repeat(len(replicas), 1),
        # Numbers that are only counted, not computed, are drawn as on a CPU.
        generators=tuple(torch.Generator("cpu" if device.type == "meta" else device) for _ in replicas),
    )


def _train_together(replicas: Sequence[Replica]) -> tuple[Tensor, Tensor, Tensor]:
    """The training images, masks and labels of all seeds, of which each replica keeps views."""
    trains = [replica.train for replica in replicas]
    names = ("images", "masks", "labels")
    parts = [torch.cat([getattr(train, name) for train in trains]) for name in names]
    for seed, replica in enumerate(replicas):
        train = replica.train
        assert isinstance(train, Samples)
        images, masks, labels = (part.chunk(len(replicas))[seed] for part in parts)
        replica.train = replace(train, images=images, masks=masks, labels=labels)
    images, masks, labels = parts
    return images, masks, labels


def _judged(replicas: Sequence[Replica], split: str) -> JudgedTogether:
    samples = [replica.splits[split] for replica in replicas]
    images = [own.images for own in samples if isinstance(own, Samples)]
    device = replicas[0].device
    return JudgedTogether(
        images=torch.stack(images).to(device),
        labels=torch.stack([own.labels for own in samples]).to(device),
        classes=class_count(replicas[0].splits),
    )
