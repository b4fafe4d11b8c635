"""What a chart says where the pointer rests on it: a `title` for its lines and marks, in SVG alone."""

import json
import re
from collections.abc import Sequence
from html import escape
from itertools import chain, repeat
from urllib.parse import quote, unquote

from matplotlib.artist import Artist

from activmask.ground.shown import shown

_PREFIX = "says "
_SAYING = re.compile(rf'<g id="{_PREFIX}([^"]*)">')
_MARK = re.compile(r"<use\b[^>]*/>")


def says(artist: Artist, words: str | Sequence[str]) -> None:
    """Have a line say something.

    Args:
        artist: a line, with or without marks.
        words: what the whole of it says, or what each of its marks does, in their order.
    """
    # Of an artist the SVG has its id; percent signs keep words apart from the markup around them.
    artist.set_gid(_PREFIX + quote(json.dumps(words if isinstance(words, str) else list(words))))


def with_titles(svg: str) -> str:
    """The words of all artists as titles, in place of the ids that carried them here."""
    first, *rest = _SAYING.split(svg)
    parts = [first]
    for carried, drawn in zip(rest[::2], rest[1::2], strict=True):
        words = json.loads(unquote(carried))
        if isinstance(words, str):
            parts.append(f"<g>{_title(words)}{drawn}")
        else:
            parts.append(f"<g>{_on_marks(drawn, words)}")
    return "".join(parts)


def _on_marks(drawn: str, words: Sequence[str]) -> str:
    left = chain(words, repeat(None))

    def told(mark: re.Match[str]) -> str:
        word = next(left)
        return mark[0] if word is None else f"{mark[0][:-2]}>{_title(word)}</use>"

    return _MARK.sub(told, drawn)


def _title(words: str) -> str:
    return f"<title>{escape(shown(words))}</title>"
