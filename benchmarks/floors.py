"""The least work that training can be: FLOPs and bytes by formula, and how fast a machine does such work.

A convolution's forward pass, its data gradient and its weight gradient cost the same FLOPs, one
unit each. Only convolutions and the linear head count; bytes count every operand once.

Shapes: B images, C channels, H x W pixels.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch

from activmask.models.depths import BLOCKS
from activmask.models.paper_networks import PAPER_NETWORKS
from activmask.runs.description import RunConfig


@dataclass(frozen=True, kw_only=True)
class Layer:
    """A square convolution, or a linear layer as one of a single position."""

    inputs: int
    """Channels in."""
    outputs: int
    """Channels out."""
    side: int
    """Of the output in positions."""
    kernel: int = 3
    """Of the kernel in positions."""

    @property
    def flops(self) -> int:
        """Of a forward pass over one image, a multiplication and an addition counting two."""
        return 2 * self.inputs * self.outputs * self.kernel**2 * self.side**2


@dataclass(frozen=True)
class Network:
    """The layers that count, in the order of execution."""

    encoder: tuple[Layer, ...]
    """Up to the logits, the head included."""
    decoder: tuple[Layer, ...] = ()

    @property
    def encoder_flops(self) -> int:
        """From an image to its logits."""
        return sum(layer.flops for layer in self.encoder)

    @property
    def decoder_flops(self) -> int:
        """From the encoder's outputs to a reconstruction."""
        return sum(layer.flops for layer in self.decoder)


def network(config: RunConfig, side: int, *, channels: int = 1, classes: int = 2) -> Network:
    """The layers of cnn, ae, unet or resnet18 on images of `side` px."""
    if config.network.model in PAPER_NETWORKS:
        return _convnet(config, side, channels, classes)
    assert config.network.model == "resnet18", "the other networks have no formula here"
    return Network(tuple(_resnet18(config.network.width, side, channels, classes)))


def _convnet(config: RunConfig, side: int, channels: int, classes: int) -> Network:
    widths = [config.network.width * 2**block for block in range(BLOCKS)]
    sides = [side // 2**block for block in range(BLOCKS)]
    encoder: list[Layer] = []
    for (before, after), own in zip(pairwise([channels, *widths]), sides, strict=True):
        encoder += _double(before, after, own)
    encoder.append(Layer(inputs=widths[-1] * sides[-1] ** 2, outputs=classes, side=1, kernel=1))
    if config.network.model == "cnn":
        return Network(tuple(encoder))
    decoder: list[Layer] = []
    for (deep, shallow), own in zip(pairwise(reversed(widths)), reversed(sides[:-1]), strict=True):
        decoder += _double(deep + shallow * (config.network.model == "unet"), shallow, own)
    decoder.append(Layer(inputs=widths[0], outputs=channels, side=side, kernel=1))
    return Network(tuple(encoder), tuple(decoder))


def _double(inputs: int, outputs: int, side: int) -> list[Layer]:
    return [
        Layer(inputs=inputs, outputs=outputs, side=side),
        Layer(inputs=outputs, outputs=outputs, side=side),
    ]


def _resnet18(width: int, side: int, channels: int, classes: int) -> Iterator[Layer]:
    yield Layer(inputs=channels, outputs=width, side=side)
    inputs = width
    for stage in range(4):
        outputs = width * 2**stage
        side = side if stage == 0 else (side + 1) // 2
        for block in range(2):
            yield Layer(inputs=inputs, outputs=outputs, side=side)
            yield Layer(inputs=outputs, outputs=outputs, side=side)
            if stage and not block:
                yield Layer(inputs=inputs, outputs=outputs, side=side, kernel=1)
            inputs = outputs
    yield Layer(inputs=inputs, outputs=classes, side=1, kernel=1)


def training_flops(config: RunConfig, layers: Network) -> int:
    """FLOPs of training on one image.

    Classification is three units of the encoder, and reconstruction three of the decoder. actdiff
    adds a second pass, three units of the encoder, whose head gets no gradient. gradmask adds
    three: the gradient of the contrast, its tangent forward, and the weights' share of it. The
    data gradient of the first convolution is not needed, once a pass.
    """
    first, head = layers.encoder[0].flops, layers.encoder[-1].flops
    flops = 3 * layers.encoder_flops - first
    if config["actdiff"]:
        flops += 3 * layers.encoder_flops - first - 2 * head
    if config["gradmask"]:
        flops += 3 * layers.encoder_flops
    if config["recon"]:
        flops += 3 * layers.decoder_flops
    return flops


def epoch_flops(config: RunConfig, layers: Network, train: int, valid: int) -> int:
    """FLOPs of an epoch of `train` images, scored on `valid` others (to the logits alone)."""
    return train * training_flops(config, layers) + valid * layers.encoder_flops


def shuffle_bytes(images: torch.Tensor, masks: torch.Tensor) -> int:
    """Bytes that a masked shuffle must move: image and mask (B, 1, H, W) read, copy written."""
    return 2 * images.numel() * images.element_size() + masks.numel() * masks.element_size()


def distance_bytes(activations: list[torch.Tensor]) -> int:
    """Bytes of the activation distance and its gradient between two such lists.

    Both are read forwards, read again backwards, and their gradients written; the distances
    themselves do not count.
    """
    return 6 * sum(tap.numel() * tap.element_size() for tap in activations)


def matrix_work(device: torch.device, dtype: torch.dtype, side: int, repeats: int) -> Callable[[], float]:
    """Multiply square matrices `repeats` times; returns the FLOPs done."""
    left, right = (torch.randn(side, side, device=device, dtype=dtype) for _ in range(2))
    out = torch.empty_like(left)

    def work() -> float:
        for _ in range(repeats):
            torch.mm(left, right, out=out)
        return 2.0 * side**3 * repeats

    return work


def copy_work(device: torch.device, elements: int, repeats: int) -> Callable[[], float]:
    """Copy float32 `elements` within the device `repeats` times; returns the bytes moved."""
    source = torch.randn(elements, device=device)
    target = torch.empty_like(source)

    def work() -> float:
        for _ in range(repeats):
            target.copy_(source)
        return 2.0 * source.numel() * source.element_size() * repeats

    return work
