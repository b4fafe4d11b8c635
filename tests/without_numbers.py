"""What a step reads and writes, on a device without numbers, so that a tensor left on the host stands out."""

import copy
from collections.abc import Sequence
from typing import Any, TypeVar
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

META = torch.device("meta")
Things = TypeVar("Things")


def without_numbers(things: Things, generators: Sequence[torch.Generator]) -> Things:
    """A deep copy of which all tensors lie on the meta device; generators, which it has none of, stay."""
    memo: dict[int, Any] = {id(each): each for each in generators}

    def copied(tensor: Tensor, known: dict[int, Any]) -> Tensor:
        if id(tensor) not in known:
            made = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=META)
            if isinstance(tensor, nn.Parameter):
                made = nn.Parameter(made, requires_grad=tensor.requires_grad)
            known[id(tensor)] = made
        return known[id(tensor)]

    with patch.object(Tensor, "__deepcopy__", copied), patch.object(nn.Parameter, "__deepcopy__", copied):
        return copy.deepcopy(things, memo)


class NothingOfTheHost(TorchDispatchMode):
    """Refuses a call that reads a tensor of the host, which a graph would do once for all replays.

    A number of the program's own, such as a factor, may become one on the way to the device.
    """

    def __init__(self) -> None:
        super().__init__()
        self.numbers: dict[int, Tensor] = {}

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = kwargs or {}
        for tensor in tree_leaves((args, given)):
            of_host = isinstance(tensor, Tensor) and tensor.device != META and id(tensor) not in self.numbers
            assert not of_host, f"{func} reads the host's tensor"
        # Of this one torch knows no form without numbers; it gives nothing.
        if func.overloadpacket.__name__.startswith("_fused_adam") and "tensor_lr" in str(func):
            return None
        found = func(*args, **given)
        if isinstance(found, Tensor) and found.device != META:
            assert found.ndim == 0, f"{func} makes a tensor on the host"
            self.numbers[id(found)] = found
        return found
