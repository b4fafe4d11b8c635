"""Weights that stay as they are in training, and the batch normalisations that keep their statistics.

Shapes: C channels, H x W pixels.
"""

import torch
from torch import nn

from activmask.ground.errors import UsageError
from activmask.models.fitting import last_layer
from activmask.models.taps import Tapped

BACKBONE = "backbone"
"""Stands for everything but the last layer."""
_BATCH_NORMS = nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm


def head_of(model: nn.Module, image: tuple[int, int, int]) -> str:
    """The name of a network's last layer, whose outputs are the classes'.

    Args:
        model: any of this package's, on the CPU.
        image: C, H and W of an image that it takes.

    Raises:
        UsageError: it has none.
    """
    if not isinstance(model, Tapped):
        return "head"
    blank = torch.zeros(1, *image)
    found = last_layer(model.network, blank if model.before is None else model.before(blank))
    if not found:
        raise UsageError("this network has no last layer, linear or a convolution, to tell from the others")
    return found


def freeze(model: nn.Module, what: str, image: tuple[int, int, int]) -> str:
    """Have weights stay as they are in training, in place.

    Args:
        model: any of this package's, on the CPU.
        what: `backbone`, all but the last layer; or names of parts with commas between them.
        image: C, H and W of an image that it takes.

    Returns:
        A clause on how many they are.

    Raises:
        UsageError: a part does not exist, or nothing is left to train.
    """
    network = model.network if isinstance(model, Tapped) else model
    weights = dict(network.named_parameters())
    if what == BACKBONE:
        head = head_of(model, image)
        chosen = {name for name in weights if not _within(name, head)}
    else:
        chosen = set()
        for part in (one.strip() for one in what.split(",")):
            found = {name for name in weights if _within(name, part)}
            if not found:
                parts = dict.fromkeys(name.partition(".")[0] for name in weights)
                raise UsageError(
                    f"freeze: the network has no part '{part}' with weights; it has {', '.join(parts)}, and "
                    f"{BACKBONE} is all but the last layer"
                )
            chosen |= found
    if chosen == weights.keys():
        raise UsageError("freeze leaves no weight to train; leave a part out")
    for name in chosen:
        weights[name].requires_grad_(False)
    counts = [sum(weights[name].numel() for name in names) for names in (chosen, weights)]
    still = len(_still(network))
    told = f", and {still} batch normalisations among them keep their statistics" if still else ""
    return f"{counts[0]:,} of {counts[1]:,} weights are frozen{told}"


def hold_still(model: nn.Module) -> None:
    """Put batch normalisations whose weights are frozen back into evaluation mode."""
    for module in _still(model):
        module.eval()


def trained_weights(model: nn.Module) -> list[nn.Parameter]:
    """The weights that training changes."""
    return [weight for weight in model.parameters() if weight.requires_grad]


def _within(name: str, part: str) -> bool:
    return f"{name}.".startswith(f"{part}.")


def _still(network: nn.Module) -> list[nn.Module]:
    """Batch normalisations without a weight that learns; of those without any, where nothing beside does."""
    found: list[nn.Module] = []
    for parent in network.modules():
        for module in parent.children():
            if not isinstance(module, _BATCH_NORMS):
                continue
            own = [*module.parameters(recurse=False)] or [*parent.parameters()]
            if own and not any(weight.requires_grad for weight in own):
                found.append(module)
    return found
