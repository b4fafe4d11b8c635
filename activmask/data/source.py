"""What a source of images says of itself, so that the rest of the program need not know its name.

Shapes: S px, the side of an image as stored.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from activmask.data.files.intensities import Intensity
    from activmask.data.raw_files import Preparing, RawImage

ReadRaw = Callable[["Preparing", Path, Path | None, int | None], "RawImage | None"]
"""Makes of a raw file, and its mask if any, what the data set would have stored; of a volume one slice.

None where such files were not made to images of this source. Raises a DataError for a file that is broken
or that the network's data set was not made of, and a UsageError where there is no such slice."""


@dataclass(frozen=True, kw_only=True)
class PresetValues:
    """The paper's settings for one of its data sets."""

    settings: Mapping[str, Any]
    """What it changes; all others have their defaults."""
    convnet_width: int = 64
    """Channels of the first layer, for networks that leave them to the preset."""
    recon_weight: float = 1.0
    """Of the reconstruction, for networks with a decoder."""
    figure: str = ""
    """The paper's figure of where networks look in its images."""


@dataclass(frozen=True, kw_only=True)
class DataSource:
    """Everything that is true of one source of images; `SOURCES` lists them all."""

    command: str
    """That makes a data set of it."""
    images: str
    """What its images are, as messages call them."""
    presets: Mapping[str, PresetValues] = field(default_factory=dict)
    """By name."""
    native_slices: bool = False
    """Whether its masks were drawn on slices of another size than stored, on which they are dilated."""
    margin: float = 1.0
    """How many times larger its images are stored than the crops that the runs of its presets see."""
    suffixes: tuple[str, ...] = ()
    """How the names of its raw files end, where that tells them from pictures; in lower case."""
    volumes: bool = False
    """Whether such a file holds many images, of which a number names one."""
    stems: Callable[[Path], tuple[str, ...]] = lambda path: (path.stem,)
    """What the mask of such a file may be called without the ending, the file's own name first."""
    known_by_content: Callable[[Path], bool] | None = None
    """Tells its raw files, where their names do not."""
    takes: Callable[[Preparing, Path], bool] | None = None
    """Whether a network of its images reads a raw file that another source is known by."""
    read: ReadRaw | None = None
    """Its reader of raw files, and of pictures of any size if it takes them.

    It is told how the data set was prepared: what the source decided stands in the card's entry `recipe`,
    an object of its own, and so in `how.recipe["recipe"]`."""
    stored_range: Callable[[Preparing, Path], Intensity] | None = None
    """How the values of a picture of the stored size are read; raises a DataError where that cannot be told.

    None where the range of their depth is theirs."""

    def knows(self, path: Path) -> bool:
        """Whether a file is one of its raw files, whatever network it is shown to."""
        if self.known_by_content is not None:
            return self.known_by_content(path)
        return path.name.lower().endswith(self.suffixes)
