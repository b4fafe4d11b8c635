"""How much memory there is, and how one knows that it was not enough."""

import os
from pathlib import Path

_CGROUPS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where Linux tells containers their share; "max", or more than there is, where they have none."""

_SAYINGS = ("DefaultCPUAllocator", "out of memory", "Storage size calculation overflowed")
"""By which torch's errors, of no class of their own on a CPU, are known."""


def memory_bytes() -> int | None:
    """The memory that this process can have at most; None where the system does not say."""
    return min([*_of_the_machine(), *_of_the_container(), *_of_the_process()], default=None)


def _of_the_machine() -> list[int]:
    names = getattr(os, "sysconf_names", {})
    if not {"SC_PAGE_SIZE", "SC_PHYS_PAGES"} <= names.keys():
        return []
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return [found] if found > 0 else []


def _of_the_container() -> list[int]:
    texts = [path.read_text(encoding="ascii").strip() for path in _CGROUPS if path.is_file()]
    return [int(text) for text in texts if text.isdigit()]


def _of_the_process() -> list[int]:
    try:
        import resource
    except ImportError:  # Windows has none.
        return []
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    return [] if limit == resource.RLIM_INFINITY else [limit]


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory was asked for which there is not."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and any(saying in str(error) for saying in _SAYINGS)
    )
