"""The blocks of torchvision's ResNets in a stack. Who imports this waits seconds for torchvision."""

from torch import Tensor, nn
from torchvision.models.resnet import BasicBlock, Bottleneck

from activmask.models.stacked.batch_norm import activated


class StackedBasic(BasicBlock):  # type: ignore[misc]
    """The block of torchvision, its activations taken with the normalisations before them."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, R * C, H, W)."""
        identity = x if self.downsample is None else self.downsample(x)
        hidden = activated(self.bn1, self.relu, self.conv1(x))
        return activated(self.bn2, self.relu, self.conv2(hidden), identity)


class StackedBottleneck(Bottleneck):  # type: ignore[misc]
    """The block of torchvision, its activations taken with the normalisations before them."""

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, R * C, H, W)."""
        identity = x if self.downsample is None else self.downsample(x)
        hidden = activated(self.bn1, self.relu, self.conv1(x))
        hidden = activated(self.bn2, self.relu, self.conv2(hidden))
        return activated(self.bn3, self.relu, self.conv3(hidden), identity)


STACKED_BLOCKS: dict[type[nn.Module], type[nn.Module]] = {
    BasicBlock: StackedBasic,
    Bottleneck: StackedBottleneck,
}
"""By torchvision's."""
