"""The paper's own networks: a classifier, the same with a decoder, and a UNet."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from activmask.models.depths import SMALLEST_SIDE
from activmask.models.model import Model

if TYPE_CHECKING:
    from torch import nn

    from activmask.models.settings import Network


def _convnet(
    wanted: Network,
    *,
    channels: int,
    classes: int,
    image_size: int,
    decoder: bool = False,
    skips: bool = False,
) -> nn.Module:
    from activmask.models.convnet import ConvNet

    return ConvNet(
        channels=channels,
        classes=classes,
        image_size=image_size,
        width=wanted.width,
        decoder=decoder,
        skips=skips,
    )


_CONVNET = partial(
    Model,
    source="paper Figure 2 and Appendix B",
    any_width=True,
    usual_width=None,
    smallest_side=SMALLEST_SIDE,
    defaults={"actdiff_norm": "channel", "actdiff_at": "post"},
)

CNN = _CONVNET(build=_convnet, label="CNN")
AE = _CONVNET(build=partial(_convnet, decoder=True), label="Conv AE", decoder=True)
UNET = _CONVNET(build=partial(_convnet, decoder=True, skips=True), label="UNet", decoder=True)

PAPER_NETWORKS = {"cnn": CNN, "ae": AE, "unet": UNET}
"""Those of one architecture, whose cost is known by a formula."""
