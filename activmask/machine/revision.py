"""Which revision of a git repository a folder is at, where it is in one."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

PATIENCE = 3.0
"""Seconds that git may take for an answer: a repository on a slow disk must not hold a training up."""


_QUIET = ("core.fsmonitor=false", "core.hooksPath=/dev/null", "diff.ignoreSubmodules=all")
"""Settings under which git starts no program of the repository."""


@dataclass(frozen=True, kw_only=True)
class Revision:
    """A commit, and whether what lies there is still it."""

    commit: str
    """In hexadecimal digits; empty where there is none, or git did not say."""
    changed: bool | None
    """Whether files that git keeps differ from it; None where git did not say."""


NO_REVISION = Revision(commit="", changed=None)


def revision_of(folder: Path) -> Revision:
    """The revision that a folder is at; it never fails, and asks git only inside of a repository.

    Nothing of the repository's own settings is run, and nothing is written to it.
    """
    git = shutil.which("git")
    if git is None or not _in_repository(folder):
        return NO_REVISION
    commit = _answer(git, folder, "rev-parse", "HEAD")
    if commit is None or not re.fullmatch("[0-9a-f]{40,64}", commit.strip()):
        return NO_REVISION
    status = _answer(git, folder, "status", "-s", "-uno")
    return Revision(commit=commit.strip(), changed=None if status is None else bool(status.strip()))


def _in_repository(folder: Path) -> bool:
    return any(os.path.lexists(place / ".git") for place in (folder, *folder.parents))


def _answer(git: str, folder: Path, *words: str) -> str | None:
    """What git prints, or None where it fails or takes too long."""
    quiet = [word for setting in _QUIET for word in ("-c", setting)]
    try:
        done = subprocess.run(  # noqa: S603 - git itself, in words of ours
            [git, *quiet, *words],
            cwd=folder,
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
            check=True,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace")
