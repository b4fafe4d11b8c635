"""PyTorch's compiler, whose import takes as long as that of torch: whoever does not compile need not wait.

Torchvision imports it for one question, which it has only where it cuts boxes out of maps.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any, ParamSpec, TypeVar

import torch

Given = ParamSpec("Given")
Result = TypeVar("Result")

COMPILER = "torch._dynamo"
QUESTIONS = f"{COMPILER}.utils"
"""The module of which torchvision imports one name."""
QUESTION = "is_compile_supported"
"""That name: a function of the type of a device."""


class _Later(ModuleType):
    """Stands for a module of the compiler, which is imported when somebody needs more than the question."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(_questions(), name)


def _questions() -> ModuleType:
    """The compiler's module itself, in place of what stands for it."""
    if isinstance(sys.modules.get(QUESTIONS), _Later):
        del sys.modules[QUESTIONS]
    return import_module(QUESTIONS)


def _asked_later(device: str) -> bool:
    return bool(getattr(_questions(), QUESTION)(device))


def left_uncompiled(function: Callable[Given, Result]) -> Callable[Given, Result]:
    """A function that is run as it stands by code which is compiled, if any is by now."""
    if COMPILER not in sys.modules:
        return function
    plain: Callable[Given, Result] = torch.compiler.disable(function)
    return plain


@contextmanager
def without_compiler() -> Iterator[None]:
    """Within, torchvision is imported, for the first time or not; all of the library imports it so."""
    if COMPILER in sys.modules or "torchvision" in sys.modules:
        yield
        return
    stand_in = _Later(QUESTIONS)
    setattr(stand_in, QUESTION, _asked_later)
    sys.modules[QUESTIONS] = stand_in
    try:
        yield
    finally:
        if sys.modules.get(QUESTIONS) is stand_in:
            del sys.modules[QUESTIONS]
