"""R networks of one architecture as one: one kernel serves all seeds.

Maps are (B, R * C, H, W) with the channels of a seed side by side. A convolution of G groups becomes
one of R * G, batch normalisation over R * C channels is exactly each seed's own, and a linear layer is
one batched product. Nothing mixes groups, so no number of a seed depends on another's.

Shapes: B images, R seeds, C channels, H x W pixels, K classes, P parameters and S statistics of a seed.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.func import functional_call

from activmask.kernels.torch_private import add_all, copy_all
from activmask.models.activated import ActivatedConv2d
from activmask.models.double_backward import TwiceDifferentiableConv2d, prepare_double_backward
from activmask.models.output import ModelOutput, NotKept
from activmask.models.stacked.layout import Layout, copied_together, place
from activmask.models.stacked.normalised import normalise_together, taps_kept
from activmask.models.stacked.seed_wise import CannotBeStackedError, SeedWise

_CONVOLUTIONS = (nn.Conv2d, TwiceDifferentiableConv2d)
LAYERS: tuple[type[nn.Module], ...] = (*_CONVOLUTIONS, nn.BatchNorm2d, nn.Linear)
"""The layers with weights that can be stacked; a type derived from one may compute otherwise."""

_READ_TOGETHER = 8
"""Of the narrowest numbers, those that 16 bytes hold."""


@dataclass(frozen=True, kw_only=True)
class Stack:
    """The networks of R seeds, whose parameters and buffers are views of what lies here."""

    seeds: int
    """R."""
    template: nn.Module
    """One network's code; it holds no numbers."""
    layout: Layout
    """Of the parameters: first those that products take, which autocast narrows."""
    products: int
    """How many numbers of all seeds' products there are."""
    weights: Tensor
    """(R * P,)."""
    statistics_layout: Layout
    statistics: Tensor
    """(R * S,), running means and variances."""
    batches: Tensor
    """int64 (normalisations, R), how many batches each has seen."""


def stack(networks: Sequence[nn.Module]) -> Stack:
    """Make networks one; each lives on, its parameters and buffers views of the stack.

    Args:
        networks: equal but for their numbers, see `trial.why_not_stacked`; on one device.

    Raises:
        CannotBeStackedError: a layer's seeds cannot lie side by side.
    """
    first, seeds = networks[0], len(networks)
    check_layers(first)
    linear = {name for name, module in first.named_modules() if type(module) is nn.Linear}
    multiplied = {
        name for name, module in first.named_modules() if type(module) in (*_CONVOLUTIONS, nn.Linear)
    }
    places = [
        place(name, parameter, batched=name.rpartition(".")[0] in linear)
        for name, parameter in first.named_parameters()
    ]
    # A few numbers, as a bias of two classes, would have all that follows begin where no kernel reads
    # several at once.
    places.sort(
        key=lambda one: (
            one.name.rpartition(".")[0] not in multiplied,
            one.shape.numel() % _READ_TOGETHER > 0,
        )
    )
    layout = Layout(places=tuple(places), seeds=seeds)
    products = sum(
        size
        for one, size in zip(places, layout.sizes, strict=True)
        if one.name.rpartition(".")[0] in multiplied
    )
    floats = [(name, buffer) for name, buffer in first.named_buffers() if buffer.is_floating_point()]
    statistics_layout = Layout(
        places=tuple(place(name, buffer, batched=False) for name, buffer in floats), seeds=seeds
    )
    like = next(first.parameters()).detach()
    found = Stack(
        seeds=seeds,
        template=_template(first, seeds),
        layout=layout,
        products=products,
        weights=copied_together(layout, networks, like),
        statistics_layout=statistics_layout,
        statistics=copied_together(statistics_layout, networks, like),
        batches=_counts(networks),
    )
    _tie(found, networks)
    return found


def check_layers(network: nn.Module) -> None:
    """Refuse a network with a layer whose seeds cannot lie side by side.

    Raises:
        CannotBeStackedError: names it.
    """
    for name, module in network.named_modules():
        own = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
        kind = type(module).__name__
        if own and type(module) not in LAYERS:
            raise CannotBeStackedError(f"its layer {name} is a {kind}")
        if isinstance(module, nn.BatchNorm2d) and module.momentum is None and module.track_running_stats:
            raise CannotBeStackedError(f"its layer {name} averages all batches it has seen")
    every, once = (
        [*network.named_parameters(remove_duplicate=same), *network.named_buffers(remove_duplicate=same)]
        for same in (False, True)
    )
    if len(every) != len(once):
        raise CannotBeStackedError("several of its layers share one weight")


def _template(network: nn.Module, seeds: int) -> nn.Module:
    """A copy of a network's code that computes all seeds, without memory for numbers."""
    template = deepcopy(network).to("meta")
    # These kernels take one launch for many groups, where the library may take one a group.
    prepare_double_backward(template)
    for module in template.modules():
        if isinstance(module, nn.Conv2d):
            module.groups *= seeds
        if type(module) is TwiceDifferentiableConv2d:
            module.__class__ = ActivatedConv2d
    normalise_together(template)
    return template


def _counts(networks: Sequence[nn.Module]) -> Tensor:
    whole = [
        [buffer for _, buffer in network.named_buffers() if not buffer.is_floating_point()]
        for network in networks
    ]
    if not whole[0]:
        device = next(networks[0].parameters()).device
        return torch.zeros(0, len(networks), dtype=torch.int64, device=device)
    return torch.stack([torch.stack(counts) for counts in whole], dim=1)


def _tie(found: Stack, networks: Sequence[nn.Module]) -> None:
    """Make the networks' own parameters and buffers views of the stack."""
    weights = found.layout.by_seed(found.weights)
    statistics = found.statistics_layout.by_seed(found.statistics)
    for seed, network in enumerate(networks):
        for name, parameter in network.named_parameters():
            parameter.data = weights[seed][name]
        counts = iter(found.batches[:, seed].unbind())
        for name, buffer in list(network.named_buffers()):
            owner, _, own = name.rpartition(".")
            view = statistics[seed][name] if buffer.is_floating_point() else next(counts)
            network.get_submodule(owner).register_buffer(own, view)


Leaves = dict[str, Tensor]
"""What one pass's gradients are of: each parameter of all seeds by name, a view of the stack's weights."""


def leaves(stacked: Stack, passes: int = 1) -> list[Leaves]:
    """The weights for so many passes; under autocast what products take is narrowed, in one launch.

    Every pass has its own, so that their gradients can be added up in one launch; they lie in one place.
    """
    products, others = stacked.weights.split([stacked.products, len(stacked.weights) - stacked.products])
    kind = stacked.weights.device.type
    if torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind):
        products = products.to(torch.get_autocast_dtype(kind))
    count = stacked.layout.count(stacked.products)
    sizes = stacked.layout.sizes
    parts = [*products.split(sizes[:count]), *others.split(sizes[count:])]
    return [
        {name: weight.requires_grad_() for name, weight in stacked.layout.of_all(parts).items()}
        for _ in range(passes)
    ]


def gradients(stacked: Stack, loss: Tensor, passes: Sequence[Leaves]) -> dict[str, Tensor]:
    """The gradient of every parameter of all seeds, by name; none of one that decides nothing.

    Args:
        stacked: whose.
        loss: the sum of all seeds' losses, or those of each, (R,).
        passes: the leaves of the passes that it was computed by.

    Returns:
        Of each parameter a tensor, of which a seed's is a view.
    """
    names = list(stacked.layout.by_name)
    flat = [own[name] for own in passes for name in names]
    # Of losses that are told apart, torch imports its symbolic shapes to compare two sizes.
    found = torch.autograd.grad(loss.sum(), flat, allow_unused=True)
    totals: dict[str, Tensor] = {}
    for start in range(0, len(found), len(names)):
        of_pass = zip(names, found[start : start + len(names)], strict=True)
        more = {name: gradient for name, gradient in of_pass if gradient is not None}
        shared = [name for name in more if name in totals]
        # Tensors of one type and order in memory are added up in one launch.
        for alike in _alike(shared, totals, more):
            pair = [[part[name] for name in alike] for part in (totals, more)]
            more |= dict(zip(alike, add_all(*pair), strict=True))
        totals |= more
    return totals


def lay_together(stacked: Stack, found: dict[str, Tensor], into: Tensor) -> None:
    """Copy the gradients of some parameters, by name, to where those lie in the weights' order, (R * P,)."""
    places = stacked.layout.of_all(into.split(stacked.layout.sizes))
    for alike in _alike(list(found), places, found):
        copy_all([places[name] for name in alike], [found[name] for name in alike])


def _alike(names: Sequence[str], *tensors: dict[str, Tensor]) -> list[list[str]]:
    """Names in groups of which the tensors are of the same types, and each pair in the same order in memory.

    One operation over a list of tensors is few launches for such a group only.
    """
    groups: dict[object, list[str]] = {}
    for name in names:
        own = [each[name] for each in tensors]
        kind = (*(tensor.dtype for tensor in own), len({tensor.stride() for tensor in own}) == 1)
        groups.setdefault(kind, []).append(name)
    return list(groups.values())


def forward(
    stacked: Stack, weights: Leaves, images: Tensor, *, reconstruct: bool = True, tapped: bool = True
) -> ModelOutput:
    """One pass of all seeds' networks, each over images of its own.

    In training mode running statistics are updated, and batches counted.

    Args:
        stacked: in training or evaluation mode, see `mode`.
        weights: from `leaves`.
        images: (R, B, C, H, W).
        reconstruct: whether networks with a decoder use it.
        tapped: whether pre-activations are wanted; otherwise memory is spared, and they are `NotKept`.

    Returns:
        logits (R, B, K), the reconstruction (R, B, C, H, W) and pre-activations (R, B, ...), as views
        of what lies side by side.

    Raises:
        CannotBeStackedError: the network does what is not known to keep seeds apart.
    """
    return seed_by_seed(
        forward_side_by_side(stacked, weights, images, reconstruct=reconstruct, tapped=tapped), stacked.seeds
    )


def forward_side_by_side(
    stacked: Stack, weights: Leaves, images: Tensor, *, reconstruct: bool = True, tapped: bool = True
) -> ModelOutput:
    """The same pass as `forward`, of which everything lies as the network computed it, seeds side by side."""
    statistics = stacked.statistics_layout.of_all(stacked.statistics.split(stacked.statistics_layout.sizes))
    maps = side_by_side(images)
    with SeedWise(stacked.seeds), taps_kept(stacked.template, tapped):
        output: ModelOutput = functional_call(
            stacked.template, (weights, statistics), (maps, reconstruct), strict=False
        )
    if stacked.template.training and len(stacked.batches):
        stacked.batches.add_(1)
    return output if tapped else replace(output, pre_activations=NotKept())


def seed_by_seed(output: ModelOutput, seeds: int) -> ModelOutput:
    """What a pass of all seeds returned, each tensor (R, B, ...): views of it."""
    taps = output.pre_activations
    if not isinstance(taps, NotKept):
        taps = {name: apart(tap, seeds) for name, tap in taps.items()}
    return ModelOutput(
        logits=apart(output.logits, seeds),
        reconstruction=None if output.reconstruction is None else apart(output.reconstruction, seeds),
        pre_activations=taps,
        features=None if output.features is None else apart(output.features, seeds),
    )


def side_by_side(images: Tensor) -> Tensor:
    """Maps (R, B, C, H, W) as (B, R * C, H, W), channels-last; a view where they lie so."""
    last: Tensor = images.permute(1, 3, 4, 0, 2).flatten(3)
    # Of one channel a seed that is a view in another order, which every layer after it would inherit.
    return last.contiguous().permute(0, 3, 1, 2)


def apart(maps: Tensor, seeds: int) -> Tensor:
    """What lies side by side, (B, R * C, H, W) or (B, R, F), as (R, B, ...); a view."""
    if maps.ndim == 3:
        return maps.transpose(0, 1)
    if maps.ndim != 4:
        raise CannotBeStackedError(f"it returns a tensor of {maps.ndim} axes")
    own: Tensor = maps.unflatten(1, (seeds, -1))
    return own.transpose(0, 1)


@contextmanager
def mode(stacked: Stack, *, training: bool) -> Iterator[None]:
    """Train or evaluate within; the mode before is restored."""
    before = stacked.template.training
    stacked.template.train(training)
    try:
        yield
    finally:
        stacked.template.train(before)
