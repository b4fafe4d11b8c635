"""The network that `audit_network.py` trains, as anybody has theirs in a file: `digit_network.py:make`."""

from torch import nn
from torchvision.models import resnet18


def make() -> nn.Module:
    """A residual network of torchvision for images of three channels and two classes."""
    network: nn.Module = resnet18(num_classes=2)
    return network
