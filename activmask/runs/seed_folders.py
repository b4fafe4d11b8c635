"""The folders of seeds below a place, and those of which nothing can be read."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from activmask.ground.errors import PATH, ActivmaskError, CheckpointError, DataError
from activmask.ground.walking import walked
from activmask.runs.folder import FILES, HISTORY_FILE, METRICS_FILE, RUN_FILE, SPLITS_FILE, seed_of

_OF_BEGUN = tuple(name for name in FILES if name != SPLITS_FILE)


@dataclass(frozen=True, kw_only=True)
class Unreadable:
    """What belongs to a result and cannot be read."""

    folder: Path
    """A seed's, mostly; a folder that cannot be listed, or a checkpoint."""
    error: ActivmaskError
    """Why."""

    @property
    def run(self) -> Path:
        """The folder of its run, as far as it is known."""
        if seed_of(self.folder.parent) is not None:
            return self.folder.parent.parent
        return self.folder if seed_of(self.folder) is None else self.folder.parent

    @property
    def seed(self) -> int | None:
        """Which seed it is; None where nobody can tell which seeds are lost."""
        return seed_of(self.folder)

    @property
    def why(self) -> str:
        """The sentence."""
        return str(self.error)


def refusal(unreadable: Sequence[Unreadable], of: int, advice: str) -> CheckpointError:
    """That some of the seeds asked for cannot be read, so that a mean would be of fewer.

    Args:
        unreadable: at least one.
        of: how many seeds were found, these among them.
        advice: what to do about it.
    """
    named = "; ".join(one.why for one in unreadable)
    return CheckpointError(f"{len(unreadable)} of {of} seeds cannot be read: {named}", advice=advice)


def seed_folders(place: Path) -> tuple[list[Path], list[Unreadable]]:
    """The folders of seeds in a folder or anywhere below, in order, and what there cannot be read.

    Links to folders are followed. A seed's folder is none before its description was begun: it is empty,
    or training was killed after its list of images.

    Args:
        place: a folder of runs, a run's, or a seed's.
    """
    found: list[Path] = []
    lost: list[Unreadable] = []

    def failed(error: OSError) -> None:
        lost.append(_unlisted(Path(error.filename), error))

    for folder, _, names in walked(place, failed):
        if seed_of(folder) is not None and any(os.path.lexists(folder / name) for name in _OF_BEGUN):
            found.append(folder)
        lost += [_no_folder(folder / name) for name in names if seed_of(folder / name) is not None]
    return sorted(found), lost


def _unlisted(folder: Path, error: OSError) -> Unreadable:
    what = CheckpointError(f"{PATH} cannot be listed ({error.strerror})", path=folder)
    return Unreadable(folder=folder, error=what)


def _no_folder(path: Path) -> Unreadable:
    what = "is a link that leads nowhere" if path.is_symlink() else "is a file, not a seed's folder"
    return Unreadable(folder=path, error=CheckpointError(f"{PATH} {what}", path=path))


@contextmanager
def losses_kept(folder: Path, lost: Callable[[Unreadable], None]) -> Iterator[None]:
    """Hand over what keeps a seed's folder from being read, instead of raising it."""
    try:
        yield
    except (CheckpointError, DataError) as error:
        lost(Unreadable(folder=folder, error=error))
    except OSError as error:
        what = CheckpointError(f"{PATH} cannot be read ({error.strerror})", path=folder)
        lost(Unreadable(folder=folder, error=what))


def check_files(folder: Path) -> None:
    """Refuse what stands in the place of a file that tells of a seed; a missing one was not written yet.

    Weights may be links to where they are kept and not lie here now, as under git-annex or DVC: who asks
    for them finds that out.

    Raises:
        CheckpointError: a folder, or a link that leads nowhere.
    """
    for name in (SPLITS_FILE, RUN_FILE, HISTORY_FILE, METRICS_FILE):
        path = folder / name
        if os.path.lexists(path) and not path.is_file():
            raise CheckpointError(f"{PATH} is no file", path=path)
