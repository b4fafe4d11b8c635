"""Functions of the user's, called `file.py:function` or `package.module:function`: of networks above all."""

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn

from activmask.ground.errors import PATH, CheckpointError, DataError, UsageError
from activmask.ground.nearest import nearest
from activmask.ground.places import real
from activmask.models.foreign_code import failures_told


def network_of(where: str, function: str) -> nn.Module:
    """The network that a function without arguments returns (arguments and errors as of `user_function`).

    Raises:
        CheckpointError: the code fails, or returns no network.
    """
    name = f"{where}:{function}"
    made = user_function(where, function)
    with looked_in(folder_of(where)), failures_told(name, "when it is called without arguments"):
        network = made()
    if not isinstance(network, nn.Module):
        raise CheckpointError(
            f"{name} has to return a network of torch",
            expected="an nn.Module",
            found="nothing" if network is None else f"a {type(network).__name__}",
        )
    return network


def user_function(where: str, function: str) -> Callable[..., Any]:
    """A function by its name; its file's code runs, as `import` runs it.

    Args:
        where: a Python file, whose folder is looked in for what it imports; or a module's dotted name, also
            one below the folder that the program was started in.
        function: its name in there.

    Raises:
        DataError: there is no such file.
        UsageError: there is no such module or function.
        CheckpointError: the code fails.
    """
    file = Path(where) if _is_file(where) else None
    if file is not None and not file.is_file():
        raise DataError(f"there is no file {PATH}", path=file)
    with looked_in(folder_of(where)), failures_told(f"{where}:{function}", "to be imported"):
        module = _by_name(where) if file is None else _from_file(file)
    found = getattr(module, function, None)
    if not callable(found):
        known = [one for one, value in vars(module).items() if callable(value) and not one.startswith("_")]
        raise UsageError(f"{where} has no function '{function}'; {nearest(function, known)}")
    called: Callable[..., Any] = found
    return called


def _is_file(where: str) -> bool:
    return where.endswith(".py")


def folder_of(where: str) -> Path:
    """Where Python looks for what code imports: beside its file, or below the working folder."""
    return real(Path(where)).parent if _is_file(where) else Path.cwd()


def _from_file(file: Path) -> ModuleType:
    # Under a name of its own: a file torch.py must not stand for torch.
    name = f"activmask_user_code_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # Dataclasses and the like look for the module they are defined in.
    # Not by the loader, which may take what it once compiled for a file of the same second and length.
    exec(compile(file.read_bytes(), str(file), "exec"), vars(module))  # noqa: S102 - the user named it
    return module


def _by_name(where: str) -> ModuleType:
    top = where.partition(".")[0]
    try:
        return importlib.import_module(where)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{where}.".startswith(f"{error.name}."):
            raise
        raise UsageError(
            f"there is no Python module '{where}'",
            advice=f"install {top}, start in the folder that holds it, or give a file such as net.py",
        ) from error


@contextmanager
def looked_in(folder: Path) -> Iterator[None]:
    """Python looks for modules in a folder too, first, as it does for a script's own.

    What a script sets for itself is afterwards as it was: the working folder, where our files are named
    from, torch's gradients, which those that only predict turn off, and its device.
    """
    gradients, device = torch.is_grad_enabled(), torch.get_default_device()
    try:
        where = Path.cwd()
    except OSError:
        # It was removed; everything is named by whole paths, then.
        where = None
    sys.path.insert(0, str(folder))
    try:
        yield
    finally:
        sys.path.remove(str(folder))
        if where is not None:
            os.chdir(where)
        torch.set_grad_enabled(gradients)
        if torch.get_default_device() != device:
            torch.set_default_device(None if device == torch.device("cpu") else device)
