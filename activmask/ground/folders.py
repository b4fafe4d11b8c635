"""Putting a folder that is complete where another one may lie."""

import shutil
from pathlib import Path


def replace_folder(complete: Path, target: Path) -> None:
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
