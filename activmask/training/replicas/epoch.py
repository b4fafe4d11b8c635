"""One epoch of one replica.

Shapes: B images per step, C channels, H x W pixels.
"""

import math
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from activmask.data.augment import random_crop_flip
from activmask.data.settings import CROP_FLIP, IID, augmentations
from activmask.data.transforms import stays_upright, transformed
from activmask.ground.errors import PATH, TrainingDiverged
from activmask.machine.device import attention, autocast
from activmask.machine.world import average_gradients, mean_of_all, share
from activmask.models.freezing import hold_still, trained_weights
from activmask.objectives.chosen import Chosen, discriminator_of, needs
from activmask.objectives.step import StepTerms, is_summed, loss_names
from activmask.runs.description import WORST_GROUP, Training
from activmask.runs.seeds import derived_generator, network_randomness
from activmask.training.feed.class_balance import epoch_order
from activmask.training.feed.stream import batches
from activmask.training.feed.workers import worker_losses_named
from activmask.training.replicas.optimizer import learning_rates, move_average, set_rate
from activmask.training.replicas.predictions import Scores, predict, score
from activmask.training.replicas.replica import Replica

OnStep = Callable[[int, int], None]


def train_epoch(replica: Replica, on_step: OnStep) -> dict[str, float]:
    """Train one replica for its next epoch.

    Args:
        replica: is changed in place.
        on_step: called with the number of steps done and to do, after each.

    Returns:
        The mean over images of the loss and of each weighted term.

    Raises:
        TrainingDiverged: a term is NaN or infinite; the weights are those before that step.
    """
    count = step_count(replica)

    def told() -> Iterator[tuple[Tensor, int]]:
        for step, (values, images) in enumerate(training_steps(replica)):
            yield values.cpu(), images
            on_step(step + 1, count)

    return mean_losses(replica.config.objectives, told())


def mean_losses(objectives: Chosen, steps: Iterable[tuple[Tensor, int]]) -> dict[str, float]:
    """The means over images of the loss and its terms, from each step's values and number of images."""
    names = ["loss", *loss_names(objectives)]
    sums, count = torch.zeros(len(names), dtype=torch.float64), 0
    for values, images in steps:
        sums += values.double() * images
        count += images
    return dict(zip(names, (sums / count).tolist(), strict=True))


def step_count(replica: Replica) -> int:
    """Optimizer steps of an epoch."""
    return len(replica.batch_sizes)


def training_steps(replica: Replica) -> Generator[tuple[Tensor, int]]:
    """Take the optimizer steps of the replica's next epoch, one each time the next is asked for.

    Yields:
        The step's loss and weighted terms, detached, (1 + number of terms,), and its number of images.
    """
    epoch, device = replica.next_epoch, replica.device
    order, rates = order_of(replica, epoch), rates_of(replica, epoch)
    generator = derived_generator(replica.seed, "step", epoch, device)
    replica.model.train()
    if replica.config.network.freeze:
        hold_still(replica.model)
    with network_randomness(replica.seed, epoch, device), worker_losses_named():
        picked = order.split(replica.batch_sizes)
        for step, (images, masks, labels) in enumerate(batches(replica.train, picked, device)):
            passed = forward_step(
                replica, images, masks, labels, generator, members_of(replica, picked[step])
            )
            if not torch.isfinite(passed.values[0]):
                raise diverged(replica, step, passed.values)
            if rates:
                set_rate(replica.optimizer, rates[step])
            update(replica, passed, network=_network_steps(replica, step))
            yield passed.values, len(labels)


def order_of(replica: Replica, epoch: int) -> Tensor:
    """The training images of an epoch in their order, int64 (N,) on the CPU."""
    generator = derived_generator(replica.seed, "order", epoch)
    return epoch_order(len(replica.train), replica.chance, generator)


def rates_of(replica: Replica, epoch: int) -> list[float]:
    """The learning rate of each step of an epoch; empty where it never changes."""
    training, how = replica.config.training, replica.config.optimisation
    return learning_rates(how, training.lr, epoch=epoch, epochs=training.epochs, steps=step_count(replica))


def members_of(replica: Replica, picked: Tensor) -> Tensor | None:
    """The groups of some training images, int64 (B,), where groups count differently in the loss."""
    return None if replica.members is None else replica.members[picked.to(replica.device)]


@dataclass(frozen=True, kw_only=True)
class ForwardStep:
    """What a step computed, before anything was changed by it."""

    result: StepTerms
    loss: Tensor
    """The scalar to differentiate in this process."""
    values: Tensor
    """The loss and its weighted terms over the whole batch, detached, (1 + number of terms,)."""
    weight: float
    """By which a mean over this process's images counts."""


def forward_step(
    replica: Replica,
    images: Tensor,
    masks: Tensor,
    labels: Tensor,
    generator: torch.Generator,
    members: Tensor | None = None,
) -> ForwardStep:
    """The passes of one step over a batch as stored, augmented here; reads nothing back from the device."""
    images, masks = _augmented(replica, images, masks, generator)
    part = share(len(images), replica.world)
    twice = needs(replica.config.objectives).second_derivative
    with (
        autocast(replica.config.training.precision, replica.device),
        attention(second_derivative=twice),
    ):
        result = replica.objective(images, masks, labels, generator, part=part, members=members)
    weight = (part.stop - part.start) * replica.world.size / len(images)
    loss, values = _over_all(replica, result, weight)
    return ForwardStep(result=result, loss=loss, values=values, weight=weight)


def _augmented(
    replica: Replica, images: Tensor, masks: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """A batch changed by chance as its run asks for."""
    view = replica.config.view
    if view.augment == CROP_FLIP:
        return random_crop_flip(images, masks, view.image_size, generator)
    if not (names := augmentations(view)):
        return images, masks
    size, upright = view.image_size or images.shape[-1], stays_upright(replica.origin.recipe)
    return transformed(images, masks, names, size, generator, upright=upright)


def _network_steps(replica: Replica, step: int) -> bool:
    """Whether the network's own weights change in a step; a discriminator may take some alone."""
    found = discriminator_of(replica.config.objectives)
    if found is None or not found[0].takes_turns(found[1]):
        return True
    second, settings = found
    return (replica.next_epoch * step_count(replica) + step + 1) % second.steps(settings) == 0


def update(replica: Replica, passed: ForwardStep, *, network: bool = True) -> None:
    """Change the weights by what the passes came to, where it is their turn, and the discriminator's."""
    replica.optimizer.zero_grad()
    passed.loss.backward(inputs=trained_weights(replica.model))
    how = replica.config.optimisation
    if network:
        if how.clip:
            nn.utils.clip_grad_norm_(replica.model.parameters(), how.clip)
        replica.optimizer.step()
        if replica.average is not None:
            move_average(replica.average, replica.model, how)
    _train_discriminator(replica, passed.result, passed.weight)


def _over_all(replica: Replica, result: StepTerms, weight: float) -> tuple[Tensor, Tensor]:
    """The loss to differentiate here, and the loss and terms of all processes' images, detached.

    Gradients are averaged over processes. A mean over this process's images therefore counts by
    its share of the batch times the number of processes, `weight`; a sum by that number alone.
    """
    if replica.world.size == 1:
        loss = result.loss
        return loss, torch.stack([loss, *result.terms.values()]).detach()
    terms = [
        term * (replica.world.size if is_summed(replica.config.objectives, name) else weight)
        for name, term in result.terms.items()
    ]
    loss = torch.stack(terms).sum()
    return loss, mean_of_all(torch.stack([loss, *terms]).detach(), replica.world)


def _train_discriminator(replica: Replica, result: StepTerms, weight: float) -> None:
    found = discriminator_of(replica.config.objectives)
    if found is None or result.pair is None:
        return
    assert replica.discriminator is not None
    assert replica.discriminator_optimizer is not None
    second, settings = found
    for _ in range(1 if second.takes_turns(settings) else second.steps(settings)):
        replica.discriminator_optimizer.zero_grad()
        (weight * second.loss(settings, replica.discriminator, *result.pair)).backward()
        average_gradients(replica.discriminator, replica.world)
        replica.discriminator_optimizer.step()


def diverged(replica: Replica, step: int, values: Tensor) -> TrainingDiverged:
    """What to raise when a step's values, loss first, are no longer finite."""
    terms = zip(loss_names(replica.config.objectives), values[1:].tolist(), strict=True)
    culprits = [f"{name} = {value}" for name, value in terms if not math.isfinite(value)]
    return TrainingDiverged(
        f"seed {replica.seed}: the loss is no longer finite in epoch {replica.next_epoch + 1}, "
        f"step {step + 1} ({', '.join(culprits) or 'the sum of finite terms overflows'}); "
        f"{_what_is_left(replica)}",
        path=replica.folder,
        advice="lower lr or the term's weight",
    )


def judged_splits(training: Training) -> list[str]:
    """The splits that every epoch is scored on."""
    return ["train", "valid"] if training.eval_train else ["valid"]


def epoch_row(replica: Replica, losses: dict[str, float], seconds: float) -> dict[str, Any]:
    """The history's row of an epoch that just ended: losses, scores and speed.

    Raises:
        TrainingDiverged: the logits of a judged split are not finite.
    """
    scored = [*judged_splits(replica.config.training), *([] if replica.other is None else [IID])]
    scores = {split: split_scores(replica, split, replica.next_epoch) for split in scored}
    return history_row(replica, losses, scores, seconds)


def split_scores(replica: Replica, split: str, epoch: int) -> Scores:
    """What the judged network as it is, after `epoch`, scores on a split.

    Raises:
        TrainingDiverged: its logits are not finite.
    """
    return scores_of(replica, split, split_logits(replica, split, epoch))


def scores_of(replica: Replica, split: str, logits: Tensor) -> Scores:
    """What finite logits (N, K) score on a split, by the worst group too where that selects."""
    return score(logits, replica.splits[split].labels, replica.selected_among.get(split))


def split_logits(replica: Replica, split: str, epoch: int) -> Tensor:
    """The logits (N, K) of the judged network as it is, after `epoch`, on a split, on the CPU.

    Raises:
        TrainingDiverged: they are not finite.
    """
    logits = predict(replica.judged, replica.splits[split].images)
    if not torch.isfinite(logits).all():
        raise logits_diverged(replica, split, epoch)
    return logits


def logits_diverged(replica: Replica, split: str, epoch: int) -> TrainingDiverged:
    """What to raise when a split's logits are no longer finite after an epoch."""
    return TrainingDiverged(
        f"seed {replica.seed}: the {split} logits are no longer finite after epoch {epoch + 1}; "
        f"{_what_is_left(replica)}",
        path=replica.folder,
        advice="lower lr",
    )


def _what_is_left(replica: Replica) -> str:
    if replica.saved_epoch < 0:
        return f"no epoch of it was saved in {PATH}"
    return f"the weights of the last saved epoch are in {PATH}"


def history_row(
    replica: Replica, losses: dict[str, float], scores: dict[str, Scores], seconds: float
) -> dict[str, Any]:
    """The history's row of the replica's next epoch from what it came to.

    The cross-entropy and the worst group's accuracy are in it where they select the best epoch, the last
    step's learning rate where that changes.
    """
    row: dict[str, Any] = {"epoch": replica.next_epoch, "loss": losses["loss"]}
    row |= {f"loss_{name}": value for name, value in losses.items() if name != "loss"}
    for split, of_split in scores.items():
        row |= {f"{split}_auc": of_split.auc, f"{split}_accuracy": of_split.accuracy}
        row |= {f"{split}_loss": of_split.loss} if replica.config.training.select == "loss" else {}
        row |= {} if of_split.worst_group is None else {f"{split}_{WORST_GROUP}": of_split.worst_group}
    if rates := rates_of(replica, replica.next_epoch):
        row["lr"] = rates[-1]
    row |= {"seconds": round(seconds, 4), "images_per_second": round(len(replica.train) / seconds, 1)}
    return row
