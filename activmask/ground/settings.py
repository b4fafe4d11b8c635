"""Settings: fields of frozen dataclasses that carry their own help, range and place in names.

Whoever reads a setting declares it. Flags, TOML, JSON, checks, names and labels are made from these
declarations, so that they cannot drift apart.
"""

import dataclasses
import math
from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from activmask.ground.errors import UsageError

P = TypeVar("P")

Text = str | Callable[[], str]
"""A text, or what makes it when it is asked for, as a list of names may have grown by then."""

Choices = Callable[[], Iterable[str]]
"""The words that a setting can have now."""

InWords = Callable[[Any], str]
"""From a setting's value to what stands for it; empty if nothing does."""


@dataclass(frozen=True, kw_only=True)
class Range:
    """The numbers that a setting or an option can have, both ends among them."""

    least: float
    most: float

    def check(self, name: str, value: float) -> None:
        """Refuse a number outside, or none (raises UsageError, which names the range)."""
        if not self.least <= value <= self.most:
            raise UsageError(f"{name} must be {self}", found=repr(value))

    def __str__(self) -> str:
        if math.isinf(self.most):
            return f"at least {_number(self.least)}"
        return f"from {_number(self.least)} to {_number(self.most)}"


def _number(end: float) -> str:
    return f"{end:,}" if isinstance(end, int) else f"{end:g}"


def setting(
    default: Any,
    text: Text,
    *,
    least: float | None = None,
    most: float | None = None,
    choices: Choices | None = None,
    method: bool | None = None,
    form: bool = False,
    in_name: InWords | None = None,
    in_label: InWords | None = None,
    bare: str | None = None,
    unsaid: bool = False,
) -> Any:
    """A field of a settings dataclass.

    Args:
        default: its value where nobody says.
        text: its help.
        least: the smallest number allowed.
        most: the largest; every number has both, so that no flag, file or call gets further with another.
        choices: the words that its flag takes, where a table lists them.
        method: whether a method differs from its baseline in it; if nothing is said, it does where an
            objective declares it, and nowhere else.
        form: whether it says how a method is computed, not which method it is.
        in_name: its part of a run's folder name, where it departs from the default; no other setting may
            give the same words. Weights of objectives are in the name by themselves.
        in_label: its part of a method's label, likewise.
        bare: what its flag means without a value, where it may stand so.
        unsaid: whether a run's files and digest leave it out where it is at its default: runs that do not use
            it then are described, and known, as before there was such a setting.
    """
    metadata = {
        "text": text,
        "least": least,
        "most": most,
        "choices": choices,
        "method": method,
        "form": form,
        "in_name": in_name,
        "in_label": in_label,
        "bare": bare,
        "unsaid": unsaid,
    }
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting as `setting` declared it."""

    name: str
    """Everywhere: as attribute, in TOML and JSON; as a flag with hyphens."""
    default: Any
    kind: Any
    """Its type: bool, int, float, str or a Literal of strings."""
    text: Text
    least: float | None
    most: float | None
    choices: Choices | None
    method: bool | None
    form: bool
    in_name: InWords | None
    in_label: InWords | None
    bare: str | None
    unsaid: bool

    @property
    def help(self) -> str:
        """What its flag says of it."""
        return said(self.text)

    @property
    def range(self) -> Range:
        """The numbers that it can have, where it is one."""
        return Range(
            least=-math.inf if self.least is None else self.least,
            most=math.inf if self.most is None else self.most,
        )


def said(text: Text) -> str:
    """A text as it is now."""
    return text if isinstance(text, str) else text()


def declared(part: Callable[..., object]) -> dict[str, Setting]:
    """The settings of a settings dataclass by name, in its order."""
    return _declared(part)


@cache
def _declared(part: Hashable) -> dict[str, Setting]:
    assert isinstance(part, type)
    kinds = get_type_hints(part)
    return {
        field.name: Setting(name=field.name, default=field.default, kind=kinds[field.name], **field.metadata)
        for field in dataclasses.fields(part)
        if field.metadata
    }


def filled(part: type[P], values: Mapping[str, Any]) -> P:
    """A settings dataclass from a flat mapping; settings that it lacks have their default."""
    return part(**{name: values[name] for name in declared(part) if name in values})


def check_value(known: Setting, value: Any) -> None:
    """Check one value by itself: its type, choices and range.

    Raises:
        UsageError: names the setting, what was expected and what was found.
    """
    name, kind = known.name, known.kind
    if get_origin(kind) is Literal:
        if value not in get_args(kind):
            choices = ", ".join(get_args(kind))
            raise UsageError(f"{name} must be one of {choices}", found=repr(value))
        return
    allowed = (int, float) if kind is float else (kind,)
    if not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
        raise UsageError(f"{name} must be of type {kind.__name__}", found=repr(value))
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{name} must be finite", found=repr(value))
    if kind in (int, float):
        known.range.check(name, value)
