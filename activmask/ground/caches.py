"""The user's cache folder: what can be measured or made again, kept so that it need not be."""

import json
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

VARIABLE = "ACTIVMASK_CACHE"
"""Of the environment: another folder, or `off`."""


def cache_folder(environment: Mapping[str, str] = os.environ) -> Path | None:
    """Where this user's caches lie; None where there are to be none, or where the user has no home."""
    asked = environment.get(VARIABLE, "")
    if asked == "off":
        return None
    if asked:
        return Path(asked)
    # The XDG specification ignores a path that is not absolute.
    if Path(environment.get("XDG_CACHE_HOME", "")).is_absolute():
        return Path(environment["XDG_CACHE_HOME"]) / "activmask"
    try:
        return Path.home() / ".cache" / "activmask"
    except RuntimeError:
        return None


def read_cached(path: Path | None) -> dict[str, Any]:
    """The JSON object in a cache file; an empty one where the file is missing, damaged or not readable."""
    if path is None:
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def write_cached(path: Path | None, value: dict[str, Any]) -> None:
    """Replace a cache file in one step, whoever else does so now; without a word where that is refused.

    A cache that cannot be written costs time and nothing else.
    """
    if path is None:
        return
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, partial = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(value, file, indent=1, sort_keys=True)
            Path(partial).replace(path)
        except BaseException:
            with suppress(OSError):
                Path(partial).unlink(missing_ok=True)
            raise
