"""What file systems refuse, as sentences that name the path, the system's reason and what to do."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from activmask.ground.errors import PATH, DataError

_ELSEWHERE = "or choose another place"
_NO_DEFECT = {
    "ENOSPC": f"free the disk {_ELSEWHERE}",
    "EDQUOT": f"free some of your quota {_ELSEWHERE}",
    "EFBIG": f"raise the limit of file sizes (ulimit -f) {_ELSEWHERE}",
    "EROFS": "choose a place that can be written",
    "EACCES": f"ask for the permission {_ELSEWHERE}",
    "EPERM": f"ask for the permission {_ELSEWHERE}",
    "ENAMETOOLONG": "choose a shorter name",
    "ENOTDIR": f"move the file that is in the way {_ELSEWHERE}",
    "ELOOP": f"mend the links on its way {_ELSEWHERE}",
    "EIO": f"check the disk {_ELSEWHERE}",
    "ESTALE": f"check the network's disk {_ELSEWHERE}",
    "ETIMEDOUT": f"check the network's disk {_ELSEWHERE}",
    "ENODEV": f"check that the disk is there {_ELSEWHERE}",
    "ENXIO": f"check that the disk is there {_ELSEWHERE}",
    "EMFILE": "raise the limit of open files (ulimit -n)",
    "ENFILE": "close other programs, which hold too many files open",
    "EBUSY": f"end what else uses it {_ELSEWHERE}",
    "ETXTBSY": f"end what else uses it {_ELSEWHERE}",
}
"""What to do about refusals that are the state of a disk, whatever a program does."""
_OF_A_PLACE = {
    "ENOENT": f"its folder is gone; bring it back {_ELSEWHERE}",
    "EEXIST": f"move what is in the way {_ELSEWHERE}",
    "EISDIR": f"move the folder that is in the way {_ELSEWHERE}",
    "ENOTEMPTY": f"move the folder that is in the way {_ELSEWHERE}",
}
"""The same of those that are a defect too, if nobody but this program had a hand in the place."""


def _by_number(advice: dict[str, str]) -> dict[int, str]:
    return {getattr(errno, name): words for name, words in advice.items() if hasattr(errno, name)}


_SURE = _by_number(_NO_DEFECT)
_ADVICE = _SURE | _by_number(_OF_A_PLACE)
_OF_MORE_THAN_FILES = {errno.EACCES, errno.EPERM}
"""Signals and sockets are refused so too, which no path tells from what no user can mend."""


def refused(error: OSError, path: Path, what: str = "written", *, called: str = "") -> DataError:
    """The sentence on a refusal.

    Args:
        error: of the system.
        path: what was to be worked on.
        what: was to be done to it.
        called: what it is, before its path.
    """
    return DataError(
        f"{called and f'the {called} '}{PATH} cannot be {what} ({_reason(error)})",
        path=path,
        advice=_ADVICE.get(error.errno or 0, "choose another place"),
    )


@contextmanager
def refusals_told(path: Path, what: str = "written") -> Iterator[None]:
    """Turn whatever the system refuses meanwhile into a sentence about `path`.

    Raises:
        DataError: something was refused.
    """
    try:
        yield
    except OSError as error:
        raise refused(error, path, what) from error


@contextmanager
def refusals_under(place: Path) -> Iterator[None]:
    """Do so for what is refused under a folder that users, too, have their hands in, and for full disks.

    Raises:
        DataError: something was refused.
    """
    try:
        yield
    except OSError as error:
        named = named_path(error)
        if named is not None and error.errno in _ADVICE and named.is_relative_to(place):
            raise refused(error, named, "used") from error
        if refusal := sure_refusal(error):
            raise refusal from error
        raise


def sure_refusal(error: OSError) -> DataError | None:
    """The sentence on a refusal that can be no defect of the program, whoever met it; else None.

    A full or failing disk, a missing permission or a name that is too long is the state of the user's
    machine. A path that does not exist, or exists already, may be a path that the program got wrong:
    who knows better says so where it happens, and any other such error keeps its traceback.
    """
    if error.errno not in _SURE:
        return None
    path = named_path(error)
    if path is not None:
        return refused(error, path, "used")
    if error.errno in _OF_MORE_THAN_FILES:
        return None
    return DataError(f"the system refuses to go on ({_reason(error)})", advice=_SURE[error.errno])


def named_path(error: OSError) -> Path | None:
    """The path that the system names."""
    name = error.filename if error.filename2 is None else error.filename2
    if isinstance(name, bytes):
        name = name.decode(errors="surrogateescape")
    return Path(name) if isinstance(name, str) else None


def make_folder(path: Path) -> None:
    """Make a folder, and those above it, unless it is there.

    Raises:
        DataError: the file system refuses.
    """
    with refusals_told(path, "made"):
        path.mkdir(parents=True, exist_ok=True)


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
