"""Code that others wrote: whatever it raises becomes one sentence."""

import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from torch import Tensor

from activmask.ground.errors import ActivmaskError, CheckpointError
from activmask.machine.memory import is_out_of_memory

_NOT_THE_USERS = [Path(__file__).parents[1], *(Path(sysconfig.get_path(of)) for of in ("stdlib", "platlib"))]
"""Folders whose code says nothing of where a user's went wrong."""


@contextmanager
def failures_told(name: str, doing: str, advice: str | None = None) -> Iterator[None]:
    """Turn what others' code raises inside into a CheckpointError.

    Args:
        name: whose code it is.
        doing: what it was asked to do, for example `on images of 28 x 28 px`.
        advice: what may help.

    Raises:
        CheckpointError: names the error's kind, its first line and the line of code that raised it.
        MemoryError: there is too little, or torch's RuntimeError of that.
    """
    try:
        yield
    except ActivmaskError:
        raise
    # A script that ends its process when it is imported is a failure like any other.
    except (Exception, SystemExit) as error:
        if is_out_of_memory(error):
            raise
        raise CheckpointError(f"{name} fails {doing}", found=first_line(error), advice=advice) from error


def first_line(error: BaseException) -> str:
    """An error's kind, its first line, and where in the user's own code it was raised, if there."""
    said = str(error).strip().splitlines()
    what = f"{type(error).__name__}: {said[0]}" if said else type(error).__name__
    frames = [one for one in traceback.extract_tb(error.__traceback__) if _is_users(Path(one.filename))]
    return f"{what} ({frames[-1].filename}, line {frames[-1].lineno})" if frames else what


def _is_users(file: Path) -> bool:
    of_others = any(file.is_relative_to(folder) for folder in _NOT_THE_USERS) or "site-packages" in file.parts
    return file.is_file() and not of_others


def sides_in_words(images: Tensor) -> str:
    """What images (B, C, H, W) are like, for sentences."""
    channels, height, width = images.shape[1:]
    return f"images of {width} x {height} px with {counted(channels)}"


def counted(channels: int) -> str:
    """So many channels, for sentences."""
    return f"{channels} channel{'s' * (channels > 1)}"
