"""How activations, a tall matrix of rows x channels in memory, are cut into programs.

Each program takes a column of channels over a part of the rows. Sums go into a buffer [parts, channels],
which the next launch adds up where it needs them. Sizes are by arithmetic, not by measuring.
"""

from dataclasses import dataclass

MOST_PARTS = 64
_FEW_PARTS = 8
_ELEMENTS = 2048
_WIDEST, _NARROWEST = 64, 16
_PROGRAMS = 4 * 132
"""Four for each multiprocessor of an H100."""


@dataclass(frozen=True)
class Parts:
    """The programs of one pass, and what each takes."""

    columns: int
    parts: int
    rows_per_part: int
    channels_per_tile: int
    rows_per_tile: int

    @property
    def parts_per_tile(self) -> int:
        """A power of two that holds all parts; one of two, so that few forms are compiled."""
        return _FEW_PARTS if self.parts <= _FEW_PARTS else MOST_PARTS

    @property
    def grid(self) -> tuple[int, int]:
        """Programs over channels and over parts of the rows."""
        return self.columns, self.parts


def parts_of(rows: int, channels: int) -> Parts:
    """The programs for activations of B * H * W rows and that many channels."""
    wide = min(_WIDEST, max(_NARROWEST, 1 << (channels - 1).bit_length()))
    # Few channels in wide columns would leave multiprocessors idle.
    while wide > _NARROWEST and -(-channels // wide) * MOST_PARTS < _PROGRAMS:
        wide //= 2
    high = _ELEMENTS // wide
    columns = -(-channels // wide)
    parts = max(1, min(MOST_PARTS, _PROGRAMS // columns))
    tiles = -(-rows // (parts * high))
    return Parts(columns, -(-rows // (tiles * high)), tiles * high, wide, high)
