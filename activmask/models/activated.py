"""A convolution and the ReLU that follows it, together where that is quicker."""

from torch import Tensor, nn
from torch.nn import functional as F

from activmask.kernels.convolution import activated_conv2d
from activmask.models.double_backward import TwiceDifferentiableConv2d


class ActivatedConv2d(TwiceDifferentiableConv2d):
    """A convolution of stacked networks that can take the ReLU after it along."""

    tapped = True
    """Whether what the ReLU saw is kept."""

    def activated(self, maps: Tensor, *, tapped: bool) -> tuple[Tensor, Tensor]:
        """What a ReLU gives of the convolution of maps (B, C, H, W), and what it saw, if that is kept."""
        return activated_conv2d(maps, self.weight, self.bias, **self.geometry, tapped=tapped and self.tapped)


def activated(convolution: nn.Module, maps: Tensor, *, tapped: bool) -> tuple[Tensor, Tensor]:
    """What a ReLU gives of a convolution of maps (B, C, H, W), and what it saw; see `activated_conv2d`."""
    if isinstance(convolution, ActivatedConv2d):
        return convolution.activated(maps, tapped=tapped)
    before: Tensor = convolution(maps)
    return F.relu(before), before
