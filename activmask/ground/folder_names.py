"""Names that become folders, on whatever system the folders are copied to later."""

import re

from activmask.ground.errors import UsageError
from activmask.ground.shown import is_seen

_DEVICE = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³])\s*(\..*)?", re.IGNORECASE)
_LONGEST = 255
"""In bytes, of a name on the usual file systems."""


def check_folder_name(name: str, what: str, advice: str | None = None) -> None:
    """Refuse what is not the name of one folder that can be made anywhere.

    Args:
        name: the name.
        what: who gave it, for the sentence.
        advice: what to do instead.

    Raises:
        UsageError: it is empty, `.` or `..`, has separators or characters that are not seen, ends in a dot
            or has spaces at its ends, is too long, or is the name of a device on Windows.
    """
    problem = _problem(name)
    if problem:
        raise UsageError(
            f"{what} must be a plain folder name, but {problem}", found=repr(name), advice=advice
        )


def is_folder_name(name: str) -> bool:
    """Whether it is the name of one folder that can be made anywhere."""
    return not _problem(name)


def _problem(name: str) -> str:
    problems = {
        "this is empty": not name.strip(),
        "this means another folder": name in {".", ".."},
        "this has separators": "/" in name or "\\" in name,
        "this has characters that cannot be seen": not all(map(is_seen, name)),
        "this has a space at an end": name != name.strip(),
        "this ends in a dot": name.endswith("."),
        "this is longer than 255 bytes": len(name.encode(errors="surrogatepass")) > _LONGEST,
        "this names a device on Windows": _DEVICE.fullmatch(name) is not None,
    }
    return next((problem for problem, holds in problems.items() if holds), "")
