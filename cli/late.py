"""Commands whose flags are made when somebody asks for them, since the tables behind them may have grown."""

import functools
import inspect
import re
from collections.abc import Callable
from copy import copy
from typing import Annotated, Any, get_args

from activmask.ground.shown import shown

Parameters = Callable[[list[inspect.Parameter]], list[inspect.Parameter]]
"""From the parameters that a command was written with to those that it has now."""


class Late:
    """A command that tells its parameters anew each time."""

    def __init__(self, command: Callable[..., None], parameters: Parameters) -> None:
        """Wrap `command`, which takes by keyword whatever `parameters` gives it."""
        functools.update_wrapper(self, command)
        self._command, self._parameters = command, parameters

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        """Run the command."""
        self._command(*args, **kwargs)

    @property
    def __signature__(self) -> inspect.Signature:
        """The parameters that it has now, as `inspect.signature` finds them."""
        written = list(inspect.signature(self._command).parameters.values())
        return inspect.Signature(self._parameters(written))


def with_help(**texts: Callable[[], str]) -> Callable[[Callable[..., None]], Late]:
    """Have options of a command, by the names of their parameters, say what is true by then."""

    def parameters(own: list[inspect.Parameter]) -> list[inspect.Parameter]:
        return [_saying(one, texts[one.name]()) if one.name in texts else one for one in own]

    return lambda command: Late(command, parameters)


def flowing(command: Callable[..., None]) -> str:
    """A command's docstring for its help, where paragraphs break as wide as the terminal is."""
    return re.sub(r"(?<!\n)\n(?!\n)", " ", inspect.getdoc(command) or "")


def plain_help(text: str) -> str:
    """A help text as typer shows it as it is; it would read it as markup."""
    from rich.markup import escape

    # A backslash at the end would be doubled, for a tag that may follow.
    return escape(f"{shown(text)} ").removesuffix(" ")


def _saying(parameter: inspect.Parameter, text: str) -> inspect.Parameter:
    kind, option = get_args(parameter.annotation)
    option = copy(option)
    option.help = plain_help(text)
    return parameter.replace(annotation=Annotated[kind, option])
