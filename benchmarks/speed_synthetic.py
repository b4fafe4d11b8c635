"""How fast the synthetic benchmark is made, over drawing and writing one image at a time."""

import csv
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from activmask.data.sources.synthetic.drawing import EXTENTS, draw_synthetic
from activmask.data.sources.synthetic.prepare import make_synthetic as make
from activmask.data.sources.synthetic.spec import SyntheticSpec
from benchmarks.figure import Effort, Figure
from benchmarks.side_by_side import clocked, pick, race, ratios

WHOLE, DRAWN = "activmask", "activmask, drawing alone"
LOOP, LOOP_DRAWN = "per-image loop", "per-image loop, drawing alone"
SIDE = 28


def make_synthetic(effort: Effort) -> list[Figure]:
    """The whole command's work, and the drawing without the files."""
    images, sample = (64, 16) if effort.quick else (100_000, 2000)
    held_out = 16 if effort.quick else 128
    spec = SyntheticSpec(n=images - 2 * held_out, valid=held_out, test=held_out)
    # Files are deleted after the race alone: for minutes after a deletion, ext4 without a journal searches
    # for inodes not freed of late, up to half a millisecond a new file.
    with TemporaryDirectory() as folder:
        work = _contestants(Path(folder), spec, sample)
        contestants = {name: clocked(own, effort.device) for name, own in work.items()}
        speeds = race(contestants, effort, warm_up=False, budget_s=200)
    note = f"the loop makes {sample:,} images"
    return [
        Figure(
            name=f"make-synthetic {images:,} images, files written",
            values=tuple(images / speed for speed in speeds[WHOLE]),
            unit="s",
            target=60.0,
            at_most=True,
            precision="",
            behind=pick(speeds, WHOLE),
        ),
        Figure(
            name=f"make-synthetic {images:,} images, files written: images/s over a {LOOP}",
            values=ratios(speeds, WHOLE, LOOP),
            target=10.0,
            note=note,
            precision="",
            behind=pick(speeds, WHOLE, LOOP),
        ),
        Figure(
            name=f"the same without files: images/s over a {LOOP}",
            values=ratios(speeds, DRAWN, LOOP_DRAWN),
            note=note,
            precision="",
            behind=pick(speeds, DRAWN, LOOP_DRAWN),
        ),
    ]


def _contestants(folder: Path, spec: SyntheticSpec, sample: int) -> dict[str, Callable[[], float]]:
    """Each returns how many images it made; the loops make `sample`."""
    images, turns = spec.n + spec.valid + spec.test, count()

    def whole() -> float:
        make(spec, folder / f"crosses-{next(turns)}")
        return float(images)

    def drawn() -> float:
        draw_synthetic(spec)
        return float(images)

    def loop() -> float:
        own = folder / f"loop-{next(turns)}"
        own.mkdir()
        write_one_by_one(own, sample)
        return float(sample)

    def loop_drawn() -> float:
        return float(sum(1 for _ in drawn_one_by_one(sample)))

    return {WHOLE: whole, DRAWN: drawn, LOOP: loop, LOOP_DRAWN: loop_drawn}


def drawn_one_by_one(images: int) -> Iterator[tuple[np.ndarray, np.ndarray, int]]:
    """Image and mask bool (S, S) and class; nothing keeps an arrangement from coming twice."""
    rng = np.random.default_rng(0)
    for index in range(images):
        label = index % 2
        mask = _crosses(rng, 2 - label)
        image = mask.copy()
        left = 3 if label else SIDE - 6
        image[SIDE - 5 : SIDE - 3, left : left + 3] = True
        yield image, mask, label


def _crosses(rng: np.random.Generator, count: int) -> np.ndarray:
    """So many crosses of one extent that neither touch nor reach the box's rows."""
    arm = int(rng.choice(EXTENTS)) // 2
    mask = np.zeros((SIDE, SIDE), dtype=bool)
    placed = 0
    while placed < count:
        row, column = rng.integers(arm, SIDE - 6 - arm), rng.integers(arm, SIDE - arm)
        near = mask[max(0, row - arm - 1) : row + arm + 2, max(0, column - arm - 1) : column + arm + 2]
        if near.any():
            continue
        mask[row - arm : row + arm + 1, column] = True
        mask[row, column - arm : column + arm + 1] = True
        placed += 1
    return mask


def write_one_by_one(folder: Path, images: int) -> None:
    """Draw and save each image and mask with Pillow, and a table of them."""
    (folder / "images").mkdir()
    (folder / "masks").mkdir()
    with (folder / "metadata.csv").open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(["file_name", "mask_file_name", "label"])
        for index, (image, mask, label) in enumerate(drawn_one_by_one(images)):
            names = [f"{kind}/{index:06d}.png" for kind in ("images", "masks")]
            for name, pixels in zip(names, (image, mask), strict=True):
                Image.fromarray(pixels.astype(np.uint8) * 255).save(folder / name)
            table.writerow([*names, label])
