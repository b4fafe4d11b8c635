"""Weights that others saved, taken over strictly.

Shapes: C channels, K classes.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

from torch import Tensor, nn

from activmask.ground.errors import PATH, CheckpointError
from activmask.models.fitting import first_convolution, fitted_kernel

PICKLED = (".pt", ".pth", ".ckpt", ".bin", ".pkl", ".pickle", ".tar")
"""How files end that can run code when they are read."""

_NAMED = 3


def refuse_pickled(path: Path) -> None:
    """Refuse a file that can run code when it is read, with the lines that turn it into safetensors.

    Raises:
        CheckpointError: by its name it is one.
    """
    if path.suffix.lower() not in PICKLED:
        return
    raise CheckpointError(
        f"{PATH} is not read, since such a file can run any code",
        path=path,
        advice="where you trust it, turn it into safetensors in Python: import torch, safetensors.torch; "
        f"weights = torch.load({path.name!r}, map_location='cpu', weights_only=True); "
        "safetensors.torch.save_file({name: one.clone().contiguous() for name, one in "
        f"weights.get('state_dict', weights).items()}}, {path.with_suffix('.safetensors').name!r})",
    )


def start_from(
    network: nn.Module, weights: Mapping[str, Tensor], path: Path, whose: str, *, head: str
) -> list[str]:
    """Have a network start from weights that were trained elsewhere, in place.

    The kernel of its first convolution is summed over colours, or shared out to them, where its own takes
    other channels. The last layer is taken over where it has as many outputs, and stays as it was drawn
    otherwise; the second classifiers that some networks have in training are left out. Everything else must
    be there, and nothing more.

    Args:
        network: is changed in place.
        weights: by name, as in `load_weights`.
        path: of the file that they were read from, or what stands for it.
        whose: what the network is called.
        head: the name of its last layer.

    Returns:
        Clauses on what was taken over and what was not.

    Raises:
        CheckpointError: names or shapes are others.
    """
    expected = network.state_dict()
    named, notes = _without_prefix(weights, expected)
    second = [name for name in named if name not in expected and "aux" in name.lower()]
    taken = {name: tensor for name, tensor in named.items() if name not in second}
    first = f"{first_convolution(network)[0]}.weight"
    kernel = taken.get(first)
    channels = expected[first].shape[1] if kernel is not None else 0
    if kernel is not None and kernel.ndim == 4 and {kernel.shape[1], channels} == {1, 3}:
        taken[first] = fitted_kernel(kernel, channels)
        how = "summed to one" if channels == 1 else "shared out to three"
        notes.append(f"{first} of {kernel.shape[1]} channels is {how}")
    of_head = [name for name in expected if f"{name}.".startswith(f"{head}.")]
    other = [name for name in of_head if name not in taken or taken[name].shape != expected[name].shape]
    if other:
        taken |= {name: expected[name] for name in of_head}
    load_weights(network, taken, path, whose)
    left = [*(of_head if other else []), *second]
    count = len(named) - len([name for name in left if name in named])
    whole = f"{count} of the {len(named)} tensors of {path} are taken over"
    drawn = f"the last layer {head} is new" if other else f"the last layer {head} among them"
    return [f"{whole}, {drawn}{f'; not taken: {_some(left)}' if left else ''}", *notes]


def load_weights(network: nn.Module, weights: Mapping[str, Tensor], path: Path, whose: str) -> list[str]:
    """Give a network its weights, all of them and no others.

    Args:
        network: is changed in place.
        weights: by name. A first part that all names share, such as `module.`, is left out where that
            makes them fit.
        path: of the file that they were read from.
        whose: what the network is called.

    Returns:
        Sentences on what was left out of the names.

    Raises:
        CheckpointError: names or shapes are others.
    """
    expected = network.state_dict()
    named, notes = _without_prefix(weights, expected)
    # Files of torch's early versions have no counts of batches, and nothing in evaluation reads them.
    counts = {name for name in expected if name.endswith("num_batches_tracked")}
    missing = [name for name in expected if name not in named and name not in counts]
    unexpected = [name for name in named if name not in expected]
    other = [
        f"{name} is {tuple(named[name].shape)} instead of {tuple(tensor.shape)}"
        for name, tensor in expected.items()
        if name in named and named[name].shape != tensor.shape
    ]
    kinds = (("missing", missing), ("unexpected", unexpected), ("of other shapes", other))
    wrong = [f"{len(names)} {what} ({_some(names)})" for what, names in kinds if names]
    if wrong:
        raise CheckpointError(
            f"{PATH} does not hold the weights of {whose}: {', '.join(wrong)}",
            path=path,
            advice="give those of the same network",
        )
    network.load_state_dict(named, strict=False)
    return notes


def outputs_in(weights: Mapping[str, Tensor], outline: Mapping[str, Tensor], outputs: int) -> int:
    """The number of outputs K that weights are for.

    Args:
        weights: of a file.
        outline: those of the same network with `outputs` outputs.
        outputs: how many the outline has.
    """
    named, _ = _without_prefix(weights, outline)
    heads = {
        len(named[name])
        for name, tensor in outline.items()
        if name in named and _differ_first(named[name], tensor) and len(tensor) == outputs
    }
    return heads.pop() if len(heads) == 1 else outputs


def channels_in(weights: Mapping[str, Tensor], network: nn.Module) -> int | None:
    """The channels C of the images that weights are for; None where the network has no convolution."""
    named, _ = _without_prefix(weights, network.state_dict())
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            kernel = named.get(f"{name}.weight")
            return kernel.shape[1] * module.groups if kernel is not None and kernel.ndim == 4 else None
    return None


def _differ_first(one: Tensor, other: Tensor) -> bool:
    return one.ndim == other.ndim > 0 and one.shape[1:] == other.shape[1:] and len(one) != len(other)


def _without_prefix(
    weights: Mapping[str, Tensor], expected: Iterable[str]
) -> tuple[dict[str, Tensor], list[str]]:
    """Weights by the names that a network has for them."""
    prefixes = {name.partition(".")[0] for name in weights}
    known = set(expected)
    if len(prefixes) != 1 or known & weights.keys():
        return dict(weights), []
    prefix = f"{prefixes.pop()}."
    shorter = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
    if not known & shorter.keys():
        return dict(weights), []
    return shorter, [f"The names of the weights begin with '{prefix}', which is left out."]


def _some(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + ", ..." * (len(names) > _NAMED)
