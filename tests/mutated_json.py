"""JSON values in which something is missing or of another kind: shared by tests of what a run wrote."""

import json
from collections.abc import Iterable, Iterator
from random import Random
from typing import Any

STRANGE: tuple[Any, ...] = (
    None,
    True,
    -1,
    0,
    2,
    10**30,
    1.5,
    float("nan"),
    float("inf"),
    "",
    "x",
    [],
    [[]],
    {},
    {"a": 1},
)
"""What an entry may have become."""


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The way to everything inside a JSON value."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield (*path, key)
        yield from places(one, (*path, key))


def edited(found: dict[str, Any], random: Random) -> dict[str, Any]:
    """One entry somewhere is missing or something else."""
    anew = json.loads(json.dumps(found))
    *way, last = random.choice(list(places(anew)))
    inner = inside(anew, way)
    if random.random() < 0.3:
        del inner[last]
    else:
        inner[last] = random.choice(STRANGE)
    return anew


def inside(value: Any, way: Iterable[Any]) -> Any:
    """What lies at the end of a way into a JSON value."""
    for key in way:
        value = value[key]
    return value
