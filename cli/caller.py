"""Who called: the command line, its folder and that folder's git revision, for what a run tells of itself."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .shell import command_line

if TYPE_CHECKING:
    from activmask.runs.sittings import Caller


def this_caller(title: str = "") -> "Caller":
    """The caller of this process.

    Args:
        title: what the run was asked to be called; empty where nothing was said.
    """
    from activmask.machine.revision import revision_of
    from activmask.runs.sittings import Caller

    folder = Path.cwd()
    found = revision_of(folder)
    return Caller(
        command=command_line("activmask", *sys.argv[1:]),
        folder=str(folder),
        commit=found.commit,
        changed=found.changed,
        title=title,
    )
