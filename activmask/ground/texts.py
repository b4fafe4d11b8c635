"""Text files that people wrote, with or without the mark that some editors put before the first letter."""

import codecs
from pathlib import Path

_UTF_32 = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def decoded_text(path: Path) -> str:
    """The text of a UTF-8 file, with or without a byte order mark.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is no such text; says what it is and what to do.
    """
    content = path.read_bytes()
    if content.startswith(_UTF_32 + _UTF_16):
        kind = "UTF-32" if content.startswith(_UTF_32) else "UTF-16"
        raise ValueError(f"it is not UTF-8 text but {kind}; save it as UTF-8")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 text (byte {error.start}); save it as UTF-8") from error
    if "\0" in text:
        raise ValueError("it contains NUL characters, so it is not a text file; save it as UTF-8")
    return text
