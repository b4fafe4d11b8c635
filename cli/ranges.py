"""Options that take numbers: of a range, which their help and their refusal name, or several."""

from typing import Any, overload

import typer

from activmask.ground.errors import UsageError
from activmask.ground.settings import Range


def ends(flag: str, text: str) -> tuple[float, float]:
    """The two numbers of a text such as -160,240 (raises UsageError, which names the flag)."""
    try:
        low, high = map(float, text.split(","))
    except ValueError:
        raise UsageError(f"{flag} must be two numbers LO,HI", found=repr(text)) from None
    return low, high


def number(allowed: Range, *flags: str, help: str, **more: Any) -> Any:  # noqa: A002 - typer's name
    """An option as `typer.Option` makes it of the same arguments, for a number of a range or none."""

    def checked(value: Any) -> Any:
        try:
            if value is not None:
                allowed.check("it", value)
        except UsageError as error:
            raise typer.BadParameter(str(error)) from None
        return value

    return typer.Option(*flags, help=f"{help} {str(allowed).capitalize()}.", callback=checked, **more)


@overload
def numbers(flag: str, text: str) -> tuple[float, ...]: ...
@overload
def numbers(flag: str, text: str | None) -> tuple[float, ...] | None: ...
@overload
def numbers(flag: str, text: str | None, kind: type[int]) -> tuple[int, ...] | None: ...
def numbers(flag: str, text: str | None, kind: type = float) -> Any:
    """The numbers of a comma-separated list, None where nothing was said (raises UsageError)."""
    if text is None:
        return None
    try:
        return tuple(kind(part) for part in text.split(","))
    except ValueError:
        raise UsageError(f"{flag} takes numbers with commas between them", found=f"'{text}'") from None
