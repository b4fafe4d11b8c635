"""An adversarial form of actdiff: features that do not tell a full image from a shuffled one.

A small discriminator learns to tell them apart; the network is trained to fool it. There are two
forms: `ours`, and `followup`, that of the authors' follow-up ("Saliency is a Possible Red Herring
When Diagnosing Poor Generalization", ICLR 2021).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm

from activmask.config import AdversarialForm

HIDDEN = {"ours": 64, "followup": 1024}
"""Width of the discriminator's hidden layers."""


def discriminator(features: int, seed: int, form: AdversarialForm = "ours") -> nn.Sequential:
    """A classifier of feature vectors (B, features) into shuffled and full, logits (B, 1).

    `ours` has two layers. `followup` has three of 1024, each spectrally normalised (Miyato et al.
    2018, arXiv 1802.05957) and followed by a ReLU, and a last one without norm.
    """
    hidden = HIDDEN[form]
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        if form == "ours":
            return nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, 1))
        layers = [spectral_norm(nn.Linear(width, hidden)) for width in (features, hidden, hidden)]
        bounded = [module for layer in layers for module in (layer, nn.ReLU())]
        return nn.Sequential(*bounded, nn.Linear(hidden, 1))


def features(pre_activation: Tensor) -> Tensor:
    """A tap (B, C, ...) averaged over positions, (B, C)."""
    return pre_activation if pre_activation.ndim == 2 else pre_activation.flatten(2).mean(dim=2)


def judged_features(pre_activation: Tensor, form: AdversarialForm) -> Tensor:
    """The feature vector (B, C) that the discriminator sees of the last tap (B, C, ...).

    `ours` averages before the ReLU, `followup` after it: what the network's own head pools.
    """
    return features(pre_activation if form == "ours" else F.relu(pre_activation))


def discriminator_loss(
    judge: nn.Module, full: Tensor, shuffled: Tensor, form: AdversarialForm = "ours"
) -> Tensor:
    """The cross-entropy of telling full (1) from shuffled (0) features, each (B, C); a scalar.

    Of the mean cross-entropies on either side, `ours` takes the mean and `followup` the sum.
    """
    return _judged(judge, full.detach(), 1.0, form) + _judged(judge, shuffled.detach(), 0.0, form)


def adversarial(judge: nn.Module, full: Tensor, shuffled: Tensor, form: AdversarialForm = "ours") -> Tensor:
    """The same cross-entropy with the answers exchanged, for the network to lower; a scalar."""
    return _judged(judge, full, 0.0, form) + _judged(judge, shuffled, 1.0, form)


def _judged(judge: nn.Module, vectors: Tensor, answer: float, form: AdversarialForm) -> Tensor:
    logits = judge(vectors.float())
    loss = F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, answer))
    return loss / 2 if form == "ours" else loss
