"""Where the command line prints, and how failures become sentences and exit codes.

Results go to stdout, talk and progress to stderr. Exit codes: 2 wrong use, 3 bad data,
configuration or checkpoint, 4 training that diverged or lost one of its processes, or a sweep of
which some cells failed, 130 interrupted; 1, with a traceback, is a defect of ours.
"""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import typer
from rich.console import Console

from activmask.ground.children import end_children
from activmask.ground.errors import ActivmaskError, PeerLost, TrainingDiverged, UsageError
from activmask.ground.interrupts import Stopped, stop_behind, termination_raised
from activmask.ground.refusals import sure_refusal

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)

TRAINING_FAILED = 4
"""The exit code where some training did not come to its end."""


def exit_code(error: ActivmaskError) -> int:
    """The process exit code that tells a script what kind of failure this was."""
    if isinstance(error, UsageError):
        return 2
    return TRAINING_FAILED if isinstance(error, TrainingDiverged | PeerLost) else 3


@contextmanager
def failures_as_sentences() -> Iterator[None]:
    """Print a user's failure as one sentence on stderr and leave with its exit code."""
    try:
        yield
    except ActivmaskError as error:
        err.print(f"[bold red]error:[/] {_plain(error)}")
        raise typer.Exit(exit_code(error)) from None
    except OSError as error:
        refusal = sure_refusal(error)
        if refusal is None:
            raise
        err.print(f"[bold red]error:[/] {_plain(refusal)}")
        raise typer.Exit(exit_code(refusal)) from None
    except KeyboardInterrupt as stop:
        _say_why(stop)
        raise typer.Exit(_code(stop)) from stop


@contextmanager
def ending_on_request() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end this program as Ctrl-C does, with the code 128 + their number."""
    with termination_raised() as heard:
        try:
            yield
        except BaseException as error:
            # Libraries may turn it into an error of their own, or into a plain KeyboardInterrupt.
            stop = Stopped(heard[0]) if heard else stop_behind(error)
            if stop is None:
                raise
            end_children()
            if not isinstance(error, SystemExit) or error.code != _code(stop):
                _say_why(stop)
            sys.exit(_code(stop))


def _code(stop: KeyboardInterrupt) -> int:
    return 128 + (stop.number if isinstance(stop, Stopped) else signal.SIGINT)


def _say_why(stop: KeyboardInterrupt) -> None:
    # A terminal that hung up takes no words.
    with suppress(OSError):
        err.print(f"ended by {stop}" if isinstance(stop, Stopped) else "interrupted")


def _plain(error: ActivmaskError) -> str:
    from rich.markup import escape

    return escape(str(error))
