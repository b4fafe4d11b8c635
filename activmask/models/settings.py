"""The settings of a run's network."""

from dataclasses import dataclass
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

    model: str = setting("resnet18", lambda: f"{_by_source()}, or any other torchvision classifier.")
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
