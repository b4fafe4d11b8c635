"""Kernels compiled beside each other before they are needed, not one after another when they are.

Compiling is what a first training waits for longest, and it is a program's work on one core.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache
from threading import Lock
from typing import Any

import torch
from torch import Tensor

_ALIGNED = 16
"""Triton tells pointers and sizes that are divisible by it from others."""


@dataclass
class _Ahead:
    """What a process compiles ahead; autograd calls from threads of its own, which share it."""

    executor: Executor | None = None
    begun: dict[object, Future[Any]] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)


@cache
def _ahead() -> _Ahead:
    return _Ahead()


def compiles_ahead() -> bool:
    """Whether kernels are only compiled now, so that another form has to compute."""
    return _ahead().executor is not None


@contextmanager
def compiled_ahead(threads: int) -> Iterator[None]:
    """Within, `launch` has kernels compiled and launches none; at the end all of them are compiled.

    What cannot be compiled is not told here but where it is launched.

    Args:
        threads: how many kernels are compiled at once.
    """
    state = _ahead()
    with ThreadPoolExecutor(max(1, threads)) as executor:
        state.executor = executor
        try:
            yield
        finally:
            state.executor = None
    state.begun.clear()


def launch(kernel: Any, grid: Sequence[int], *arguments: Any, **options: int) -> None:
    """Launch a Triton kernel over a grid, or have it compiled for such a launch, see `compiled_ahead`.

    Args:
        kernel: a function under `triton.jit`.
        grid: how many programs along each axis.
        arguments: the kernel's, in its order.
        options: such as `num_warps`.
    """
    state = _ahead()
    executor = state.executor
    if executor is None:
        kernel[tuple(grid)](*arguments, **options)
        return
    key = kernel, tuple(options.items()), *map(_kind, kernel.params, arguments)
    with state.lock:
        if key not in state.begun:
            device = torch.cuda.current_device() if torch.cuda.is_available() else -1
            # A type instead of a tensor keeps no memory, and stands for an aligned one.
            given = [_typed(each) for each in arguments]
            is_first = not state.begun
            state.begun[key] = executor.submit(_compile, kernel, tuple(grid), given, options, device)
            if is_first:
                # It sets up Triton's driver, which threads would do in each other's way.
                wait([state.begun[key]])


def _compile(
    kernel: Any, grid: tuple[int, ...], given: Sequence[Any], options: dict[str, int], device: int
) -> None:
    with torch.cuda.device(device):
        made = kernel.warmup(*given, grid=grid, **options)
        # Asking for it loads the program, and has the one that launches it compiled.
        _ = made.run


def _kind(parameter: Any, value: Any) -> object:
    """What Triton compiles a kernel anew for."""
    if isinstance(value, Tensor):
        return value.dtype, value.data_ptr() % _ALIGNED == 0
    if isinstance(value, tuple):
        return tuple(_kind(parameter, each) for each in value)
    if parameter.is_constexpr:
        return value
    if isinstance(value, int) and not parameter.do_not_specialize:
        return value == 1, value % _ALIGNED == 0, value >= 2**31
    return type(value)


def _typed(value: Any) -> Any:
    if isinstance(value, Tensor) and value.data_ptr() % _ALIGNED == 0:
        return value.dtype
    return value


def prepare(form: Callable[[], object]) -> None:
    """Have the kernels of a form compiled, see `compiled_ahead`; what fails is told by its next call."""
    with suppress(Exception):
        form()
