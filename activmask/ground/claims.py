"""Places that one process at a time may write to.

A claim is the operating system's advisory lock (flock) on a small hidden file that says whose it is. The
system ends the lock with its process, however that ends, so what a dead owner left is taken over; the
file goes with the claim. Readers claim nothing.

Between machines the promise is that of the shared file system: NFS through its lock service, SMB, Lustre
mounted with flock and the like keep it; mounts that lock on one machine alone (nolock, localflock) keep
it there; where there are no locks, and on Windows, a note says so and the work goes on.
"""

import errno
import json
import logging
import os
import socket
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from activmask.ground.errors import PATH, DataError
from activmask.ground.interrupts import put_off
from activmask.ground.places import real
from activmask.ground.refusals import refused

if sys.platform != "win32":
    import fcntl

NOTES = logging.getLogger(__name__)
"""Where is told what a claim met."""

_SUFFIX = ".activmask-lock"
_MOST_BYTES = 1_000_000
_CONTENDED = {errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK}
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL}
_NOT_WRITABLE = {
    errno.EACCES,
    errno.EEXIST,
    errno.ENAMETOOLONG,
    errno.ENOTDIR,
    errno.EPERM,
    errno.EROFS,
}
"""Nothing can be written at such a place, which the work itself says better than a lock would."""

_TRIES = 100
"""How often a lock may vanish while it is taken; where every file does, as in /proc, there is none."""

_HELD: set[int] = set()
"""Descriptors of this process's locks, which no process forked from it may keep alive."""


class InUse(DataError):
    """Another process is writing at this place."""


@dataclass(frozen=True, kw_only=True)
class Owner:
    """Who holds a claim."""

    host: str = field(default_factory=socket.gethostname)
    process: int = field(default_factory=os.getpid)
    since: str = field(default_factory=lambda: f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC")
    parts: tuple[str, ...] = ()
    """Names of folders inside the place that are claimed with it."""

    def __str__(self) -> str:
        """As the sentence that refuses others names it."""
        return f"process {self.process} on {self.host} since {self.since}"


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A place that nobody else may write to for now."""

    place: Path
    """From the root of the file system, as far as its folder goes without links."""
    what: str
    """The place is called in sentences."""
    certain: bool
    """Whether others are kept away; False where there are no locks, or nothing can be written."""


def lock_beside(place: Path) -> Path:
    """The hidden file whose lock is the claim on a place, however the way there is spelled."""
    whole = _spelled_once(place)
    return whole.with_name(f".{whole.name}{_SUFFIX}")


def _spelled_once(place: Path) -> Path:
    return real(place) if place.name in {"", ".."} else real(place.parent) / place.name


@contextmanager
def claimed(
    place: Path, what: str, *, lock: Path | None = None, parts: Iterable[str] = ()
) -> Iterator[Claim]:
    """Keep every other process, and every other caller in this one, from claiming a place meanwhile.

    Args:
        place: a file or a folder; it need not exist.
        what: the place is called in the error.
        lock: the hidden file; beside the place by default, since a folder that is replaced cannot hold it.
        parts: names of folders inside the place that are claimed with it.

    Raises:
        InUse: another has claimed it.
        DataError: the lock cannot be written.
    """
    mine, made = os.getpid(), list[Path]()
    descriptor: int | None = None
    try:
        try:
            with put_off():
                lock = lock or lock_beside(place)
                made += [folder for folder in (lock.parent, *lock.parents) if not folder.exists()]
                descriptor = _taken(lock, place, what)
                if descriptor is not None:
                    _sign(descriptor, Owner(parts=tuple(parts)))
            claim = Claim(place=_spelled_once(place), what=what, certain=descriptor is not None)
        except OSError as error:
            raise refused(error, place, "claimed") from error
        yield claim
    finally:
        # A process that was forked meanwhile has no part in the claim.
        if os.getpid() == mine:
            with put_off():
                _end_claim(lock, descriptor, made)


def _end_claim(lock: Path | None, descriptor: int | None, made: Sequence[Path]) -> None:
    if lock is not None and descriptor is not None:
        with suppress(OSError):  # a file without a lock claims nothing
            if _lies_at(lock, descriptor):
                lock.unlink()
        _let_go(descriptor)
    for folder in made:
        with suppress(OSError):
            folder.rmdir()


def owner_of(lock: Path) -> Owner | None:
    """Who holds a lock right now; None where nobody does, or nobody can tell."""
    if sys.platform == "win32":
        return None
    try:
        descriptor = _opened(lock, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError as error:
        return _owner_in(descriptor) if error.errno in _CONTENDED else None
    finally:
        _let_go(descriptor)
    return None


def in_use(place: Path, what: str, owner: Owner | None) -> InUse:
    """The refusal of a place that somebody else writes to; None is somebody who has not signed yet."""
    return InUse(
        f"the {what} {PATH} is being written by {owner or 'another process'}",
        path=place,
        advice="wait for its end, or choose another place",
    )


def _taken(lock: Path, place: Path, what: str) -> int | None:
    """A descriptor of the file at `lock`, locked; None where there is none to be had."""
    if sys.platform == "win32":
        _tell_no_lock(place, what, "Windows")
        return None
    for _ in range(_TRIES):
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            descriptor = _opened_to_own(lock)
        except FileNotFoundError:
            continue  # another claim has taken the folder along
        except OSError as error:
            if error.errno in _NOT_WRITABLE:
                return None
            raise
        if not _locked(descriptor, lock, place, what):
            return None
        if _is_ours(lock, descriptor):
            return descriptor
        _let_go(descriptor)
    return None


def _locked(descriptor: int, lock: Path, place: Path, what: str) -> bool:
    """Lock a file that was opened, which is closed otherwise; whether there are locks here."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        owner = _owner_in(descriptor)
        _let_go(descriptor)
        if error.errno in _CONTENDED:
            raise in_use(place, what, owner) from error
        if error.errno == errno.EBADF:
            raise _of_another_user(lock, place, what) from error
        if error.errno not in _NO_LOCKS:
            raise
        lock.unlink(missing_ok=True)
        _tell_no_lock(place, what, error.strerror)
        return False
    return True


def _of_another_user(lock: Path, place: Path, what: str) -> DataError:
    """The refusal of NFS, which takes no exclusive lock of a file that may only be read."""
    if (owner := owner_of(lock)) is not None:
        return in_use(place, what, owner)
    return DataError(
        f"the lock {PATH} is another user's and cannot be taken over on this file system",
        path=lock,
        advice=f"remove it if nobody writes the {what} any more",
    )


def _opened_to_own(lock: Path) -> int:
    try:
        return _opened(lock, os.O_RDWR | os.O_CREAT)
    except PermissionError:
        if not lock.exists():
            raise
        # That of another user can still be asked whether it is held.
        return _opened(lock, os.O_RDONLY)


def _opened(lock: Path, how: int) -> int:
    descriptor = os.open(lock, how | getattr(os, "O_NOFOLLOW", 0), 0o666)
    _HELD.add(descriptor)
    return descriptor


def _lies_at(lock: Path, descriptor: int) -> bool:
    """Whether a file that was opened is the one that others find."""
    try:
        return os.path.samestat(os.fstat(descriptor), lock.lstat())
    except FileNotFoundError:
        return False


def _is_ours(lock: Path, descriptor: int) -> bool:
    """Whether a locked file still lies where others look for it, and this user can sign it."""
    if not _lies_at(lock, descriptor):
        return False
    if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY:
        lock.unlink()
        return False
    return True


def _sign(descriptor: int, owner: Owner) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, json.dumps(asdict(owner)).encode(), 0)


def _owner_in(descriptor: int) -> Owner | None:
    try:
        found = json.loads(os.pread(descriptor, _MOST_BYTES, 0))
        return Owner(
            host=str(found["host"]),
            process=int(found["process"]),
            since=str(found["since"]),
            parts=tuple(map(str, found["parts"])),
        )
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None


def _tell_no_lock(place: Path, what: str, why: str | None) -> None:
    NOTES.warning(
        "nothing keeps other processes from the %s %s: its file system has no locks (%s)", what, place, why
    )


def _let_go(descriptor: int) -> None:
    _HELD.discard(descriptor)
    os.close(descriptor)


def _let_go_of_all() -> None:
    for descriptor in tuple(_HELD):
        _let_go(descriptor)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_let_go_of_all)
