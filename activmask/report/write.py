"""Write the report: one folder with a page, its figures and its tables, whole or not at all."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from activmask.ground.errors import PATH, UsageError
from activmask.ground.folders import claimed_folder, written_whole
from activmask.ground.places import real
from activmask.ground.progress import ItemsDone
from activmask.ground.spelling import as_utf8
from activmask.report.contents import Contents, gather
from activmask.report.findings.measure import measure_all
from activmask.report.findings.series import finished
from activmask.report.page.html import GENERATOR, render
from activmask.runs.results import Run
from activmask.runs.seed_folders import Unreadable

PAGE_FILE = "index.html"
_CONTENTS = {PAGE_FILE, "figures", "tables"}
_HEAD_BYTES = 2000


def write_report(
    runs: Sequence[Run],
    out: Path,
    *,
    device: torch.device | str = "cpu",
    overwrite: bool = False,
    command: str = "",
    unreadable: Sequence[Unreadable] = (),
    lost: Callable[[Unreadable], None] | None = None,
    progress: ItemsDone | None = None,
) -> Path:
    """Measure the best epochs of runs, draw everything and write it into a new folder.

    Args:
        runs: what `find_runs` found.
        out: the folder; nothing of it exists until all of it does. A report that lies there is
            replaced.
        device: where networks are evaluated.
        overwrite: also replace a report that does not say that it is one. A folder that holds
            anything else is never replaced.
        command: what the page names as its origin; empty leaves that out.
        unreadable: what `search_runs` found beside them; the page names it.
        lost: is told of each network that turns out unreadable; the page names it too.
        progress: is told how many of the networks have been measured, and of how many.

    Returns:
        The page, `index.html` in the folder.

    Raises:
        UsageError: no run has a finished seed, or the place is taken.
        CheckpointError: a run folder is damaged.
        InUse: another process is writing a report there.
        DataError: the folder cannot be written.
    """
    with claimed_folder(out, "report", lambda: check_target(out, overwrite=overwrite)):
        if not finished(runs):
            raise UsageError(
                f"none of the {len(runs)} runs has a finished seed, so there is nothing to report; "
                "resume their training"
            )
        measured = measure_all(runs, device=device, progress=progress)
        contents = gather(measured, unreadable=unreadable, device=device, command=command)
        _write(contents, real(out))
    if lost is not None:
        for one in measured:
            for network in one.unreadable:
                lost(network)
    return out / PAGE_FILE


def check_target(out: Path, *, overwrite: bool) -> None:
    """Refuse a place that holds something a report must not replace (raises UsageError)."""
    if not out.exists() and not out.is_symlink():
        return
    if not out.is_dir() or out.is_symlink():
        raise UsageError(
            f"{PATH} exists and is not a plain folder", path=out, advice="choose another place for the report"
        )
    found = {path.name for path in out.iterdir()}
    if foreign := sorted(found - _CONTENTS):
        raise UsageError(
            f"{PATH} exists and is not a report (it holds {foreign[0]!r})",
            path=out,
            advice="choose another place for the report",
        )
    if found and not (overwrite or _says_report(out / PAGE_FILE)):
        raise UsageError(
            f"{PATH} exists and its {PAGE_FILE} does not say that it is a report of ours",
            path=out,
            advice="choose another place or ask for overwrite",
        )


def _says_report(page: Path) -> bool:
    if not page.is_file():
        return False
    with page.open("rb") as file:
        return GENERATOR.encode() in file.read(_HEAD_BYTES)


def _write(contents: Contents, out: Path) -> None:
    with written_whole(out, "report") as partial:
        (partial / PAGE_FILE).write_bytes(as_utf8(render(contents.page)))
        for name, content in contents.files.items():
            path = partial / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
