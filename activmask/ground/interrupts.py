"""Signals that ask a program to end: Ctrl-C, and what schedulers, containers and closed terminals send."""

import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from multiprocessing import resource_tracker
from threading import Timer, current_thread, main_thread
from types import FrameType
from typing import Any

_OF_OTHERS = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Windows has no terminals that hang up."""
_ENDING = (signal.SIGINT, *_OF_OTHERS)

_A_MOMENT = 0.02
"""Seconds; what is freed then takes less, and if not, it is sent once more."""


class Stopped(KeyboardInterrupt):
    """This process was asked to end as by Ctrl-C, by another signal."""

    def __init__(self, number: int) -> None:
        """For the signal of that number."""
        super().__init__(signal.Signals(number).name)
        self.number = number


def stop_behind(error: BaseException | None) -> KeyboardInterrupt | None:
    """The request to end that an error is, or that it arose from; None for any other error."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error


@contextmanager
def termination_raised() -> Iterator[list[int]]:
    """Have SIGTERM and SIGHUP raise `Stopped` meanwhile, as Ctrl-C raises KeyboardInterrupt.

    For programs; a library leaves signals to whoever runs it. What this process was told to ignore, as
    by `nohup`, stays ignored. While one request is heeded, further ones are not: they would interrupt
    the tidying up. Gives the numbers of the signals that arrived.
    """
    heard: list[int] = []

    def stop(number: int, _: FrameType | None) -> None:
        heard.append(number)
        if stop_behind(sys.exception()) is None:
            raise Stopped(number)

    before = [number for number in _OF_OTHERS if signal.getsignal(number) is signal.SIG_DFL]
    try:
        for number in before:
            signal.signal(number, stop)
        with _raised_again_where_ignored():
            yield heard
    finally:
        for number in before:
            signal.signal(number, signal.SIG_DFL)


@contextmanager
def _raised_again_where_ignored() -> Iterator[None]:
    """Send a signal anew whose exception came up where Python ignores any, as while an object is freed."""
    before = sys.unraisablehook

    def heard(lost: Any) -> None:
        if isinstance(lost.exc_value, KeyboardInterrupt):
            # Not from here: an exception that comes up in this function is ignored as well.
            Timer(_A_MOMENT, _send, [getattr(lost.exc_value, "number", signal.SIGINT)]).start()
        else:
            before(lost)

    sys.unraisablehook = heard
    try:
        yield
    finally:
        sys.unraisablehook = before


def _send(number: int) -> None:
    ident = main_thread().ident
    if hasattr(signal, "pthread_kill") and ident is not None:
        signal.pthread_kill(ident, number)
    else:
        signal.raise_signal(number)


@contextmanager
def sigterm_kept() -> Iterator[None]:
    """Keep what SIGTERM means in this process, whatever a library makes of it meanwhile."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before is not None and current_thread() is main_thread():
            signal.signal(signal.SIGTERM, before)


@contextmanager
def children_deaf_to_interrupts() -> Iterator[None]:
    """Keep these signals from the processes that are started meanwhile, from their first instruction on.

    This process decides what they mean and ends its children, by other means than SIGTERM. One that
    arrives meanwhile is delivered afterwards; a system without signal masks lets its children hear it.
    """
    with put_off():
        if not hasattr(signal, "pthread_sigmask"):
            yield
            return
        # Starting it, which the first child would do, lifts the mask again.
        resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def put_off() -> Iterator[None]:
    """Let no handler of these signals raise before the end, whichever thread of this process hears them.

    For what must not be left half done, such as tidying up.
    """
    if current_thread() is not main_thread():
        yield
        return
    heard: list[int] = []
    try:
        with ExitStack() as handlers:
            for number in _ENDING:
                handler = signal.getsignal(number)
                if callable(handler):
                    handlers.callback(signal.signal, number, handler)
                    signal.signal(number, lambda number, _: heard.append(number))
            yield
    finally:
        for number in dict.fromkeys(heard):
            signal.raise_signal(number)
