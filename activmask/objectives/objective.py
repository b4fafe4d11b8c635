"""What a training objective says of itself, so that the rest of the program need not know its name.

Shapes: B images, C channels, H x W pixels, K classes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Generic, TypeVar

from activmask.ground.settings import Setting, Text, declared

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from activmask.models.output import ModelOutput

S = TypeVar("S")
"""A frozen dataclass of settings, one for each objective."""


@dataclass(frozen=True, kw_only=True)
class Needs:
    """What an objective asks of a training step."""

    masks: bool = False
    """Masks of the training images."""
    shuffled: bool = False
    """The copy whose pixels outside the mask are shuffled."""
    other_pass: bool = False
    """A second pass of the network, over that copy."""
    activations: bool = False
    """`ModelOutput.pre_activations` of the passes, which without it are `NotKept`."""
    second_derivative: bool = False
    """A gradient of an output, with respect to the input or an activation, that is differentiated again.

    The network is tried out for it, attention takes a form that allows it, and `compile` is refused."""
    evidence: bool = False
    """What each position of the last feature map adds to each class's score, which can be differentiated.

    Only the head is differentiated twice; `compile` is refused, as it hides what lies before the head."""
    decomposed: bool = False
    """What the pixels inside and outside the mask add to each class's score, by a pass of each seed alone.

    `compile` is refused, as it knows no tensors in two parts."""
    surroundings: bool = False
    """Images with all that lies outside their masks."""
    decoder: bool = False
    """A network that reconstructs its input."""

    def __or__(self, other: Needs) -> Needs:
        """What two objectives ask together."""
        return Needs(
            **{one.name: getattr(self, one.name) or getattr(other, one.name) for one in fields(self)}
        )


@dataclass(frozen=True, kw_only=True)
class Step:
    """What one training step has computed when its terms are weighed."""

    images: Tensor
    """(B, C, H, W) in [0, 1], as the data set has them."""
    shuffled: Tensor
    """The same, shuffled outside the masks; the images themselves where nobody needs that."""
    seen: Tensor
    """What the network saw of the images; requires gradients where any is asked for."""
    masks: Tensor
    """Bool (B, 1, H, W), True inside the (dilated) region of interest."""
    labels: Tensor
    """Int64 (B,); of labels that do not exclude each other (B, K) of 0 and 1, -1 where unknown, which only
    those objectives get that say so by `several_labels`, and those that look at no label."""
    output: ModelOutput
    """Of the images."""
    other: ModelOutput | None
    """Of the shuffled copy, or of another in its place, where an objective needs that pass."""
    discriminator: nn.Module | None
    """Where an objective needs one."""
    outside: Mapping[str, Tensor]
    """By the name of an objective that has a `score`, the input gradient of that, 0 inside the masks,
    (B, C, H, W), times its path where it has one; it can be differentiated again."""
    pair: tuple[Tensor, Tensor] | None
    """The feature vectors (B, C) of the full and the shuffled images that it is to tell apart."""
    evidence: Tensor | None = None
    """HiResCAM of every class at the last feature map, (B, K, h, w), where an objective needs it."""
    parts: tuple[Tensor, Tensor] | None = None
    """What the pixels outside and inside the mask add to the scores, (B, K) each, where one needs them."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A network before its training, for objectives that do not fit every one."""

    model: nn.Module
    """In evaluation mode."""
    name: str
    """What the user called it."""
    taps: Mapping[str, Tensor]
    """What goes into each of its activation modules (ReLU, GELU, ...) for one blank image, in the order of
    execution: (1, C, h, w), or (1, C) after the pooling; transformers have their channels last."""
    features: Tensor | None
    """What its last activation gave; None without any."""
    image: tuple[int, int, int]
    """Channels, height and width of the images."""


@dataclass(frozen=True, kw_only=True)
class Discriminator(Generic[S]):
    """A second network, which learns along to tell full images from shuffled ones by their features."""

    build: Callable[[S, int, int], nn.Module]
    """One for vectors of so many features, its weights drawn from a seed."""
    features: Callable[[S, ModelOutput], Tensor]
    """What it sees of a pass, (B, C)."""
    loss: Callable[[S, nn.Module, Tensor, Tensor], Tensor]
    """What it minimises given the vectors of full and of shuffled images, through neither; a scalar."""
    lr: Callable[[S], float]
    """Its learning rate under Adam."""
    steps: Callable[[S], int] = lambda _: 1
    """How many it takes for each one of the network, on one batch."""
    takes_turns: Callable[[S], bool] = lambda _: False
    """Whether it takes them on as many batches instead, of which the network learns from the last alone."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Objective(Generic[S]):
    """Everything that is true of one way to train; `OBJECTIVES` lists them all."""

    settings: type[S]
    """Its settings, declared by `setting` (`activmask/ground/settings.py`): defaults, ranges, names."""
    switches: Mapping[str, Needs]
    """The settings that turn it, or a form of it, on by being neither 0, off nor False, and what each needs.

    The first gives the objective its name; if there is a `term`, it is the term's weight."""
    label: Callable[[S], str]
    """What people call it; empty where it has no name beside the plain classifier's."""
    source: str
    """Where its equation or procedure is published."""
    hides_surroundings: bool = False
    """Whether it shows the network images without their surroundings."""
    without_effect: Mapping[str, tuple[Callable[[S], object], Text]] = field(default_factory=dict)
    """Conditions without which one of its settings does nothing, and what follows "has no effect" then.

    Of the others every one that is no switch needs the objective to be on."""
    refused: Callable[[S], Iterable[str]] = lambda _: ()
    """What is wrong with settings that contradict each other, a sentence each."""
    fits: Callable[[S, Trial], None] = lambda _, __: None
    """Raises a UsageError if the network cannot be trained so."""
    looks_at_numbers: Callable[[S], bool] = lambda _: False
    """Whether `fits` looks at what the network computes, which the outline of one, shapes alone, has not."""
    idle: Callable[[S, Trial, Tensor], Tensor] | None = None
    """Which images of some masks, bool (N, 1, H, W), it does nothing on in that network: bool (N,).

    None where it does something wherever a mask has an outside."""
    idle_where: str = ""
    """What is true of those images, in words."""
    alter: Callable[[S, Tensor, Tensor, torch.Generator], Tensor] | None = None
    """The training images (B, C, H, W), given masks (B, 1, H, W), changed by chance before anything else."""
    copy: Callable[[S], Callable[[Tensor, Tensor, torch.Generator], Tensor] | None] = lambda _: None
    """What makes the copy that the other pass sees, of images and their shuffled copies (B, C, H, W), where
    it is not the shuffled one itself."""
    show: Callable[[S, Tensor, Tensor, Tensor], Tensor] | None = None
    """What the network sees of images and their shuffled copies (B, C, H, W), given masks (B, 1, H, W)."""
    shows_always: Callable[[S], bool] = lambda _: False
    """Whether evaluation shows the same as training."""
    several_labels: Callable[[S], str] | None = None
    """Of an objective that looks at labels: a clause on why it cannot where they do not exclude each other,
    empty where it can. Without it one that has a `score` is refused there; none looks at any label."""
    score: Callable[[S, Tensor, Tensor], Tensor] | None = None
    """What of each image, (B,), from logits (B, K) and labels, has the gradient that the term reads."""
    path: Callable[[S, Tensor, torch.Generator], tuple[Tensor, Tensor]] | None = None
    """Where the score is differentiated, by a pass of its own, instead of at the images (B, C, H, W), and
    what the gradient there is multiplied by: both likewise, drawn by chance."""
    term: Callable[[S, Step], Tensor] | None = None
    """A scalar to minimise, before its weight."""
    sums: Callable[[S], bool] = lambda _: False
    """Whether the term is a sum over the batch; others are means."""
    discriminator: Discriminator[S] | None = None
    """Its second network, if it has one; then it needs the other pass too, and activations if seen."""

    @property
    def name(self) -> str:
        """Of the objective, and of its term."""
        return next(iter(self.switches))

    def weight(self, settings: S) -> float:
        """Of its term."""
        return float(getattr(settings, self.name))

    def of(self, chosen: Iterable[object]) -> S:
        """Its settings among those of all objectives; the defaults if they are not there."""
        found = next((one for one in chosen if isinstance(one, self.settings)), None)
        return self.settings() if found is None else found

    def switched_on(self, settings: S) -> list[str]:
        """Its switches that are on."""
        return [name for name in self.switches if is_on(getattr(settings, name))]

    def is_on(self, settings: S) -> bool:
        """Whether it takes part in training."""
        return bool(self.switched_on(settings))

    def needs(self, settings: S) -> Needs:
        """What it asks of a training step under these settings."""
        return together(self.switches[name] for name in self.switched_on(settings))

    def declared(self) -> dict[str, Setting]:
        """Its settings by name; the help of the first switch ends with the objective's source."""
        return self._declared

    @cached_property
    def _declared(self) -> dict[str, Setting]:
        found = {
            name: replace(known, method=known.method is not False)
            for name, known in declared(self.settings).items()
        }
        first = found[self.name]
        with_source = replace(first, text=lambda: f"{first.help.removesuffix('.')} ({self.source}).")
        return found | {self.name: with_source}


def is_on(value: object) -> bool:
    """Whether the value of a switch turns something on."""
    return value not in {0, "off"}


def together(needs: Iterable[Needs]) -> Needs:
    """What several objectives ask together."""
    total = Needs()
    for one in needs:
        total |= one
    return total
