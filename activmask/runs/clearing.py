"""A seed's folder that is made anew: at every instant it is the old run whole, or nothing, or the new one."""

from pathlib import Path

from activmask.ground.errors import PATH, CheckpointError
from activmask.ground.files import partial_of
from activmask.ground.interrupts import put_off
from activmask.runs.folder import FILES, OF_SOME


def clear(folder: Path) -> None:
    """Remove all that a run left in a seed's folder, in one step; files of others stay.

    The folder is moved aside for the removal, so that no reader meets half of a run, and requests to end
    wait meanwhile. Whatever was moved aside when this was cut off is cleared and put back first.

    Raises:
        CheckpointError: it cannot be put back, because somebody has made the folder anew.
    """
    with put_off():
        _clear(folder, folder.with_name(f".{folder.name}.cleared"))


def _clear(folder: Path, aside: Path) -> None:
    if aside.is_dir():
        _put_back(aside, folder)
    if aside.is_dir():
        raise CheckpointError(
            f"{PATH} holds files from beside a run that was cleared, and {folder.name} was made anew",
            path=aside,
            advice="move them elsewhere",
        )
    if any(_files_of_runs(folder)):
        folder.rename(aside)
        _put_back(aside, folder)


def _put_back(aside: Path, folder: Path) -> None:
    for path in _files_of_runs(aside):
        path.unlink()
    if not folder.exists():
        aside.rename(folder)
    elif not any(aside.iterdir()):
        aside.rmdir()


def _files_of_runs(folder: Path) -> list[Path]:
    whole = [folder / name for name in (*FILES, *OF_SOME)]
    return [path for path in (*whole, *map(partial_of, whole)) if path.is_file()]
