"""Batch normalisation, addition and ReLU as PyTorch has them: the truth that the other forms are held to."""

from torch import Tensor
from torch.nn import functional as F


def batch_norm(
    images: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    running_mean: Tensor | None,
    running_variance: Tensor | None,
    training: bool,
    momentum: float,
    epsilon: float,
    residual: Tensor | None,
    relu: bool,
) -> tuple[Tensor, Tensor]:
    """The output (B, C, ...) and what came before the ReLU; arguments as `activmask.kernels.batch_norm`."""
    before = F.batch_norm(images, running_mean, running_variance, weight, bias, training, momentum, epsilon)
    if residual is not None:
        before = before + residual
    return (F.relu(before) if relu else before), before
