"""The same work on several things at once, in threads.

It is for writing files: digesting, copying and writing bytes do not hold Python's lock.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from activmask.ground.interrupts import put_off
from activmask.machine.device import cores

T = TypeVar("T")

MOST_AT_ONCE = 4
"""More would wait for the disk, and each may hold a copy of what it writes."""


@contextmanager
def worked_on(work: Callable[[T], object], items: Sequence[T]) -> Iterator[Iterator[T]]:
    """Work on some items beside each other, and give them in their order, each once its work is done.

    What the work of one raises comes in the place of that item. When the context is left, however it is,
    all work that was begun is over; what was not is left out.

    Args:
        work: on one item has nothing to do with that on another.
        items: a single one is worked on in this thread, when it is asked for.
    """
    most = min(MOST_AT_ONCE, cores(), len(items))
    if most < 2:
        yield _each_done(items, map(work, items))
        return
    executor = ThreadPoolExecutor(most)
    try:
        yield _each_done(items, executor.map(work, items))
    finally:
        # A second Ctrl-C would leave threads that write to what somebody else may take over.
        with put_off():
            executor.shutdown(cancel_futures=True)


def _each_done(items: Sequence[T], done: Iterator[object]) -> Iterator[T]:
    return (item for item, _ in zip(items, done, strict=True))
