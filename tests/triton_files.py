"""Run Triton code in tests: in a process of its own, or only compiled, for a GPU that need not be here."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.hopper import compile_kernel

ALONE = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
"""Of the plugins that a machine may have, one that warns would end the child, where warnings are errors."""
WHERE = {} if torch.cuda.is_available() else {"TRITON_INTERPRET": "1"}
BESIDE = ("-p", "xdist.plugin", "-n", str(min(8, os.cpu_count() or 1)))
"""On a device a case waits for its kernels to be compiled, which is a program's work on one core."""
if not torch.cuda.is_available() or find_spec("xdist") is None:
    BESIDE = ()


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Python, with Triton's interpreter where there is no CUDA; that must be set before its import."""
    return subprocess.run(
        [sys.executable, *arguments],
        env=os.environ | WHERE | ALONE,
        capture_output=True,
        text=True,
        check=False,
    )


def run_cases(path: Path) -> None:
    """Run the tests of one file and fail with what they print."""
    run = python("-m", "pytest", "-q", "-p", "no:cacheprovider", *BESIDE, str(path))
    assert run.returncode == 0, run.stdout + run.stderr


def machine_code(kernel: Any, warps: int = 4, **arguments: Any) -> bytes:
    """What `kernel` becomes for a Hopper GPU, with no GPU.

    Args:
        kernel: a function under `triton.jit`.
        warps: warps a program.
        arguments: by name a type such as `*fp32` or `i32`, or the value of a constant; a tuple of those.
    """
    import triton

    if triton.knobs.runtime.interpret:
        pytest.skip("Triton compiles nothing where TRITON_INTERPRET is set")
    signature, constants = {}, {}
    for index, name in enumerate(kernel.arg_names):
        given = arguments[name]
        entries = given if isinstance(given, tuple) else (given,)
        types = tuple(entry if isinstance(entry, str) else "constexpr" for entry in entries)
        signature[name] = types if isinstance(given, tuple) else types[0]
        for place, entry in enumerate(entries):
            if not isinstance(entry, str):
                constants[(index, place) if isinstance(given, tuple) else (index,)] = entry
    return compile_kernel(kernel, signature, constants, {}, {"num_warps": warps}).asm["cubin"]
