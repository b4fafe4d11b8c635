"""Ctrl-C, which a terminal sends to every process it runs."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker


@contextmanager
def children_deaf_to_interrupts() -> Iterator[None]:
    """Keep Ctrl-C from the processes that are started meanwhile, from their first instruction on.

    This process decides what an interrupt means and ends them. One that arrives meanwhile is
    delivered afterwards; a system without signal masks lets its children hear it.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    # Starting it, which the first child would do, lifts the mask again.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
