"""Normalisation of all seeds, together with the addition and the ReLU that follow it."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from activmask.kernels.batch_norm import batch_norm


class StackedBatchNorm2d(nn.BatchNorm2d):
    """The normalisations of all seeds, which leaves the counting of batches to the pass."""

    tapped = True
    """Whether what a ReLU saw is kept in training; otherwise hooks of the ReLU are given an empty tensor."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        """Normalise (B, R * C, H, W)."""
        if self.training or self.running_mean is None:
            return self._of_batch(input, None, relu=False)[0]
        return self._evaluated(input)

    def activated(self, maps: Tensor, residual: Tensor | None) -> tuple[Tensor, Tensor]:
        """What follows once a residual, if any, was added and a ReLU taken; and what that saw, if kept."""
        if self.training or self.running_mean is None:
            return self._of_batch(maps, residual, relu=True)
        normal = self._evaluated(maps)
        before = normal if residual is None else normal + residual
        return torch.relu(before), before

    def _of_batch(self, maps: Tensor, residual: Tensor | None, *, relu: bool) -> tuple[Tensor, Tensor]:
        return batch_norm(
            maps,
            self.weight,
            self.bias,
            self.running_mean,
            self.running_var,
            momentum=self.momentum or 0.0,
            epsilon=self.eps,
            residual=residual,
            relu=relu,
            tapped=relu and self.tapped,
        )

    def _evaluated(self, maps: Tensor) -> Tensor:
        return F.batch_norm(maps, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)


class Done(nn.ReLU):
    """An activation that was computed with the normalisation before it; hooks see what it would have seen."""

    def forward(self, input: Tensor, output: Tensor | None = None) -> Tensor:  # noqa: A002 - torch's name
        """The output that is given, or that of a ReLU."""
        return torch.relu(input) if output is None else output


def activated(norm: nn.Module, relu: nn.Module, maps: Tensor, residual: Tensor | None = None) -> Tensor:
    """What a block's ReLU gives of its normalisation and a residual, if any, (B, R * C, H, W)."""
    assert isinstance(norm, StackedBatchNorm2d)
    output, before = norm.activated(maps, residual)
    result: Tensor = relu(before, output)
    return result
