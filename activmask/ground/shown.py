"""Text that others wrote, as it may be shown: a name of a file, class, run or subject can hold anything."""

import json
import unicodedata
from typing import Any


def shown(text: object) -> str:
    r"""A text as one line of characters that are seen; all others are escaped, such as `\x1b`.

    Letters of every script and spaces stay. Escaped are line breaks, control codes, marks that turn the
    direction of reading, invisible and unassigned characters, and the bytes of names that are no text.

    Args:
        text: anything; what is no text is shown as `str` has it.
    """
    text = str(text)
    if text.isprintable():
        return text
    return "".join(char if is_seen(char) else escaped(char) for char in text)


def is_seen(char: str) -> bool:
    """Whether a character stands in one place of a line and does nothing but that."""
    return char.isprintable() or unicodedata.category(char) == "Zs"


def escaped(char: str) -> str:
    r"""A character as its escape, `\xff` for the byte that is no text."""
    if "\udc80" <= char <= "\udcff":
        return f"\\x{ord(char) - 0xDC00:02x}"
    return char.encode("unicode_escape").decode()


def json_text(value: Any) -> str:
    """A value as JSON of ASCII characters that are all seen (raises ValueError for NaN or infinity)."""
    return json.dumps(value, indent=2, allow_nan=False).replace("\x7f", "\\u007f")
