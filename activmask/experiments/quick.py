"""The quick form of a grid: networks and trainings that a small machine can bear, of some of its cells."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from activmask.ground.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Quick:
    """What the quick form changes."""

    seeds: int
    """How many seeds each cell asks for."""
    settings: Mapping[str, Any]
    """They win over those of the grid in every cell."""
    exclude: tuple[Any, ...] = ()
    """What is left out, written as `[[exclude]]` of the grid."""


def read_quick(table: Mapping[str, Any], seeds: int, where: str) -> Quick | None:
    """Read the `[quick]` part of a grid: `seeds`, `exclude`, and settings of `train`; None of an empty one.

    Args:
        table: the part.
        seeds: of the whole form, where the quick one says nothing.
        where: the file, for errors.

    Raises:
        UsageError: a number of seeds that is none, or no list of what is left out.
    """
    if not table:
        return None
    count = table.get("seeds", seeds)
    if not isinstance(count, int) or isinstance(count, bool) or count < 1:
        raise UsageError("quick.seeds must be a whole number of at least 1", path=where, found=repr(count))
    exclude = table.get("exclude", [])
    if not isinstance(exclude, list):
        raise UsageError("quick.exclude must be a list", path=where, found=repr(exclude))
    settings = {name: value for name, value in table.items() if name not in {"seeds", "exclude"}}
    return Quick(seeds=count, settings=settings, exclude=tuple(exclude))
