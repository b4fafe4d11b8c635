"""One of several labels, as a classifier of two classes of its own.

Shapes: B images, L labels.
"""

from dataclasses import replace

import torch
from torch import Tensor, nn

from activmask.models.output import ModelOutput
from activmask.predictors.predictor import Predictor


class OneLabel(nn.Module):
    """A network of L labels that answers one of them, as (0, z)."""

    def __init__(self, network: nn.Module, label: int) -> None:
        """Wrap a network that returns a `ModelOutput` of logits (B, L)."""
        super().__init__()
        self.network = network
        self.label = label

    def forward(self, images: Tensor, reconstruct: bool = False) -> ModelOutput:
        """Answer images (B, C, H, W)."""
        told: ModelOutput = self.network(images, reconstruct=reconstruct)
        return replace(told, logits=_beside_zero(told.logits, self.label))


def one_label(predictor: Predictor, label: int) -> Predictor:
    """The predictor of a label, counted from 0, against its absence."""
    return replace(
        predictor,
        outputs=2,
        predict=lambda images: _beside_zero(predictor.predict(images), label),
        multi_label=False,
        module=None if predictor.module is None else OneLabel(predictor.module, label).eval(),
    )


def _beside_zero(logits: Tensor, label: int) -> Tensor:
    chosen = logits[:, label : label + 1]
    return torch.cat([torch.zeros_like(chosen), chosen], dim=1)
