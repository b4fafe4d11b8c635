"""A trained network's classifier in a form that is quick to run and to differentiate by its images.

Shapes: B images, C channels, H x W pixels, K classes.
"""

import copy
from collections import Counter
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.autograd.graph import Node
from torch.nn.utils.fusion import fuse_conv_bn_eval

from activmask.machine.memory import is_out_of_memory
from activmask.models.double_backward import TwiceDifferentiableConv2d
from activmask.models.synced_batch_norm import SyncedBatchNorm2d
from activmask.models.taps import Tapped

PIXELS_PER_PASS = 2**17
"""Bounds the memory of a pass: a ResNet-18 keeps about 8 kB of activations per pixel."""
CPU_PIXELS_PER_PASS = 2**16
"""Larger arrays go back to the system after every use, and their pages have to be fetched anew."""

Classifier = Callable[[Tensor], Tensor]
"""Maps images (B, C, H, W) to logits (B, K)."""

Pair = tuple[nn.Conv2d, nn.BatchNorm2d]
"""A convolution and the only reader of its output, a batch normalisation, which reads nothing else."""

_CONVOLUTIONS = (nn.Conv2d, TwiceDifferentiableConv2d)
_NORMALISATIONS = (nn.BatchNorm2d, SyncedBatchNorm2d)

_ROUNDING = 1e-3
"""By how much of the highest logit a copy of a network may answer otherwise."""


def images_per_pass(images: Tensor, device: torch.device, model: nn.Module | None = None) -> int:
    """How many images of the size of `images` (B, C, H, W) go through a network at once on a device.

    Args:
        images: B at least 1, on any device.
        device: where the network computes.
        model: whose size of images counts, if it resizes them first.
    """
    pixels = CPU_PIXELS_PER_PASS if device.type == "cpu" else PIXELS_PER_PASS
    height, width = model.sides(images) if isinstance(model, Tapped) else images.shape[-2:]
    return max(1, pixels // (height * width))


def classifier(model: nn.Module, images: Tensor) -> Classifier:
    """What a model answers as a function of the images, without taps or a reconstruction.

    In evaluation mode a batch normalisation is a factor and a term per channel. Where it alone
    reads what a convolution made, these go into the convolution's weights (Jacob et al. 2018,
    arXiv 1712.05877, section 3.2): the same function up to rounding, and so the same derivatives,
    with less to compute and to keep. The other weights are shared with the model, so that training
    it further makes the function worthless.

    Args:
        model: any of this package's, on any device; left as it was.
        images: (B, C, H, W), B at least 1, on the model's device; the first goes through the
            network once, to see what reads what.
    """
    if isinstance(model, Tapped):
        return _quick(model, images[:1])

    def logits(images: Tensor) -> Tensor:
        classes: Tensor = model(images, reconstruct=False).logits
        return classes

    return logits


def _quick(model: Tapped, image: Tensor) -> Classifier:
    """The classifier of a wrapped network, folded where the copy answers as the network does.

    It does not where something recomputes a weight at each pass, as weight normalisation by hooks does,
    and a network that others wrote may use its parts in any way.
    """
    plain = model.around(model.network)
    pairs = _pairs(model, image) if model.copyable else []
    if not pairs:
        return plain
    # Not the image that just went through: what a network kept of that is in the copy.
    other = 1 - image
    try:
        folded = model.around(_folded(model.network, pairs))
        with torch.no_grad():
            found, logits = folded(other), plain(other)
    except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        if is_out_of_memory(error):
            raise
        return plain
    return folded if alike(found, logits) else plain


def alike(found: Tensor, expected: Tensor) -> bool:
    """Whether what a network's copy answers (B, K) is what the network does, up to rounding."""
    room = _ROUNDING * float(expected.nan_to_num(0, 0, 0).abs().max())
    return found.shape == expected.shape and torch.allclose(
        found, expected, rtol=_ROUNDING, atol=room, equal_nan=True
    )


def _folded(network: nn.Module, pairs: list[Pair]) -> nn.Module:
    """A copy of a network in which a convolution stands for each pair, and all else is shared."""
    # A copy's memo says what stands for what: tensors for themselves, so that they take no memory.
    memo: dict[int, object] = {id(tensor): tensor for tensor in (*network.parameters(), *network.buffers())}
    for convolution, normalisation in pairs:
        fused = fuse_conv_bn_eval(convolution, normalisation)
        memo[id(convolution)] = fused.to(memory_format=torch.channels_last)
        memo[id(normalisation)] = nn.Identity()
    return copy.deepcopy(network, memo)


def _pairs(model: Tapped, image: Tensor) -> list[Pair]:
    """The pairs in evaluation mode that take part in a pass over an image (1, C, H, W)."""
    if not any(type(module) in _NORMALISATIONS for module in model.network.modules()):
        return []
    logits, runs = _watched(model, image)
    reads = _reads(logits)
    once = {nodes[0]: module for module, nodes in runs.items() if len(nodes) == 1}
    pairs = []
    for node, module in once.items():
        if node is not None and isinstance(module, nn.BatchNorm2d):
            source = node.next_functions[0][0]
            before = once.get(source) if reads[source] == 1 else None
            if isinstance(before, nn.Conv2d) and _still(before, module):
                pairs.append((before, module))
    return pairs


def _still(convolution: nn.Conv2d, normalisation: nn.BatchNorm2d) -> bool:
    """Whether a batch normalisation normalises by what it remembers."""
    return not (convolution.training or normalisation.training) and normalisation.running_mean is not None


def _watched(model: Tapped, image: Tensor) -> tuple[Tensor, dict[nn.Module, list[Node | None]]]:
    """The logits (1, K) of an image, and what autograd recorded of each run of the modules that matter."""
    runs: dict[nn.Module, list[Node | None]] = {}

    def note(module: nn.Module, _inputs: tuple[Tensor, ...], output: Tensor) -> None:
        runs.setdefault(module, []).append(output.grad_fn)

    watched = [
        module for module in model.network.modules() if type(module) in _CONVOLUTIONS + _NORMALISATIONS
    ]
    hooks = [module.register_forward_hook(note) for module in watched]
    try:
        with torch.enable_grad():
            logits = model.around(model.network)(image.detach().clone().requires_grad_())
    finally:
        for hook in hooks:
            hook.remove()
    return logits, runs


def _reads(output: Tensor) -> Counter[Node | None]:
    """How often each result that an output depends on was read, as far as autograd recorded it."""
    reads: Counter[Node | None] = Counter()
    left = [] if output.grad_fn is None else [output.grad_fn]
    while left:
        for source, _ in left.pop().next_functions:
            if source is not None and reads[source] == 0:
                left.append(source)
            if source is not None:
                reads[source] += 1
    return reads
