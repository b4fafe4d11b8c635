"""What checkpoints' evaluations came to, kept in the seed's folder for whoever asks again.

What is kept is a convenience, never a source: it is taken only where everything that it followed from is
the same to the byte, and its own digest says that it is whole. Whatever else lies there is nothing.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from activmask.evaluation.basis import Basis
from activmask.ground.errors import DataError
from activmask.ground.files import write_whole
from activmask.runs.folder import EVALUATIONS_FILE

_MOST = 16
"""Evaluations of one seed, those of all labels counted as one; the oldest go first."""

_MOST_BYTES = 16_000_000
"""A larger file is none of ours, so of what is too much for one the oldest go first."""

Kept = dict[str, Any]


def kept(folder: Path, basis: Basis) -> Any:
    """What was kept under a basis in a seed's folder, as `json.loads` gives it; None where nothing was."""
    found = [one for one in _read(folder) if one["basis"] == basis]
    return found[-1]["result"] if found else None


def keep(folder: Path, basis: Basis, result: Any) -> None:
    """Keep a result, of plain values, in a seed's folder, if that can be written to.

    Nothing is claimed, so that no training is refused for it. Of two processes that keep something there at
    once, one may win, or both lose: a mixture has no digest, and what is lost can be made anew.
    """
    others = [one for one in _read(folder) if not _replaced(one["basis"], basis)]
    text = json.dumps({"evaluations": _latest([*others, _sealed(basis, result)])}, indent=1)
    try:
        write_whole(folder / EVALUATIONS_FILE, f"{text}\n".encode())
    except DataError:
        # Nobody may write here, or the disk is full: the evaluation itself is well.
        return


def _latest(entries: list[Kept]) -> list[Kept]:
    """The last ones of which there are neither too many nor too much, in their order."""
    found: list[Kept] = []
    asked: set[str] = set()
    size = 0
    for one in reversed(entries):
        whole = {name: value for name, value in one["basis"].items() if name != "label"}
        asked.add(json.dumps(whole, sort_keys=True))
        size += len(json.dumps(one, indent=1))
        # Half, for in the file each line is indented further.
        if len(asked) > _MOST or (found and size > _MOST_BYTES // 2):
            break
        found.append(one)
    return found[::-1]


def _replaced(before: Basis, now: Basis) -> bool:
    """Whether what was kept is the same again, or of a program or a checkpoint that is no more."""
    # What another part of the program keeps goes by that part's files. Earlier versions named no part.
    comparable = before.get("program") in {None, now.get("program")}
    return (
        before == now
        or (comparable and before.get("program_sha256") != now["program_sha256"])
        or (before.get("file") == now["file"] and before.get("checkpoint_sha256") != now["checkpoint_sha256"])
    )


def _read(folder: Path) -> list[Kept]:
    """The whole entries of a seed's file; those that are damaged or of others are left out."""
    path = folder / EVALUATIONS_FILE
    try:
        if not path.is_file() or path.stat().st_size > _MOST_BYTES:
            return []
        listed = json.loads(path.read_bytes())["evaluations"]
        return [one for one in listed if isinstance(one["basis"], dict) and _is_whole(one)]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return []


def _is_whole(entry: Kept) -> bool:
    return bool(entry["sha256"] == _sealed(entry["basis"], entry["result"])["sha256"])


def _sealed(basis: Basis, result: Any) -> Kept:
    held = {"basis": basis, "result": result}
    return {**held, "sha256": hashlib.sha256(json.dumps(held, sort_keys=True).encode()).hexdigest()}
