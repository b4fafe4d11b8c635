"""How the objectives add up to the loss of one training step.

Shapes: B images, C channels, H x W pixels, K classes.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from activmask.config import RunConfig, differentiates_twice, masks_images, uses_shuffled_copy
from activmask.kernels.masked_shuffle import masked_shuffle
from activmask.models.output import ModelOutput
from activmask.objectives.actdiff import actdiff
from activmask.objectives.adversarial import adversarial, judged_features
from activmask.objectives.classification import cross_entropy, cutout, keep_inside
from activmask.objectives.input_gradient import gradmask, rrr
from activmask.objectives.reconstruction import reconstruction_loss

_ALL = slice(None)


@dataclass(frozen=True)
class StepTerms:
    """The weighted terms of one step, and what the discriminator needs of it."""

    terms: dict[str, Tensor]
    """Each term by name, its weight included; their sum is the loss."""
    features: tuple[Tensor, Tensor] | None
    """Feature vectors (B, C) of the full and the shuffled images, with `adversarial` alone."""

    @property
    def loss(self) -> Tensor:
        """The scalar to differentiate."""
        return torch.stack(list(self.terms.values())).sum()


def step_terms(
    config: RunConfig,
    model: Callable[..., ModelOutput],
    images: Tensor,
    masks: Tensor,
    labels: Tensor,
    generator: torch.Generator,
    judge: nn.Module | None = None,
    part: slice = _ALL,
) -> StepTerms:
    """Run the passes that `config` asks for and weigh their terms.

    The shuffled pass comes before the full one, so that running batch statistics end on full
    images. In networks with batch normalisation each pass is normalised by its own statistics.

    Args:
        config: the run's description.
        model: maps images, and whether to reconstruct them, to a `ModelOutput`.
        images: float (B, C, H, W) in [0, 1].
        masks: bool (B, 1, H, W), True inside the (dilated) region of interest.
        labels: int64 (B,).
        generator: draws the shuffles and cutouts.
        judge: the discriminator, with `adversarial` alone.
        part: of the batch that is computed here; shuffles and cutouts are drawn for the whole of it, so
            that they do not depend on who computes which part.
    """
    images = cutout(images, config.cutout, generator) if config.cutout else images
    shuffled = masked_shuffle(images, masks, generator) if uses_shuffled_copy(config) else images
    images, shuffled, masks, labels = images[part], shuffled[part], masks[part], labels[part]
    other: ModelOutput | None = None
    if config.actdiff or config.adversarial:
        other = model(shuffled, reconstruct=False)
    seen = images
    if masks_images(config):
        seen = keep_inside(images, masks, config.masked_fill)
    elif config.classify_shuffled:
        seen = shuffled
    if differentiates_twice(config):
        seen = seen.detach().requires_grad_()
    output: ModelOutput = model(seen, reconstruct=config.recon > 0)
    terms = {"classify": cross_entropy(output.logits, labels)}
    if config.actdiff and other is not None:
        terms["actdiff"] = config.actdiff * actdiff(
            output.pre_activations,
            other.pre_activations,
            norm=config.actdiff_norm,
            at=config.actdiff_at,
            layers=config.actdiff_layers,
            detach=config.actdiff_detach,
        )
    if config.gradmask:
        terms["gradmask"] = config.gradmask * gradmask(
            output.logits, seen, masks, norm=config.gradmask_norm, target=config.gradmask_target
        )
    if config.rrr:
        terms["rrr"] = config.rrr * rrr(output.logits, seen, masks)
    if config.recon and output.reconstruction is not None:
        target = shuffled if config.recon_masked else seen.detach()
        terms["recon"] = config.recon * reconstruction_loss(output.reconstruction, target, config.recon_loss)
    pair = None
    if config.adversarial and other is not None and judge is not None:
        pair = (_last_features(output, config), _last_features(other, config))
        terms["adversarial"] = config.adversarial * adversarial(judge, *pair, config.adversarial_form)
    return StepTerms(terms, pair)


def _last_features(output: ModelOutput, config: RunConfig) -> Tensor:
    return judged_features(list(output.pre_activations.values())[-1], config.adversarial_form)


def is_summed(config: RunConfig, term: str) -> bool:
    """Whether a term is a sum over the batch; all others are means."""
    return term == "gradmask" and config.gradmask_norm == "l1"


def term_names(config: RunConfig) -> list[str]:
    """The names of the terms that `step_terms` gives under `config`, in their order."""
    weights = ("actdiff", "gradmask", "rrr", "recon", "adversarial")
    return ["classify", *(name for name in weights if getattr(config, name))]
