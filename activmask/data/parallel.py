"""Work on many items in several processes, results in the order of the items, in bounded memory."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

from activmask.errors import DataError, UsageError

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 4
"""Items in flight per worker: enough that none waits for the slowest, few enough to bound memory."""


def in_order(
    work: Callable[[Item], Result], items: Iterable[Item], *, workers: int, ahead: int = _AHEAD
) -> Iterator[Result]:
    """Yield `work(item)` for every item, in their order, computed by `workers` processes.

    One worker computes in this process. `work` and the items have to be picklable; a closed
    iterator stops its workers.

    Args:
        work: a function of a module, or a partial of one.
        items: taken as they are needed.
        workers: processes, at least 1.
        ahead: results that may wait per worker, at least 1.

    Raises:
        DataError: a worker process was killed.
        UsageError: fewer than one worker.
    """
    if workers < 1:
        raise UsageError(f"workers must be at least 1; found {workers}")
    if workers == 1:
        yield from map(work, items)
        return
    # Forking a process whose libraries run threads can hang it.
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"))
    waiting: deque[Future[Result]] = deque()
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= workers * ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    except BrokenProcessPool as error:
        raise DataError(
            "a worker process was killed, perhaps for want of memory; run again with fewer workers"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
