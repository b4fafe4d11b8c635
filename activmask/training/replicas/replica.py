"""One seed's network, data, optimizer and progress.

Shapes: N images, C channels, H x W pixels.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from activmask.data.arrays import HeldImages
from activmask.data.multi_label import is_multi_label
from activmask.data.samples import Samples
from activmask.data.settings import IID, IN_MEMORY, augmentations, with_given_masks
from activmask.data.transforms import stays_upright
from activmask.ground.errors import UsageError
from activmask.machine.device import attention
from activmask.machine.world import ALONE, World
from activmask.models import find_model
from activmask.models.build import build_model, check_memory
from activmask.models.double_backward import prepare_double_backward
from activmask.models.freezing import trained_weights
from activmask.models.output import ModelOutput
from activmask.models.own_code import is_own_code
from activmask.models.synced_batch_norm import sync_batch_norm
from activmask.objectives.chosen import Chosen, discriminator_of, needs, switched_on, that_need
from activmask.objectives.group_losses import GroupWeights
from activmask.objectives.step import StepTerms
from activmask.runs.checkpoint import Description
from activmask.runs.description import RunConfig, SelectOn
from activmask.runs.identity import built_from, run_digest
from activmask.runs.manifest import Entry
from activmask.runs.optimisation import OFF
from activmask.runs.seeds import derived_seed
from activmask.runs.selection import other_split
from activmask.training.feed.class_balance import chances
from activmask.training.feed.equal_images import equal_images, near_images
from activmask.training.feed.group_feed import TrainingGroups, training_groups
from activmask.training.feed.kept_masks import to_train_on
from activmask.training.feed.mask_facts import MaskFacts, check_masks, mask_facts
from activmask.training.feed.origin import Origin
from activmask.training.feed.reading import Reading
from activmask.training.feed.selection_groups import selection_groups
from activmask.training.feed.sources import split_as_judged
from activmask.training.feed.stream import AnySamples, Stream, open_stored
from activmask.training.replicas.batch_sizes import Learners, batch_sizes
from activmask.training.replicas.effect import blank_pass, notes_on_effect, trial_of
from activmask.training.replicas.first_errors import first_errors
from activmask.training.replicas.optimizer import new_average, new_optimizer
from activmask.training.replicas.started import started
from activmask.training.replicas.step_objective import (
    form_of_classify,
    refuse_of_classes,
    step_objective,
)


@dataclass(kw_only=True)
class OtherBest:
    """The best epoch so far on the validation split that does not choose."""

    on: SelectOn
    """That split."""
    epoch: int = -1
    score: float = -math.inf
    """Its merit."""
    weights: dict[str, Tensor] = field(default_factory=dict)
    on_disk: int = -1
    """The epoch whose weights its file holds."""


@dataclass(kw_only=True)
class Replica:
    """Everything that one seed's training owns; replicas share nothing."""

    config: RunConfig
    seed: int
    folder: Path
    """Where its files go, for example `runs/name/seed-0`."""
    device: torch.device
    model: nn.Module
    objective: Callable[..., StepTerms]
    """A step's terms from images, masks, labels, a generator and the part that is computed here."""
    optimizer: torch.optim.Adam
    discriminator: nn.Module | None
    discriminator_optimizer: torch.optim.Adam | None
    train: AnySamples
    """Training samples at stored resolution on the device, masks dilated; or a stream of them."""
    batch_sizes: tuple[int, ...]
    """Images of each step of an epoch, over all processes."""
    splits: dict[str, AnySamples]
    """Train, valid, test and perhaps `valid_iid` as evaluation sees them, on the CPU; or streams of them."""
    origin: Origin
    """Where the images of all splits come from, and by what they are known again."""
    mask_facts: MaskFacts
    """What its training masks cover, and what their presence tells."""
    average: nn.Module | None = None
    """The network with the running mean of its weights, where one is kept."""
    members: Tensor | None = None
    """The group of each training image, int64 (N,) on the device, where groups count differently."""
    group_weights: GroupWeights | None = None
    """How much each counts then."""
    groups_sha256: str = ""
    """Of the groups of all images on whose groups training or the best epoch depends."""
    selected_among: Mapping[str, Tensor] = field(default_factory=dict)
    """By validation split, the group of each image, int64 (N,), where the worst one selects."""
    chance: Tensor | None = None
    """By what each image is drawn, float64 (N,) on the CPU; None where an epoch sees each once."""
    run_sha256: str
    """Which run it is of, see `identity.run_digest`; a resumed one keeps that which it began with."""
    built_from: dict[str, str]
    """SHA-256 of what its network was built from besides this program."""
    note: str = ""
    """What is worth knowing about the data; often empty."""
    world: World = ALONE
    """The processes that train it together."""
    next_epoch: int = 0
    saved_epoch: int = -1
    """The epoch whose state its file holds."""
    best_epoch: int = -1
    best_score: float = -math.inf
    """The merit of the best epoch, see `selection.merit`."""
    best_weights: dict[str, Tensor] = field(default_factory=dict)
    best_on_disk: int = -1
    """The epoch whose weights the best file holds."""
    best_sha256: str = ""
    """Of the best weights, once they were saved, see `tensor_file.tensors_digest`."""
    other: OtherBest | None = None
    """The best on the validation split that does not choose, where there are two."""
    history: list[dict[str, Any]] = field(default_factory=list)
    ended: bool = False
    """Whether its patience is at an end, before its epochs are."""

    @property
    def judged(self) -> nn.Module:
        """The network by which epochs are scored, and whose weights are kept."""
        return self.model if self.average is None else self.average

    def description(self, epoch: int) -> Description:
        """What a checkpoint of this replica after `epoch` says of itself."""
        channels, size = self.splits["valid"].images.shape[1:3]
        return Description(
            config=self.config,
            seed=self.seed,
            epoch=epoch,
            image_size=size,
            channels=channels,
            classes=class_count(self.splits),
            multi_label=is_multi_label(self.train.labels),
            dataset_name=Path(self.config.source.data).name,
            data_path=self.origin.path,
            data_images=self.origin.images,
            class_names=self.origin.class_names,
            recipe=self.origin.recipe,
            split_sha256=self.origin.digests,
            run_sha256=self.run_sha256,
            built_from=self.built_from,
        )


Networks = Callable[..., tuple[Learners, tuple[str, ...]]]
"""Makes the networks of a run, as `tried_out` does and of the same arguments."""


def class_count(splits: Mapping[str, AnySamples]) -> int:
    """The number of classes that labels 0, 1, ... speak of; of several labels an image theirs."""
    if is_multi_label(labels := splits["train"].labels):
        return labels.shape[1]
    return 1 + max(int(samples.labels.max()) for samples in splits.values())


def new_replica(
    config: RunConfig,
    seed: int,
    folder: Path,
    device: torch.device,
    world: World = ALONE,
    *,
    written: Sequence[Entry] = (),
    held: HeldImages | None = None,
    networks: Networks | None = None,
    first_run: Path | None = None,
    reading: Reading | None = None,
) -> Replica:
    """Draw one seed's data and initial weights, the same in every process of the world.

    Args:
        config: the run's description.
        seed: decides everything random.
        folder: of the seed's files.
        device: where to compute.
        world: the processes that train it together.
        written: the splits as an interrupted run wrote them down; none draws them.
        held: the images, where the caller has them in memory.
        networks: makes its networks; left out, `tried_out`.
        first_run: where the run lies that this one begins with, if not where its settings say.
        reading: what the run's other seeds have read.

    Raises:
        DataError: the data set is missing, broken or cannot be split as asked.
        UsageError: the model or the chosen layers do not exist or do not fit the images.
    """
    files = built_from(config, seed, first_run)
    train, seen, origin, note, given = _data(config, seed, device, world, written, held, reading)
    facts = mask_facts(train, config.view, config.objectives, given)
    check_masks(facts, config.view, config.objectives, config.source.data)
    channels, size = seen["valid"].images.shape[1:3]
    classes = class_count(seen)
    if is_multi_label(train.labels):
        refuse_of_classes(config)
    learners, fitted = (networks or tried_out)(config, seed, channels=channels, classes=classes, size=size)
    model, second = learners.model, learners.discriminator
    idle = [*notes_on_effect(learners, train, config.view, config.source.data)]
    synced = config.training.sync_batchnorm
    sizes, merged = batch_sizes(len(train), config.training.batch_size, learners, world, synced=synced)
    if synced and sync_batch_norm(model) == 0:
        raise UsageError(f"sync_batchnorm has no effect: {config.network.model} has no batch normalisation")
    # What has no values has no place either.
    if learners.with_values is None:
        model = _placed(model, device)
        second = None if second is None else second.to(device)
    # On a CPU torch's own second derivative takes no longer: oneDNN is quick with large kernels too.
    if needs(config.objectives).second_derivative and device.type == "cuda":
        prepare_double_backward(model)
    how, labels, data = config.optimisation, train.labels, config.source.data
    groups = training_groups(config, labels, origin, device, world)
    selecting = selection_groups(config, {name: own.labels for name, own in seen.items()}, origin)
    if config.robustness.upweight_errors_of:
        first = first_errors(config, seed, seen, origin, device, first_run)
        notes = (*groups.notes, first.note)
        groups = TrainingGroups(members=first.members, weights=first.weights, notes=notes)
    return Replica(
        config=config,
        seed=seed,
        folder=folder,
        device=device,
        model=model,
        objective=step_objective(
            config, model, second, world, form_of_classify(config, labels, classes, groups.weights)
        ),
        optimizer=new_optimizer(model, config.training.lr, how),
        average=new_average(model, how),
        members=groups.members,
        group_weights=groups.weights,
        groups_sha256=selecting.sha256 or groups.sha256,
        selected_among=selecting.members,
        chance=chances(labels, classes, data) if how.class_balance == "sampling" else groups.chance,
        discriminator=second,
        discriminator_optimizer=_second_adam(config.objectives, second),
        train=train,
        batch_sizes=sizes,
        splits=seen,
        origin=origin,
        mask_facts=facts,
        other=OtherBest(on=other_split(config.training.select_on)) if IID in seen else None,
        run_sha256=run_digest(config, seed, origin.digests, files),
        built_from=files,
        note="; ".join(
            filter(None, (note, *fitted, merged, _note_on_flips(config, origin), *groups.notes, *idle))
        ),
        world=world,
    )


def tried_out(
    config: RunConfig, seed: int, *, channels: int, classes: int, size: int, alike: bool = False
) -> tuple[Learners, tuple[str, ...]]:
    """The networks of a run as they begin, on the CPU, after all that could be refused of them without data.

    Clauses on how the network was fitted to the run come beside them.

    Args:
        config: the run's description.
        seed: of the initial weights.
        channels: C of the images.
        classes: K.
        size: their side in px.
        alike: the network of another seed of the run was tried, which differs in its weights alone.

    Raises:
        UsageError: the model or the chosen layers do not exist, or do not fit the images or the memory.
    """
    # A user's code may build each seed's network otherwise.
    is_known = alike and not is_own_code(config.network.model)
    if not is_known:
        check_memory(config.network, channels=channels, classes=classes, image_size=size)
    model = build_model(
        config.network,
        channels=channels,
        classes=classes,
        image_size=size,
        seed=derived_seed(seed, "weights"),
        tried=is_known,
    )
    image = channels, size, size
    fitted = started(config.network, model, image)
    second = None
    if not is_known or looks_at_each(config.objectives):
        blank = _check_taps(model, config.network.model, config.objectives, image)
        second = _discriminator(config.objectives, blank, seed)
    if not is_known:
        _check_twice_differentiable(model, config.network.model, config.objectives, image)
    learners = Learners(
        name=config.network.model,
        objectives=config.objectives,
        model=model,
        discriminator=second,
        image=image,
    )
    return learners, tuple(fitted)


def looks_at_each(objectives: Chosen) -> bool:
    """Whether an objective looks at what a seed's network computes, or has a second one made to fit it."""
    numbers = any(one.looks_at_numbers(settings) for one, settings in switched_on(objectives))
    return numbers or discriminator_of(objectives) is not None


def _note_on_flips(config: RunConfig, origin: Origin) -> str:
    if "flips" in augmentations(config.view) and stays_upright(origin.recipe):
        return "augment flips mirrors left and right alone: the data set's chest X-rays stay upright"
    return ""


def _discriminator(objectives: Chosen, blank: ModelOutput | None, seed: int) -> nn.Module | None:
    """The second network, where an objective has one, given a pass over a blank image."""
    found = discriminator_of(objectives)
    if found is None:
        return None
    assert blank is not None
    kind, settings = found
    features = kind.features(settings, blank).shape[1]
    return kind.build(settings, features, derived_seed(seed, "discriminator"))


def _second_adam(objectives: Chosen, second: nn.Module | None) -> torch.optim.Adam | None:
    found = discriminator_of(objectives)
    return None if found is None or second is None else new_optimizer(second, found[0].lr(found[1]), OFF)


def _data(
    config: RunConfig,
    seed: int,
    device: torch.device,
    world: World,
    written: Sequence[Entry],
    held: HeldImages | None,
    reading: Reading | None,
) -> tuple[AnySamples, dict[str, AnySamples], Origin, str, Samples | None]:
    """What the replica trains on, what it is judged on, where both come from, and a note.

    Where it trains in memory on other masks than the data's, the same with those of the data come last.
    """
    source, view, objectives = config.source, config.view, config.objectives
    stored, origin = open_stored(
        source,
        view,
        objectives,
        seed,
        device=device,
        threads=config.machine.threads,
        world=world,
        written=written,
        held=held,
        groups=config.robustness.groups,
        reading=reading,
    )
    pixels = None
    if reading is not None and held is None and source.data != IN_MEMORY:
        pixels = reading.pixel_digests.setdefault(Path(source.data), {})
    note = "; ".join(
        filter(
            None,
            (
                *(() if held is None else held.notes),
                equal_images(source, stored, origin.entries, pixels),
                near_images(source, origin.entries),
                origin.unread_subjects,
            ),
        )
    )
    if isinstance(stored, Stream):
        return stored.train, {**stored.splits}, origin, note, None
    plain = with_given_masks(view)
    given = None if plain == view else to_train_on(stored["train"], plain, seed, source.data)
    train = to_train_on(stored["train"], view, seed, source.data)
    seen: dict[str, AnySamples] = {
        name: split_as_judged(samples, view, objectives, seed=seed, split=name)
        for name, samples in stored.items()
    }
    return _on_device(train, device), seen, origin, note, given


def _placed(model: nn.Module, device: torch.device) -> nn.Module:
    """On the device; on CUDA in the memory format that its tensor cores compute convolutions in."""
    model = model.to(device)
    return model.to(memory_format=torch.channels_last) if device.type == "cuda" else model


def _check_taps(
    model: nn.Module, name: str, objectives: Chosen, image: tuple[int, int, int]
) -> ModelOutput | None:
    """A pass over one blank image, once the objectives, if any, were found to fit the network."""
    if not any(switched_on(objectives)):
        return None
    output = blank_pass(model, image)
    trial = trial_of(model, name, image, output)
    for one, settings in switched_on(objectives):
        one.fits(settings, trial)
    model.train()
    return output


def _check_twice_differentiable(
    model: nn.Module, name: str, objectives: Chosen, image: tuple[int, int, int]
) -> None:
    """Refuse a network with an operation whose second derivative torch does not know."""
    if not needs(objectives).second_derivative:
        return
    model.eval()
    images = torch.zeros(1, *image, requires_grad=True)
    try:
        with attention(second_derivative=True):
            logits = model(images, reconstruct=False).logits
        (gradient,) = torch.autograd.grad(logits.square().sum(), images, create_graph=True)
        torch.autograd.grad(gradient.square().sum(), trained_weights(model), allow_unused=True)
    except RuntimeError as error:
        if "derivative" not in str(error) and not find_model(name).foreign:
            raise
        raise UsageError(
            f"{' and '.join(that_need(objectives, 'second_derivative'))} cannot be had without second "
            f"derivatives, which torch does not have for {name} ({str(error).splitlines()[0]}); choose "
            "another model"
        ) from error
    model.train()


def _on_device(samples: Samples, device: torch.device) -> Samples:
    return replace(
        samples,
        images=samples.images.to(device),
        masks=samples.masks.to(device),
        labels=samples.labels.to(device),
    )
