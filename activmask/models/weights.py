"""Weights that others saved, taken over strictly.

Shapes: C channels, K classes.
"""

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from activmask.ground.errors import PATH, CheckpointError
from activmask.models.fitting import first_convolution, fitted_kernel

PICKLED = (".pt", ".pth", ".ckpt", ".bin", ".pkl", ".pickle", ".tar")
"""How files end that can run code when they are read."""

_NAMED = 3


def refuse_pickled(path: Path) -> None:
    """Refuse a file that can run code when it is read, with the lines that turn it into safetensors.

    Raises:
        CheckpointError: by its name, or as it begins, it is one.
    """
    if path.suffix.lower() not in PICKLED and not _is_pickled(path):
        return
    if _is_script(path):
        advice = (
            "where you trust it, have a function of your own return "
            f"torch.jit.load({path.name!r}, map_location='cpu'), and name that as file.py:function"
        )
    else:
        advice = (
            "where you trust it, turn it into safetensors in Python: import torch, safetensors.torch; "
            f"weights = torch.load({path.name!r}, map_location='cpu', weights_only=True); "
            "safetensors.torch.save_file({name: one.clone().contiguous() for name, one in "
            f"weights.get('state_dict', weights).items()}}, {path.with_suffix('.safetensors').name!r})"
        )
    raise CheckpointError(f"{PATH} is not read, since such a file can run any code", path=path, advice=advice)


def _is_pickled(path: Path) -> bool:
    """Whether a file begins as those that torch and pickle write, whatever it is called."""
    try:
        with path.open("rb") as file:
            begins = file.read(8)
    except OSError:
        # Whoever reads it says why it cannot be read.
        return False
    # A safetensors file begins with the length of its header, whose upper half is 0.
    if begins.startswith(b"\x80"):
        return begins[4:] != bytes(4)
    if not begins.startswith(b"PK\x03\x04"):
        return False
    # Of an archive that was cut off nobody knows what was in it.
    names = _packed_in(path)
    return not names or any(name.endswith("data.pkl") for name in names)


def _is_script(path: Path) -> bool:
    """Whether a file is a TorchScript, an archive with a folder of code."""
    return any("/code/" in name for name in _packed_in(path))


def _packed_in(path: Path) -> list[str]:
    """The names in an archive; none where it is no archive."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (OSError, zipfile.BadZipFile):
        return []


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
        weights: by name. First parts that all names share, such as `module.`, are left out where that
            makes them fit.
        path: of the file that they were read from.
        whose: what the network is called.

    Returns:
        Sentences on what was left out of the names.

    Raises:
        CheckpointError: names or shapes are others.
    """
    expected = network.state_dict(keep_vars=True)
    named, notes = _without_prefix(weights, expected)
    # Of layers that share their weights safetensors' own writer keeps one, by one of its names.
    held = {id(tensor) for name, tensor in expected.items() if name in named}
    # Files of torch's early versions have no counts of batches, and nothing in evaluation reads them.
    counts = {name for name in expected if name.endswith("num_batches_tracked")}
    missing = [
        name
        for name, tensor in expected.items()
        if name not in named and name not in counts and id(tensor) not in held
    ]
    unexpected = [name for name in named if name not in expected]
    both = [(name, named[name], tensor) for name, tensor in expected.items() if name in named]
    other = [
        f"{name} is {tuple(given.shape)} instead of {tuple(tensor.shape)}"
        for name, given, tensor in both
        if not is_lazy(tensor) and given.shape != tensor.shape
    ]
    # Those of a quantised network are no weights without their scales.
    whole = [
        f"{name} is {str(given.dtype).removeprefix('torch.')}"
        for name, given, tensor in both
        if tensor.is_floating_point() and not given.is_floating_point()
    ]
    kinds = (
        ("missing", missing),
        ("unexpected", unexpected),
        ("of other shapes", other),
        ("of no floating-point numbers", whole),
    )
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
    known, named, prefix = set(expected), dict(weights), ""
    while named and not known & named.keys():
        first = f"{next(iter(named)).partition('.')[0]}."
        if not all(name.startswith(first) for name in named):
            return dict(weights), []
        prefix += first
        named = {name.removeprefix(first): tensor for name, tensor in named.items()}
    told = f"The names of the weights begin with '{prefix}', which is left out."
    return named, [told] if prefix else []


def _some(names: list[str]) -> str:
    return ", ".join(names[:_NAMED]) + ", ..." * (len(names) > _NAMED)
