"""The settings of a run's network."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from activmask.ground.listed import listed
from activmask.ground.settings import setting
from activmask.models import MODELS, with_any_width
from activmask.models.model import USUAL_WIDTH

Head = Literal["pooled", "released"]


def _by_source() -> str:
    """The networks that are listed, and where each is published."""
    found: dict[str, list[str]] = {}
    for name, one in MODELS.items():
        found.setdefault(one.source, []).append(name)
    return ", ".join(f"{', '.join(names)} ({source})" for source, names in found.items())


@dataclass(frozen=True, kw_only=True)
class Network:
    """Which network a run trains."""

    model: str = setting(
        "resnet18",
        lambda: (
            f"{_by_source()}, or any other torchvision classifier. Besides, torchvision:NAME or timm:NAME as "
            "the library builds it, or FILE.py:FUNCTION that returns an nn.Module, whose code runs."
        ),
    )
    width: int = setting(
        USUAL_WIDTH,
        lambda: f"Channels of the first layer ({listed(with_any_width())}).",
        least=1,
        most=2**16,
    )
    head: Head = setting(
        "pooled",
        "Of ResNets: torchvision's, on the mean of all positions; or released, on means of 4 x 4 of them "
        "(4608 features at 100 px, 8192 at 128 px) with torch's own initial weights, as the authors' code.",
        in_name="{}-head".format,
    )
    weights: str = setting(
        "",
        "What to start from, not from chance: a safetensors file, or 'imagenet' for the weights that the "
        "library of torchvision:NAME or timm:NAME has. Grey images take the sum of its first kernel over "
        "colours; a last layer of other classes is new.",
        in_name=lambda what: f"{Path(what).stem}-weights",
        unsaid=True,
    )
    freeze: str = setting(
        "",
        "Weights that stay as they are: 'backbone' for all but the last layer, or parts such as "
        "conv1,layer1; their batch normalisations keep their statistics.",
        in_name=lambda what: f"frozen-{what.replace(',', '+').replace(' ', '')}",
        unsaid=True,
    )
