"""Files of tensors: safetensors that tell in their header what they are, sealed by a digest of all of it.

The seal is the SHA-256 of what the file tells and of every tensor's name, type, shape and bytes. Files of
earlier versions have none; what they tell is checked as far as it can be.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from activmask.ground.errors import PATH, CheckpointError
from activmask.ground.files import write_whole
from activmask.ground.spelling import spelled_plainly
from activmask.machine.memory import is_out_of_memory
from activmask.runs.checkpoint_format import refuse_newer
from activmask.runs.folder import BEST_FILE

_KEY = "activmask"
"""Of the header. One entry alone: the order of several is not fixed, and equal files would differ."""

_SEAL = "sha256"
RUN = "run_sha256"
"""The entry of a description that says which run it is of; a file that has it is sealed."""

STATES_DESCRIPTION = "description"
"""Where a state tells its description; a checkpoint tells nothing else."""


@dataclass(frozen=True, kw_only=True)
class TensorFile:
    """What a file holds."""

    path: Path
    tensors: dict[str, Tensor]
    """On the CPU."""
    told: dict[str, Any]
    """What its header says, without the seal."""
    sha256: str
    """Of its tensors alone, see `tensors_digest`."""


@dataclass(frozen=True, kw_only=True)
class Held:
    """Tensors as a file holds them."""

    tensors: dict[str, Tensor]
    """Contiguous and on the CPU; those that lay so are the very ones, not copies."""
    sha256: str
    """See `tensors_digest`."""


def hold(tensors: Mapping[str, Tensor]) -> Held:
    """Bring tensors into the form in which they are written, whatever their strides and device."""
    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    return Held(tensors=held, sha256=_digest(held))


def tensors_digest(tensors: Mapping[str, Tensor]) -> str:
    """SHA-256 of the names, types, shapes and bytes of tensors, whatever their order, strides and device."""
    return hold(tensors).sha256


def _digest(held: Mapping[str, Tensor]) -> str:
    found = hashlib.sha256()
    for name in sorted(held):
        tensor = held[name]
        found.update(json.dumps([name, str(tensor.dtype), list(tensor.shape)]).encode())
        found.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


def write_tensors(path: Path, held: Held, told: Mapping[str, Any]) -> None:
    """Write tensors and what they are, whole or not at all; `told` is JSON, its strings in plain Unicode.

    Raises:
        DataError: the file system refuses.
    """
    sealed = {**told, _SEAL: _seal(told, held.sha256)}
    write_whole(path, save(_apart(held.tensors), {_KEY: json.dumps(sealed)}))


def _apart(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors each in memory of its own, as the format asks for; layers may share one weight."""
    seen: set[int] = set()
    found = {}
    for name, tensor in tensors.items():
        found[name] = tensor.clone() if tensor.data_ptr() in seen else tensor
        seen.add(tensor.data_ptr())
    return found


def read_tensors(path: Path) -> TensorFile:
    """Read a file that `write_tensors` wrote, or an earlier version.

    Raises:
        CheckpointError: it is missing, damaged, of another program or of a later version, or is no longer
            what was sealed.
    """
    tensors, header = read_safetensors(path)
    told = _told(path, header)
    description = told.get(STATES_DESCRIPTION, told)
    refuse_newer(path, description)
    seal, digest = told.pop(_SEAL, None), tensors_digest(tensors)
    sealed = seal is not None or (isinstance(description, dict) and RUN in description)
    if sealed and seal != _seal(told, digest):
        raise CheckpointError(
            f"{PATH} is damaged or was edited: it is not what its own digest says",
            path=path,
            advice="copy it anew from where it is whole, or train again",
        )
    return TensorFile(path=path, tensors=tensors, told=told, sha256=digest)


def read_told(path: Path) -> dict[str, Any]:
    """What a file tells of itself, its tensors unread and its seal unchecked.

    Raises:
        CheckpointError: it is missing, damaged or of another program.
    """
    try:
        with spelled_plainly(path) as plain, safe_open(plain, framework="np") as file:
            header = file.metadata() or {}
    except (SafetensorError, OSError, ValueError) as error:
        raise not_readable(path, str(error)) from error
    told = _told(path, header)
    told.pop(_SEAL, None)
    return told


def _seal(told: Mapping[str, Any], digest: str) -> str:
    return hashlib.sha256(f"{json.dumps(told, sort_keys=True)}\n{digest}".encode()).hexdigest()


def _told(path: Path, header: Mapping[str, str]) -> dict[str, Any]:
    try:
        told = json.loads(header[_KEY])
    except (KeyError, ValueError, RecursionError) as error:
        raise not_readable(path, f"{type(error).__name__}: {error}") from error
    if not isinstance(told, dict):
        raise not_readable(path, f"its header holds a {type(told).__name__}")
    return told


def not_readable(path: Path, why: str) -> CheckpointError:
    """What to raise of a safetensors file that does not say what it has to."""
    return CheckpointError(
        f"{PATH} is a safetensors file but not one this version can read ({why})",
        path=path,
        advice="give one that train wrote",
    )


def read_safetensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    """All tensors of a safetensors file and its header's metadata.

    Raises:
        CheckpointError: the file is missing, damaged, or kept from this user or by its disk.
        MemoryError: there is too little, or torch's RuntimeError of that.
    """
    if not path.is_file():
        raise CheckpointError(
            f"there is no checkpoint file {PATH}; a run's lie in its folder as seed-<k>/{BEST_FILE}",
            path=path,
        )
    try:
        # The format's library calls a file that it may not open missing.
        path.open("rb").close()
    except OSError as error:
        raise CheckpointError(
            f"{PATH} cannot be read ({error.strerror})",
            path=path,
            advice="check its permissions and its disk",
        ) from error
    try:
        with spelled_plainly(path) as plain, safe_open(plain, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
            return tensors, file.metadata() or {}
    # Types of numbers that torch does not have end in other errors than the format's own.
    except (SafetensorError, OSError, ValueError, KeyError, AttributeError, TypeError, RuntimeError) as error:
        if is_out_of_memory(error):
            raise
        raise CheckpointError(
            f"{PATH} is no safetensors file or is damaged ({error})",
            path=path,
            advice="train again or copy it anew",
        ) from error


def has_header(path: Path) -> bool:
    """Whether a safetensors file says what it is of, as this package's do (raises as `read_safetensors`)."""
    return _KEY in read_safetensors(path)[1]


def check_tensors(
    path: Path, found: Mapping[str, Tensor], expected: Mapping[str, Tensor], whose: str
) -> None:
    """Refuse tensors whose names, shapes or types are not those of a network, or of its optimizer.

    Args:
        path: of the file that they were read from.
        found: what it holds.
        expected: of these names, shapes and types.
        whose: what the tensors are of, for the sentence.

    Raises:
        CheckpointError: names the first that differs.
    """
    for name in [*expected, *found]:
        ours, theirs = expected.get(name), found.get(name)
        if ours is None or theirs is None or (ours.shape, ours.dtype) != (theirs.shape, theirs.dtype):
            raise CheckpointError(
                f"{PATH} does not hold {whose}: {name} is another",
                path=path,
                expected=_kind(ours),
                found=_kind(theirs),
                advice="restore the file that train wrote, or train again",
            )


def _kind(tensor: Tensor | None) -> str:
    if tensor is None:
        return "none"
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
