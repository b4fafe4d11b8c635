"""The features that a network pools last, which two objectives compare.

Shapes: B images, C channels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from activmask.ground.errors import UsageError
from activmask.objectives.objective import Trial

if TYPE_CHECKING:
    from torch import Tensor


def pooled(activation: Tensor) -> Tensor:
    """A tap (B, C, ...) averaged over positions, (B, C)."""
    return activation if activation.ndim == 2 else activation.flatten(2).mean(dim=2)


def check_pooled(setting: str, trial: Trial) -> None:
    """Refuse the follow-up's pooled features where the last activation is not what the head pools.

    Args:
        setting: what asks for them, for the error.
        trial: the network.

    Raises:
        UsageError: the network pools something else.
    """
    import torch

    from activmask.models.taps import Tapped, head_reads_last_tap

    if not isinstance(trial.model, Tapped):
        return
    images = torch.rand((1, *trial.image), generator=torch.Generator().manual_seed(0))
    if not head_reads_last_tap(trial.model, images):
        raise UsageError(
            f"{setting} needs a network that pools its last ReLU and classifies that, which {trial.name} "
            "does not; choose resnet18, cnn or unet, for example, or another form"
        )
