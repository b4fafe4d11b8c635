"""What a value that was read back may be: files are edited and damaged, and JSON has types of its own."""

import math
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any

Check = Callable[[Any], bool]

_MOST = 2**1023
"""Greater whole numbers have no float."""


def is_count(value: Any) -> bool:
    """A whole number from 0 on; True and 1.0 are none."""
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_positive(value: Any) -> bool:
    """A whole number from 1 on."""
    return is_count(value) and value > 0


def is_number(value: Any) -> bool:
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < _MOST if isinstance(value, int) else math.isfinite(value)


def is_share(value: Any) -> bool:
    """A number in [0, 1], such as an AUC."""
    return is_number(value) and 0 <= value <= 1


def is_text(value: Any) -> bool:
    """A string."""
    return isinstance(value, str)


def is_sha256(value: Any) -> bool:
    """A digest in hexadecimal digits."""
    return isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None


def is_sha256_or_empty(value: Any) -> bool:
    """A digest, or nothing where there is none."""
    return value == "" or is_sha256(value)


def is_flag(value: Any) -> bool:
    """True or False."""
    return isinstance(value, bool)


def is_mapping(value: Any) -> bool:
    """A JSON object of whatever."""
    return isinstance(value, dict)


def list_of(check: Check) -> Check:
    """A list of nothing else."""
    return lambda value: isinstance(value, list) and all(map(check, value))


def mapping_to(check: Check, names: Collection[str] | None = None) -> Check:
    """A JSON object whose values are nothing else, and whose names are among some."""
    return lambda value: (
        isinstance(value, dict)
        and all(map(check, value.values()))
        and (names is None or value.keys() <= set(names))
    )


def what_is_wrong(found: Mapping[str, Any], checks: Mapping[str, Check], needed: Collection[str] = ()) -> str:
    """A clause on the first entry that is missing or no such value; empty where all is well.

    Args:
        found: what a file tells; entries without a check are passed over.
        checks: what an entry is if it is there.
        needed: the entries that must be there.
    """
    for name in needed:
        if name not in found:
            return f"lacks '{name}'"
    for name, check in checks.items():
        if name in found and not check(found[name]):
            return f"its '{name}' is {_quoted(found[name])}"
    return ""


def _quoted(value: Any) -> str:
    if isinstance(value, dict | list):
        return f"a {type(value).__name__}"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
