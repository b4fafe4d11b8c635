"""Folders that are there whole or not at all, also where another one lies already."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

from activmask.ground.errors import PATH, DataError


@contextmanager
def written_whole(target: Path, what: str) -> Iterator[Path]:
    """An empty hidden folder beside `target`, which takes its place once it was filled without an error.

    Args:
        target: What lies there is replaced.
        what: The folder is called in the error.

    Raises:
        DataError: the file system refuses.
    """
    partial = target.parent / f".{target.name}.{uuid4().hex[:12]}.partial"
    try:
        partial.mkdir(parents=True)
        yield partial
        _replace(partial, target)
    except OSError as error:
        raise DataError(
            f"the {what} {PATH} cannot be written ({error.strerror})",
            path=target,
            advice="free the disk or choose another place",
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _replace(complete: Path, target: Path) -> None:
    """Move a folder to `target`, on the same disk; what lies there goes only once the move is done.

    Raises:
        OSError: a move failed; what lay at `target` is there again.
    """
    if not target.exists():
        complete.rename(target)
        return
    old = complete.with_suffix(".old")
    target.rename(old)
    try:
        complete.rename(target)
    except BaseException:
        old.rename(target)
        raise
    shutil.rmtree(old)
