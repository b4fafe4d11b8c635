"""Contextual decomposition explanation penalisation: what is outside the mask is not what decides.

Shapes: B images, K classes, H x W pixels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from activmask.ground.errors import UsageError
from activmask.ground.limits import MOST_WEIGHT
from activmask.ground.settings import setting
from activmask.objectives.objective import Needs, Objective, Step, Trial

if TYPE_CHECKING:
    from torch import Tensor

_APART = 1e-9
"""By which share of themselves scores may differ from the sum of their parts, in double precision."""


@dataclass(frozen=True, kw_only=True)
class CdepSettings:
    """How strongly contributions from outside the mask are penalised."""

    cdep: float = setting(
        0.0,
        "Weight of what the pixels outside the mask add to the scores, by contextual decomposition.",
        least=0,
        most=MOST_WEIGHT,
        unsaid=True,
    )


def contribution(outside: Tensor, inside: Tensor, somewhere: Tensor) -> Tensor:
    """How far the outside's part of each score exceeds the inside's, between 0 and 1.

    Rieger et al. 2020 (arXiv 1909.13584), as their released code penalises a patch: the first of the
    softmax of both parts, averaged over classes.

    Args:
        outside: (B, K), what the pixels outside the mask add to the scores.
        inside: (B, K), what those inside add.
        somewhere: bool (B,), whether anything of an image is outside.

    Returns:
        A scalar, averaged over images; those with nothing outside count 0.
    """
    return ((outside - inside).sigmoid().mean(dim=1) * somewhere).mean()


def _term(_: CdepSettings, step: Step) -> Tensor:
    assert step.parts is not None
    return contribution(*step.parts, (~step.masks).flatten(1).any(dim=1))


def _fits(_: CdepSettings, trial: Trial) -> None:
    """Refuse a network that cannot be decomposed."""
    from copy import deepcopy

    import torch

    from activmask.models.decomposed import CannotBeDecomposedError, decomposed

    model = deepcopy(trial.model).double().eval()
    source = torch.Generator().manual_seed(0)
    images = torch.rand((2, *trial.image), generator=source, dtype=torch.float64)
    left = torch.arange(trial.image[2]).expand(2, 1, *trial.image[1:]) < trial.image[2] // 2
    try:
        with torch.no_grad():
            both = torch.stack(decomposed(model, images, left)).sum(dim=0)
            logits = model(images, reconstruct=False).logits
            # Of this copy: what draws at random, as dropout does, is refused in training mode alone.
            decomposed(model.train(), images, left)
        why = "" if _same(both, logits) else "its parts do not add up to its scores"
    except CannotBeDecomposedError as error:
        why = str(error)
    except (RuntimeError, ValueError, TypeError, IndexError, AttributeError) as error:
        # The code of a foreign network may fail in any way on what is no tensor.
        why = f"it fails on two parts of an image ({str(error).splitlines()[0]})"
    if why:
        raise UsageError(
            "cdep needs a network of convolutions, linear layers, ReLUs, batch normalisation, pooling and "
            f"sums, which {trial.name} is not: {why}; choose resnet18, cnn or unet, for example"
        )


def _same(both: Tensor, logits: Tensor) -> bool:
    return float((both - logits).abs().max()) <= _APART * float(logits.abs().max())


CDEP = Objective(
    settings=CdepSettings,
    switches={"cdep": Needs(masks=True, surroundings=True, decomposed=True)},
    label=lambda _: "CDEP",
    several_labels=lambda _: (
        "cdep weighs contributions over classes that exclude each other, and these images have several labels"
    ),
    source="Rieger et al. 2020, arXiv 1909.13584",
    fits=_fits,
    looks_at_numbers=lambda _: True,
    term=_term,
)
