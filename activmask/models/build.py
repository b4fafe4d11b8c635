"""From a run's description to an untrained network."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import init
from torch.overrides import TorchFunctionMode

from activmask.ground.errors import UsageError
from activmask.ground.nearest import nearest
from activmask.machine.memory import is_out_of_memory, memory_bytes
from activmask.models import MODELS, find_model, with_any_width
from activmask.models.library_names import is_of_library
from activmask.models.model import USUAL_WIDTH
from activmask.models.output import ModelOutput
from activmask.models.own_code import check_own_code, is_own_code
from activmask.models.settings import Network
from activmask.models.taps import Tapped


def check_model(wanted: Network) -> None:
    """Raise a UsageError for a model or width that does not exist, before any data is read."""
    name = wanted.model
    if is_own_code(name):
        check_own_code(name)
    elif is_of_library(name):
        from activmask.models.library_networks import check_library

        check_library(name)
    elif name not in MODELS:
        # Torchvision is asked last: it has to be imported.
        from activmask.models.torchvision_models import torchvision_names

        known = torchvision_names()
        if name not in known:
            ours = [one for one in MODELS if one not in known]
            raise UsageError(f"there is no model '{name}'; {nearest(name, [*ours, *known])}")
    model = find_model(name)
    if not model.any_width and wanted.width != model.usual_width:
        raise UsageError(
            f"the width of {name} is fixed; leave width at {model.usual_width} or use "
            f"{', '.join(with_any_width())}"
        )


def build_model(
    wanted: Network,
    *,
    channels: int,
    classes: int,
    image_size: int,
    seed: int | None,
    tried: bool = False,
) -> nn.Module:
    """Build the network that is wanted, its initial weights drawn from `seed` alone.

    Args:
        wanted: its name, width and head.
        channels: C of the images.
        classes: number of classes.
        image_size: side of the square images in px.
        seed: of the initial weights. None where all of them are to be loaded: those of the networks of
            `MODELS` are then whatever lies in memory, as drawing a ResNet's takes longer than loading them.
        tried: a network of these sizes has taken an image before, and this one needs not.

    Returns:
        A module mapping images (B, C, H, W) to a `ModelOutput`, in training mode.

    Raises:
        UsageError: unknown model, or images too small for it.
    """
    check_model(wanted)
    known = find_model(wanted.model)
    if image_size < known.smallest_side:
        raise UsageError(
            f"images of {image_size} px are too small for {wanted.model}, which needs {known.smallest_side}"
        )
    with _Drawn(seed) if wanted.model in MODELS else _drawn_by_torch(seed or 0):
        model = known.build(wanted, channels=channels, classes=classes, image_size=image_size)
        if not tried:
            _try_out(model, wanted.model, channels, image_size)
    return model


_DRAWS = {
    init.kaiming_normal_,
    init.kaiming_uniform_,
    init.normal_,
    init.uniform_,
    Tensor.normal_,
    Tensor.uniform_,
}
"""What fills the weights of the networks of `MODELS` with random numbers."""


class _Drawn(TorchFunctionMode):
    """Within it weights are drawn from a seed's own generator, so that threads may draw beside each other.

    The numbers are those of torch's generator after `manual_seed`. Without a seed all stay as they are.
    """

    def __init__(self, seed: int | None) -> None:
        super().__init__()
        self.generator = None if seed is None else torch.Generator().manual_seed(seed)

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func not in _DRAWS:
            return func(*args, **kwargs)
        if self.generator is None:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **{**kwargs, "generator": self.generator})


@contextmanager
def _drawn_by_torch(seed: int) -> Iterator[None]:
    """For networks that may draw in any way, such as until they like what they see."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def check_memory(wanted: Network, *, channels: int, classes: int, image_size: int) -> None:
    """Refuse a network that this machine cannot train, before anything is allocated.

    Args:
        wanted: exists, see `check_model`; only one that is wider than usual is looked at.
        channels: C of the images.
        classes: number of classes.
        image_size: side of the square images in px.

    Raises:
        UsageError: its weights, their gradients and Adam's two moments alone are more than there is.
    """
    there = memory_bytes()
    if there is None or wanted.width <= USUAL_WIDTH:
        return
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        outline = find_model(wanted.model).build(
            wanted, channels=channels, classes=classes, image_size=image_size
        )
    needed = 4 * sum(weight.numel() * weight.element_size() for weight in outline.parameters())
    if needed > there:
        raise UsageError(
            f"{wanted.model} of width {wanted.width:,} takes {needed / 1e9:,.0f} GB of memory to train, and "
            f"there are {there / 1e9:,.0f}; choose a smaller width"
        )


def _try_out(model: nn.Module, name: str, channels: int, image_size: int) -> ModelOutput:
    """One pass over a blank image, so that an unsuitable size is refused before training starts."""
    model.eval()
    try:
        with torch.no_grad():
            output: ModelOutput = model(torch.zeros(1, channels, image_size, image_size))
    except (RuntimeError, AssertionError, ValueError) as error:
        if is_out_of_memory(error):
            raise
        first_line = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UsageError(f"{name} cannot take images of {image_size} px: {first_line}") from error
    model.train()
    return output


def plain_weights(model: nn.Module) -> dict[str, Tensor]:
    """The network's weights under its own names, as plain torchvision would load them."""
    return (model.network if isinstance(model, Tapped) else model).state_dict()


def load_plain_weights(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """The inverse of `plain_weights`, strict about names and shapes (raises RuntimeError)."""
    (model.network if isinstance(model, Tapped) else model).load_state_dict(weights)
