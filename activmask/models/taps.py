"""Read a network's pre-activations without leaving anything on it."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from activmask.ground.errors import UsageError
from activmask.kernels.torch_private import watch
from activmask.machine.compiler import left_uncompiled
from activmask.models.output import ModelOutput

ACTIVATIONS: tuple[type[nn.Module], ...] = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.PReLU,
    nn.ELU,
    nn.SELU,
    nn.CELU,
    nn.GELU,
    nn.SiLU,
    nn.Mish,
    nn.Hardswish,
)
"""Modules whose inputs count as pre-activations; gates such as sigmoids inside attention do not."""


class Tapped(nn.Module):
    """Any classifier, wrapped so that a pass also returns the inputs of its activation modules.

    A module that is called several times in a pass gives a tap for each call. Activations are
    made out of place, so that a tap still holds what the activation saw.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        before: nn.Module | None = None,
        after: Callable[[Any, int], Tensor] | None = None,
        notes: tuple[str, ...] = (),
        copyable: bool = True,
    ) -> None:
        """Wrap a network that maps images (B, C, H, W) to logits (B, K), by itself or between two steps.

        Args:
            network: has the taps, the names of layers and the weights.
            before: makes of images what the network takes; None where it takes images as they are.
            after: makes logits (B, K) of what the network returns, told B; None where it returns them.
            notes: clauses on how the network was fitted to its images and classes.
            copyable: whether a copy of the network answers as it does.
        """
        super().__init__()
        self.network = network
        self.before = before
        self.after = after
        self.notes = notes
        self.copyable = copyable
        for module in network.modules():
            if getattr(module, "inplace", False) is True:
                module.inplace = False  # type: ignore[assignment]

    def forward(self, images: Tensor, reconstruct: bool = True) -> ModelOutput:  # noqa: ARG002 - one signature for all models
        """Classify images (B, C, H, W)."""
        with _collecting(self.network) as (taps, given):
            logits = self.around(self.network)(images)
        return ModelOutput(logits, None, taps, given[-1] if given else None)

    def sides(self, images: Tensor) -> tuple[int, int]:
        """Height and width in px at which the network sees images (B, C, H, W), B at least 1."""
        seen = images[:1]
        if self.before is not None:
            with torch.no_grad():
                seen = self.before(seen.to(device_of(self)))
        return seen.shape[-2], seen.shape[-1]

    def around(self, network: nn.Module) -> Callable[[Tensor], Tensor]:
        """Logits (B, K) of images (B, C, H, W) by another form of the network."""
        before, after = self.before, self.after
        if before is None and after is None:
            return network

        def logits(images: Tensor) -> Tensor:
            returned = network(images if before is None else before(images))
            classes: Tensor = returned if after is None else after(returned, len(images))
            return classes

        return logits


def device_of(model: nn.Module) -> torch.device:
    """Where a model computes: where its first weight lies, else its first buffer; the CPU without either."""
    held = next((tensor for tensors in (model.parameters(), model.buffers()) for tensor in tensors), None)
    return torch.device("cpu") if held is None else held.device


def refuse_unwrapped(model: nn.Module) -> None:
    """Refuse a network that was not made to return a `ModelOutput` (raises UsageError)."""
    if "reconstruct" not in inspect.signature(model.forward).parameters:
        raise UsageError(
            f"a {type(model).__name__} does not say what its outputs mean",
            advice="wrap it: am.find_predictor(network, images).predictor.module is what can be explained",
        )


@contextmanager
def _collecting(network: nn.Module) -> Iterator[tuple[dict[str, Tensor], list[Tensor]]]:
    """What the activation modules are given by name, and what the last of them gave, within."""
    taps: dict[str, Tensor] = {}
    given: list[Tensor] = []
    watches: dict[str, Callable[[], bool]] = {}
    activations = [
        (name, module) for name, module in network.named_modules() if isinstance(module, ACTIVATIONS)
    ]
    hooks = [
        module.register_forward_pre_hook(_collector(name, taps, watches)) for name, module in activations
    ]
    # Where code is compiled nobody asks for it, and each such hook would cut the graph once more.
    if not torch.compiler.is_compiling():
        hooks += [module.register_forward_hook(_keeper(given)) for _, module in activations]
    try:
        yield taps, given
        for name, is_unchanged in watches.items():
            if not is_unchanged():
                raise UsageError(
                    f"this network overwrites the input of its activation '{name}' in place, so its "
                    "pre-activations cannot be compared; choose another model or actdiff_layers"
                )
    finally:
        for hook in hooks:
            hook.remove()


def head_reads_last_tap(model: Tapped, images: Tensor) -> bool:
    """Whether the network classifies its last tap after a ReLU, pooled over positions.

    Not so where the last activation lies deeper, as inside the last block of a transformer or of a
    DenseNet, or is no ReLU.

    Args:
        model: any, in evaluation mode.
        images: float (B, C, H, W), on the model's device, not blank.
    """
    heads = [module for module in model.network.modules() if isinstance(module, nn.Linear)]
    if not heads:
        return False
    read: list[Tensor] = []
    hook = heads[-1].register_forward_pre_hook(lambda _module, inputs: read.append(inputs[0]))
    try:
        with torch.no_grad():
            taps = model(images).pre_activations
    finally:
        hook.remove()
    if not (read and taps):
        return False
    name, tap = list(taps.items())[-1]
    activation = model.network.get_submodule(name.partition(":")[0])
    if tap.ndim not in {2, 4} or not isinstance(activation, nn.ReLU | nn.ReLU6):
        return False
    active = F.relu(tap)
    poolings = [active]
    if tap.ndim == 4:
        # Most heads read the mean over all positions, that of the released code means over 4 x 4 of them.
        poolings = [active.mean((2, 3)), F.avg_pool2d(active, min(4, *tap.shape[2:]))]
    scale = read[-1].abs().max().clamp_min(1e-30)
    return any(
        pooled.flatten(1).shape == read[-1].shape
        and bool((pooled.flatten(1) - read[-1]).abs().max() < 1e-3 * scale)
        for pooled in poolings
    )


def _keeper(given: list[Tensor]) -> Callable[[nn.Module, tuple[Tensor, ...], Tensor], None]:
    """A hook that has a list hold what an activation gave, and nothing that was given before."""

    def keep(_module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        given[:] = [output]

    return keep


def _collector(
    name: str, taps: dict[str, Tensor], watches: dict[str, Callable[[], bool]]
) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
    calls = 0

    def collect(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        nonlocal calls
        key = name if calls == 0 else f"{name}:{calls + 1}"
        calls += 1
        taps[key] = inputs[0]
        watches[key] = watch(inputs[0])

    return left_uncompiled(collect)
