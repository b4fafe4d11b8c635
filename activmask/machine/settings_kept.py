"""What a process has once for all that it computes: torch's settings, and everybody's generators."""

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

_MATMUL, _CUDNN = torch.backends.cuda.matmul, torch.backends.cudnn

_KEPT: tuple[tuple[Callable[[], Any], Callable[[Any], object]], ...] = (
    (torch.get_num_threads, torch.set_num_threads),
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.is_grad_enabled, torch.set_grad_enabled),
    (
        lambda: (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        ),
        lambda was: torch.use_deterministic_algorithms(was[0], warn_only=was[1]),
    ),
    (lambda: _MATMUL.allow_tf32, lambda was: setattr(_MATMUL, "allow_tf32", was)),
    (lambda: _CUDNN.allow_tf32, lambda was: setattr(_CUDNN, "allow_tf32", was)),
    (lambda: _CUDNN.benchmark, lambda was: setattr(_CUDNN, "benchmark", was)),
    (lambda: _CUDNN.deterministic, lambda was: setattr(_CUDNN, "deterministic", was)),
    (torch.get_rng_state, torch.set_rng_state),
    (np.random.get_state, np.random.set_state),
    (random.getstate, random.setstate),
)
"""How each is read and set again."""


@contextmanager
def settings_kept() -> Iterator[None]:
    """Set all of them back afterwards, so that the next computation begins as in a fresh process."""
    before = [read() for read, _ in _KEPT]
    try:
        yield
    finally:
        for (_, write), value in zip(_KEPT, before, strict=True):
            write(value)
