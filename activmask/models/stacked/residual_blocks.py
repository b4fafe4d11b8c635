"""Torchvision's ResNets and their blocks in a stack. Who imports this waits for torchvision."""

from torch import Tensor, nn

from activmask.machine.compiler import without_compiler
from activmask.models.stacked.batch_norm import activated

with without_compiler():
    from torchvision.models.resnet import BasicBlock, Bottleneck, ResNet


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


class StackedResNet(ResNet):  # type: ignore[misc]
    """The network of torchvision, its first activation taken with the normalisation before it."""

    def forward(self, x: Tensor) -> Tensor:
        """Logits (B, R, K) of images (B, R * C, H, W)."""
        maps: Tensor = self.maxpool(activated(self.bn1, self.relu, self.conv1(x)))
        for layer in (self.layer1, self.layer2, self.layer3, self.layer4):
            maps = layer(maps)
        logits: Tensor = self.fc(self.avgpool(maps).flatten(1))
        return logits


STACKED_BLOCKS: dict[type[nn.Module], type[nn.Module]] = {
    BasicBlock: StackedBasic,
    Bottleneck: StackedBottleneck,
    ResNet: StackedResNet,
}
"""By torchvision's."""
