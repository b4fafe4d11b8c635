"""Where the command line prints, and how failures become sentences and exit codes.

Results go to stdout, talk and progress to stderr. What each exit code means stands in docs/training.md.

Whatever is printed here is text and nothing else: brackets are no markup, colons no emoji, and
characters that are not seen are escaped. A text is one line; lines of one's own are printed one by one,
looks are given as `style`.
"""

import logging
import re
import signal
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import typer
from rich.cells import cell_len
from rich.console import Console
from rich.protocol import is_renderable
from rich.text import Text

from activmask.ground.children import end_children
from activmask.ground.errors import ActivmaskError, DataError, PeerLost, TrainingDiverged, UsageError
from activmask.ground.interrupts import Stopped, stop_behind, termination_raised
from activmask.ground.listed import listed
from activmask.ground.refusals import sure_refusal
from activmask.ground.shown import shown
from activmask.machine.memory import is_out_of_memory

from .streams import readable


class PlainConsole(Console):
    """A console to which every text is one line of characters that are seen, and never markup."""

    def __init__(self, **options: Any) -> None:
        """As rich's, whose options `markup`, `emoji`, `highlight` and `soft_wrap` are settled."""
        super().__init__(markup=False, emoji=False, highlight=False, soft_wrap=True, **options)

    def print(self, *objects: Any, **options: Any) -> None:
        """Print texts, and what knows how it is drawn.

        In a terminal sentences break between words, never within one; `soft_wrap` keeps a line whole that
        is to be copied, such as a command.
        """
        drawn = [one if is_renderable(one) else str(one) for one in objects]
        texts = all(isinstance(one, str | Text) for one in drawn)
        if not (drawn and texts and self.is_terminal and options.keys() <= {"style"}):
            super().print(*drawn, **options)
            return
        whole = Text(" ").join(one if isinstance(one, Text) else self.render_str(one) for one in drawn)
        for line in whole.divide(between_words(whole.plain, self.width)):
            line.rstrip()
            super().print(line, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """A text, in characters that the terminal has; cells and titles of tables come by here too."""
        plain = {"markup": False, "emoji": False, "highlight": False, "highlighter": None}
        return super().render_str(readable(shown(text), self.encoding), **{**options, **plain})


def between_words(text: str, width: int) -> list[int]:
    """Where a text is broken into lines of a width; a word that is longer stays whole."""
    breaks, used = [], 0
    for word in re.finditer(r"\s*\S+\s*", text):
        if used and used + cell_len(word.group().rstrip()) > width:
            breaks.append(word.start())
            used = 0
        used += cell_len(word.group())
    return breaks


out = PlainConsole()
err = PlainConsole(stderr=True)

TRAINING_FAILED = 4
"""The exit code where some training did not come to its end."""


def write(text: str) -> None:
    """Write text for programs to stdout as it is; whoever formats it keeps control codes out."""
    out.file.write(text)
    out.file.flush()


def tell_error(sentence: object) -> None:
    """Print what went wrong."""
    err.print(err.render_str("error:", style="bold red"), sentence)


def exit_code(error: ActivmaskError) -> int:
    """The process exit code that tells a script what kind of failure this was."""
    if isinstance(error, UsageError):
        return 2
    return TRAINING_FAILED if isinstance(error, TrainingDiverged | PeerLost) else 3


_WAYS = {
    "out": "another --out",
    "resume": "--resume to go on with it",
    "overwrite": "--overwrite to replace it",
    "split_policy": "--split-policy subject to split by subject alone",
    "split_ratio": "another --split-ratio",
    "train_images": "a smaller --train-images",
    "valid_images": "a smaller --valid-images",
    "test_images": "a smaller --test-images",
}
"""What the library calls by the name of an argument, as flags."""


@contextmanager
def failures_as_sentences(*flags: str, **others: str) -> Iterator[None]:
    """Print a user's failure as one sentence on stderr and leave with its exit code.

    Args:
        *flags: arguments of the command, by name, that settle failures which have them as ways.
        **others: those that it calls otherwise, by name, each in words such as `another --report`.
    """
    words = {flag: _WAYS[flag] for flag in flags} | others
    try:
        _check_working_folder()
        with _notes_on_stderr():
            yield
    except ActivmaskError as error:
        if named := [words[way] for way in error.ways if way in words]:
            error.advice = f"give {listed(named, 'or')}"
        tell_error(error)
        raise typer.Exit(exit_code(error)) from None
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        refusal = DataError("there is not enough memory for this; ask for less at once")
        tell_error(refusal)
        raise typer.Exit(exit_code(refusal)) from None
    except OSError as error:
        known = sure_refusal(error)
        if known is None:
            raise
        tell_error(known)
        raise typer.Exit(exit_code(known)) from None
    except KeyboardInterrupt as stop:
        _say_why(stop)
        raise typer.Exit(_code(stop)) from stop


@contextmanager
def _notes_on_stderr() -> Iterator[None]:
    """Print what the library's loggers tell, once where commands call commands."""
    notes = logging.getLogger("activmask")
    if notes.handlers:
        yield
        return
    printer = logging.Handler()
    printer.emit = lambda record: err.print(f"note: {record.getMessage()}")  # type: ignore[method-assign]
    notes.addHandler(printer)
    try:
        yield
    finally:
        notes.removeHandler(printer)


@contextmanager
def others_talk_aside() -> Iterator[None]:
    """Send to stderr what code of the user's prints to stdout, where results stand alone."""
    with redirect_stdout(sys.stderr):
        yield


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


def _check_working_folder() -> None:
    try:
        Path.cwd()
    except OSError as error:
        raise DataError(
            f"the folder in which this was started is gone ({error.strerror})", advice="change to another"
        ) from error


@contextmanager
def plain_usage_errors() -> Iterator[None]:
    """Escape what messages of typer quote from the command line; it prints them itself."""
    try:
        yield
    except Exception as error:
        told = vars(error)
        # A command without arguments hands its whole help over as a message.
        if isinstance(told.get("message"), str) and type(error).__name__ != "NoArgsIsHelpError":
            told["message"] = shown(told["message"])
        raise


def tell_warnings() -> None:
    """Have warnings and messages of libraries, which may quote names, come as plain lines on stderr."""
    warnings.showwarning = _show_warning
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(_PlainLines())


def _show_warning(message: Warning | str, category: type[Warning], *_: object, **__: object) -> None:
    err.print(f"warning: {message} ({category.__name__})")


class _PlainLines(logging.Formatter):
    """Messages as one line each."""

    def format(self, record: logging.LogRecord) -> str:
        """The message, its unseen characters escaped."""
        return shown(super().format(record))
