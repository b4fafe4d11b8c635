"""What the table of a data set says of an image that lies in it: its mask, its class, its split.

A data set is known by a `metadata.csv` whose header names the columns that every data set has.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from activmask.data.dataset import CARD_FILE, COLUMNS, REQUIRED, TABLE_FILE, read_card, required_columns
from activmask.data.files.likeness import is_missing
from activmask.data.files.tables import CsvRow, read_table, relative_path
from activmask.data.multi_label import LABELS_ENTRY, card_labels, label_value, yes_and_no
from activmask.data.recipe import card_class_names
from activmask.ground.errors import PATH, DataError, UsageError
from activmask.ground.places import real

_HEADER_BYTES = 4096


@dataclass(frozen=True, kw_only=True)
class Known:
    """One image of a data set."""

    mask: Path | None
    """Its mask's file; None where it has none."""
    label: int | None
    """Its class as the data set numbers them; None where the table gives no number."""
    class_names: tuple[str, ...]
    """Of the data set's classes 0, 1, ...; empty where its card names none."""
    split: str
    """train, valid or test; empty where the table does not say."""
    labels: Mapping[str, int] = field(default_factory=dict)
    """0, 1 or -1 where unknown, of each of several labels by name; none where images have a class."""

    def label_among(self, names: Sequence[str]) -> int | None:
        """Its class as a network numbers them whose classes have these names; None where that is not known.

        By name where both have names, by number where neither has. A network that is asked about one label
        of several finds that among the image's own.
        """
        asked = names[1] if len(names) == 2 else ""
        if tuple(names) == yes_and_no(asked) and asked in self.labels:
            return self.labels[asked] if self.labels[asked] >= 0 else None
        if self.label is None or bool(names) != bool(self.class_names):
            return None
        if not names:
            return self.label
        name = self.class_names[self.label] if self.label < len(self.class_names) else None
        return names.index(name) if name in names else None


def is_data_set(folder: Path) -> bool:
    """Whether a folder holds the table of a data set; other tables of that name do not count."""
    try:
        with (folder / TABLE_FILE).open("rb") as file:
            first = file.read(_HEADER_BYTES).decode("utf-8-sig", errors="replace").partition("\n")[0]
    except OSError:
        return False
    there = {name.strip().strip('"') for name in first.split(",")}
    return set(REQUIRED) <= there or (set(REQUIRED[:2]) <= there and _has_labels(folder))


def _has_labels(folder: Path) -> bool:
    """Whether a card beside a table names columns as labels."""
    try:
        return LABELS_ENTRY in read_card(folder)
    except DataError:
        return False


def data_set_around(place: Path) -> Path | None:
    """The data set that a file or folder lies in, or is; None where it lies in none."""
    spot = real(place)
    return next((folder for folder in (spot, *spot.parents) if is_data_set(folder)), None)


def refuse_in_data_set(places: Iterable[Path]) -> None:
    """Refuse to write where a data set lies, which holds what its table says and nothing else.

    Raises:
        UsageError: one of the files would lie in a data set.
    """
    around = cache(data_set_around)
    for place in places:
        root = around(real(place).parent)
        if root is not None:
            raise UsageError(
                f"{PATH} would lie inside the data set {root}", path=place, advice="choose another place"
            )


def images_of(root: Path, split: str | None = None) -> list[Path]:
    """The images of a data set in the order of its table; of one split, if any is named.

    Raises:
        DataError: the table is broken, or has no image of the split.
    """
    rows = _rows(root)
    chosen = [row for row in rows if split in {None, "all", row["split"]}]
    if not chosen:
        found = ", ".join(sorted({row["split"] for row in rows} - {""})) or "no split"
        raise DataError(f"{PATH} has no image of the split {split}", path=root / TABLE_FILE, found=found)
    return [root / relative_path(row["file_name"]) for row in chosen]


def known_images(paths: Iterable[Path]) -> dict[Path, Known]:
    """What is known of those of the files that lie in data sets.

    Raises:
        DataError: the table or the card of one is broken.
    """
    around = cache(data_set_around)
    tables: dict[Path, tuple[Mapping[str, CsvRow], tuple[str, ...], tuple[str, ...]]] = {}
    known = {}
    for path in paths:
        folder = real(path.parent)
        root = around(folder)
        if root is None:
            continue
        if root not in tables:
            card = read_card(root)
            names = card_class_names(card, root / CARD_FILE)
            found = {str(relative_path(row["file_name"])): row for row in _rows(root)}
            tables[root] = found, names, card_labels(card, root / CARD_FILE)
        rows, names, labels = tables[root]
        row = rows.get((folder.relative_to(root) / path.name).as_posix())
        if row is not None:
            known[path] = _known(root, row, names, labels)
    return known


def _known(root: Path, row: CsvRow, names: tuple[str, ...], labels: tuple[str, ...]) -> Known:
    mask, label = row["mask_file_name"], row["label"]
    return Known(
        mask=None if is_missing(mask) else root / relative_path(mask),
        label=int(label) if label.isascii() and label.isdigit() and len(label) <= 9 else None,
        class_names=names,
        split=row["split"],
        labels={name: value for name in labels if (value := label_value(row[name])) is not None},
    )


def _rows(root: Path) -> list[CsvRow]:
    names = card_labels(read_card(root), root / CARD_FILE)
    return read_table(root / TABLE_FILE, required_columns(names), COLUMNS)
