"""The reconstruction losses (paper sec. 3)."""

from typing import Literal

from torch import Tensor
from torch.nn import functional as F

ReconLoss = Literal["bce", "mse"]


def reconstruction_loss(output: Tensor, target: Tensor, loss: ReconLoss) -> Tensor:
    """How far a reconstruction is from its target, averaged over pixels.

    The masked form (paper: L_recon_masked) is the same function with the shuffled copy as target.

    Args:
        output: (B, C, H, W), the decoder's output before any sigmoid.
        target: (B, C, H, W) in [0, 1].
        loss: `bce`, binary cross-entropy of the sigmoid, or `mse`, mean squared error.

    Returns:
        A scalar, at least 0.
    """
    if loss == "bce":
        return F.binary_cross_entropy_with_logits(output, target)
    return F.mse_loss(output, target)


def reconstruction_image(output: Tensor, loss: ReconLoss) -> Tensor:
    """The decoder's output (B, C, H, W) as an image in [0, 1]."""
    return output.sigmoid() if loss == "bce" else output.clamp(0, 1)
