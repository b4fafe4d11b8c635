"""Jobs in processes of this machine, one process per job."""

import os
from multiprocessing import connection, get_context, parent_process
from multiprocessing.context import SpawnProcess
from threading import Thread

from activmask.experiments.jobs import Ended, Job, run_job, with_threads
from activmask.ground.interrupts import children_deaf_to_interrupts
from activmask.machine.device import cores


class LocalEngine:
    """Worker processes, each on its share of the cores and, where there are some, on one GPU."""

    def __init__(self, slots: int, *, gpus: tuple[str, ...] = ()) -> None:
        """For at most `slots` jobs at once, which take turns on `gpus`, as CUDA numbers them."""
        self.slots = slots
        self._threads = max(1, cores() // slots)
        self._gpus = gpus
        self._context = get_context("spawn")
        self._running: dict[str, tuple[SpawnProcess, connection.Connection, str | None]] = {}

    def start(self, job: Job) -> None:
        """Begin a job in a process of its own."""
        ours, theirs = self._context.Pipe(duplex=False)
        gpu = self._idlest_gpu()
        process = self._context.Process(
            target=_work, args=(with_threads(job, self._threads), theirs, gpu), name=job.name
        )
        with children_deaf_to_interrupts():
            process.start()
        theirs.close()
        self._running[job.name] = (process, ours, gpu)

    def _idlest_gpu(self) -> str | None:
        taken = [gpu for _, _, gpu in self._running.values()]
        return min(self._gpus, key=taken.count, default=None)

    def ended(self, seconds: float) -> list[Ended]:
        """Jobs whose process has ended, in order or not."""
        ready = connection.wait([process.sentinel for process, _, _ in self._running.values()], seconds)
        over = [name for name, (process, _, _) in self._running.items() if process.sentinel in ready]
        return [self._collect(name) for name in over]

    def _collect(self, name: str) -> Ended:
        process, answer, _ = self._running.pop(name)
        process.join()
        try:
            error = answer.recv()
        except EOFError:
            error = f"its process was killed ({_how(process.exitcode)}), perhaps for want of memory"
        answer.close()
        return Ended(name=name, error=error)

    def close(self) -> None:
        """Kill what runs; every epoch that ended is on disk."""
        for process, answer, _ in self._running.values():
            process.kill()
            process.join()
            answer.close()
        self._running.clear()


def _how(code: int | None) -> str:
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"


def _work(job: Job, answer: connection.Connection, gpu: str | None) -> None:
    Thread(target=_end_with_parent, daemon=True).start()
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    answer.send(run_job(job))


def _end_with_parent() -> None:
    """Leave when the sweep is gone, so that no orphan writes where its successor does."""
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
