"""What may be chosen of how images are explained, in words; nothing heavy is imported for it."""

from typing import Literal

AskedSplit = Literal["train", "valid", "test", "all"]
"""Which images of a data set."""

ColourMap = Literal["magma", "inferno", "viridis", "cividis", "hot", "jet", "turbo", "gray"]
"""The colours of a heat map, as matplotlib names them; brightness does not rise along jet and turbo."""

HEAT: ColourMap = "magma"
"""The colours of heat maps where nobody says."""
