"""The activation difference penalty (paper Eq. 1)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from activmask.ground.errors import UsageError
from activmask.ground.limits import MOST_WEIGHT
from activmask.ground.nearest import nearest
from activmask.ground.settings import setting
from activmask.objectives.noise import noisy_copy
from activmask.objectives.objective import Needs, Objective, Step, Trial
from activmask.objectives.pooled_features import check_pooled, pooled

if TYPE_CHECKING:
    from torch import Tensor

Norm = Literal["layer", "channel", "row"]
At = Literal["pre", "post"]
Copy = Literal["shuffled", "noise"]

POOLED = "pooled"
"""The word among the layers for the features that a network pools last."""


@dataclass(frozen=True, kw_only=True)
class ActdiffSettings:
    """How strongly and of which activations the difference is penalised."""

    actdiff: float = setting(0.0, "Weight of the activation difference penalty.", least=0, most=MOST_WEIGHT)
    actdiff_norm: Norm = setting(
        "row",
        "Axes of its norm: whole layer (Eq. 1), channel (as published code ran), row.",
        form=True,
        in_name=str,
        in_label=str,
    )
    actdiff_at: At = setting(
        "pre",
        "Compare activations before or after the ReLU.",
        form=True,
        in_name=str,
        in_label=str,
    )
    actdiff_layers: str = setting(
        "all",
        "all, last, pooled (mean over positions after the last ReLU), or names with commas between.",
        form=True,
        in_name=lambda layers: layers if layers in {"last", POOLED} else "",
        in_label=str,
    )
    actdiff_copy: Copy = setting(
        "shuffled",
        "Compare with the shuffled copy, or, as a control, with one that differs from the image as much by "
        "Gaussian noise anywhere.",
        in_name=lambda _: "noisy-copy",
        in_label=lambda _: "against noise",
        unsaid=True,
    )
    actdiff_detach: bool = setting(
        False,
        "Send no gradient through the shuffled pass.",
        form=True,
        in_label=lambda _: "detached",
    )


def choose_layers(names: list[str], layers: str) -> list[str]:
    """The tapped activations that take part.

    Args:
        names: the model's taps in the order of execution.
        layers: `all`, `last`, `pooled` (the last one's) or comma-separated names.

    Raises:
        UsageError: no taps at all, or an unknown name.
    """
    if not names:
        raise UsageError(
            "this model has no activation modules to compare, so actdiff and adversarial cannot be used with "
            "it; choose another model, for example resnet18 or unet"
        )
    if layers == "all":
        return names
    if layers in {"last", POOLED}:
        return names[-1:]
    chosen = [name.strip() for name in layers.split(",")]
    if len(set(chosen)) != len(chosen):
        raise UsageError(f"actdiff_layers names an activation twice: {layers}")
    for name in chosen:
        if name not in names:
            raise UsageError(f"actdiff_layers: there is no activation '{name}'; {nearest(name, names)}")
    return chosen


def actdiff(
    full: Mapping[str, Tensor],
    shuffled: Mapping[str, Tensor],
    *,
    norm: Norm,
    at: At = "pre",
    layers: str = "all",
    detach: bool = False,
) -> Tensor:
    """How much the activations change when everything outside the mask is shuffled (paper Eq. 1).

    Args:
        full: pre-activations of the images by name, each (B, ...).
        shuffled: pre-activations of their shuffled copies.
        norm: what one norm runs over, see `activation_distance`.
        at: compare before (`pre`) or after (`post`) a ReLU.
        layers: `all`, `last`, `pooled` or comma-separated names. `pooled` compares the features that
            the network pools last, means over positions after the last ReLU (B, C), whose one norm per
            sample is averaged over the batch: the form of the authors' follow-up (ICLR 2021).
        detach: send no gradient through the shuffled pass.

    Returns:
        A scalar, at least 0.

    Raises:
        UsageError: no activations to compare, or an unknown name.
    """
    from activmask.kernels.activation_distance import activation_distance

    chosen = choose_layers(list(full), layers)
    ours = [full[name] for name in chosen]
    theirs = [shuffled[name].detach() if detach else shuffled[name] for name in chosen]
    if layers == POOLED:
        ours, theirs = [pooled(tap.relu()) for tap in ours], [pooled(tap.relu()) for tap in theirs]
        return activation_distance(ours, theirs, "layer")
    return activation_distance(ours, theirs, norm, relu=at == "post")


def _term(settings: ActdiffSettings, step: Step) -> Tensor:
    assert step.other is not None
    return actdiff(
        step.output.pre_activations,
        step.other.pre_activations,
        norm=settings.actdiff_norm,
        at=settings.actdiff_at,
        layers=settings.actdiff_layers,
        detach=settings.actdiff_detach,
    )


def _fits(settings: ActdiffSettings, trial: Trial) -> None:
    choose_layers(list(trial.taps), settings.actdiff_layers)
    if settings.actdiff_layers == POOLED:
        check_pooled("actdiff_layers pooled", trial)


_COMPARES_LAYERS = (
    lambda settings: settings.actdiff and settings.actdiff_layers != POOLED,
    "while actdiff is 0; give actdiff a weight, and other layers than pooled, which are compared by one "
    "norm after the ReLU",
)

ACTDIFF = Objective(
    settings=ActdiffSettings,
    switches={
        "actdiff": Needs(masks=True, surroundings=True, shuffled=True, other_pass=True, activations=True)
    },
    label=lambda _: "Actdiff",
    source="paper Eq. 1",
    without_effect={"actdiff_norm": _COMPARES_LAYERS, "actdiff_at": _COMPARES_LAYERS},
    copy=lambda settings: noisy_copy if settings.actdiff_copy == "noise" else None,
    fits=_fits,
    looks_at_numbers=lambda settings: settings.actdiff_layers == POOLED,
    term=_term,
)
