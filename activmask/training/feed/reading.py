"""What is read once for several networks: those that are judged one after another, or a run's seeds."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar, cast

from activmask.data.dataset import Dataset, Decoded, load_samples, read_dataset
from activmask.data.samples import Samples
from activmask.data.sources.synthetic.drawing import SyntheticSpec, draw_synthetic, synthetic_samples
from activmask.data.splits import SPLITS

Made = TypeVar("Made")


@dataclass(kw_only=True)
class Reading:
    """Tables and digests of all data sets that were met, and the images of the latest split.

    With `decoded`, all images that were met.
    """

    tables: dict[Path, Dataset] = field(default_factory=dict)
    """By folder."""
    digests: dict[Path, dict[str, str]] = field(default_factory=dict)
    """Of each folder, SHA-256 of files by name, as far as they were asked for."""
    decoded: dict[Path, Decoded] | None = None
    """Of each folder, the pixels of files; None where none are kept."""
    _stamps: dict[Path, tuple[int, ...]] = field(default_factory=dict)
    _of: Hashable = None
    _held: dict[Hashable, object] = field(default_factory=dict)

    def table(self, root: Path) -> Dataset:
        """The data set in a folder (raises DataError)."""
        if root not in self.tables:
            self.tables[root] = read_dataset(root, multi_label=True)
        return self.tables[root]

    def known(self, root: Path) -> dict[str, str]:
        """The digests of a folder's files, which grow."""
        return self.digests.setdefault(root, {})

    def changed(self) -> bool:
        """Whether a file whose digest is known is another by now, by its time, size and number.

        Those that are new since the last call are looked at for the first time.
        """
        files = [root / name for root, known in self.digests.items() for name in known]
        return any(
            self._stamps.setdefault(path, stamp) != stamp for path in files for stamp in [_stamp(path)]
        )

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
        return self.held(("drawn", seed), "images", lambda: _drawn(seed))

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
