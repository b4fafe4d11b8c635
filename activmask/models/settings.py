"""The settings of a run's network."""

from dataclasses import dataclass
from typing import Any, Literal

from activmask.ground.settings import setting

Head = Literal["pooled", "released"]


CONVNETS = ("cnn", "ae", "unet")
AUTOENCODERS = ("ae", "unet")

MODEL_DEFAULTS: dict[str, dict[str, Any]] = {
    "cnn": {"actdiff_norm": "channel", "actdiff_at": "post"},
    "ae": {"actdiff_norm": "channel", "actdiff_at": "post"},
    "unet": {"actdiff_norm": "channel", "actdiff_at": "post"},
}
"""Settings whose default is another one for some models; each was chosen by training."""


@dataclass(frozen=True, kw_only=True)
class Network:
    """Which network a run trains."""

    model: str = setting("resnet18", "cnn, ae, unet, resnet18 or any torchvision classifier.")
    width: int = setting(
        64, "Channels of the first layer (cnn, ae, unet and the ResNets of basic blocks).", least=1
    )
    head: Head = setting(
        "pooled",
        "Of ResNets: torchvision's, on the mean of all positions; or released, on means of 4 x 4 of them "
        "(4608 features at 100 px, 8192 at 128 px) with torch's own initial weights, as the authors' code.",
        in_name="{}-head".format,
    )
