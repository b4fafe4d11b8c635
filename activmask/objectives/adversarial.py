"""An adversarial form of actdiff: features that do not tell a full image from a shuffled one.

A small discriminator learns to tell them apart; the network is trained to fool it.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

HIDDEN = 64


def discriminator(features: int, seed: int) -> nn.Sequential:
    """A two-layer classifier of feature vectors (B, features) into shuffled and full, logits (B, 1)."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return nn.Sequential(nn.Linear(features, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 1))


def features(pre_activation: Tensor) -> Tensor:
    """The feature vector (B, C) that the discriminator sees: a tap (B, C, ...) averaged over positions."""
    return pre_activation if pre_activation.ndim == 2 else pre_activation.flatten(2).mean(dim=2)


def discriminator_loss(judge: nn.Module, full: Tensor, shuffled: Tensor) -> Tensor:
    """The cross-entropy of telling full (1) from shuffled (0) features, each (B, C); a scalar."""
    return _judged(judge, full.detach(), 1.0) + _judged(judge, shuffled.detach(), 0.0)


def adversarial(judge: nn.Module, full: Tensor, shuffled: Tensor) -> Tensor:
    """The same cross-entropy with the answers exchanged, for the network to lower; a scalar."""
    return _judged(judge, full, 0.0) + _judged(judge, shuffled, 1.0)


def _judged(judge: nn.Module, vectors: Tensor, answer: float) -> Tensor:
    logits = judge(vectors.float())
    return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, answer)) / 2
