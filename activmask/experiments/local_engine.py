"""Jobs in processes of this machine, one process per job."""

import os
import signal
from contextlib import suppress
from multiprocessing import connection
from time import monotonic

from activmask.experiments.jobs import Ended, Job, run_job, with_threads
from activmask.ground.children import Spawned, SpawnedChild
from activmask.machine.device import cores

_STOPPING = 10.0
"""Seconds that running jobs get to tidy up when the sweep is over; schedulers often give it 30."""

_STOP = getattr(signal, "SIGUSR1", signal.SIGTERM)
"""What a sweep sends to its jobs, deaf to what others send to all processes; Windows ends them by it."""


class LocalEngine:
    """Worker processes, each on its share of the cores and, where there are some, on one GPU."""

    def __init__(self, slots: int, *, gpus: tuple[str, ...] = ()) -> None:
        """For at most `slots` jobs at once, which take turns on `gpus`, as CUDA numbers them."""
        self.slots = slots
        self._threads = max(1, cores() // slots)
        self._gpus = gpus
        self._context = Spawned()
        self._running: dict[str, tuple[SpawnedChild, connection.Connection, str | None]] = {}

    def start(self, job: Job) -> None:
        """Begin a job in a process of its own."""
        ours, theirs = self._context.Pipe(duplex=False)
        gpu = self._idlest_gpu()
        process = self._context.Process(
            target=_work, args=(with_threads(job, self._threads), theirs, gpu), name=job.name
        )
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
        process, line, _ = self._running.pop(name)
        process.join()
        try:
            line.recv()
            error = line.recv()
        except EOFError:
            error = f"its process was killed ({_how(process.exitcode)}), perhaps for want of memory"
        line.close()
        return Ended(name=name, error=error)

    def close(self) -> None:
        """Stop what runs, as Ctrl-C would, and kill what does not; every epoch that ended is on disk."""
        for process, line, _ in self._running.values():
            if process.pid is not None and line.poll():
                os.kill(process.pid, _STOP)
            else:
                process.kill()
        going, until = {process.sentinel for process, _, _ in self._running.values()}, monotonic() + _STOPPING
        while going and (left := until - monotonic()) > 0:
            going -= {one for one in connection.wait(going, left) if isinstance(one, int)}
        for process, line, _ in self._running.values():
            process.kill()
            process.join()
            line.close()
        self._running.clear()


def _how(code: int | None) -> str:
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"


def _work(job: Job, line: connection.Connection, gpu: str | None) -> None:
    signal.signal(_STOP, signal.default_int_handler)
    line.send("begun")
    if gpu is not None:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu
    with suppress(KeyboardInterrupt):
        line.send(run_job(job))
