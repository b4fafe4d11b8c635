"""Write the report: one folder with a page, its figures and its tables, whole or not at all."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch

from activmask.ground.errors import UsageError
from activmask.ground.folders import check_writable, claimed_folder
from activmask.ground.places import real
from activmask.ground.progress import ItemsDone
from activmask.report.contents import MAKER, gather
from activmask.report.findings.measure import measure_all
from activmask.report.findings.series import finished
from activmask.report.findings.several_labels import check_alike
from activmask.report.openings import CommandOf
from activmask.report.page.folder import PAGE_FILE, check_target, write_page
from activmask.runs.results import Run
from activmask.runs.seed_folders import Unreadable
from activmask.training.feed.reading import Reading

WHAT = "report"


def write_report(
    runs: Sequence[Run],
    out: str | Path,
    *,
    groups: str = "",
    device: torch.device | str = "cpu",
    overwrite: bool = False,
    command: str = "",
    command_of: CommandOf | None = None,
    title: str = "",
    now: datetime | None = None,
    code: Sequence[str | Path] = (),
    unreadable: Sequence[Unreadable] = (),
    lost: Callable[[Unreadable], None] | None = None,
    progress: ItemsDone | None = None,
) -> Path:
    """Measure the best epochs of runs, draw everything and write it into a new folder.

    Args:
        runs: what `find_runs` found.
        out: the folder; nothing of it exists until all of it does. A report that lies there is
            replaced.
        groups: by which column test images are grouped, as in `evaluate_checkpoints`.
        device: where networks are evaluated.
        overwrite: also replace a report that does not say that it is one. A folder that holds
            anything else is never replaced.
        command: what the page names as its origin; empty leaves that out.
        command_of: the command line that trains a run anew, for the page; None leaves those out.
        title: of the page; empty for the usual one.
        now: when the page is made; None is now.
        code: Python files that may run, as in `load_checkpoint`.
        unreadable: what `search_runs` found beside them; the page names it.
        lost: is told of each network that turns out unreadable; the page names it too.
        progress: is told how many of the networks have been measured, and of how many.

    Returns:
        The page, `index.html` in the folder.

    Raises:
        UsageError: no run has a finished seed, two on data of one name do not tell the same labels, or the
            place is taken.
        CheckpointError: a run folder is damaged.
        InUse: another process is writing a report there.
        DataError: the folder cannot be written.
    """
    out, files = Path(out), [*map(Path, code)]

    def check() -> None:
        check_target(out, WHAT, MAKER, overwrite=overwrite)
        check_writable(out, WHAT)

    with claimed_folder(out, WHAT, check):
        if not finished(runs):
            raise UsageError(
                f"none of the {len(runs)} runs has a finished seed, so there is nothing to report; "
                "resume their training"
            )
        check_alike(runs)
        reading = Reading()
        measured = measure_all(
            runs, groups=groups, device=device, code=files, progress=progress, reading=reading
        )
        contents = gather(
            measured,
            unreadable=unreadable,
            device=device,
            command=command,
            command_of=command_of,
            title=title,
            code=files,
            reading=reading,
            now=now or datetime.now(UTC),
        )
        write_page(contents.page, contents.files, real(out), WHAT)
    if lost is not None:
        for one in measured:
            for network in one.unreadable:
                lost(network)
    return out / PAGE_FILE
