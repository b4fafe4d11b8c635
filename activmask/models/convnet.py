"""The paper's CNN, convolutional autoencoder and UNet as one network (Figure 2, Appendix B).

Shapes: B images, C channels, H x W pixels, K classes.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from activmask.models.activated import activated
from activmask.models.depths import BLOCKS, SMALLEST_SIDE
from activmask.models.output import ModelOutput


class ConvNet(nn.Module):
    """Four double-convolution blocks, a linear head on the last, and an optional decoder.

    Channels double from block to block, with 2x2 max-pooling between them and no batch
    normalisation. The decoder upsamples bilinearly before each of its three double convolutions
    and, with `skips`, concatenates the encoder's output of that resolution (UNet).
    """

    def __init__(
        self,
        *,
        channels: int,
        classes: int,
        image_size: int,
        width: int,
        decoder: bool = False,
        skips: bool = False,
    ) -> None:
        """Build the layers with torch's default initialisation.

        Args:
            channels: C of the input.
            classes: K.
            image_size: H = W of the input in px, at least 8.
            width: channels of the first block.
            decoder: whether to build the reconstruction path.
            skips: whether the decoder sees the encoder's outputs (UNet).
        """
        super().__init__()
        widths = [width * 2**block for block in range(BLOCKS)]
        self.encoder = nn.ModuleList(_double_conv(a, b) for a, b in pairwise([channels, *widths]))
        self.head = nn.Linear(widths[-1] * (image_size // SMALLEST_SIDE) ** 2, classes)
        self.skips = skips
        self.decoder: nn.ModuleList | None = None
        if decoder:
            deep_to_shallow = pairwise(reversed(widths))
            self.decoder = nn.ModuleList(_double_conv(a + b * skips, b) for a, b in deep_to_shallow)
            self.project = nn.Conv2d(width, channels, 1)

    def forward(self, images: Tensor, reconstruct: bool = True) -> ModelOutput:
        """Classify images (B, C, H, W); also reconstruct them if asked and there is a decoder."""
        taps: dict[str, Tensor] = {}
        outputs: list[Tensor] = []
        hidden = images
        for block, convs in enumerate(self.encoder):
            hidden = F.max_pool2d(hidden, 2) if block else hidden
            for index, conv in enumerate(_layers(convs)):
                hidden, taps[f"encoder.{block}.{index}"] = activated(conv, hidden, tapped=True)
            outputs.append(hidden)
        logits = self.head(hidden.flatten(1))
        reconstruction = self._decode(outputs) if reconstruct and self.decoder is not None else None
        return ModelOutput(logits, reconstruction, taps, outputs[-1])

    def _decode(self, outputs: list[Tensor]) -> Tensor:
        assert self.decoder is not None
        hidden = outputs[-1]
        for convs, skip in zip(self.decoder, reversed(outputs[:-1]), strict=True):
            hidden = F.interpolate(hidden, skip.shape[-2:], mode="bilinear", align_corners=True)
            hidden = torch.cat([hidden, skip], dim=1) if self.skips else hidden
            for conv in _layers(convs):
                hidden, _ = activated(conv, hidden, tapped=False)
        projected: Tensor = self.project(hidden)
        return projected


def _double_conv(inputs: int, outputs: int) -> nn.ModuleList:
    return nn.ModuleList(
        [nn.Conv2d(inputs, outputs, 3, padding=1), nn.Conv2d(outputs, outputs, 3, padding=1)]
    )


def _layers(convs: nn.Module) -> nn.ModuleList:
    assert isinstance(convs, nn.ModuleList)
    return convs
