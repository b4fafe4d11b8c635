"""Seeds of runs, and sweeps of them, that one process at a time trains.

Every seed is claimed by itself, by a hidden file beside its folder, so several machines can train other
seeds of one run. A sweep claims its folder with all of its cells.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path

from activmask.ground.claims import Claim, claimed, in_use, lock_beside, owner_of
from activmask.ground.files import remove_partial
from activmask.ground.places import real
from activmask.runs.folder import FILES, OF_SOME, seed_folder


@contextmanager
def claimed_seeds(out: Path, seeds: Sequence[int], *, in_sweep: bool) -> Iterator[None]:
    """Claim seeds of a run, and remove what killed processes left half-written there.

    Args:
        out: the run's folder.
        seeds: to be trained.
        in_sweep: whether the sweep that holds the folder above asks for them.

    Raises:
        InUse: another process trains one of them, or the run is a cell of a running sweep.
        DataError: a lock cannot be written.
    """
    with ExitStack() as stack:
        for seed in dict.fromkeys(seeds):
            folder = seed_folder(out, seed)
            claim = stack.enter_context(claimed(folder, "run"))
            for name in (*FILES, *OF_SOME) if claim.certain else ():
                remove_partial(folder / name)
        owner = None if in_sweep else owner_of(_lock_of_sweep(real(out).parent))
        if owner is not None and real(out).name in owner.parts:
            raise in_use(real(out).parent, "sweep", owner)
        yield


def claimed_sweep(place: Path, cells: Iterable[str]) -> AbstractContextManager[Claim]:
    """Claim the folder of a sweep with those of its cells (raises InUse or DataError)."""
    return claimed(place, "sweep", lock=_lock_of_sweep(place), parts=cells)


def _lock_of_sweep(place: Path) -> Path:
    # Inside, because the folder above may be nobody's to write to.
    return lock_beside(place / "sweep")
