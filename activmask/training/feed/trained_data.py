"""The images of a run that was trained: its own splits, as they were written down, or a refusal.

Whatever reads the data of a run later comes through here, so that nothing is judged on images the
network was trained on, or on images that are no longer those of the run.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from activmask.data.dataset import Dataset, read_dataset
from activmask.data.samples import Samples
from activmask.data.settings import ARRAYS, IID, IN_MEMORY, Source, View, split_seed
from activmask.data.splits import EVERY_SPLIT, SPLITS
from activmask.ground.errors import PATH, DataError
from activmask.ground.folders import way_back
from activmask.ground.places import real
from activmask.objectives.chosen import Chosen
from activmask.runs.checkpoint import Checkpoint, Description
from activmask.runs.description import RunConfig
from activmask.runs.folder import SPLITS_FILE, read_written, seed_folder
from activmask.runs.manifest import (
    Entry,
    pixel_digests,
    read_entries,
    sample_entries,
    split_digests,
    table_entries,
    table_rows,
    what_changed,
)
from activmask.training.feed.origin import absolute
from activmask.training.feed.reading import Reading
from activmask.training.feed.sources import drawn_splits, read_splits, split_as_judged, split_rows


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What is known of the data that one seed of a run was trained on."""

    source: Source
    view: View
    objectives: Chosen
    seed: int
    folder: Path
    """Where the seed's files lie, `splits.csv` among them."""
    data_path: str = ""
    """Of the data set from the root of the file system; empty if drawn in memory or not written down."""
    data_images: int = 0
    """Images that the data set held; 0 if not written down."""
    split_sha256: Mapping[str, str] = field(default_factory=dict)
    """Digest of each split; empty if not written down."""


@dataclass(frozen=True, kw_only=True)
class OwnTable:
    """A run's data set on disk, and which of its rows are in which split."""

    dataset: Dataset
    rows: dict[str, np.ndarray]
    """int64 (n,) by split."""
    entries: tuple[Entry, ...]
    """The images of the splits as they are now, which is as they were where that was written down."""
    notes: tuple[str, ...]
    """Sentences on what could not be verified."""


def of_checkpoint(checkpoint: Checkpoint) -> Trained:
    """What a checkpoint, and the folder that it lies in, tell of its data."""
    return of_description(checkpoint, checkpoint.path.parent)


def of_description(description: Description, folder: Path) -> Trained:
    """What the description of a checkpoint, and the folder that it lies in, tell of its data."""
    return Trained(
        **_parts(description.config),
        seed=description.seed,
        folder=folder,
        data_path=description.data_path,
        data_images=description.data_images,
        split_sha256=description.split_sha256,
    )


def of_seed(run: Path, seed: int, config: RunConfig) -> Trained:
    """What a run's folder tells of the data of one seed; of one without run.json, only `config`.

    Raises:
        CheckpointError: the seed's description is damaged.
    """
    folder = seed_folder(run, seed)
    written = read_written(folder)
    if written is None:
        return Trained(**_parts(config), seed=seed, folder=folder)
    return Trained(
        **_parts(written.config),
        seed=seed,
        folder=folder,
        data_path=written.data_path,
        data_images=written.data_images,
        split_sha256=written.split_sha256,
    )


def _parts(config: RunConfig) -> dict[str, Any]:
    return {"source": config.source, "view": config.view, "objectives": config.objectives}


def own_split(trained: Trained, name: str, reading: Reading | None = None) -> tuple[Samples, tuple[str, ...]]:
    """One split of a run's own data as stored, and sentences on what could not be verified.

    Args:
        trained: the run's seed.
        name: of the split.
        reading: what was read for others and may serve this one.

    Raises:
        DataError: the data is gone, broken, or no longer what the run was trained on.
    """
    if name == IID and not trained.source.valid_iid:
        raise DataError(
            f"the run of {PATH} held no {IID} out of training",
            path=trained.folder,
            advice="choose another split",
        )
    reading = reading or Reading()
    if trained.source.data == IN_MEMORY:
        drawn = _drawn(trained, reading)
        return drawn[name], _check_drawn(trained, drawn, reading)
    place, notes = _found(trained)
    table = own_table(trained, reading.table(place), reading.known(place))
    rows = {name: table.rows[name]}
    stored = read_splits(table.dataset, rows, trained.view, trained.objectives, reading)[name]
    return stored, (*notes, *table.notes)


def _drawn(trained: Trained, reading: Reading | None = None) -> dict[str, Samples]:
    return drawn_splits(trained.source, trained.seed, trained.view, trained.objectives, reading)


def own_split_as_seen(
    trained: Trained, name: str, reading: Reading | None = None
) -> tuple[Samples, tuple[str, ...]]:
    """`own_split` as evaluation shows it to the network, masks dilated."""
    stored, notes = own_split(trained, name, reading)
    seen = split_as_judged(stored, trained.view, trained.objectives, seed=trained.seed, split=name)
    return seen, notes


def own_table(
    trained: Trained, dataset: Dataset | None = None, known: dict[str, str] | None = None
) -> OwnTable:
    """A run's own data set and splits, checked against what was written down.

    Args:
        trained: The run's seed, of a data set on disk.
        dataset: To be taken for the run's; None looks where it lay.
        known: As in `table_entries`.

    Raises:
        DataError: it is gone, broken, or no longer what the run was trained on.
    """
    notes: list[str] = []
    if dataset is None:
        place, notes = _found(trained)
        dataset = read_dataset(place, multi_label=True)
    root = dataset.root
    written = read_entries(trained.folder)
    rows = table_rows(written, dataset) if written else split_rows(trained.source, dataset, trained.seed)
    entries = table_entries(dataset, rows, known)
    expected = dict(trained.split_sha256) or (split_digests(written) if written else {})
    if not expected:
        _check_counts(trained, root, rows)
        notes.append(_redrawn(trained, str(root)))
    elif split_digests(entries) != expected:
        raise _changed(trained, root, written, entries)
    if 0 < trained.data_images < len(dataset):
        notes.append(
            f"{root} holds {len(dataset)} images, {trained.data_images} when {trained.folder} was trained; "
            "the new ones are in none of its splits and are not used."
        )
    return OwnTable(dataset=dataset, rows=rows, entries=entries, notes=tuple(notes))


def own_place(trained: Trained) -> Path:
    """The folder of a run's own data set on disk (raises DataError where it is gone)."""
    return _found(trained)[0]


def _found(trained: Trained) -> tuple[Path, list[str]]:
    """Where the data set lies, and what is to be said of how it was found."""
    if trained.source.data == ARRAYS:
        raise DataError(
            f"{PATH} was trained on arrays, which went with the process that held them",
            path=trained.folder,
            advice="name a data set to judge it on",
        )
    typed, stored = Path(trained.source.data), Path(trained.data_path)
    if trained.data_path and not (stored.is_dir() or typed.is_dir()):
        back = way_back(stored)
        raise DataError(
            f"the data set folder {stored} that {PATH} was trained on does not exist",
            path=trained.folder,
            advice=back
            or "put it back, or name the folder it was moved to as the data to evaluate on, "
            "where its digests tell it",
            ways=() if back else ("data",),
        )
    if trained.data_path:
        # A run and its data may have been moved together; the digests say whether they were.
        return (typed if not stored.is_dir() and typed.is_dir() else stored), []
    if typed.is_absolute():
        return typed, []
    if not typed.is_dir():
        raise DataError(
            f"{PATH} was trained by an earlier version, which wrote down where its data lay as "
            f"{typed} alone, and {real(typed)} does not exist",
            path=trained.folder,
            advice="start from the folder that the run was started from, or name its data set as "
            "the data to evaluate on",
        )
    return typed, [
        f"{trained.folder} was trained by an earlier version, which did not write down where its data "
        f"{trained.source.data} lay; it is taken from the current folder, {real(typed)}."
    ]


def shown_place(description: Description) -> str:
    """A run's data as it was named in training, or from the root where that name now leads elsewhere."""
    typed, stored = description.config.source.data, description.data_path
    return typed if not stored or absolute(Path(typed)) == stored else stored


def _check_drawn(trained: Trained, drawn: Mapping[str, Samples], reading: Reading) -> tuple[str, ...]:
    if not trained.split_sha256:
        return (_redrawn(trained, "the benchmark"),)
    seed = split_seed(trained.source, trained.seed)
    digests = reading.held(
        ("drawn", seed),
        ("digests", trained.view.mask, trained.source.valid_iid),
        lambda: split_digests(sample_entries(drawn)),
    )
    if digests != trained.split_sha256:
        raise DataError(
            f"the benchmark that this version draws from seed {trained.seed} is not the one "
            f"that {PATH} was trained on",
            path=trained.folder,
            advice="use the version that trained it, or train anew",
        )
    return ()


def _check_counts(trained: Trained, root: Path, rows: Mapping[str, np.ndarray]) -> None:
    """Refuse splits, drawn anew for a run that wrote down their sizes alone, that have others."""
    written = read_written(trained.folder)
    before = {} if written is None else written.image_counts
    for split in SPLITS:
        if split in before and len(rows[split]) != before[split]:
            raise DataError(
                f"{root} has changed since {PATH} was trained: {split} had {before[split]} images, "
                f"drawn anew it has {len(rows[split])}",
                path=trained.folder,
                advice="restore the data, or train anew",
            )


def _redrawn(trained: Trained, data: str) -> str:
    return (
        f"{trained.folder} was trained by an earlier version, which did not write down its splits: they were "
        f"drawn anew from {data}, and nothing can verify that they are those of training."
    )


def _changed(trained: Trained, root: Path, written: tuple[Entry, ...], now: tuple[Entry, ...]) -> DataError:
    detail = what_changed(written, now) if written else ""
    return DataError(
        f"{root} has changed since {PATH} was trained{f': {detail}' if detail else ''}, so its splits are "
        "no longer those of the run",
        path=trained.folder,
        advice="restore the data, train anew, or name another data set",
    )


def is_written_down(trained: Trained) -> bool:
    """Whether a run left its splits, or digests by which a split drawn anew is known to be its own."""
    return bool(trained.split_sha256) or (trained.folder / SPLITS_FILE).exists()


def own_entries(trained: Trained) -> tuple[Entry, ...]:
    """The images of a run's splits: as written down, else as its data tells; empty if neither can.

    Raises:
        DataError: what was written down is damaged.
    """
    written = read_entries(trained.folder)
    if written:
        return written
    if trained.source.data == IN_MEMORY:
        return sample_entries(_drawn(trained))
    try:
        return own_table(trained).entries
    except DataError:
        # A run without its list and without its data: whoever asks says that nothing is known.
        return ()


def own_pixels(trained: Trained, size: tuple[int, int]) -> dict[str, list[str]]:
    """Digests of the pixels of a run's own images by split; empty where its data is gone or changed.

    Args:
        trained: The run's seed.
        size: Height and width in px that the images must have for this to be worth reading them.
    """
    if trained.source.data in {IN_MEMORY, ARRAYS}:
        entries = own_entries(trained)
        return {
            name: [entry.image_sha256 for entry in entries if entry.split == name] for name in EVERY_SPLIT
        }
    try:
        table = own_table(trained)
        if (table.dataset.height, table.dataset.width) != size:
            return {}
        return {name: pixel_digests(table.dataset, rows) for name, rows in table.rows.items()}
    except DataError:
        return {}
