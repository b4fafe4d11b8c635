"""What two folders hold, but for what no two runs share: how long they took, when, and where they lay."""

import csv
import io
import json
from collections.abc import Iterable, Mapping
from itertools import zip_longest
from pathlib import Path
from typing import Any

LASTING = ("seconds", "images_per_second", "data_path", "sittings")
"""Keys of JSON, and columns of tables, that two runs of one command may have of their own."""
SEAL = "sha256"
"""What a file's own digest stands under in its header; it covers the seconds too, and readers check it."""
_NOTHING = "nothing"


def differences(found: Path, expected: Path) -> list[str]:
    """A line for each file or folder that only one of them has, or whose content is another."""
    ours, theirs = names_below(found), names_below(expected)
    lines = [f"{name} is left over" for name in _outermost(ours - theirs)]
    lines += [f"{name} is missing" for name in _outermost(theirs - ours)]
    lines += [
        f"{name} differs{where}"
        for name in sorted(ours & theirs)
        if (where := _difference(found / name, expected / name)) is not None
    ]
    return lines


def names_below(folder: Path) -> set[str]:
    """All files and folders, hidden ones too."""
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*")}


def _outermost(names: set[str]) -> list[str]:
    """Those that lie in none of the others."""
    return sorted(name for name in names if name.rpartition("/")[0] not in names)


def _difference(found: Path, expected: Path) -> str | None:
    if found.is_dir() or expected.is_dir():
        return None if found.is_dir() and expected.is_dir() else " in kind"
    before, after = expected.read_bytes(), found.read_bytes()
    if before == after:
        return None
    try:
        return _first(content(expected.name, before), content(found.name, after))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        return f" ({type(error).__name__} on reading it)"


def content(name: str, data: bytes) -> Any:
    """What a file holds, without what two runs do not share.

    Raises:
        ValueError, KeyError, TypeError, AttributeError: it is damaged.
    """
    if name.endswith(".json"):
        return _lasting(json.loads(data))
    if name.endswith(".csv"):
        rows = csv.DictReader(io.StringIO(data.decode("utf-8")))
        return _lasting(list(rows))
    if name.endswith(".safetensors"):
        return tensors_and_header(data)
    return data


def tensors_and_header(data: bytes) -> dict[str, Any]:
    """The bytes of each tensor with type and shape, and the metadata, parsed where it is JSON."""
    length = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + length])
    body = data[8 + length :]
    found: dict[str, Any] = {
        name: (facts["dtype"], facts["shape"], body[slice(*facts["data_offsets"])])
        for name, facts in header.items()
        if name != "__metadata__"
    }
    written = header.get("__metadata__", {})
    return found | {"__metadata__": _lasting({name: _parsed(text) for name, text in written.items()})}


def _parsed(text: str) -> Any:
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return {name: one for name, one in value.items() if name != SEAL} if isinstance(value, dict) else value


def _lasting(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _lasting(one) for name, one in value.items() if name not in LASTING}
    if isinstance(value, list):
        return [_lasting(one) for one in value]
    return value


def _first(before: Any, after: Any, where: str = "") -> str | None:
    """The first place at which two values differ."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        names = [*before, *(name for name in after if name not in before)]
        return _first_of(
            (f"{where}{name}.", before.get(name, _NOTHING), after.get(name, _NOTHING)) for name in names
        )
    if isinstance(before, list) and isinstance(after, list):
        pairs = zip_longest(before, after, fillvalue=_NOTHING)
        return _first_of((f"{where}{k}.", *pair) for k, pair in enumerate(pairs))
    # NaN equals itself here.
    if before == after or repr(before) == repr(after):
        return None
    place = f" at {where[:-1]}" if where else ""
    bare = isinstance(before, bytes | tuple) or isinstance(after, bytes | tuple)
    return place if bare else f"{place}: {after!r} instead of {before!r}"[:300]


def _first_of(pairs: Iterable[tuple[str, Any, Any]]) -> str | None:
    found = (_first(before, after, where) for where, before, after in pairs)
    return next((line for line in found if line is not None), None)
