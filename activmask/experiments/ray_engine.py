"""Jobs on a Ray cluster, whose nodes may or may not see the folder of the sweep.

Which it is, each job finds out by itself: the driver leaves a beacon in the sweep's folder, and a
job that sees it there trains right there. One that does not trains in a folder of its node, and its
files are sent back when it ends.
"""

import math
import tempfile
from contextlib import chdir
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

from activmask.experiments.jobs import Ended, Job, run_job, with_threads
from activmask.ground.errors import DataError
from activmask.ground.files import write_whole
from activmask.ground.places import real
from activmask.ground.processes import import_ray, join_ray
from activmask.ground.refusals import make_folder, refusals_told
from activmask.runs.first_run import first_file
from activmask.runs.folder import METRICS_FILE, seed_folder

BEACON_FILE = ".ray-sweep"
"""In the sweep's folder while the sweep runs."""

_LOSSES = 3
"""How often a job may lose its worker or node and be run again elsewhere."""

_STOPPING = 10.0
"""Seconds that running jobs get to end when the sweep is over."""

_PARTS = 10_000
"""Ray counts resources in ten thousandths."""

Files = dict[str, bytes]
"""What files hold, by their path in a folder."""


@dataclass(frozen=True, kw_only=True)
class SentJob:
    """A job as a node gets it."""

    job: Job
    """Its folder is absolute."""
    beacon: str
    """What the beacon says."""
    cwd: Path
    """Where the sweep was started: relative paths of data sets begin there."""
    withheld: bool
    """Whether there are files that the job goes on from or begins with, which were not sent along."""
    found: tuple[Any, ...] = ()
    """References to those files, once a node asked for them: of its own folder, then of its first run's."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of a job on its node."""

    lacks_found: bool = False
    """Whether nothing was done for want of the files that were withheld."""
    error: str = ""
    """Why it failed; empty where it is done."""
    files: Files = field(default_factory=dict)
    """Of its folder, where the node does not see the sweep's."""


class RayEngine:
    """Tasks on a Ray cluster, each with its share of a GPU or its CPUs."""

    def __init__(self, address: str | None, max_parallel: int | None, *, device: str) -> None:
        """Join a cluster, unless this process is on one already.

        Args:
            address: of the cluster; None starts one on this machine.
            max_parallel: jobs at once, which share GPUs or CPUs where there are fewer; None is one
                for each, counted anew as nodes come and go.
            device: of the jobs. `cuda` asks for GPUs, and `auto` does where the cluster has some.

        Raises:
            UsageError: Ray is not installed.
            DataError: no cluster is there, or none of its nodes offers such a device.
        """
        self._ray = import_ray()
        self._ours = not self._ray.is_initialized()
        if self._ours:
            join_ray(self._ray, address)
        self._most = max_parallel
        self._running: dict[Any, tuple[Job, int]] = {}
        self._beacons: dict[Path, str] = {}
        # A process sees the GPU of its first task for good, so each gets a process of its own.
        self._work: Any = self._ray.remote(max_calls=1)(work_on_node)
        gpus = self._ray.cluster_resources().get("GPU", 0)
        self._kind = "GPU" if device == "cuda" or (device == "auto" and gpus) else "CPU"
        if self._units() < 1:
            self.close()
            raise DataError(f"no node of the Ray cluster offers a {self._kind}; start one that does")
        self.slots = self._room()

    def _units(self) -> float:
        return float(self._ray.cluster_resources().get(self._kind, 0))

    def _room(self) -> int:
        return self._most or max(1, int(self._units()))

    def start(self, job: Job) -> None:
        """Hand a job to the cluster, which may keep it waiting for a node."""
        self._submit(_absolute(with_threads(job, 1)), losses=0)

    def _submit(self, job: Job, losses: int, *, send: bool = False) -> None:
        holds = job.folder.is_dir() and any(job.folder.iterdir())
        task = SentJob(
            job=job,
            beacon=self._beacon(job.folder.parent),
            cwd=Path.cwd(),
            withheld=(holds or job.first is not None) and not send,
            found=tuple(self._ray.put(files) for files in _needed(job)) if send else (),
        )
        # Ray's own retries know no end where the memory is too small; _lose counts them.
        handle = self._work.options(max_retries=0, **self._share(job)).remote(task)
        self._running[handle] = (job, losses)

    def _beacon(self, folder: Path) -> str:
        if folder not in self._beacons:
            self._beacons[folder] = uuid4().hex
            make_folder(folder)
            with refusals_told(folder / BEACON_FILE):
                (folder / BEACON_FILE).write_text(self._beacons[folder], encoding="utf-8")
        return self._beacons[folder]

    def _share(self, job: Job) -> dict[str, float]:
        """The resources of a job: whole units, or a part of one where more jobs than units are wanted."""
        units = self._units()
        together = math.ceil(self.slots / units) if units else 1
        part = _PARTS // together / _PARTS
        if self._kind == "GPU":
            return {"num_gpus": part, "num_cpus": 0}
        most = max(
            (node["Resources"].get("CPU", 0) for node in self._ray.nodes() if node["Alive"]), default=1
        )
        return {"num_cpus": part if together > 1 else max(1, min(job.config.machine.threads, int(most)))}

    def ended(self, seconds: float) -> list[Ended]:
        """Jobs that ended; one whose worker or node was lost has not, and runs again elsewhere."""
        self.slots = self._room()
        handles = list(self._running)
        if not handles or not self._ray.wait(handles, num_returns=1, timeout=seconds)[0]:
            return []
        over, _ = self._ray.wait(handles, num_returns=len(handles), timeout=0)
        return [ended for handle in over if (ended := self._collect(handle))]

    def _collect(self, handle: Any) -> Ended | None:
        job, losses = self._running.pop(handle)
        failures = self._ray.exceptions
        try:
            return self._take(job, losses, self._ray.get(handle))
        except (
            failures.WorkerCrashedError,
            failures.NodeDiedError,
            failures.LocalRayletDiedError,
            failures.OutOfMemoryError,
            failures.ObjectLostError,
        ) as error:
            return self._lose(job, losses + 1, error)
        except failures.RayError as error:
            # Where the error is a traceback, its last line says what happened.
            *_, why = str(error).strip().splitlines() or [type(error).__name__]
            return Ended(name=job.name, error=f"Ray could not run it ({why}); every node needs activmask")

    def _take(self, job: Job, losses: int, outcome: Outcome) -> Ended | None:
        if outcome.lacks_found:
            self._submit(job, losses, send=True)
            return None
        try:
            write_files(job, outcome.files)
        except DataError as error:
            return Ended(name=job.name, error=str(error))
        return Ended(name=job.name, error=outcome.error)

    def _lose(self, job: Job, losses: int, error: Exception) -> Ended | None:
        if losses <= _LOSSES:
            self._submit(job, losses)
            return None
        why = f"its worker or node was lost {losses} times, perhaps for want of memory"
        return Ended(name=job.name, error=f"{why}; run fewer jobs at once ({type(error).__name__})")

    def close(self) -> None:
        """Kill what runs, and leave the cluster if it was joined here; what is on disk stays."""
        for folder in self._beacons:
            (folder / BEACON_FILE).unlink(missing_ok=True)
        self._beacons.clear()
        handles = list(self._running)
        for handle in handles:
            self._ray.cancel(handle, force=True)
        if handles:
            # No orphan may write where the next sweep does.
            self._ray.wait(handles, num_returns=len(handles), timeout=_STOPPING)
        self._running.clear()
        if self._ours:
            self._ray.shutdown()


def work_on_node(task: SentJob) -> Outcome:
    """Run a job on a node: in its folder if the node sees that, else in a temporary one."""
    with chdir(task.cwd if task.cwd.is_dir() else Path.cwd()):
        if sees_beacon(task):
            return Outcome(error=run_job(task.job))
        return Outcome(lacks_found=True) if task.withheld else _run_aside(task)


def sees_beacon(task: SentJob) -> bool:
    """Whether the sweep's folder is the same here as on the driver."""
    try:
        return (task.job.folder.parent / BEACON_FILE).read_text(encoding="utf-8") == task.beacon
    except (OSError, UnicodeDecodeError):
        return False


def _run_aside(task: SentJob) -> Outcome:
    with tempfile.TemporaryDirectory(prefix="activmask-") as scratch:
        job = _moved(task.job, Path(scratch))
        for one, reference in zip(filter(None, (job, job.first)), task.found, strict=False):
            write_files(one, import_ray().get(reference))
        return Outcome(error=run_job(job, known_as=task.job.folder), files=read_files(job.folder))


def _absolute(job: Job) -> Job:
    return replace(job, folder=real(job.folder), first=job.first and _absolute(job.first))


def _moved(job: Job, place: Path) -> Job:
    """The job with its folder, and that of the run that it begins with, in another one."""
    return replace(job, folder=place / job.folder.name, first=job.first and _moved(job.first, place))


def _needed(job: Job) -> list[Files]:
    """The files of a job, and those that it begins with, for a node that does not see the sweep's folder."""
    found = [read_files(job.folder)]
    if job.first is not None:
        paths = [first_file(job.config.robustness, seed, job.first_run) for seed in job.seeds]
        there = [path for path in paths if path is not None and path.is_file()]
        found.append({path.relative_to(job.first.folder).as_posix(): path.read_bytes() for path in there})
    return found


def read_files(folder: Path) -> Files:
    """Everything in a job's folder, but for what a killed writer left half-written."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.name.startswith(".")]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def write_files(job: Job, files: Files) -> None:
    """Put files into a job's folder in such an order that it is never taken for finished too soon.

    Raises:
        DataError: the file system refuses.
    """
    for seed in job.seeds if files else ():
        with refusals_told(stale := seed_folder(job.folder, seed) / METRICS_FILE, "removed"):
            stale.unlink(missing_ok=True)
    for name in sorted(files, key=lambda name: name.endswith(METRICS_FILE)):
        path = job.folder / name
        make_folder(path.parent)
        write_whole(path, files[name])
