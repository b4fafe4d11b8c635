"""What a measurement is made on: commit, date, kind of machine, software; nothing that names one machine."""

import os
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks.result import Measured

PACKAGES = ("activmask", "torchvision", "triton", "captum", "numpy", "scikit-image", "pillow")
NOT_RECORDED = "not recorded"


def measured_here(commit: str, device: str) -> Measured:
    """What is measured on now.

    Args:
        commit: that was checked out when the measurement began.
        device: `cpu` or `cuda`.
    """
    import torch

    versions = {"torch": torch.__version__, "Python": platform.python_version()}
    versions |= {"CUDA": str(torch.version.cuda)} if device == "cuda" else {}
    return Measured(
        commit=commit,
        date=datetime.now(UTC).date().isoformat(),
        machine=f"{_accelerator() if device == 'cuda' else ''}{machine_kind()}, {_threads()}",
        versions=versions | _versions(),
    )


def commit_of(folder: Path) -> str:
    """The commit that is checked out there, and whether files differ from it."""
    described = _git(folder, "rev-parse", "--short", "HEAD")
    if not described:
        return NOT_RECORDED
    return f"{described} with changes" if _git(folder, "status", "--porcelain") else described


def _git(folder: Path, *arguments: str) -> str:
    try:
        call = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return call.stdout.strip()


def machine_kind() -> str:
    """Such as `2 cores of an AMD EPYC virtual machine`."""
    facts = _processor()
    model = facts.get("model name") or platform.machine() or "unknown"
    kind = "virtual machine" if "hypervisor" in facts.get("flags", "").split() else "machine"
    cores = os.cpu_count() or 1
    article = "an" if model[0] in "AEIOUaeiou" else "a"
    return f"{cores} core{'s' * (cores > 1)} of {article} {model} {kind}"


def _processor() -> dict[str, str]:
    """What Linux says of the first processor."""
    table = Path("/proc/cpuinfo")
    if not table.exists():
        return {"model name": platform.processor()}
    first = table.read_text(encoding="utf-8").split("\n\n", 1)[0]
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _threads() -> str:
    import torch

    count = torch.get_num_threads()
    return f"{count} thread{'s' * (count > 1)}"


def _accelerator() -> str:
    import torch

    facts = torch.cuda.get_device_properties(0)
    return f"one {facts.name} of {facts.total_memory / 2**30:.0f} GiB with "


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
