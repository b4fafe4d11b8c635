"""Values of an axis that are written as one: a list stands for as many values.

    [axes.method]
    "Actdiff" = { actdiff = [0.1, 1.0, 10.0] }

is `Actdiff 0.1`, `Actdiff 1` and `Actdiff 10`, and whoever asks for `Actdiff` means all three.
"""

from collections.abc import Mapping
from typing import Any

from activmask.ground.errors import UsageError

Settings = Mapping[str, Any]


def spread_out(values: Mapping[str, Settings], where: str) -> dict[str, dict[str, dict[str, Any]]]:
    """What each value of an axis stands for.

    Args:
        values: the settings of each by its label; one of them may be a list.
        where: the file, for errors.

    Returns:
        By label as written, the values that it stands for, itself alone where there is no list.

    Raises:
        UsageError: several lists in one value, an empty one, or one that says something twice.
    """
    return {label: _one(label, settings, where) for label, settings in values.items()}


def _one(label: str, settings: Settings, where: str) -> dict[str, dict[str, Any]]:
    lists = [name for name, value in settings.items() if isinstance(value, list)]
    if not lists:
        return {label: dict(settings)}
    if len(lists) > 1:
        raise UsageError(
            f"{label} has lists for {' and '.join(lists)}; of one value only one setting may be a list",
            path=where,
            advice="make an axis of the other",
        )
    [name] = lists
    found = {f"{label} {_text(value)}": {**settings, name: value} for value in settings[name]}
    if not found or len(found) < len(settings[name]):
        raise UsageError(
            f"{label}: the list of {name} must name each value once, and at least one", path=where
        )
    return found


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
