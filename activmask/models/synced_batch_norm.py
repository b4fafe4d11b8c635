"""Batch normalisation by the statistics of all processes' images.

PyTorch's own form exists on CUDA only and cannot be differentiated twice, which penalties on the
input gradient need; this one is made of differentiable collectives.

Shapes: B images on this process, C channels, H x W positions.
"""

import torch
from torch import Tensor, nn
from torch.distributed.nn.functional import all_reduce


class SyncedBatchNorm2d(nn.BatchNorm2d):
    """`torch.nn.BatchNorm2d` whose training statistics run over the images of every process."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """Normalise (B, C, H, W)."""
        if not self.training:
            evaluated: Tensor = super().forward(input)
            return evaluated
        wide = input if input.dtype == torch.float64 else input.float()
        axes = (0, 2, 3)
        count = all_reduce(torch.full((), wide.numel() / wide.shape[1], dtype=wide.dtype, device=wide.device))
        mean = all_reduce(wide.sum(axes)) / count
        centred = wide - mean[:, None, None]
        variance = all_reduce(centred.square().sum(axes)) / count
        self._update_running(mean.detach(), variance.detach() * count / (count - 1))
        normal = centred * (variance + self.eps).rsqrt()[:, None, None]
        if self.weight is not None and self.bias is not None:
            normal = normal * self.weight[:, None, None] + self.bias[:, None, None]
        narrow: Tensor = normal.to(input.dtype)
        return narrow

    def _update_running(self, mean: Tensor, variance: Tensor) -> None:
        tracked = (self.running_mean, self.running_var, self.num_batches_tracked)
        if self.momentum is None or any(buffer is None for buffer in tracked):
            return
        for buffer, value in zip(tracked, (mean, variance), strict=False):
            assert buffer is not None
            buffer.lerp_(value.to(buffer.dtype), self.momentum)
        assert self.num_batches_tracked is not None
        self.num_batches_tracked.add_(1)


def sync_batch_norm(model: nn.Module) -> int:
    """Have a network's batch normalisations use the statistics of all processes; names stay the same.

    Returns:
        How many there are.
    """
    found = [module for module in model.modules() if type(module) is nn.BatchNorm2d]
    for module in found:
        module.__class__ = SyncedBatchNorm2d
    return len(found)
