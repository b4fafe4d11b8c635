"""Jobs in processes of this machine, which stay warm: one after another runs in the same process.

A process serves one GPU and one number of threads. What fails ends it, as an error may leave memory
taken or a CUDA context unusable; the next job starts a new one.
"""

import gc
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import connection
from time import monotonic

import torch

from activmask.experiments.jobs import Ended, Job, run_job, with_threads
from activmask.ground.children import Spawned, SpawnedChild
from activmask.machine.device import cores
from activmask.machine.settings_kept import settings_kept
from activmask.training.feed.reading import Reading

_STOPPING = 10.0
"""Seconds that running jobs get to tidy up when the sweep is over; schedulers often give it 30."""

_STOP = getattr(signal, "SIGUSR1", signal.SIGTERM)
"""What a sweep sends to its jobs, deaf to what others send to all processes; Windows ends them by it."""


@dataclass(frozen=True)
class Place:
    """What a process is set to from its first job on."""

    gpu: str | None
    """As CUDA numbers it; None leaves the environment as it is."""
    threads: int


@dataclass(eq=False, kw_only=True)
class _Worker:
    """A process that takes jobs."""

    process: SpawnedChild
    line: connection.Connection
    """Jobs go there; first that it listens comes back, then an error for each job."""
    place: Place
    begun: bool = False


class LocalEngine:
    """Worker processes, each on its share of the cores and, where there are some, on one GPU."""

    def __init__(self, slots: int, *, gpus: tuple[str, ...] = ()) -> None:
        """For at most `slots` jobs at once, which take turns on `gpus`, as CUDA numbers them."""
        self.slots = slots
        self._threads = max(1, cores() // slots)
        self._gpus = gpus
        self._context = Spawned()
        self._running: dict[str, _Worker] = {}
        self._idle: list[_Worker] = []

    def start(self, job: Job) -> None:
        """Begin a job in a process that waits for one, or else in a new one."""
        job = with_threads(job, self._threads)
        place = Place(self._idlest_gpu(), job.config.machine.threads)
        worker = self._waiting(place)
        if worker is None or not _handed(job, worker):
            worker = self._new(place)
            # If it is gone already, its end will be seen as that of the job.
            _handed(job, worker)
        self._running[job.name] = worker

    def _idlest_gpu(self) -> str | None:
        taken = [worker.place.gpu for worker in self._running.values()]
        return min(self._gpus, key=taken.count, default=None)

    def _waiting(self, place: Place) -> _Worker | None:
        """An idle process of that place; without one, another gives way where there is no room."""
        found = next((worker for worker in self._idle if worker.place == place), None)
        if found is not None:
            self._idle.remove(found)
        elif self._idle and len(self._running) + len(self._idle) >= self.slots:
            _ended_now(self._idle.pop(0))
        return found

    def _new(self, place: Place) -> _Worker:
        ours, theirs = self._context.Pipe()
        process = self._context.Process(target=_work, args=(theirs, place.gpu), name="activmask-cell")
        process.start()
        theirs.close()
        return _Worker(process=process, line=ours, place=place)

    def ended(self, seconds: float) -> list[Ended]:
        """Jobs that are over or whose process has ended, in order or not."""
        until = monotonic() + seconds
        while True:
            over = [
                Ended(name=name, error=error)
                for name, worker in self._running.items()
                if (error := _error_of(worker)) is not None
            ]
            left = until - monotonic()
            if over or left <= 0:
                break
            workers = self._running.values()
            connection.wait(
                [one for worker in workers for one in (worker.line, worker.process.sentinel)], left
            )
        for one in over:
            worker = self._running.pop(one.name)
            if one.error:
                _ended_now(worker)
            else:
                self._idle.append(worker)
        return over

    def close(self) -> None:
        """Stop what runs, as Ctrl-C would, and kill what does not; every epoch that ended is on disk."""
        running = list(self._running.values())
        for worker in running:
            if worker.process.pid is not None and (worker.begun or worker.line.poll()):
                os.kill(worker.process.pid, _STOP)
            else:
                worker.process.kill()
        going, until = {worker.process.sentinel for worker in running}, monotonic() + _STOPPING
        while going and (left := until - monotonic()) > 0:
            going -= {one for one in connection.wait(going, left) if isinstance(one, int)}
        for worker in (*running, *self._idle):
            _ended_now(worker)
        self._running.clear()
        self._idle.clear()


def _handed(job: Job, worker: _Worker) -> bool:
    """Give a job to a process; False where that has ended."""
    try:
        worker.line.send(job)
    except OSError:
        _ended_now(worker)
        return False
    return True


def _error_of(worker: _Worker) -> str | None:
    """What became of a process's job: empty when it is done, else why not; None while it runs."""
    try:
        while worker.line.poll():
            said = worker.line.recv()
            if worker.begun:
                return str(said)
            worker.begun = True
        if worker.process.is_alive() or worker.line.poll():
            return None
    except (EOFError, OSError):
        # The other end is closed, however that process ended.
        worker.process.join()
    return f"its process was killed ({_how(worker.process.exitcode)}), perhaps for want of memory"


def _ended_now(worker: _Worker) -> None:
    """End a process that has nothing left to do."""
    worker.process.kill()
    worker.process.join()
    worker.line.close()


def _how(code: int | None) -> str:
    return f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"


def _work(line: connection.Connection, gpu: str | None) -> None:
    signal.signal(_STOP, signal.default_int_handler)
    with suppress(KeyboardInterrupt, EOFError):
        line.send("begun")
        if gpu is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = gpu
        error, reading = "", Reading(decoded={})
        while not error:
            job, reading = line.recv(), reading.still_true()
            with settings_kept():
                error = run_job(job, reading=reading)
            _free_memory()
            line.send(error)


def _free_memory() -> None:
    """Give back what a job held, graphs of CUDA among it, before the next is begun here or beside."""
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()
