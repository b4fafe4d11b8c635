"""What Triton makes of a kernel for a Hopper GPU, with no GPU: launches are recorded and compiled.

A launch is recorded as the package makes it, of tensors without values, so that types, constants and
alignment are those that training has; nothing is kept twice.
"""

import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import patch

from torch import Tensor

ARCHITECTURE = "sm_90a"
_OPTIONS = ("num_warps", "num_stages")
_TYPES = {"torch.bfloat16": "*bf16", "torch.float32": "*fp32", "torch.int64": "*i64"}


@dataclass(frozen=True)
class Launch:
    """One launch of a kernel."""

    kernel: Any
    arguments: dict[str, Any]
    """By name; tensors may be without values."""
    options: dict[str, int]
    """`num_warps`, `num_stages`."""


@dataclass(frozen=True)
class Compiled:
    """What the compilers say of a kernel."""

    registers: int
    """Of a thread."""
    spilled: int
    """Bytes that do not fit them, written and read."""
    shared: int
    """Bytes of a program."""
    products: str
    """What multiplies: `wgmma` or `mma` on tensor cores, `fma` elsewhere."""
    step: int | None = None
    """Instructions of a thread in each step of the loop over products; None without such a loop, as where
    the compiler unrolled it."""


@contextmanager
def recorded(form: ModuleType) -> Iterator[list[Launch]]:
    """Record the launches of a module's kernels instead of making them."""
    launches: list[Launch] = []

    class Kernel:
        def __init__(self, kernel: Any) -> None:
            self.kernel = kernel

        def __getitem__(self, _grid: Sequence[int]) -> Callable[..., None]:
            return partial(self.record)

        def record(self, *arguments: Any, **more: Any) -> None:
            options: dict[str, int] = {name: more.pop(name) for name in _OPTIONS if name in more}
            named = dict(zip(self.kernel.arg_names, arguments, strict=False)) | more
            launches.append(Launch(self.kernel, named, options))

    with ExitStack() as patches:
        for name, value in vars(form).items():
            if hasattr(value, "arg_names"):
                patches.enter_context(patch.object(form, name, Kernel(value)))
        yield launches


def compiled(launch: Launch) -> Compiled:
    """Compile a launch's kernel for that launch."""
    made = compile_kernel(launch.kernel, *_signature(launch), launch.options)
    ptx = made.asm["ptx"]
    spilled, registers, machine_code = _assembled(ptx)
    products = "wgmma" if "wgmma.mma_async" in ptx else "mma" if "mma.sync" in ptx else "fma"
    step = _shortest_loop(machine_code) if products != "fma" else None
    return Compiled(registers, spilled, made.metadata.shared, products, step)


def compile_kernel(
    kernel: Any,
    signature: dict[str, Any],
    constants: dict[tuple[int, ...], Any],
    aligned: dict[tuple[int, ...], Any],
    options: dict[str, int],
) -> Any:
    """Triton's own compilation, of types and constants by name and place."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    source = ASTSource(kernel, signature, constants, aligned)
    return triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)


def _signature(
    launch: Launch,
) -> tuple[dict[str, Any], dict[tuple[int, ...], Any], dict[tuple[int, ...], Any]]:
    """Types, constants and alignments as Triton derives them from the arguments of a launch."""
    signature: dict[str, Any] = {}
    constants: dict[tuple[int, ...], Any] = {}
    aligned: dict[tuple[int, ...], Any] = {}
    for place, parameter in enumerate(launch.kernel.params):
        value = launch.arguments[parameter.name]
        is_plain = parameter.do_not_specialize
        if parameter.is_constexpr or (isinstance(value, int) and value == 1 and not is_plain):
            signature[parameter.name], constants[place,] = "constexpr", value
            continue
        # The allocator aligns every tensor.
        even = isinstance(value, Tensor) or (isinstance(value, int) and value % 16 == 0)
        if even and not is_plain:
            aligned[place,] = [["tt.divisibility", 16]]
        signature[parameter.name] = (
            _TYPES[str(value.dtype)]
            if isinstance(value, Tensor)
            else "fp32"
            if isinstance(value, float)
            else "i32"
        )
    return signature, constants, aligned


def _assembled(ptx: str) -> tuple[int, int, str]:
    """Bytes spilled and registers of a thread, as the ptxas in Triton reports, and the machine code."""
    import triton

    programs = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"
    with tempfile.TemporaryDirectory() as folder:
        source, binary = Path(folder) / "kernel.ptx", Path(folder) / "kernel.cubin"
        source.write_text(ptx)
        asked = [str(programs / "ptxas"), "-v", f"--gpu-name={ARCHITECTURE}", str(source), "-o", str(binary)]
        report = subprocess.run(asked, capture_output=True, text=True, check=True).stderr
        asked = [str(programs / "nvdisasm"), "-c", str(binary)]
        machine_code = subprocess.run(asked, capture_output=True, text=True, check=True).stdout
    spilled = re.findall(r"(\d+) bytes spill", report)
    registers = re.search(r"Used (\d+) registers", report)
    assert registers is not None, report
    assert spilled, report
    return sum(map(int, spilled)), int(registers.group(1)), machine_code


def _shortest_loop(machine_code: str) -> int | None:
    """Instructions of the shortest loop with a product in it."""
    labels: dict[str, int] = {}
    instructions: list[str] = []
    loops: list[int] = []
    for line in machine_code.splitlines():
        if label := re.match(r"(\.L_x_\d+):", line.strip()):
            labels[label.group(1)] = len(instructions)
        elif found := re.match(r"\s*/\*[0-9a-f]+\*/\s+(.*?);", line):
            instructions.append(found.group(1))
            jump = re.search(r"\bBRA\b.*(\.L_x_\d+)", found.group(1))
            begin = labels.get(jump.group(1)) if jump else None
            if begin is not None and any("MMA" in each for each in instructions[begin:]):
                loops.append(len(instructions) - begin)
    return min(loops, default=None)
