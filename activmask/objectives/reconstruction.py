"""The reconstruction losses (paper sec. 3)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from activmask.ground.limits import MOST_WEIGHT
from activmask.ground.listed import listed
from activmask.ground.settings import setting
from activmask.models import with_decoder
from activmask.objectives.objective import Needs, Objective, Step

if TYPE_CHECKING:
    from torch import Tensor

ReconLoss = Literal["bce", "mse"]


@dataclass(frozen=True, kw_only=True)
class ReconSettings:
    """How strongly a decoder is to reconstruct, and what.

    A network with a decoder reconstructs as a plain classifier too: only the masked form is a method.
    """

    recon: float = setting(
        0.0,
        lambda: f"Weight of the reconstruction ({', '.join(with_decoder())}: on by the preset's weight).",
        least=0,
        most=MOST_WEIGHT,
        method=False,
    )
    recon_loss: ReconLoss = setting(
        "bce", "Binary cross-entropy of a sigmoid output, or mean squared error.", form=True, method=False
    )
    recon_masked: bool = setting(
        False,
        "Reconstruct the shuffled copy from the full image.",
        in_name=lambda _: "recon-masked",
    )


def reconstruction_loss(output: Tensor, target: Tensor, loss: ReconLoss) -> Tensor:
    """How far a reconstruction is from its target, averaged over pixels.

    The masked form (paper: L_recon_masked) is the same function with the shuffled copy as target.

    Args:
        output: (B, C, H, W), the decoder's output before any sigmoid.
        target: (B, C, H, W) in [0, 1].
        loss: `bce`, binary cross-entropy of the sigmoid, or `mse`, mean squared error.

    Returns:
        A scalar, at least 0.
    """
    from torch.nn import functional as F

    if loss == "bce":
        return F.binary_cross_entropy_with_logits(output, target)
    return F.mse_loss(output, target)


def reconstruction_image(output: Tensor, loss: ReconLoss) -> Tensor:
    """The decoder's output (B, C, H, W) as an image in [0, 1]."""
    return output.sigmoid() if loss == "bce" else output.clamp(0, 1)


def _term(settings: ReconSettings, step: Step) -> Tensor:
    assert step.output.reconstruction is not None
    target = step.shuffled if settings.recon_masked else step.seen.detach()
    return reconstruction_loss(step.output.reconstruction, target, settings.recon_loss)


def _switch_on() -> str:
    return f"use the model {listed(with_decoder(), 'or')} with recon above 0"


def _refused(settings: ReconSettings) -> Iterator[str]:
    if settings.recon_masked and not settings.recon:
        yield f"recon_masked needs a reconstruction: {_switch_on()}"


RECON = Objective(
    settings=ReconSettings,
    switches={
        "recon": Needs(decoder=True),
        "recon_masked": Needs(masks=True, shuffled=True, surroundings=True),
    },
    label=lambda settings: "Reconstruct Masked" if settings.recon_masked else "",
    source="paper sec. 3",
    without_effect={
        "recon_loss": (
            lambda settings: settings.recon,
            lambda: f"without a reconstruction: {_switch_on()}",
        )
    },
    refused=_refused,
    term=_term,
)
