"""What a measurement was made on."""

import os
import platform
import shlex
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

PACKAGES = ("activmask", "torchvision", "triton", "captum", "numpy", "scikit-image", "pillow")


def describe_machine(device: torch.device) -> dict[str, Any]:
    """Kind of processor, threads and versions; nothing that tells one machine from its equals."""
    facts: dict[str, Any] = {
        "device": _accelerator(device) if device.type == "cuda" else "CPU",
        "processor": processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {"python": platform.python_version(), **_versions(), "torch": torch.__version__},
    }
    if device.type == "cuda":
        facts["versions"]["cuda"] = torch.version.cuda
    return facts


def processor() -> str:
    """The processor's model as Linux names it, or what Python knows of it."""
    table = Path("/proc/cpuinfo")
    if table.exists():
        for line in table.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    return platform.processor() or platform.machine()


def command_line() -> str:
    """How this process was called."""
    return shlex.join(["python", "-m", "benchmarks", *sys.argv[1:]])


def _accelerator(device: torch.device) -> str:
    facts = torch.cuda.get_device_properties(device)
    return f"{facts.name}, {facts.total_memory / 2**30:.0f} GiB"


def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found
