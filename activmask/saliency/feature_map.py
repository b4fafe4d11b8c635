"""Find the feature map that Grad-CAM looks at.

Shapes: B images, C channels, H x W positions of a feature map, T tokens, K classes.
"""

import difflib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isqrt

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node

from activmask.ground.errors import UsageError
from activmask.models.taps import Tapped

_POOLINGS = (
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool2d,
)
_NAMES_SUGGESTED = 5


@dataclass(frozen=True, kw_only=True)
class FeatureMap:
    """A module whose output has a place in the image."""

    name: str
    """As the network names it, for example `layer4`."""
    module: nn.Module
    channels: int
    height: int
    """Positions from top to bottom."""
    width: int
    """Positions from left to right."""

    def __str__(self) -> str:
        """In words, for example `layer4 (512 channels, 4 x 4)`."""
        return f"{self.name} ({self.channels} channels, {self.height} x {self.width})"


@dataclass(frozen=True, kw_only=True)
class _Run:
    """One module's run in a pass, when it was over."""

    name: str
    module: nn.Module
    node: Node | None
    """What autograd recorded of its output."""
    output: Tensor
    """On the meta device: its shape alone."""

    @property
    def positions(self) -> int:
        """How many places of the image the output tells apart; 0 for what is no map."""
        return 0 if self.output.ndim != 4 else as_map(self.output).shape[2:].numel()


def as_map(output: Tensor) -> Tensor:
    """A module's output as (B, C, H, W).

    Args:
        output: (B, C, H, W); (B, H, W, C) with H = W, as Swin transformers have it; or tokens (B, T, C)
            of a square image, row by row, whose class token comes first where T is no square.

    Raises:
        ValueError: anything else.
    """
    if output.ndim == 4:
        channels_last = output.shape[1] == output.shape[2] != output.shape[3]
        return output.movedim(3, 1) if channels_last else output
    side = isqrt(output.shape[1]) if output.ndim == 3 else 0
    if output.ndim != 3 or output.shape[1] - side**2 not in {0, 1}:
        raise ValueError(f"an output of shape {tuple(output.shape)} has no place in an image")
    patches = output[:, output.shape[1] - side**2 :].movedim(2, 1)
    return patches.reshape(*patches.shape[:2], side, side)


def find_feature_map(
    model: nn.Module, images: Tensor, layer: str | None = None, *, method: str = "gradcam"
) -> FeatureMap:
    """The last feature map of a network, or the one of the module that is named.

    The last feature map is the last output with positions through which everything goes that the
    logits know of the image, and which is neither pooled nor the head's. So it is no branch of a
    concatenation, no part of what a residual or dense connection passes on, and no decoder's. The
    class token of a vision transformer reads the patches for the last time in its last attention;
    there the map is that of the patches as this attention reads them.

    Args:
        model: any of this package's, in evaluation mode.
        images: (B, C, H, W), B at least 1, on the model's device; the first goes through it.
        layer: a name as in `model.named_modules()`; None takes the last feature map.
        method: that needs it, for the errors.

    Raises:
        UsageError: there is none, it has a single position, or the name is unknown or unusable.
    """
    network = model.network if isinstance(model, Tapped) else model
    logits, image, runs = _watched(model, network, images[:1])
    if layer is not None:
        return _named(layer, network, runs)
    last = _read_by_the_last_attention(network)
    tokens = [run for run in runs if run.module is last and _has_places(run.output)]
    if tokens:
        return _feature_map(tokens[0])
    body = runs[: _first_of_head(logits, image, runs)]
    run = _last_map(logits, image, body)
    if run is None:
        raise UsageError(
            f"{method} needs a feature map, and no output with positions in this network holds all that "
            "its head reads; choose another method, such as contrast"
        )
    if run.positions == 1:
        deepest = _last_map(logits, image, [each for each in body if each.positions > 1])
        hint = "" if deepest is None else f", or a layer before it, such as {deepest.name}"
        raise UsageError(
            f"{method} cannot tell places apart: the last feature map, {_feature_map(run)}, has a single "
            f"position at this image size; choose another method, such as contrast{hint}"
        )
    return _feature_map(run)


@contextmanager
def output_of(module: nn.Module) -> Iterator[list[Tensor]]:
    """A list that receives the output of each run of a module, for as long as the context is open."""
    caught: list[Tensor] = []
    hook = module.register_forward_hook(lambda _module, _inputs, output: caught.append(output))
    try:
        yield caught
    finally:
        hook.remove()


def _watched(model: nn.Module, network: nn.Module, image: Tensor) -> tuple[Tensor, Tensor, list[_Run]]:
    """The logits (1, K), the image they were computed of, and the runs of modules, in order of their end."""
    runs: list[_Run] = []
    names = {module: name for name, module in network.named_modules() if name}

    def note(module: nn.Module, _inputs: tuple[Tensor, ...], output: object) -> None:
        if isinstance(output, Tensor):
            shape = torch.empty(output.shape, device="meta")
            runs.append(_Run(name=names[module], module=module, node=output.grad_fn, output=shape))

    hooks = [module.register_forward_hook(note) for module in names]
    try:
        with torch.enable_grad():
            watched = image.detach().clone().requires_grad_()
            logits: Tensor = model(watched, reconstruct=False).logits
    finally:
        for hook in hooks:
            hook.remove()
    return logits, watched, runs


def _read_by_the_last_attention(network: nn.Module) -> nn.Module | None:
    """What gives a vision transformer's last attention its tokens, of torchvision's or timm's form."""
    # Whoever has such a network has imported torchvision; for others it would take as long as torch itself.
    torchvision = sys.modules.get("torchvision.models")
    if torchvision is not None and isinstance(network, torchvision.VisionTransformer):
        layer: nn.Module = list(network.encoder.layers)[-1].ln_1
        return layer
    blocks = getattr(network, "blocks", None)
    last = blocks[-1] if isinstance(blocks, nn.Sequential | nn.ModuleList) and len(blocks) else None
    return getattr(last, "norm1", None) if hasattr(last, "attn") else None


def _has_places(output: Tensor) -> bool:
    try:
        as_map(output)
    except ValueError:
        return False
    return True


def _first_of_head(logits: Tensor, image: Tensor, runs: Sequence[_Run]) -> int:
    """Where in the order the head begins.

    That is at the pooling of everything, as far as a module does it, or at the module that made the
    scores, the last with weights to multiply by.
    """
    weighing = [at for at, run in enumerate(runs) if isinstance(run.module, nn.Linear | nn.Conv2d)]
    first = weighing[-1] if weighing else len(runs)
    for at in range(first - 1, -1, -1):
        run = runs[at]
        if isinstance(run.module, nn.AdaptiveAvgPool2d) and run.node and _cuts(run.node, logits, image):
            return at
    return first


def _last_map(logits: Tensor, image: Tensor, runs: Sequence[_Run]) -> _Run | None:
    """The last run whose output has positions and is all that the logits know of the image.

    Of several modules with one output, the outermost.
    """
    makers: dict[Node, _Run] = {}
    for run in runs:
        if run.node is not None:
            makers.setdefault(run.node, run)
    for run in reversed(runs):
        if run.node is None or run.output.ndim not in {3, 4}:
            continue
        # Outside training a dropout hands on what it got.
        if isinstance(makers[run.node].module, _POOLINGS) or isinstance(run.module, nn.Dropout):
            continue
        if sum(each.module is run.module for each in runs) == 1 and _cuts(run.node, logits, image):
            # Tokens after the last map would be the last features, in an order unknown here.
            return run if run.output.ndim == 4 else None
    return None


def _cuts(node: Node, logits: Tensor, image: Tensor) -> bool:
    """Whether every way from the image to the logits goes through what a node made."""
    left = [logits.grad_fn]
    seen: set[Node | None] = {None, node}
    while left:
        here = left.pop()
        if here in seen or here is None:
            continue
        if getattr(here, "variable", None) is image:
            return False
        seen.add(here)
        left += [source for source, _ in here.next_functions]
    return True


def _feature_map(run: _Run) -> FeatureMap:
    channels, height, width = as_map(run.output).shape[1:]
    return FeatureMap(name=run.name, module=run.module, channels=channels, height=height, width=width)


def _named(layer: str, network: nn.Module, runs: Sequence[_Run]) -> FeatureMap:
    usable = {}
    for run in runs:
        if _has_places(run.output):
            usable[run.name] = _feature_map(run)
    modules = dict(network.named_modules())
    if layer not in modules:
        raise UsageError(f"this network has no layer '{layer}'; {_nearest(layer, list(usable))}")
    if layer not in usable:
        raise UsageError(
            f"the layer '{layer}' gives no feature map when the network classifies an image; "
            f"{_nearest(layer, list(usable))}"
        )
    if sum(run.module is modules[layer] for run in runs) > 1:
        raise UsageError(
            f"the layer '{layer}' runs several times in one pass, so it has no one feature map; choose the "
            "block that it belongs to"
        )
    return usable[layer]


def _nearest(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=_NAMES_SUGGESTED, cutoff=0)
    return f"the nearest of its {len(known)} feature maps: {', '.join(close)}"
