"""An adversarial form of actdiff: features that do not tell a full image from a shuffled one.

A small discriminator learns to tell them apart; the network is trained to fool it. There are two
forms: `ours`, and `followup`, that of the authors' follow-up ("Saliency is a Possible Red Herring
When Diagnosing Poor Generalization", ICLR 2021).

Shapes: B images, C channels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from activmask.ground.limits import MOST_COUNT, MOST_RATE, MOST_WEIGHT
from activmask.ground.settings import setting
from activmask.objectives.actdiff import choose_layers
from activmask.objectives.objective import Discriminator, Needs, Objective, Step, Trial
from activmask.objectives.pooled_features import check_pooled, pooled

if TYPE_CHECKING:
    from torch import Tensor, nn

    from activmask.models.output import ModelOutput

Form = Literal["ours", "followup"]

HIDDEN = {"ours": 64, "followup": 1024}
"""Width of the discriminator's hidden layers."""


@dataclass(frozen=True, kw_only=True)
class AdversarialSettings:
    """How strongly the network is to fool the discriminator, and how that learns."""

    adversarial: float = setting(
        0.0, "Weight of fooling a discriminator of full and shuffled features.", least=0, most=MOST_WEIGHT
    )
    adversarial_form: Form = setting(
        "ours",
        "Discriminator of two layers on the mean of the last pre-activation; or the authors' follow-up's, of "
        "three spectrally normalised layers of 1024 and one more on the pooled features, losses summed.",
        form=True,
        in_name=str,
        in_label=str,
    )
    adversarial_steps: int = setting(
        1,
        "Discriminator steps per step of the network: on one batch (ours), or on as many batches (followup).",
        least=1,
        most=MOST_COUNT,
        form=True,
    )
    adversarial_lr: float = setting(
        1e-3, "Learning rate of the discriminator.", least=0, most=MOST_RATE, form=True
    )


def discriminator(features: int, seed: int, form: Form = "ours") -> nn.Sequential:
    """A classifier of feature vectors (B, features) into shuffled and full, logits (B, 1).

    `ours` has two layers. `followup` has three of 1024, each spectrally normalised (Miyato et al.
    2018, arXiv 1802.05957) and followed by a ReLU, and a last one without norm.
    """
    import torch
    from torch import nn
    from torch.nn.utils.parametrizations import spectral_norm

    hidden = HIDDEN[form]
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        if form == "ours":
            return nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, 1))
        layers = [spectral_norm(nn.Linear(width, hidden)) for width in (features, hidden, hidden)]
        bounded = [module for layer in layers for module in (layer, nn.ReLU())]
        return nn.Sequential(*bounded, nn.Linear(hidden, 1))


def told_apart(output: ModelOutput, form: Form) -> Tensor:
    """The feature vectors (B, C) that the discriminator sees of a network's pass.

    `ours` averages the last tap before the ReLU, `followup` after it: what the network's own head pools.
    """
    last = list(output.pre_activations.values())[-1]
    return pooled(last if form == "ours" else last.relu())


def discriminator_loss(
    discriminator: nn.Module, full: Tensor, shuffled: Tensor, form: Form = "ours"
) -> Tensor:
    """The cross-entropy of telling full (1) from shuffled (0) features, each (B, C); a scalar.

    Of the mean cross-entropies on either side, `ours` takes the mean and `followup` the sum.
    """
    right = _cross_entropy(discriminator, full.detach(), 1.0, form)
    return right + _cross_entropy(discriminator, shuffled.detach(), 0.0, form)


def adversarial(discriminator: nn.Module, full: Tensor, shuffled: Tensor, form: Form = "ours") -> Tensor:
    """The same cross-entropy with the answers exchanged, for the network to lower; a scalar."""
    wrong = _cross_entropy(discriminator, full, 0.0, form)
    return wrong + _cross_entropy(discriminator, shuffled, 1.0, form)


def _cross_entropy(discriminator: nn.Module, vectors: Tensor, answer: float, form: Form) -> Tensor:
    import torch
    from torch.nn import functional as F

    logits = discriminator(vectors.float())
    loss = F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, answer))
    return loss / 2 if form == "ours" else loss


def _term(settings: AdversarialSettings, step: Step) -> Tensor:
    assert step.discriminator is not None
    assert step.pair is not None
    return adversarial(step.discriminator, *step.pair, settings.adversarial_form)


def _refused(settings: AdversarialSettings) -> Iterator[str]:
    if settings.adversarial_lr == 0:
        yield "adversarial_lr is 0: the discriminator would not learn; give a positive learning rate"


def _fits(settings: AdversarialSettings, trial: Trial) -> None:
    choose_layers(list(trial.taps), "all")
    if settings.adversarial_form == "followup":
        check_pooled("adversarial_form followup", trial)


ADVERSARIAL = Objective(
    settings=AdversarialSettings,
    switches={
        "adversarial": Needs(masks=True, surroundings=True, shuffled=True, other_pass=True, activations=True),
    },
    label=lambda _: "Adversarial",
    source="after the authors' follow-up, ICLR 2021",
    refused=_refused,
    fits=_fits,
    looks_at_numbers=lambda settings: settings.adversarial_form == "followup",
    term=_term,
    discriminator=Discriminator(
        build=lambda settings, features, seed: discriminator(features, seed, settings.adversarial_form),
        features=lambda settings, output: told_apart(output, settings.adversarial_form),
        loss=lambda settings, network, full, shuffled: discriminator_loss(
            network, full, shuffled, settings.adversarial_form
        ),
        lr=lambda settings: settings.adversarial_lr,
        steps=lambda settings: settings.adversarial_steps,
        takes_turns=lambda settings: settings.adversarial_form == "followup",
    ),
)
