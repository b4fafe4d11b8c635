"""How much of the speed of bare decoding and resizing `prepare_xray` keeps.

    python -m benchmarks xray-throughput [images] [workers]

Writes an NIH collection of 1024 x 1024 px images, then lets both take turns on the same files and
cores. Bare: Pillow decodes each file and resizes it to 128 px in the same number of processes.
"""

import math
import os
import tempfile
from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from activmask.data.sources.xray.prepare import Sources, prepare_xray
from activmask.ground.processes import in_order
from benchmarks.command import Findings
from benchmarks.figure import Effort
from benchmarks.result import column, median_range
from benchmarks.side_by_side import Speeds, clocked, race, ratios

PREPARED, BARE = "prepare-xray", "bare decoding and resizing"
SIDE, SIZE, ROUNDS, DISTINCT = 1024, 128, 3, 50
HEADER = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position\n"


def write_collection(folder: Path, images: int) -> Path:
    """Smooth fields with noise, whose PNG files are about as large as those of NIH (0.4 MB).

    Fifty differ, the others are links to them; all are in the file cache either way.
    """
    axis = np.linspace(0, np.pi, SIDE)
    lines = []
    for k in range(images):
        name = f"{k + 1:08d}_000.png"
        if k < DISTINCT:
            rng = np.random.default_rng(k)
            field = 120 * np.outer(np.sin(axis), np.sin(axis * (1 + k % 3))) + 100
            pixels = np.clip(field + rng.normal(0, 1.2, field.shape), 0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(folder / name)
        else:
            os.link(folder / f"{k % DISTINCT + 1:08d}_000.png", folder / name)
        lines.append(f"{name},{'Emphysema' if k % 2 else 'No Finding'},0,{k + 1},50,M,PA\n")
    (folder / "Data_Entry_2017.csv").write_text(HEADER + "".join(lines))
    return folder


def decode_and_resize(path: Path, size: int) -> int:
    """What no preparation can do without."""
    with Image.open(path) as image:
        return image.convert("L").resize((size, size), Image.Resampling.BILINEAR).width


def contestants_race(folder: Path, out: Path, workers: int) -> Speeds:
    """Images a second of both; that of prepare-xray counts workers' start, table and preview too."""
    paths, turns = sorted(folder.glob("*.png")), count()

    def bare() -> float:
        return float(sum(1 for _ in in_order(partial(decode_and_resize, size=SIZE), paths, workers=workers)))

    def prepared() -> float:
        prepare_xray(Sources(nih=folder), out / f"{next(turns)}", size=SIZE, workers=workers)
        return float(len(paths))

    effort = Effort(device=torch.device("cpu"), rounds=ROUNDS)
    own = {BARE: clocked(bare, effort.device), PREPARED: clocked(prepared, effort.device)}
    return race(own, effort, budget_s=math.inf)


def add_options(parser: ArgumentParser) -> None:
    """Declare how many images in how many processes."""
    parser.add_argument("images", type=int, nargs="?", default=2000, help="of the collection (default: 2000)")
    parser.add_argument("workers", type=int, nargs="?", default=1, help="processes of both (default: 1)")


def measure(given: Namespace) -> Iterator[Findings]:
    """Write the collection and let both take turns on it."""
    with tempfile.TemporaryDirectory() as name:
        folder, out = Path(name) / "nih", Path(name) / "out"
        folder.mkdir()
        out.mkdir()
        write_collection(folder, given.images)
        megabytes = sum(path.stat().st_size for path in folder.glob("*.png")) / given.images / 1e6
        speeds = contestants_race(folder, out, given.workers)
    columns = [
        column("images", "d"),
        column("MB each", ".2f"),
        column("workers", "d"),
        column("images/s", ".0f"),
        column("share of bare speed", ".2f"),
    ]
    share = median_range(ratios(speeds, PREPARED, BARE))
    row = [given.images, megabytes, given.workers, median_range(speeds[PREPARED]), share]
    yield Findings(
        title="prepare-xray against bare decoding and resizing",
        parts=[{"table": {"columns": columns, "rows": [row]}}],
        behind=speeds,
    )
