"""The streams that the program was given: open, fit for every character, and lost in a sentence.

Whoever reads may close the pipe, the disk behind a redirection may be full, and a terminal may know ASCII
alone; none of these is a defect of ours.
"""

import codecs
import io
import os
import select
import sys
from collections.abc import Callable
from threading import current_thread, main_thread
from typing import Any

from activmask.ground.shown import escaped

OUTPUT_LOST = 3
"""The exit code where a stream could not be written."""
PIPE_CLOSED = 141
"""The exit code where the reader of a stream is gone: that of programs which SIGPIPE ends."""

_STDOUT, _STDERR = 1, 2
_SUBSTITUTE = "activmask.substitute"
_PLAIN = {
    "±": "+/-",
    "−": "-",
    "–": "-",
    "—": "-",
    "×": "x",
    "·": "*",
    "•": "*",
    "…": "...",
    "→": "->",
    "≥": ">=",
    "≤": "<=",
    "Δ": "Delta",
    "‘": "'",
    "’": "'",
    "“": '"',
    "”": '"',
    "\xa0": " ",
}
"""What stands for our own characters where there are none."""


def readable(text: str, encoding: str) -> str:
    r"""A text in characters that an encoding has; foreign letters become escapes, such as `\xe9`."""
    return text if text.isascii() else text.encode(encoding, errors=_SUBSTITUTE).decode(encoding)


def _substitute(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    unknown = error.object[error.start : error.end]
    return "".join(_PLAIN.get(char) or escaped(char) for char in unknown), error.end


codecs.register_error(_SUBSTITUTE, _substitute)


class Stream(io.FileIO):
    """The bytes of an output stream, whose loss ends the program without a traceback."""

    def __init__(self, number: int, tell: Callable[[str], None]) -> None:
        """For a file descriptor, which stays open; `tell` prints what went wrong."""
        super().__init__(number, "w", closefd=False)
        self.lost = 0
        """The exit code that tells of its loss."""
        self.left = False
        """Whether the program is on its way out."""
        self._tell = tell

    def write(self, data: Any, /) -> int:
        """Write, and wait where the reader is slow; once lost, take everything and keep nothing.

        Raises:
            SystemExit: the reader is gone, or results cannot be written; talk is given up in silence.
        """
        try:
            # A stream that another program has set not to block takes nothing when it is full.
            while not self.lost:
                written = super().write(data)
                if written is not None:
                    return written
                select.select([], [self], [])
        except OSError as error:
            self._lose(error)
        # Progress is drawn by a thread, which cannot end the program.
        if not self.left and current_thread() is main_thread():
            self.left = True
            raise SystemExit(self.lost)
        return memoryview(data).nbytes

    def _lose(self, error: OSError) -> None:
        if isinstance(error, BrokenPipeError):
            self.lost = PIPE_CLOSED
            return
        self.lost = OUTPUT_LOST
        if self.fileno() == _STDERR:
            self.left = True
        else:
            self._tell(f"the output cannot be written ({error.strerror}); send it elsewhere")


def with_own_streams(run: Callable[[], object], tell: Callable[[str], None]) -> None:
    """Run the program on streams that can be lost, and end with the exit code that tells of a loss.

    Args:
        run: the program.
        tell: prints what went wrong on stderr.

    Raises:
        SystemExit: the program ended so, or a stream was lost.
    """
    _open_closed_streams()
    streams = [Stream(number, tell) for number in (_STDOUT, _STDERR)]
    sys.stdout, sys.stderr = map(_text, streams, (sys.stdout, sys.stderr))
    code: Any = 0
    ended: SystemExit | None = None
    try:
        run()
        sys.stdout.flush()
    except SystemExit as end:
        code, ended = end.code, end
    for stream in streams:
        stream.left = True
    lost = next((stream.lost for stream in streams if stream.lost), 0)
    # What it arose from, such as Ctrl-C, is not to be lost.
    raise SystemExit(code or lost) from ended


def _open_closed_streams() -> None:
    """Give the numbers of closed streams to the null device, lest the next file opened be taken for one."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            os.dup2(opened, number)
            if opened != number:
                os.close(opened)


def _text(stream: Stream, former: Any) -> io.TextIOWrapper:
    encoding = "utf-8" if former is None else former.encoding
    buffer = io.BufferedWriter(stream)
    return io.TextIOWrapper(buffer, encoding, errors=_SUBSTITUTE, line_buffering=stream.isatty())
