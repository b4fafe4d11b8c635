"""Images that stay on disk until a step needs them, read ahead by worker processes.

A data set whose pixels would take more than `RESIDENT_BYTES` streams, every other one lives in
memory. Both give the same bits: order, shuffles and random crops are drawn by the training
process; workers only read, dilate and crop to the middle. A script that trains on a stream needs
the `if __name__ == "__main__":` of every program that starts processes.

Shapes: N images, B of a batch, C channels, T the network's side in px.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from activmask.data.arrays import HeldImages
from activmask.data.dataset import Dataset
from activmask.data.samples import Samples
from activmask.data.settings import IN_MEMORY, Source, View, takes_crops, with_given_masks
from activmask.machine.world import ALONE, World
from activmask.objectives.chosen import Chosen
from activmask.runs.manifest import Entry, file_content, table_rows
from activmask.training.feed.kept_masks import (
    check_distances,
    judged_lenders,
    training_masks,
    training_moves,
)
from activmask.training.feed.origin import (
    Origin,
    origin_in_memory,
    origin_of_arrays,
    origin_on_disk,
    refuse_groups,
)
from activmask.training.feed.reading import MOST_KEPT, Reading
from activmask.training.feed.sources import (
    check_scale,
    check_split,
    drawn_splits,
    held_splits,
    read_splits,
    split_rows,
)
from activmask.training.feed.workers import (
    BatchRequest,
    Pixels,
    Workers,
    new_reader,
    new_workers,
    worker_count,
)

RESIDENT_BYTES = 2**31
"""The most that the pixels of a run's three splits may take in memory (26,000 images of 128 px).

Each seed of a run holds its own; beside the program a process was measured to need 1.4 times as much. While
several are opened, what they have read is held once more, if all of the data set takes no more than this; of
`MOST_KEPT` that is so in a process that trains one cell of a grid after another, until its next cell.
"""

_BYTES_PER_VALUE, _BYTES_PER_MASK_PIXEL = 4, 1


@dataclass(frozen=True, kw_only=True)
class StreamedImages:
    """The pixels of a split, on disk."""

    workers: Workers
    training: bool
    """As training sees them, not evaluation."""
    rows: Tensor
    """int64 (N,), their rows in the data set's table."""
    side: int
    """T."""

    @property
    def shape(self) -> torch.Size:
        """(N, C, T, T)."""
        channels = self.workers.reader.train_table.channels
        return torch.Size((len(self.rows), channels, self.side, self.side))

    def split(self, size: int) -> Iterator[Tensor]:
        """Images (size, C, T, T) in [0, 1] after images, the last of them perhaps fewer."""
        for images, _ in self.read(torch.arange(len(self.rows)).split(size)):
            yield images

    def read(self, order: Sequence[Tensor]) -> Iterator[Pixels]:
        """Images and masks of batches, each int64 (B,) of the numbers 0 to N - 1."""
        return self.workers.read(BatchRequest(self.training, self.rows[picked].tolist()) for picked in order)

    def masks_beside_given(self, size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """Masks (size, 1, T, T) as training sees them, and those of the data set beside them."""
        pixels = self.workers.read(
            BatchRequest(self.training, rows.tolist(), given)
            for rows in self.rows.split(size)
            for given in (False, True)
        )
        # One pass answers both, as another must not begin before it has ended.
        for (_, seen), (_, given) in zip(pixels, pixels, strict=True):
            yield seen, given


@dataclass(frozen=True, kw_only=True)
class StreamedSamples:
    """A split of which only the labels are in memory, and which images have a mask."""

    images: StreamedImages
    labels: Tensor
    """int64 (N,), the class of each image, or (N, L) as `Samples` has them."""
    has_mask: Tensor
    """bool (N,), as it is seen: False too where a mask is not kept."""

    def __len__(self) -> int:
        """The number of images N."""
        return len(self.labels)


AnySamples = Samples | StreamedSamples


@dataclass(frozen=True, kw_only=True)
class Stream:
    """A run's data on disk, read by one set of workers."""

    train: StreamedSamples
    """As training sees it."""
    splits: dict[str, StreamedSamples]
    """Train, valid and test as evaluation sees them."""


def open_stored(
    source: Source,
    view: View,
    objectives: Chosen,
    seed: int,
    *,
    device: torch.device,
    threads: int = 0,
    world: World = ALONE,
    written: Sequence[Entry] = (),
    held: HeldImages | None = None,
    groups: str = "",
    reading: Reading | None = None,
) -> tuple[dict[str, Samples] | Stream, Origin]:
    """Train, valid and test in memory as stored, or a stream where they would take too much of it.

    Args:
        source: where they come from, and how they are split.
        view: must fit them; decides what a stream reads.
        objectives: likewise.
        seed: of the run.
        device: where the network computes.
        threads: the run's, as in `worker_count`.
        world: the processes that train together.
        written: the splits as the run wrote them down; none draws them.
        held: the images, where the caller has them in memory.
        groups: by which column images are grouped; empty for a planted shortcut, if there is one.
        reading: what the run's other seeds have read.

    Returns:
        The images, and where they come from.

    Raises:
        DataError: a data set that is missing, broken or cannot be split as asked, or has lost images
            that were written down.
    """
    if held is not None or source.data == IN_MEMORY:
        refuse_groups(groups, source.data)
    if held is not None:
        splits = held_splits(held, source, view, objectives, seed)
        return splits, origin_of_arrays(splits, held)
    reading = reading or Reading()
    if source.data == IN_MEMORY:
        drawn = drawn_splits(source, seed, view, objectives, reading)
        return drawn, reading.origin(("drawn", seed), (source, view), lambda: origin_in_memory(drawn))
    dataset = reading.table(Path(source.data))
    check_scale(dataset, view, objectives)
    rows = table_rows(written, dataset) if written else split_rows(source, dataset, seed)
    images = sum(len(chosen) for chosen in rows.values())
    stored: dict[str, Samples] | Stream
    of_pixel = _BYTES_PER_VALUE * dataset.channels + _BYTES_PER_MASK_PIXEL
    of_image = dataset.height * dataset.width * of_pixel
    if images * of_image <= RESIDENT_BYTES:
        most = RESIDENT_BYTES if reading.of_several else MOST_KEPT
        shared = reading if len(dataset) * of_image <= most else None
        stored = read_splits(dataset, rows, view, objectives, shared)
    else:
        count = worker_count(threads, world)
        stored = open_stream(dataset, rows, view, objectives, seed=seed, device=device, count=count)
    of = tuple((name, tuple(own.tolist())) for name, own in rows.items()), groups
    known = reading.known(dataset.root)
    return stored, reading.origin(dataset.root, of, lambda: origin_on_disk(dataset, rows, groups, known))


def open_stream(
    dataset: Dataset,
    rows: Mapping[str, np.ndarray],
    view: View,
    objectives: Chosen,
    *,
    seed: int,
    device: torch.device,
    count: int,
) -> Stream:
    """A stream of the splits that `split_rows` drew.

    Args:
        dataset: of all splits.
        rows: of each split, int64 (n,).
        view: what the network sees of the images.
        objectives: of the run, whose needs decide which masks are read.
        seed: draws which masks are kept and lent.
        device: where the network computes.
        count: of the processes that read; 0 reads in this one.

    Raises:
        DataError: a split cannot be trained or judged on.
    """
    labels = torch.from_numpy(dataset.labels)
    has_mask = torch.tensor([view.mask == "circle" or name != "" for name in dataset.mask_file_names])
    chosen = {name: torch.from_numpy(of_split) for name, of_split in rows.items()}
    stored, data = (dataset.height, dataset.width), str(dataset.root)
    for name, own in chosen.items():
        check_split(name, stored, labels[own], has_mask[own], view, objectives, data)
    of_train, in_judging = chosen["train"], torch.arange(len(dataset))
    check_distances(view, dataset.width, data)

    def to_train(seen: View) -> tuple[Tensor, Tensor]:
        """Which rows of the table have a mask in training, and of which row each shows it."""
        kept, rows = has_mask.clone(), torch.arange(len(dataset))
        kept[of_train], shown = training_masks(labels[of_train], has_mask[of_train], seen, seed, data)
        rows[of_train] = of_train[shown]
        return kept, rows

    kept, in_training = to_train(view)
    for name, own in chosen.items():
        lenders = judged_lenders(has_mask[own], view, objectives, seed=seed, split=name)
        in_judging[own] = own if lenders is None else own[lenders]
    reader = new_reader(dataset, view, objectives, kept=kept, in_training=in_training, in_judging=in_judging)
    plain = with_given_masks(view)
    if plain != view:
        moves, of_training = None, training_moves(len(of_train), view, seed)
        if of_training is not None:
            moves = torch.zeros(len(dataset), 2, dtype=torch.float64).index_put((of_train,), of_training)
        kept_given, in_given = to_train(plain)
        given = new_reader(
            dataset, plain, objectives, kept=kept_given, in_training=in_given, in_judging=in_judging
        )
        reader = replace(reader, moves=moves, given=given)
    workers = new_workers(reader, device, count)
    middle = view.image_size or dataset.width

    def streamed(own: Tensor, training: bool, side: int) -> StreamedSamples:
        images = StreamedImages(workers=workers, training=training, rows=own, side=side)
        seen = kept if training else has_mask[in_judging]
        return StreamedSamples(images=images, labels=labels[own], has_mask=seen[own])

    return Stream(
        train=streamed(of_train, True, dataset.width if takes_crops(view) else middle),
        splits={name: streamed(own, False, middle) for name, own in chosen.items()},
    )


def batches(
    samples: AnySamples, order: Sequence[Tensor], device: torch.device
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Images, masks and labels on the device, batch after batch.

    Args:
        samples: to train on; those in memory are on the device already.
        order: of each batch, int64 (B,) of the numbers 0 to N - 1.
        device: where the network computes.

    Raises:
        DataError: a file of a stream is broken.
    """
    if isinstance(samples, Samples):
        for picked in order:
            there = picked.to(device)
            yield samples.images[there], samples.masks[there], samples.labels[there]
        return
    for picked, (images, masks) in zip(order, samples.images.read(order), strict=True):
        labels = samples.labels[picked].to(device)
        yield images.to(device, non_blocking=True), masks.to(device, non_blocking=True), labels


def file_digest(samples: StreamedSamples) -> str:
    """A digest of what training reads, by which earlier versions knew a stream's data again.

    Raises:
        DataError: a file cannot be read.
    """
    table = samples.images.workers.reader.train_table
    digest = hashlib.sha256()
    for row in samples.images.rows.tolist():
        for name in (table.file_names[row], table.mask_file_names[row]):
            content = file_content(table.root / name) if name else b""
            digest.update(len(content).to_bytes(8, "little"))
            digest.update(content)
    digest.update(samples.labels.numpy().tobytes())
    return digest.hexdigest()
