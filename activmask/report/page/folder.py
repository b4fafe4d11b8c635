"""The folder of a page: what may be replaced, and how it is written, whole or not at all."""

from collections.abc import Collection, Mapping
from pathlib import Path

from activmask.ground.errors import PATH, UsageError
from activmask.ground.folders import written_whole
from activmask.ground.spelling import as_utf8
from activmask.report.page.html import Page, render

PAGE_FILE = "index.html"
FIGURES, TABLES = "figures", "tables"

_HEAD_BYTES = 2000


def check_target(
    out: Path, what: str, maker: str, *, more: Collection[str] = (), overwrite: bool = False
) -> None:
    """Refuse a place that holds something a page must not replace.

    Args:
        out: the folder.
        what: a page is called, such as `report`.
        maker: of such pages.
        more: further files that lie beside such a page.
        overwrite: whether a page is also replaced that does not name its maker.

    Raises:
        UsageError: names what is in the way.
    """
    if not out.exists() and not out.is_symlink():
        return
    if not out.is_dir() or out.is_symlink():
        raise UsageError(
            f"{PATH} exists and is not a plain folder",
            path=out,
            advice=f"choose another place for the {what}",
        )
    found = {path.name for path in out.iterdir()}
    if foreign := sorted(found - {PAGE_FILE, FIGURES, TABLES, *more}):
        raise UsageError(
            f"{PATH} exists and is not a {what} (it holds {foreign[0]!r})",
            path=out,
            advice=f"choose another place for the {what}",
        )
    if found and not (overwrite or _says_maker(out / PAGE_FILE, maker)):
        raise UsageError(
            f"{PATH} exists and its {PAGE_FILE} does not say that it is a {what} of ours",
            path=out,
            advice="choose another place or ask for overwrite",
            ways=("out", "overwrite"),
        )


def write_page(page: Page, files: Mapping[str, bytes], out: Path, what: str) -> None:
    """Write a page and the files beside it, by their paths, into a folder of their own."""
    with written_whole(out, what) as partial:
        (partial / PAGE_FILE).write_bytes(as_utf8(render(page)))
        for name, content in files.items():
            path = partial / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)


def _says_maker(page: Path, maker: str) -> bool:
    if not page.is_file():
        return False
    with page.open("rb") as file:
        return maker.encode() in file.read(_HEAD_BYTES)
