"""What a folder of exported conditions holds: the names of its files and the columns of its tables."""

from pathlib import Path

from activmask.auditing.conditions.versions import CONDITIONS, Condition
from activmask.ground.errors import PATH, DataError

FORMAT_VERSION = 2
"""Of the folder."""

MANIFEST = "manifest.csv"
"""One row per picture."""

CARD = "audit.json"
"""How it was made."""

MASKS = "masks"
"""Folder of the masks that images are judged by, one an image, whether its own or borrowed."""

COLUMNS = ("file", "condition", "draw", "image", "subject", "site", "split", "label", "mask", "borrowed")
"""Of the manifest. Draws count from 1."""


def folder_of(condition: Condition, draw: int) -> str:
    """The folder of one draw, counted from 0, of one condition."""
    name = condition.name.replace(" ", "-")
    return f"{name}-{draw + 1}" if condition.random else name


def check_target(root: Path, *, overwrite: bool) -> None:
    """Refuse a place that holds what an export must not replace (raises DataError)."""
    if not root.exists() and not root.is_symlink():
        return
    if not root.is_dir() or root.is_symlink():
        raise DataError(f"{PATH} exists and is not a plain folder", path=root, advice="choose another place")
    found = {path.name for path in root.iterdir()}
    if not found:
        return
    known = tuple(one.name.replace(" ", "-") for one in CONDITIONS)
    odd = sorted(name for name in found - {MANIFEST, CARD, MASKS} if not name.startswith(known))
    if odd or not {MANIFEST, CARD} <= found:
        why = f"it holds {odd[0]!r}" if odd else f"it has no {MANIFEST} with an {CARD}"
        raise DataError(
            f"{PATH} exists and is no export of an audit ({why})", path=root, advice="choose another place"
        )
    if not overwrite:
        raise DataError(
            f"the export {PATH} exists already",
            path=root,
            advice="choose another place or ask for overwrite",
            ways=("out", "overwrite"),
        )
