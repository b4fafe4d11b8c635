"""Work on many items at once, results in the order of the items, in bounded memory."""

import logging
import socket
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal, TypeVar

from activmask.ground.children import Spawned, end_children
from activmask.ground.errors import DataError, UsageError
from activmask.ground.interrupts import sigterm_kept
from activmask.ground.limits import PROCESSES

Item = TypeVar("Item")
Result = TypeVar("Result")
Ticket = TypeVar("Ticket")
Engine = Literal["local", "ray"]

_AHEAD = 4
"""Items in flight per worker: enough that none waits for the slowest, few enough to bound memory."""

_KNOCK = 10.0
"""Seconds in which a Ray cluster has to answer."""


def in_order(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    *,
    workers: int,
    ahead: int = _AHEAD,
    engine: Engine = "local",
    address: str | None = None,
) -> Iterator[Result]:
    """Yield `work(item)` for every item, in their order, computed by `workers` processes.

    One local worker computes in this process. `work` and the items have to be picklable; a closed
    iterator stops its workers.

    Args:
        work: a function of a module, or a partial of one.
        items: taken as they are needed.
        workers: processes, at least 1.
        ahead: results that may wait per worker, at least 1.
        engine: processes of this machine, or tasks on a Ray cluster whose nodes all see the files.
        address: of the Ray cluster; None starts one on this machine.

    Raises:
        DataError: a worker process was killed.
        UsageError: fewer than one worker, or Ray is not installed.
    """
    _check_workers(workers)
    return _one_round(work, items, workers, ahead, engine, address)


@contextmanager
def crew(
    work: Callable[[Item], Result],
    *,
    workers: int,
    ahead: int = _AHEAD,
    engine: Engine = "local",
    address: str | None = None,
) -> Iterator[Callable[[Iterable[Item]], Iterator[Result]]]:
    """Workers for several rounds of items: what `in_order` gives for one, as a function of the items.

    Arguments and errors are those of `in_order`. Each round has to end before the next begins.
    """
    _check_workers(workers)
    if engine == "ray":
        with _on_ray(work, workers, ahead, address) as run:
            yield run
    elif workers == 1:
        yield partial(map, work)
    else:
        with _in_processes(work, workers, ahead) as run:
            yield run


def _check_workers(workers: int) -> None:
    PROCESSES.check("workers", workers)


def _one_round(
    work: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int,
    ahead: int,
    engine: Engine,
    address: str | None,
) -> Iterator[Result]:
    with crew(work, workers=workers, ahead=ahead, engine=engine, address=address) as run:
        yield from run(items)


@contextmanager
def _in_processes(
    work: Callable[[Item], Result], workers: int, ahead: int
) -> Iterator[Callable[[Iterable[Item]], Iterator[Result]]]:
    # Forking a process whose libraries run threads can hang it.
    pool = ProcessPoolExecutor(workers, mp_context=Spawned())

    def submit(item: Item) -> Future[Result]:
        return pool.submit(work, item)

    try:
        yield lambda items: _windowed(items, submit, lambda future: future.result(), workers * ahead)
    except KeyboardInterrupt:
        # The pool would let them finish what they are at, which may take minutes.
        end_children()
        raise
    except BrokenProcessPool as error:
        raise _killed() from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _on_ray(
    work: Callable[[Item], Result], workers: int, ahead: int, address: str | None
) -> Iterator[Callable[[Iterable[Item]], Iterator[Result]]]:
    ray = import_ray()
    join_ray(ray, address, None if address else workers)
    try:
        # Ray runs a task again elsewhere when its worker or node is lost.
        task: Any = ray.remote(work_on).options(num_cpus=1, max_retries=3)
        get: Callable[[Any], Result] = ray.get
        yield lambda items: _windowed(items, lambda item: task.remote(work, item), get, workers * ahead)
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError) as error:
        raise _killed() from error
    finally:
        ray.shutdown()


def _windowed(
    items: Iterable[Item],
    submit: Callable[[Item], Ticket],
    result: Callable[[Ticket], Result],
    most: int,
) -> Iterator[Result]:
    """The results in the order of the items, with at most `most` of them submitted and not yet taken."""
    waiting: deque[Ticket] = deque()
    for item in items:
        waiting.append(submit(item))
        if len(waiting) >= most:
            yield result(waiting.popleft())
    while waiting:
        yield result(waiting.popleft())


def import_ray() -> Any:
    """The module `ray`.

    Raises:
        UsageError: Ray is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise UsageError("the engine ray needs Ray: pip install 'activmask[ray]'") from error
    return ray


def join_ray(ray: Any, address: str | None, cpus: int | None = None) -> None:
    """Join the Ray cluster at `address`; None starts one on this machine, with `cpus` or all of its cores.

    Raises:
        DataError: no cluster answers there, or it wants a token.
    """
    try:
        _knock(address or "")
        with sigterm_kept():
            ray.init(
                address=address or "local",
                num_cpus=cpus,
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
    except (OSError, OverflowError, ValueError, RuntimeError, ray.exceptions.RayError) as error:
        where = f"at {address}" if address else "on this machine"
        # Ray tells a refusal in the text of other errors alone.
        if "AuthenticationError" in traceback.format_exc():
            raise DataError(
                f"the Ray cluster {where} wants its token; set RAY_AUTH_MODE=token where that token is stored"
            ) from error
        raise DataError(f"no Ray cluster can be reached {where}; start one, or give its address") from error


def _knock(address: str) -> None:
    """Raise OSError where nobody listens: Ray itself would keep trying for many minutes."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), timeout=_KNOCK).close()


def work_on(work: Callable[[Item], Result], item: Item) -> Result:
    """Call `work` on an item; Ray takes plain functions alone, and `work` may be a partial."""
    return work(item)


def _killed() -> DataError:
    return DataError("a worker process was killed, perhaps for want of memory; run again with fewer workers")
