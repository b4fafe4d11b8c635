"""Networks that a user's own function makes: their entry, by the name `file.py:function`."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from activmask.ground.errors import PATH, UsageError
from activmask.models.model import Model

if TYPE_CHECKING:
    from torch import nn

    from activmask.models.settings import Network

_BETWEEN = ".py:"


def is_own_code(name: str) -> bool:
    """Whether the name of a network is that of a function in a Python file."""
    return _BETWEEN in name


def code_of(name: str) -> tuple[Path, str]:
    """The file and the function that such a name tells."""
    file, _, function = name.rpartition(":")
    return Path(file), function


def check_own_code(name: str) -> None:
    """Refuse a function that cannot be there, without running anything (raises UsageError)."""
    file, function = code_of(name)
    if not function.isidentifier():
        raise UsageError(
            f"{file} is a file of code", found=f"'{function}'", advice=f"name its function: {file}:FUNCTION"
        )
    if not file.is_file():
        raise UsageError(f"there is no file {PATH}", path=file)


def code_digest(file: Path) -> str:
    """SHA-256 of a file of code; what it imports is not in it.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise UsageError(f"{PATH} cannot be read ({error.strerror})", path=file) from error


def of_own_code(name: str) -> Model:
    """What is true of the network that a function makes, as far as it is known before its code runs."""
    file, function = code_of(name)
    called = f"{file.stem}:{function}"
    return Model(
        build=_own_network,
        source="the user's own code",
        label=called,
        folder=called.replace(":", "."),
        batch_norm=True,
        foreign=True,
    )


def _own_network(wanted: Network, *, channels: int, classes: int, image_size: int) -> nn.Module:
    from activmask.models.own_networks import own_network

    return own_network(wanted.model, channels=channels, classes=classes, image_size=image_size)
