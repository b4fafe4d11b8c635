"""The activation difference penalty (paper Eq. 1)."""

from torch import Tensor
from torch.nn import functional as F

from activmask.config import POOLED, ActdiffAt, ActdiffNorm, nearest
from activmask.ground.errors import UsageError
from activmask.kernels.activation_distance import activation_distance
from activmask.objectives.adversarial import features


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
    full: dict[str, Tensor],
    shuffled: dict[str, Tensor],
    *,
    norm: ActdiffNorm,
    at: ActdiffAt = "pre",
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
            the network pools last, means over positions after the last ReLU (B, C), whose one norm a
            sample is averaged over the batch: the form of the authors' follow-up (ICLR 2021).
        detach: send no gradient through the shuffled pass.

    Returns:
        A scalar, at least 0.

    Raises:
        UsageError: no activations to compare, or an unknown name.
    """
    chosen = choose_layers(list(full), layers)
    ours = [full[name] for name in chosen]
    theirs = [shuffled[name].detach() if detach else shuffled[name] for name in chosen]
    if layers == POOLED:
        ours, theirs = [features(F.relu(tap)) for tap in ours], [features(F.relu(tap)) for tap in theirs]
        return activation_distance(ours, theirs, "layer")
    if at == "post":
        ours, theirs = [F.relu(tap) for tap in ours], [F.relu(tap) for tap in theirs]
    return activation_distance(ours, theirs, norm)
