"""Folders that are there whole or not at all, also where another one lies already.

What is written lies in hidden folders beside its place until it is whole: `.NAME.*.partial` and
`.NAME.*.unpacked` hold what is of no use once their process ended, `.NAME.*.old` what lay at the place
between the two moves that replace it, always whole.
"""

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal
from uuid import uuid4

from activmask.ground.claims import NOTES, Claim, claimed
from activmask.ground.errors import PATH, DataError
from activmask.ground.interrupts import put_off
from activmask.ground.refusals import refused

Kind = Literal["partial", "unpacked", "old"]

_TOKEN = 12
"""Hexadecimal digits that tell the hidden folders of one place apart."""


def hidden_beside(target: Path, kind: Kind) -> Path:
    """A new name for a hidden folder beside `target`."""
    return target.with_name(f".{target.name}.{uuid4().hex[:_TOKEN]}.{kind}")


def way_back(target: Path) -> str | None:
    """Advice on a missing `target`, where a killed process had moved what lay there and not replaced it."""
    for old in _hidden(target, "old"):
        return f"what lay there is whole in {old}; the command that was replacing it, run again, puts it back"
    return None


def check_writable(target: Path, what: str) -> None:
    """Refuse a place where nothing can be written, before what is to lie there is computed.

    A hidden folder is made beside it, or in the nearest folder above that exists, and removed.

    Args:
        target: a file or a folder; it need not exist.
        what: it is called in the error.

    Raises:
        DataError: the file system refuses.
    """
    above = next((one for one in target.absolute().parents if one.exists()), target.absolute().parent)
    tried = hidden_beside(target if above == target.absolute().parent else above / target.name, "partial")
    try:
        tried.mkdir()
        tried.rmdir()
    except OSError as error:
        raise refused(error, target, called=what) from error


@contextmanager
def claimed_folder(target: Path, what: str, check: Callable[[], None]) -> Iterator[Claim]:
    """Claim a folder that is to be made or replaced, and mend what a killed process left of that.

    Args:
        target: the folder; it need not exist.
        what: it is called in sentences.
        check: refuses what lies there; nothing is removed before it agrees.

    Raises:
        InUse: another process is writing it.
        DataError: the lock cannot be written, or what was moved away cannot be put back.
    """
    with claimed(target, what) as claim:
        if claim.certain:
            with put_off():
                _put_back(claim)
        check()
        if claim.certain:
            with put_off():
                _remove_leftovers(claim)
        yield claim


@contextmanager
def written_whole(target: Path, what: str) -> Iterator[Path]:
    """An empty hidden folder beside `target`, which takes its place once it was filled without an error.

    Args:
        target: What lies there is replaced.
        what: The folder is called in the error.

    Raises:
        DataError: the file system refuses.
    """
    partial = hidden_beside(target, "partial")
    try:
        partial.mkdir(parents=True)
        yield partial
        with put_off():
            _replace(partial, target)
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise refused(error, target, called=what) from error
    finally:
        with put_off():
            shutil.rmtree(partial, ignore_errors=True)


def _replace(complete: Path, target: Path) -> None:
    """Exchange a folder and what lies at `target`, on the same disk.

    Raises:
        OSError: a move failed; what lay at `target` is there again.
    """
    if not target.exists():
        complete.rename(target)
        return
    old = hidden_beside(target, "old")
    target.rename(old)
    try:
        complete.rename(target)
    except BaseException:
        old.rename(target)
        raise
    # It is removed under the other name: one that is called old is always whole.
    old.rename(complete)


def _put_back(claim: Claim) -> None:
    """Move what was moved away back to its place, where that is empty."""
    target, olds = claim.place, _hidden(claim.place, "old")
    try:
        if target.is_dir() and not target.is_symlink() and not any(target.iterdir()) and olds:
            target.rmdir()
        if olds and not target.exists():
            latest = max(olds, key=lambda path: path.stat().st_ctime_ns)
            latest.rename(target)
            NOTES.warning(
                "put the %s %s back, which a killed process had moved to %s", claim.what, target, latest.name
            )
    except OSError as error:
        raise DataError(
            f"the {claim.what} {PATH}, which a killed process moved to {olds[0]}, cannot be put back "
            f"({error.strerror})",
            path=target,
            advice="make room for it",
        ) from error


def _remove_leftovers(claim: Claim) -> None:
    for left in _hidden(claim.place, "partial", "unpacked", "old"):
        doomed = left
        try:
            if left.suffix == ".old":
                doomed = left.rename(hidden_beside(claim.place, "partial"))
            shutil.rmtree(doomed)
        except OSError as error:
            NOTES.warning("%s, left by a killed process, cannot be removed (%s)", doomed, error.strerror)
        else:
            NOTES.warning("removed %s, left by a killed process", left)


def _hidden(target: Path, *kinds: Kind) -> list[Path]:
    """The hidden folders beside `target`; files, links and folders of other names are somebody else's."""
    ours = re.compile(rf"\.{re.escape(target.name)}\.[0-9a-f]{{{_TOKEN}}}\.({'|'.join(kinds)})")
    try:
        beside = list(target.parent.iterdir())
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []
    return sorted(
        path for path in beside if ours.fullmatch(path.name) and path.is_dir() and not path.is_symlink()
    )
