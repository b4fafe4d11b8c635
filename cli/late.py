"""Commands whose flags are made when somebody asks for them, since the tables behind them may have grown."""

import functools
import inspect
from collections.abc import Callable
from typing import Any

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
