"""Names of torch that it does not promise to keep: each is used here alone, and each can do without.

A test fails in a version of torch that has one of them no longer, so that nobody has to find out by
a slower training.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

WILL_EXECUTE = "_will_engine_execute_node"
"""Of `torch._C`."""
VERSION = "_version"
"""Of tensors."""
STOPPABLE = "_step_supports_amp_scaling"
"""Of fused optimizers."""
ADD_ALL = "_foreach_add"
"""Of torch."""
COPY_ALL = "_foreach_copy_"
"""Of torch."""

_LARGE = 2**20
"""Numbers whose copy fills a device by itself."""


def will_run(node: Any) -> bool:
    """Whether the backward pass that runs now comes to a node of its graph.

    Without torch's word yes: a gradient may then be computed that nobody asked for.
    """
    asked: Callable[[Any], bool] | None = getattr(torch._C, WILL_EXECUTE, None)
    if asked is None:
        return True
    try:
        return bool(asked(node))
    except RuntimeError:
        # Of a leaf, the engine answers so when `autograd.grad` asks for that very leaf.
        return True


def watch(tensor: Tensor) -> Callable[[], bool]:
    """A function that says whether a tensor is as it is now.

    Inference tensors do not count. Without torch's count of writes a copy is kept and compared.
    """
    if tensor.is_inference():
        return lambda: True
    before = getattr(tensor, VERSION, None)
    if before is not None:
        return lambda: bool(getattr(tensor, VERSION) == before)
    copy = tensor.detach().clone()
    return lambda: torch.equal(tensor.detach(), copy)


def can_be_stopped(optimizer: torch.optim.Optimizer) -> bool:
    """Whether a step leaves everything as it is where the optimizer's tensor `found_inf` is 1.

    Without torch's word no.
    """
    return bool(getattr(optimizer, STOPPABLE, False))


def add_all(ones: Sequence[Tensor], others: Sequence[Tensor]) -> list[Tensor]:
    """The sums of pairs of tensors, in a few launches; without torch's word in one each."""
    add: Callable[..., Sequence[Tensor]] | None = getattr(torch, ADD_ALL, None)
    if add is None:
        return [one + other for one, other in zip(ones, others, strict=True)]
    return list(add(list(ones), list(others)))


def copy_all(into: Sequence[Tensor], sources: Sequence[Tensor]) -> None:
    """Copy tensors of any type and order in memory, in a few launches; without torch's word in one each."""
    copy: Callable[..., None] | None = getattr(torch, COPY_ALL, None)
    together: list[tuple[Tensor, Tensor]] = []
    for own, source in zip(into, sources, strict=True):
        # Torch's form for many takes more than twice as long as its form for one where types differ.
        if copy is None or (own.dtype != source.dtype and own.numel() >= _LARGE):
            own.copy_(source)
        else:
            together.append((own, source))
    if copy is not None and together:
        copy([own for own, _ in together], [source for _, source in together])
