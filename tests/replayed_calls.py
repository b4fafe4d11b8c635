"""A stand-in for a CUDA graph: what the first call computes with is what every later one computes with.

Run without being recorded, work asks the program anew each time, and a number that only a recording would
keep, such as a learning rate, is never seen to be old.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

MEMORY = ("empty", "new_empty", "detach", "alias", "lift_fresh", "_unsafe_view", "_record", "_efficientzero")
"""What computes nothing, and is no view by its word, begins so."""


class Calls(TorchDispatchMode):
    """Notes the calls of operators, to make them again into the same memory."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        given = kwargs or {}
        name = func.overloadpacket.__name__
        assert name != "_local_scalar_dense", "a graph cannot read a value"
        found = func(*args, **given)
        if not func.is_view and not name.startswith(MEMORY):
            self.noted.append((func, args, given, found))
        return found

    def again(self) -> None:
        with torch.no_grad():
            for func, args, given, found in self.noted:
                made = func(*args, **given)
                if func._schema.is_mutable:
                    continue
                for old, new in zip(tree_leaves(found), tree_leaves(made), strict=True):
                    if isinstance(old, torch.Tensor):
                        old.copy_(new)


def replayed(work: Callable[[], None], _recorder: object) -> Callable[[], None]:
    """In the place of `capture.recorded`; it is the first call that records, as that computes too here."""
    calls = Calls()

    def run() -> None:
        if calls.noted:
            calls.again()
            return
        with calls:
            work()

    return run
