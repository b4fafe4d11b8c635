"""Values made of dataclasses, back from the plain values that JSON holds of them."""

import dataclasses
from functools import cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints


def rebuilt(kind: Any, value: Any) -> Any:
    """A value of an annotated type: a dataclass, tuple, optional, literal, str, int, float, bool or None.

    Args:
        kind: the annotation.
        value: what `json.loads` gives of `dataclasses.asdict`.

    Raises:
        ValueError: it is no such value.
    """
    if dataclasses.is_dataclass(kind):
        return _of_fields(kind, value)
    origin, parts = get_origin(kind), get_args(kind)
    if origin is tuple and isinstance(value, list):
        return tuple(rebuilt(parts[0], one) for one in value)
    if origin in {Union, UnionType}:
        [other] = [part for part in parts if part is not type(None)]
        return None if value is None else rebuilt(other, value)
    if value in parts if origin is Literal else type(value) is kind:
        return value
    raise ValueError(f"{value!r} is no {kind}")


def _of_fields(kind: Any, value: Any) -> Any:
    hints = _hints(kind)
    if not isinstance(value, dict) or value.keys() != hints.keys():
        raise ValueError(f"its entries are not those of {kind.__name__}")
    return kind(**{name: rebuilt(hint, value[name]) for name, hint in hints.items()})


@cache
def _hints(kind: Any) -> dict[str, Any]:
    hints = get_type_hints(kind)
    return {one.name: hints[one.name] for one in dataclasses.fields(kind)}
