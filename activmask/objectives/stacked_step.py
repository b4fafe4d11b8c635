"""The terms of one training step of several seeds' networks at once, which are stacked.

Every objective's own functions are used as they are: `torch.vmap` puts the axis of seeds in front of
their tensors, so that each operation is one for all seeds, and each term has one value a seed.

Shapes: R seeds, B images, C channels, H x W pixels, K classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor

from activmask.kernels.masked_shuffle import masked_shuffles
from activmask.models.output import ModelOutput, NotKept
from activmask.models.stacked.network import (
    Leaves,
    Stack,
    apart,
    forward,
    forward_side_by_side,
    leaves,
    seed_by_seed,
)
from activmask.objectives.chosen import (
    Chosen,
    discriminator_of,
    needs,
    other_copy,
    paths,
    shown,
    switched_on,
    weighed,
    with_paths,
)
from activmask.objectives.classification import PLAIN, Classify
from activmask.objectives.evidence import head_gradients, hirescam
from activmask.objectives.input_gradient import outside_gradient
from activmask.objectives.objective import Step
from activmask.objectives.seed_wise_losses import SeedWiseLosses
from activmask.objectives.step import terms_of


@dataclass(frozen=True, kw_only=True)
class StackedTerms:
    """What a step of all seeds came to."""

    terms: dict[str, Tensor]
    """Each weighted term (R,) by name. Every seed's gradients are those of the sum of all, because no
    value of one depends on another's weights."""
    passes: tuple[Leaves, ...]
    """The weights of its passes, for `network.gradients`."""

    @property
    def losses(self) -> Tensor:
        """Each seed's loss, (R,)."""
        return torch.stack(list(self.terms.values())).sum(dim=0)


def why_no_stacked_step(chosen: Chosen) -> str:
    """A clause that says why a step of these objectives cannot be taken for all seeds at once, or nothing."""
    if discriminator_of(chosen) is not None:
        return "each seed trains a discriminator of its own"
    return "each seed's network is decomposed by itself" if needs(chosen).decomposed else ""


def stacked_step_terms(
    chosen: Chosen,
    stacked: Stack,
    images: Tensor,
    masks: Tensor,
    labels: Tensor,
    generators: Sequence[torch.Generator],
    classify: Classify = PLAIN,
) -> StackedTerms:
    """What `step.step_terms` gives each seed, from as few operations as one seed takes.

    Args:
        chosen: the settings of the run's objectives, see `why_no_stacked_step`.
        stacked: in training mode.
        images: float (R, B, C, H, W) in [0, 1].
        masks: bool (R, B, 1, H, W), True inside the (dilated) region of interest.
        labels: int64 (R, B).
        generators: one a seed, which draws what it would draw for the seed alone.
        classify: the form of the cross-entropy, without weights.
    """
    asked = needs(chosen)
    for one, settings in switched_on(chosen):
        if one.alter:
            drawn = zip(images, masks, generators, strict=True)
            images = torch.stack([one.alter(settings, *own) for own in drawn])
    shuffled = masked_shuffles(images, masks, generators) if asked.shuffled else images
    copy, make_copy = shuffled, other_copy(chosen)
    if make_copy:
        copy = torch.stack([make_copy(*own) for own in zip(images, shuffled, generators, strict=True)])
    ways = [paths(chosen, *own) for own in zip(images, generators, strict=True)]
    passes = leaves(stacked, 1 + asked.other_pass + len(with_paths(chosen)))
    other = None
    if asked.other_pass:
        other = forward(stacked, passes[1], copy, reconstruct=False, tapped=asked.activations)
    gradients = _along_paths(chosen, stacked, passes[1 + asked.other_pass :], ways, masks, labels)
    flat = (part.flatten(0, 1) for part in (images, shuffled, masks))
    seen = shown(chosen, *flat).view_as(images)
    if asked.second_derivative or asked.evidence:
        seen = seen.detach().requires_grad_()
    together = forward_side_by_side(
        stacked, passes[0], seen, reconstruct=asked.decoder, tapped=asked.activations
    )
    output = seed_by_seed(together, stacked.seeds)
    parts: dict[str, Any] = {
        "images": images,
        "shuffled": shuffled,
        "seen": seen,
        "masks": masks,
        "labels": labels,
        "output": _wide(output),
        "outside": gradients | _outside(chosen, _float(output.logits), labels, seen, masks),
    }
    if other is not None:
        parts["other"] = _wide(other)
    if asked.evidence:
        parts["evidence"] = _evidence(output, together.features, stacked.seeds)

    def terms(parts: dict[str, Any]) -> dict[str, Tensor]:
        return terms_of(chosen, _step(**parts), classify)

    with SeedWiseLosses():
        return StackedTerms(terms=torch.vmap(terms)(parts), passes=tuple(passes))


def _along_paths(
    chosen: Chosen,
    stacked: Stack,
    passes: Sequence[Leaves],
    drawn: Sequence[dict[str, tuple[Tensor, Tensor]]],
    masks: Tensor,
    labels: Tensor,
) -> dict[str, Tensor]:
    """`Step.outside` of the objectives that have a path, each by a pass of all seeds."""
    found: dict[str, Tensor] = {}
    for one, settings in weighed(chosen):
        if one.score and one.path:
            points, path = (torch.stack(part) for part in zip(*(own[one.name] for own in drawn), strict=True))
            seen = points.detach().requires_grad_()
            output = forward(stacked, passes[len(found)], seen, reconstruct=False, tapped=False)
            scores = torch.vmap(partial(one.score, settings))(_float(output.logits), labels)
            found[one.name] = outside_gradient(scores, seen, masks) * path
    return found


def _outside(
    chosen: Chosen, logits: Tensor, labels: Tensor, seen: Tensor, masks: Tensor
) -> dict[str, Tensor]:
    """`Step.outside` of all seeds; one backward pass serves them, as their scores are added up."""
    found = {}
    for one, settings in weighed(chosen):
        if one.score and not one.path:
            scores = torch.vmap(partial(one.score, settings))(logits, labels)
            found[one.name] = outside_gradient(scores, seen, masks)
    return found


def _evidence(output: ModelOutput, side_by_side: Tensor | None, seeds: int) -> Tensor:
    """`Step.evidence` of all seeds, (R, B, K, h, w); a backward pass through the heads serves them all."""
    assert side_by_side is not None
    assert output.features is not None
    own = [apart(each, seeds) for each in head_gradients(output.logits, side_by_side)]
    return torch.stack([hirescam(output.features, each) for each in own], dim=2)


def _wide(output: ModelOutput) -> dict[str, Any]:
    """A pass as `vmap` takes it, what losses are made of in float32 or wider.

    Autocast widens it where a loss is called, which it does not see within `vmap`.
    """
    found: dict[str, Any] = {"logits": _float(output.logits)}
    if not isinstance(output.pre_activations, NotKept):
        found["pre_activations"] = output.pre_activations
    if output.reconstruction is not None:
        found["reconstruction"] = _float(output.reconstruction)
    return found


def _float(tensor: Tensor) -> Tensor:
    return tensor if tensor.dtype == torch.float64 else tensor.float()


def _step(output: dict[str, Any], other: dict[str, Any] | None = None, **rest: Any) -> Step:
    not_kept = {"pre_activations": NotKept()}
    return Step(
        output=ModelOutput(**not_kept | output),
        other=None if other is None else ModelOutput(**not_kept | other),
        discriminator=None,
        pair=None,
        **rest,
    )
