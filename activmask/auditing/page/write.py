"""Write the page of an audit: one folder with the page, its figures and its tables, whole or not at all."""

from pathlib import Path

from activmask.auditing.audited import Audited
from activmask.auditing.page.contents import MAKER, NUMBERS_FILE, PREDICTIONS_FILE, gather
from activmask.auditing.predictions import predictions_sheet
from activmask.ground.folders import check_writable, claimed_folder
from activmask.ground.places import real
from activmask.ground.shown import json_text
from activmask.report.page.folder import PAGE_FILE, check_target, write_page

WHAT = "page of an audit"


def check_place(out: Path, *, overwrite: bool = False) -> None:
    """Refuse a place that cannot be written, or that holds what the page of an audit must not replace.

    Raises:
        UsageError: the place is taken.
        DataError: it cannot be written.
    """
    check_target(out, WHAT, MAKER, more=(NUMBERS_FILE, PREDICTIONS_FILE), overwrite=overwrite)
    check_writable(out, WHAT)


def write_audit(audited: Audited, out: Path, *, command: str = "", overwrite: bool = False) -> Path:
    """Draw an audit and write it into a new folder.

    Args:
        audited: the audit.
        out: the folder; nothing of it exists until all of it does. An audit that lies there is replaced.
        command: what the page names as its origin; empty leaves that out.
        overwrite: also replace a page that does not say that it is an audit.

    Returns:
        The page, `index.html` in the folder.

    Raises:
        UsageError: the place is taken.
        InUse: another process is writing there.
        DataError: the folder cannot be written.
    """
    with claimed_folder(out, WHAT, lambda: check_place(out, overwrite=overwrite)):
        contents = gather(audited, out, command=command)
        files = {
            **contents.files,
            NUMBERS_FILE: f"{json_text(audited.to_json())}\n".encode(),
            PREDICTIONS_FILE: predictions_sheet(audited),
        }
        write_page(contents.page, files, real(out), WHAT)
    return out / PAGE_FILE
