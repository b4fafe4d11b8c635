"""A name that nobody should be able to use against whoever reads it, and what of it may be printed."""

from activmask.ground.shown import is_seen, shown

HOSTILE = "=a[/b]:skull:[red]\x1b[31m\x9b7m\x1b]0;t\x07\u202e\u2028\r\n\té±'\"<i>&b"
"""Markup, an emoji, colours, a window title, reading turned round, line breaks and a formula.

The slash makes two folders of it where it is a path.
"""
WORD = "=a[/b]:skull:[red]\u202e\u2028é±'\"<i>&b"
"""As much of it as a subject or a site may hold."""


def seen(text: str) -> str:
    """What was printed, which is lines of characters that are seen, and is no emoji."""
    assert not {char for char in text if char != "\n" and not is_seen(char)}
    assert "💀" not in text
    assert "☠" not in text
    return text


def joined(text: str) -> str:
    """Text whose folded lines and frames are gone."""
    return "".join(char for char in text if not char.isspace() and char not in "│┃┏┗╭╰─━")


SEEN = joined(shown(HOSTILE))
"""What is left of the name where it is printed."""
