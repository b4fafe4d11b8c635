"""Where and with what arithmetic a run computes."""

import os
from contextlib import AbstractContextManager, nullcontext

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from activmask.ground.errors import UsageError
from activmask.ground.nearest import nearest


def choose_device(name: str) -> torch.device:
    """The device called `name`; `auto` takes CUDA, then Apple's MPS, then the CPU.

    Raises:
        UsageError: the device is not there.
    """
    available = {
        "cuda": torch.cuda.is_available(),
        "mps": torch.backends.mps.is_available(),
        "cpu": True,
    }
    if name == "auto":
        return torch.device(next(kind for kind, there in available.items() if there))
    if name not in available:
        raise UsageError(f"there is no device '{name}'; {nearest(name, ['auto', *available])}")
    if not available[name]:
        raise UsageError(f"there is no {name} device here; use device auto or cpu")
    return torch.device(name)


def cores() -> int:
    """How many CPU cores this process may use, which can be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def set_up_arithmetic(device: torch.device, *, precision: str, threads: int = 0) -> None:
    """Apply the matrix precision and the thread count, which torch keeps per process.

    Args:
        device: where the run computes.
        precision: `fp32`, `tf32` or `bf16`.
        threads: of the CPU; 0 leaves torch's choice.

    Raises:
        UsageError: a precision that this device does not have, or another type of numbers than float32.
    """
    if torch.get_default_dtype() != torch.float32:
        raise UsageError(
            "training computes in float32, and torch's default is another; call "
            "torch.set_default_dtype(torch.float32)",
            found=str(torch.get_default_dtype()).removeprefix("torch."),
        )
    if threads:
        torch.set_num_threads(threads)
    if precision == "tf32" and device.type != "cuda":
        raise UsageError(f"precision tf32 exists on CUDA only, and this run computes on {device.type}")
    if device.type == "cuda":
        # What autocast does not narrow, as the judging of an epoch, need be no finer than what it does.
        torch.backends.cuda.matmul.allow_tf32 = precision != "fp32"
        torch.backends.cudnn.allow_tf32 = precision != "fp32"


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """The context of a network's passes in `fp32`, `tf32` or `bf16`."""
    if precision == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


def attention(*, second_derivative: bool) -> AbstractContextManager[object]:
    """The context in which attention can be differentiated once, or twice where that is needed.

    Torch's fused forms of attention have no second derivative; its form of plain products has.
    """
    return sdpa_kernel(SDPBackend.MATH) if second_derivative else nullcontext()


def visible_gpus(name: str) -> tuple[str, ...]:
    """The CUDA devices that a run on the device called `name` could use, as CUDA_VISIBLE_DEVICES names them.

    Empty where it would not compute on CUDA. Raises UsageError where the device is not there.
    """
    if choose_device(name).type != "cuda":
        return ()
    listed = os.environ.get("CUDA_VISIBLE_DEVICES", "")
    return tuple(listed.split(",")) if listed else tuple(str(n) for n in range(torch.cuda.device_count()))
