"""What is read once for several networks: a run's seeds, runs in one process, those that are judged."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, cast

from activmask.data.dataset import CARD_FILE, TABLE_FILE, Dataset, Decoded, load_samples, read_dataset
from activmask.data.samples import Samples
from activmask.data.sources.synthetic.drawing import draw_synthetic, synthetic_samples
from activmask.data.sources.synthetic.spec import SyntheticSpec
from activmask.data.splits import SPLITS

Made = TypeVar("Made")

MOST_KEPT = 2**28
"""Bytes of pixels that a process keeps from one run to the next; while one trains they lie idle."""


@dataclass(kw_only=True)
class Reading:
    """Tables and digests of all data sets that were met, and the images of the latest split.

    With `decoded`, all images that were met, until `let_go`.
    """

    tables: dict[Path, Dataset] = field(default_factory=dict)
    """By folder."""
    digests: dict[Path, dict[str, str]] = field(default_factory=dict)
    """Of each folder, SHA-256 of files by name, as far as they were asked for."""
    decoded: dict[Path, Decoded] | None = None
    """Of each folder, the pixels of files; None where none are kept."""
    pixel_digests: dict[Path, dict[str, bytes]] = field(default_factory=dict)
    """Of each folder, `pixel_digest` of images by name, as far as they were asked for."""
    of_several: bool = True
    """Whether several seeds are being opened, or networks judged, that share the pixels."""
    _stamps: dict[Path, tuple[int, ...]] = field(default_factory=dict)
    """What each file was before it was first read."""
    _of: Hashable = None
    _held: dict[Hashable, object] = field(default_factory=dict)
    _drawn: dict[int, dict[str, Samples]] = field(default_factory=dict)
    """With `decoded`, the splits of every seed that was met, until `let_go`."""
    _origins: dict[Hashable, tuple[Hashable, object]] = field(default_factory=dict)
    """Of each place the images that were met last, and where they come from."""

    def table(self, root: Path) -> Dataset:
        """The data set in a folder (raises DataError)."""
        if root not in self.tables:
            self._look_at(root, (TABLE_FILE, CARD_FILE))
            found = read_dataset(root, multi_label=True)
            self._look_at(root, found.files)
            self.tables[root] = found
        return self.tables[root]

    def _look_at(self, root: Path, names: Iterable[str]) -> None:
        """Note what files are before they are read."""
        for path in (root / name for name in names):
            if path not in self._stamps:
                self._stamps[path] = _stamp(path)

    def known(self, root: Path) -> dict[str, str]:
        """The digests of a folder's files, which grow."""
        return self.digests.setdefault(root, {})

    def changed(self) -> bool:
        """Whether a file of a data set is another by now, by its time, size and number.

        Files of which the digest alone is known are looked at for the first time.
        """
        for root, known in self.digests.items():
            self._look_at(root, known)
        return any(_stamp(path) != stamp for path, stamp in self._stamps.items())

    def still_true(self) -> "Reading":
        """This, or an empty one where a file changed."""
        return Reading(decoded=None if self.decoded is None else {}) if self.changed() else self

    def let_go(self) -> None:
        """Keep no images of a split, nor all of them where they take more than `MOST_KEPT`."""
        self._of = None
        self._held.clear()
        if self.decoded and self._bytes() > MOST_KEPT:
            self.decoded.clear()
        if self._bytes() > MOST_KEPT:
            self._drawn.clear()

    def _bytes(self) -> int:
        decoded = (pixels.nbytes for files in (self.decoded or {}).values() for pixels in files.values())
        drawn = (samples for splits in self._drawn.values() for samples in splits.values())
        return sum(decoded) + sum(own.images.nbytes + own.masks.nbytes for own in drawn)

    def held(self, of: Hashable, what: Hashable, make: Callable[[], Made]) -> Made:
        """What was made of some images; whatever was made of others is let go.

        Args:
            of: the images.
            what: is made.
            make: it, where it is not held.
        """
        if of != self._of:
            self._of = of
            self._held.clear()
        if what not in self._held:
            self._held[what] = make()
        return cast(Made, self._held[what])

    def drawn(self, seed: int) -> dict[str, Samples]:
        """The splits of the benchmark as `seed` draws it."""
        if self.decoded is None:
            return self.held(("drawn", seed), "images", lambda: _drawn(seed))
        if seed not in self._drawn:
            self._drawn[seed] = _drawn(seed)
        return self._drawn[seed]

    def origin(self, place: Hashable, of: Hashable, make: Callable[[], Made]) -> Made:
        """Where some images come from, as it was made for the last run on them, or else anew.

        Args:
            place: of which the latest is kept.
            of: all that the images follow from.
            make: what is known of them.
        """
        if place not in self._origins or self._origins[place][0] != of:
            self._origins[place] = of, make()
        return cast(Made, self._origins[place][1])

    def stored(self, dataset: Dataset, rows: Sequence[int]) -> Samples:
        """Images of a data set on disk, as `load_samples` reads them."""
        of = ("stored", dataset.root, tuple(rows))
        decoded = None if self.decoded is None else self.decoded.setdefault(dataset.root, {})
        return self.held(of, "images", lambda: load_samples(dataset, rows, decoded))


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        found = path.stat()
    except OSError:
        return ()
    return found.st_mtime_ns, found.st_size, found.st_ino


def _drawn(seed: int) -> dict[str, Samples]:
    drawn = draw_synthetic(SyntheticSpec(seed=seed))
    return {name: synthetic_samples(drawn[name]) for name in SPLITS}
