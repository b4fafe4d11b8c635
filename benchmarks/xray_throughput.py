"""How much of the speed of bare decoding and resizing `prepare_xray` keeps.

    python -m benchmarks.xray_throughput [images] [workers]

Writes an NIH collection of 1024 x 1024 px images, then lets both take turns on the same files and
cores. Bare: Pillow decodes each file and resizes it to 128 px in the same number of processes.
"""

import os
import platform
import statistics
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from activmask.data.sources.xray.prepare import Sources, prepare_xray
from activmask.ground.processes import in_order

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


def bare(paths: list[Path], workers: int) -> float:
    """Seconds."""
    start = time.perf_counter()
    list(in_order(partial(decode_and_resize, size=SIZE), paths, workers=workers))
    return time.perf_counter() - start


def prepared(folder: Path, out: Path, workers: int) -> float:
    """Seconds, start of the workers, table and preview included."""
    start = time.perf_counter()
    prepare_xray(Sources(nih=folder), out, size=SIZE, workers=workers)
    return time.perf_counter() - start


def main() -> None:
    """Print one row of a Markdown table."""
    images = int(sys.argv[1]) if len(sys.argv) > 1 else 2000
    workers = int(sys.argv[2]) if len(sys.argv) > 2 else 1
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "nih"
        folder.mkdir()
        write_collection(folder, images)
        paths = sorted(folder.glob("*.png"))
        megabytes = sum(path.stat().st_size for path in paths) / images / 1e6
        prepared(folder, Path(name) / "warm", workers)
        rounds = [
            (bare(paths, workers), prepared(folder, Path(name) / f"out-{k}", workers)) for k in range(ROUNDS)
        ]
    shares = sorted(one / other for one, other in rounds)
    own = statistics.median(other for _, other in rounds)
    print(
        "| images | MB each | workers | images/s, median | share of bare speed: min, median, max | machine |"
    )
    print("| ---: | ---: | ---: | ---: | ---: | --- |")
    print(
        f"| {images} | {megabytes:.2f} | {workers} | {images / own:.0f} | "
        f"{shares[0]:.2f}, {statistics.median(shares):.2f}, {shares[-1]:.2f} | "
        f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()} |"
    )


if __name__ == "__main__":
    main()
