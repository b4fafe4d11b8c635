"""How fast worker processes read a data set that stays on disk, and how much memory that takes.

    python -m benchmarks loading [images] [--memory]

Writes images of 128 px and 16 bits with their masks, and a set of a quarter of them. Speed: readers
of no, one and two processes take turns with training steps of ResNet-18 in this process, which is
what they have to keep up with. Memory: fresh processes read every image of either set once, from
disk as training on a stream does, or, if it is small enough, by holding all of them as training in
memory does.
"""

import math
import os
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import active_children, get_context
from pathlib import Path
from time import perf_counter

import numpy as np
import torch

from activmask.data.dataset import read_dataset
from activmask.data.writer import Record, write_dataset
from activmask.runs.description import RunConfig
from activmask.runs.making import make_config
from activmask.training.feed.kept_masks import to_train_on
from activmask.training.feed.sources import as_judged, split_rows, stored_splits
from activmask.training.feed.stream import RESIDENT_BYTES, Stream, batches, file_digest, open_stream
from benchmarks.command import Findings
from benchmarks.figure import Effort
from benchmarks.result import Cell, Table, column, median_range
from benchmarks.side_by_side import race

SIDE, BATCH, ROUNDS, READ, STEPS = 128, 32, 3, 1024, 2
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Peak:
    """The memory that processes held, in MiB."""

    empty: float
    """The training process with all libraries and the table loaded, but no image."""
    training: float
    """The training process at its most."""
    workers: float
    """Its workers together after their last image; pages that several processes share count in parts."""
    seconds: float
    """For reading every training and validation image once."""


def write_set(folder: Path, images: int) -> RunConfig:
    """A data set of smooth fields with noise and discs for masks; a run that needs both."""
    write_dataset(folder, _records(images), card={"name": "fields"})
    return make_config(data=str(folder), actdiff=1.0, batch_size=BATCH, device="cpu")


def _records(images: int) -> Iterator[Record]:
    axis = np.linspace(0, np.pi, SIDE)
    for k in range(images):
        rng = np.random.default_rng(k)
        field = 0.4 * np.outer(np.sin(axis), np.sin(axis * (1 + k % 3))) + 0.45
        noisy = np.clip(field + rng.normal(0, 0.005, field.shape), 0, 1)
        top, left = rng.integers(20, SIDE - 20, 2)
        rows, columns = np.ogrid[:SIDE, :SIDE]
        yield Record(
            name=f"field-{k:06d}",
            image=np.asarray(noisy * 65535, np.uint16),
            mask=(rows - top) ** 2 + (columns - left) ** 2 < 200,
            label=k // 10 % 2,
            subject=f"{k}",
            site="",
            split="valid" if k % 10 == 8 else "test" if k % 10 == 9 else "train",
        )


def streamed(config: RunConfig, workers: int) -> Stream:
    """The set as training streams it, whatever its size."""
    dataset = read_dataset(Path(config.source.data))
    rows = split_rows(config.source, dataset, 0)
    return open_stream(dataset, rows, config.view, config.objectives, seed=0, device=CPU, count=workers)


def reader(config: RunConfig, workers: int) -> Callable[[], float]:
    """Reads some training images in random order, each time others; images per second."""
    stream, generator = streamed(config, workers), torch.Generator().manual_seed(0)

    def read() -> float:
        order = torch.randperm(len(stream.train), generator=generator)[:READ].split(BATCH)
        start = perf_counter()
        images = sum(len(labels) for _, _, labels in batches(stream.train, order, CPU))
        return images / (perf_counter() - start)

    return read


def network(config: RunConfig) -> Callable[[], float]:
    """A few training steps of ResNet-18 without penalties, from memory; images per second."""
    # Worker processes import this module too, and would show the memory of libraries they do not use.
    from activmask.training.replicas.epoch import training_steps
    from activmask.training.replicas.replica import new_replica

    replica = new_replica(config, 0, Path("unused"), CPU)

    def learn() -> float:
        steps = training_steps(replica)
        next(steps)
        start = perf_counter()
        images = sum(next(steps)[1] for _ in range(STEPS))
        seconds = perf_counter() - start
        steps.close()
        return images / seconds

    return learn


def streaming_peak(config: RunConfig, workers: int) -> Peak:
    """Read every training and validation image once, as an epoch does."""
    stream = streamed(config, workers)
    empty = _mebibytes("self", "VmRSS")
    file_digest(stream.train)
    start = perf_counter()
    order = torch.randperm(len(stream.train)).split(BATCH)
    for _ in batches(stream.train, order, CPU):
        pass
    for _ in stream.splits["valid"].images.split(BATCH):
        pass
    seconds = perf_counter() - start
    processes = [str(worker.pid) for worker in active_children()]
    held = sum(_mebibytes(process, "Pss", "smaps_rollup") for process in processes)
    return Peak(empty, _mebibytes("self", "VmHWM"), held, seconds)


def resident_peak(config: RunConfig) -> Peak:
    """Hold what training in memory holds."""
    empty = _mebibytes("self", "VmRSS")
    start = perf_counter()
    view, objectives = config.view, config.objectives
    stored = stored_splits(config.source, view, objectives, 0)
    trained = to_train_on(stored["train"], view, 0, config.source.data)
    held = trained, [as_judged(one, view, objectives) for one in stored.values()]
    seconds = perf_counter() - start
    del stored, held
    return Peak(empty, _mebibytes("self", "VmHWM"), 0.0, seconds)


def _mebibytes(process: str, field: str, table: str = "status") -> float:
    for line in Path(f"/proc/{process}/{table}").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) / 1024
    raise LookupError(field)


def speeds(config: RunConfig, trained: RunConfig) -> Table:
    """Readers and the training that they have to keep up with, in turns."""
    contestants = {
        "no worker": reader(config, 0),
        "1 worker": reader(config, 1),
        "2 workers": reader(config, 2),
        "ResNet-18 (64) steps": network(trained),
    }
    measured = race(contestants, Effort(device=CPU, rounds=ROUNDS), budget_s=math.inf)
    return {
        "columns": [column("who"), column("images/s: median (least to greatest)", "short")],
        "rows": [[name, median_range(own)] for name, own in measured.items()],
    }


def memory(configs: dict[int, RunConfig]) -> Table:
    """One row a set and way, each measured in a process of its own."""
    rows: list[list[Cell]] = []
    for images, config in configs.items():
        pixels = images * SIDE**2 * 5
        ways: dict[str, Callable[[], Peak]] = {"streamed, 2 workers": partial(streaming_peak, config, 2)}
        if pixels <= RESIDENT_BYTES:
            ways["in memory"] = partial(resident_peak, config)
        for name, measure_peak in ways.items():
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as fresh:
                peak: Peak = fresh.submit(measure_peak).result()
            rows.append([images, pixels / 2**20, name, peak.empty, peak.training, peak.workers, peak.seconds])
    return {
        "columns": [
            column("images", ",d"),
            column("their pixels, MiB", ",.0f"),
            column("way"),
            column("empty, MiB", ",.0f"),
            column("peak, MiB", ",.0f"),
            column("workers, MiB", ",.0f"),
            column("s", ".0f"),
        ],
        "rows": rows,
    }


def add_options(parser: ArgumentParser) -> None:
    """Declare how large the set is and what is measured on it."""
    parser.add_argument("images", type=int, nargs="?", default=20_000, help="of the set (default: 20000)")
    parser.add_argument("--memory", action="store_true", help="no race of readers, one set")


def measure(given: Namespace) -> Iterator[Findings]:
    """Write the sets, measure, and say how busy the machine was."""
    images, sizes = given.images, [given.images] if given.memory else [given.images // 4, given.images]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        configs = {count: write_set(folder / str(count), count) for count in sizes}
        load = os.getloadavg()[0]
        rows = _preparation(configs[images])
        tables = []
        if not given.memory:
            few = write_set(folder / "few", BATCH * 10)
            tables.append(
                speeds(configs[images], make_config(data=few.source.data, batch_size=BATCH, device="cpu"))
            )
        tables.append(memory(configs))
    rows += [["load of the machine before", load], ["load of the machine after", os.getloadavg()[0]]]
    columns = [column(f"{images:,} images of {SIDE} px"), column("", "short")]
    tables.append({"columns": columns, "rows": rows})
    yield Findings(title="Reading from disk while training", parts=[{"table": table} for table in tables])


def _preparation(config: RunConfig) -> list[list[Cell]]:
    """What comes before the first image is trained on."""
    files = list(Path(config.source.data).rglob("*.png"))
    kilobytes = sum(path.stat().st_size for path in files) / (len(files) / 2) / 1e3
    start = perf_counter()
    stream = streamed(config, 0)
    opened = perf_counter() - start
    file_digest(stream.train)
    digested = perf_counter() - start - opened
    return [
        ["kB of an image with its mask", kilobytes],
        ["s to read and check the table", opened],
        ["s to digest the training files", digested],
    ]
