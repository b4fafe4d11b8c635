"""How the objectives add up to the loss of one training step.

Shapes: B images, C channels, H x W pixels, K classes.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from activmask.kernels.masked_shuffle import masked_shuffle
from activmask.models.decomposed import decomposed
from activmask.models.output import ModelOutput, NotKept
from activmask.objectives.chosen import (
    Chosen,
    discriminator_of,
    needs,
    other_copy,
    paths,
    shown,
    switched_on,
    term_names,
    weighed,
)
from activmask.objectives.classification import CLASSIFY, PLAIN, Classify, classification_loss
from activmask.objectives.evidence import evidence
from activmask.objectives.group_losses import Membership
from activmask.objectives.input_gradient import outside_gradient
from activmask.objectives.objective import Needs, Step

_ALL = slice(None)


@dataclass(frozen=True)
class StepTerms:
    """The weighted terms of one step, and what the discriminator needs of it."""

    terms: dict[str, Tensor]
    """Each term by name, its weight included; their sum is the loss."""
    pair: tuple[Tensor, Tensor] | None
    """Feature vectors (B, C) of the full and the shuffled images, where there is a discriminator."""

    @property
    def loss(self) -> Tensor:
        """The scalar to differentiate."""
        return torch.stack(list(self.terms.values())).sum()


def step_terms(
    chosen: Chosen,
    model: Callable[..., ModelOutput],
    images: Tensor,
    masks: Tensor,
    labels: Tensor,
    generator: torch.Generator,
    discriminator: nn.Module | None = None,
    part: slice = _ALL,
    classify: Classify = PLAIN,
    members: Tensor | None = None,
) -> StepTerms:
    """Run the passes that the objectives ask for and weigh their terms.

    All other passes come before that over the images, so that running batch statistics end on full
    images. In networks with batch normalisation each pass is normalised by its own statistics.

    Args:
        chosen: the settings of the run's objectives.
        model: maps images, and whether to reconstruct them, to a `ModelOutput`.
        images: float (B, C, H, W) in [0, 1].
        masks: bool (B, 1, H, W), True inside the (dilated) region of interest.
        labels: int64 (B,), or (B, K) of labels that do not exclude each other.
        generator: draws the shuffles and whatever else is left to chance.
        discriminator: where an objective needs one.
        part: of the batch that is computed here; what is drawn is drawn for the whole of it, so
            that it does not depend on who computes which part.
        classify: the form of the cross-entropy.
        members: int64 (B,), the group of each image, where groups count differently.
    """
    asked = needs(chosen)
    for one, settings in switched_on(chosen):
        images = one.alter(settings, images, masks, generator) if one.alter else images
    shuffled = masked_shuffle(images, masks, generator) if asked.shuffled else images
    make_copy = other_copy(chosen)
    copy = make_copy(images, shuffled, generator) if make_copy else shuffled
    drawn = paths(chosen, images, generator)
    batch, labels = labels, labels[part]
    images, shuffled, masks = images[part], shuffled[part], masks[part]
    other = _asked_for(asked, model(copy[part], reconstruct=False)) if asked.other_pass else None
    gradients = _along_paths(chosen, model, drawn, masks, labels, part)
    parts = _parts(model, images, masks) if asked.decomposed else None
    seen = shown(chosen, images, shuffled, masks)
    if asked.second_derivative or asked.evidence:
        seen = seen.detach().requires_grad_()
    output = _asked_for(asked, model(seen, reconstruct=asked.decoder))
    gradients |= {
        one.name: outside_gradient(one.score(settings, output.logits, labels), seen, masks)
        for one, settings in weighed(chosen)
        if one.score and not one.path
    }
    step = Step(
        images=images,
        shuffled=shuffled,
        seen=seen,
        masks=masks,
        labels=labels,
        output=output,
        other=other,
        discriminator=discriminator,
        outside=gradients,
        pair=_pair(chosen, output, other),
        evidence=_evidence(output) if asked.evidence else None,
        parts=parts,
    )
    of_groups = None if members is None else Membership(batch=members, part=part)
    return StepTerms(terms_of(chosen, step, classify, batch, of_groups), step.pair)


def terms_of(
    chosen: Chosen,
    step: Step,
    classify: Classify = PLAIN,
    batch: Tensor | None = None,
    members: Membership | None = None,
) -> dict[str, Tensor]:
    """The weighted terms of a step whose passes are over, by name, the classification's first.

    `batch` holds the labels of the whole batch, where the step is a part of it, and `members` its groups.
    """
    terms = {CLASSIFY: classification_loss(step.output.logits, step.labels, classify, batch, members)}
    return terms | {
        one.name: one.weight(settings) * one.term(settings, step)
        for one, settings in weighed(chosen)
        if one.term
    }


def _along_paths(
    chosen: Chosen,
    model: Callable[..., ModelOutput],
    drawn: dict[str, tuple[Tensor, Tensor]],
    masks: Tensor,
    labels: Tensor,
    part: slice,
) -> dict[str, Tensor]:
    """`Step.outside` of the objectives that have a path; those were drawn for the whole batch."""
    found = {}
    for one, settings in weighed(chosen):
        if one.score and one.path:
            points, path = (each[part] for each in drawn[one.name])
            seen = points.detach().requires_grad_()
            logits = model(seen, reconstruct=False).logits
            found[one.name] = outside_gradient(one.score(settings, logits, labels), seen, masks) * path
    return found


def _asked_for(asked: Needs, output: ModelOutput) -> ModelOutput:
    """Without what passes of stacked networks do not keep: an objective fails in either or in none."""
    return output if asked.activations else replace(output, pre_activations=NotKept())


def _parts(model: Callable[..., ModelOutput], images: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
    assert isinstance(model, nn.Module)
    return decomposed(model, images, ~masks)


def _evidence(output: ModelOutput) -> Tensor:
    assert output.features is not None
    return evidence(output.logits, output.features)


def _pair(chosen: Chosen, output: ModelOutput, other: ModelOutput | None) -> tuple[Tensor, Tensor] | None:
    found = discriminator_of(chosen)
    if found is None:
        return None
    assert other is not None
    second, settings = found
    return second.features(settings, output), second.features(settings, other)


def is_summed(chosen: Chosen, term: str) -> bool:
    """Whether a term is a sum over the batch; all others are means."""
    return any(one.name == term and one.sums(settings) for one, settings in switched_on(chosen))


def loss_names(chosen: Chosen) -> list[str]:
    """The names of the terms that `step_terms` gives, in their order."""
    return [CLASSIFY, *term_names(chosen)]
