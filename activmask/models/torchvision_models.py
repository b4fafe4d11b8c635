"""Torchvision's classifiers on small single-channel images."""

from typing import cast

from torch import nn

from activmask.ground.errors import UsageError
from activmask.machine.compiler import without_compiler
from activmask.models.depths import BASIC_BLOCKS
from activmask.models.model import USUAL_WIDTH

with without_compiler():
    import torchvision
    from torchvision.models.resnet import BasicBlock, ResNet, conv1x1

_HALVINGS = 3
"""How often a ResNet with the small-image stem halves the side of its map, rounding up."""

_POOL = 4
"""Side of the windows that the authors' ResNet averages over before its last layer."""


def torchvision_names() -> list[str]:
    """All classifiers of torchvision."""
    return list(torchvision.models.list_models(module=torchvision.models))


def torchvision_classifier(name: str, *, channels: int, classes: int, width: int) -> nn.Module:
    """An untrained torchvision classifier for images (B, channels, H, W).

    The ResNet and DenseNet families get the small-image stem: a 3x3 convolution of stride 1 and
    no pooling after it. The first convolution of any other takes `channels` inputs as it stands.

    Args:
        name: one of `torchvision_names`.
        channels: of the images.
        classes: number of classes.
        width: channels of the first layer; another than usual for ResNets of basic blocks alone.
    """
    no_side_outputs = {"aux_logits": False} if name in {"googlenet", "inception_v3"} else {}
    init = {"init_weights": True} if name in {"googlenet", "inception_v3"} else {}
    network: nn.Module = torchvision.models.get_model(
        name, weights=None, num_classes=classes, **no_side_outputs, **init
    )
    if width != USUAL_WIDTH:
        _narrow(cast(ResNet, network), width, BASIC_BLOCKS[name], classes)
    _small_image_stem(network, channels)
    return network


def give_released_head(network: nn.Module, name: str, image_size: int) -> None:
    """Give a ResNet with the small-image stem the authors' head and initial weights.

    Their code averages 4 x 4 positions without overlap and classifies what is left of all of them,
    as small-image ResNets do whose last map is 4 x 4: 4608 features at 100 px and 8192 at 128 px
    for a ResNet-18, 512 at 28 px. Its weights start as torch's layers do by themselves, where
    torchvision draws convolutions by He's rule over their outputs.

    Args:
        network: is changed in place; drawn anew from torch's global generator.
        name: for the error.
        image_size: side of the square images in px.

    Raises:
        UsageError: images whose last map is smaller than 4 x 4.
    """
    assert isinstance(network, ResNet)
    side = image_size
    for _ in range(_HALVINGS):
        side = -(-side // 2)
    if side < _POOL:
        raise UsageError(
            f"head released averages {_POOL} x {_POOL} positions, but {name} leaves {side} x {side} of "
            f"images of {image_size} px; use larger images or head pooled"
        )
    network.avgpool = nn.AvgPool2d(_POOL)
    features = network.fc.in_features * (side // _POOL) ** 2
    network.fc = nn.Linear(features, network.fc.out_features)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            module.reset_parameters()


def _narrow(network: ResNet, width: int, blocks: tuple[int, ...], classes: int) -> None:
    inputs = width
    for stage, count in enumerate(blocks):
        outputs, stride = width * 2**stage, 1 if stage == 0 else 2
        layers = [_block(inputs, outputs, stride), *(_block(outputs, outputs, 1) for _ in range(count - 1))]
        setattr(network, f"layer{stage + 1}", nn.Sequential(*layers))
        inputs = outputs
    network.conv1 = nn.Conv2d(3, width, 7, stride=2, padding=3, bias=False)
    network.bn1 = nn.BatchNorm2d(width)
    network.fc = nn.Linear(inputs, classes)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def _block(inputs: int, outputs: int, stride: int) -> BasicBlock:
    if stride == 1 and inputs == outputs:
        return BasicBlock(inputs, outputs)
    shortcut = nn.Sequential(conv1x1(inputs, outputs, stride), nn.BatchNorm2d(outputs))
    return BasicBlock(inputs, outputs, stride, shortcut)


def _small_image_stem(network: nn.Module, channels: int) -> None:
    if isinstance(network, ResNet):
        network.conv1 = _stem(channels, network.conv1.out_channels)
        network.maxpool = nn.Identity()
    elif isinstance(network, torchvision.models.DenseNet):
        features = cast(nn.Sequential, network.features)
        features.conv0 = _stem(channels, cast(nn.Conv2d, features.conv0).out_channels)
        features.pool0 = nn.Identity()
    elif channels != 3:
        give_first_convolution(network, channels)


def _stem(channels: int, outputs: int) -> nn.Conv2d:
    conv = nn.Conv2d(channels, outputs, 3, stride=1, padding=1, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return conv


def give_first_convolution(network: nn.Module, channels: int) -> None:
    """Give a network a first convolution, untrained, that takes images of so many channels, in place."""
    name, first = next((n, m) for n, m in network.named_modules() if isinstance(m, nn.Conv2d))
    parent = network.get_submodule(name.rpartition(".")[0])
    conv = nn.Conv2d(
        channels,
        first.out_channels,
        cast(tuple[int, int], first.kernel_size),
        stride=cast(tuple[int, int], first.stride),
        padding=cast(tuple[int, int], first.padding),
        bias=first.bias is not None,
    )
    setattr(parent, name.rpartition(".")[2], conv)
