"""Images that nobody drew for this package: scanned digits, and a tag that gives the class away.

    python docs/examples/digits.py FOLDER

writes scans of handwritten threes and eights, which scikit-learn ships, as anybody would have their
own images: FOLDER/images, FOLDER/masks and FOLDER/labels.csv. A mask is the ink. A bright tag in a
bottom corner is the distractor: in training it stands left of every three and right of every eight,
in validation and test the other way round. With --run it also does what one does with one's own
images: prepares them, trains with and without actdiff, and compares.

The scans do not say who wrote them, so every image counts as its own subject, and one hand may have
written images of several splits.

Shapes: N images of 32 x 32 px.
"""

import argparse
import csv
import io
import shlex
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from activmask.data.files.png import encode_png

Pixel = TypeVar("Pixel", bound=np.generic)

CLASSES = (3, 8)
"""The digits to tell apart; scikit-learn has 183 threes and 174 eights."""

PER_CLASS = {"train": 90, "valid": 42, "test": 42}
"""Images of each class in each split: every eight is used, and as many threes."""

SIDE = 32
ENLARGED, FRAME = 2, 8
"""Each of the 8 x 8 scanned pixels becomes 2 x 2 px, inside an empty frame of 8 px."""

BLACKEST, INK = 16, 4
"""A scanned pixel counts the black ones among its 16; from 4 on it is ink."""

RUNS = ("runs/digits-baseline", "runs/digits-actdiff")
"""Where `train` leaves what it trained."""

TAG, TAG_GREY = 5, 255
"""The tag's side in px. It fills the very corner: a mask grown by up to 3 px never touches it."""


@dataclass(frozen=True, kw_only=True)
class Digits:
    """The images of all splits, training first."""

    images: NDArray[np.uint8]
    """(N, 32, 32), ink bright."""
    masks: NDArray[np.bool_]
    """(N, 32, 32), True on the ink."""
    labels: NDArray[np.int64]
    """(N,), the digit."""
    splits: tuple[str, ...]
    """N times `train`, `valid` or `test`."""
    tag_right: NDArray[np.bool_]
    """(N,), the corner the tag stands in."""
    scans: NDArray[np.int64]
    """(N,), which of scikit-learn's images it is."""


def draw_digits(seed: int = 0, per_class: Mapping[str, int] = PER_CLASS) -> Digits:
    """Share the scans out among the splits, enlarge them, and put the tags on.

    Args:
        seed: of the split; the same seed gives the same images.
        per_class: images of each class in each split.
    """
    bunch = load_digits()
    splits = [split for split, count in per_class.items() for _ in range(count * len(CLASSES))]
    scans = _share_out(bunch.target, per_class, np.random.default_rng(seed))
    labels = bunch.target[scans].astype(np.int64)
    tag_right = (labels == CLASSES[1]) == (np.array(splits) == "train")
    return Digits(
        images=_tagged(_framed(_greys(bunch.images[scans])), tag_right),
        masks=_framed(bunch.images[scans] >= INK),
        labels=labels,
        splits=tuple(splits),
        tag_right=tag_right,
        scans=scans,
    )


def write_digits(digits: Digits, folder: Path) -> None:
    """Write `images/`, `masks/` and `labels.csv`; the same digits give the same bytes."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(("file_name", "label", "split"))
    for name in ("images", "masks"):
        (folder / name).mkdir(parents=True)
    for i, scan in enumerate(digits.scans):
        name = f"scan-{scan:04d}.png"
        (folder / "images" / name).write_bytes(encode_png(digits.images[i]))
        (folder / "masks" / name).write_bytes(encode_png(digits.masks[i].astype(np.uint8) * 255))
        table.writerow((name, digits.labels[i], digits.splits[i]))
    (folder / "labels.csv").write_text(text.getvalue(), encoding="utf-8")


def chain(folder: Path) -> list[list[str]]:
    """What to type next, as the arguments of `activmask`."""
    data = str(folder / "data")
    train = ["train", "--data", data, *shlex.split("--width 16 --lr 1e-3 --epochs 30 --seeds 0-2")]
    read = {"--masks": folder / "masks", "--labels": folder / "labels.csv", "--out": data}
    return [
        ["prepare-folder", str(folder / "images"), *(str(part) for pair in read.items() for part in pair)],
        [*train, "--name", "digits-baseline"],
        [*train, "--name", "digits-actdiff", "--actdiff", "10"],
        ["evaluate", *RUNS, "--epoch", "last"],
    ]


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the folder, say what it holds and what to do with it, and do it if asked to."""
    parser = argparse.ArgumentParser(prog="python docs/examples/digits.py", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("folder", type=Path, help="to make; must not exist")
    parser.add_argument("--seed", type=int, default=0, help="of the split (default: 0)")
    parser.add_argument("--run", action="store_true", help="run the commands that come next, too")
    args = parser.parse_args(arguments)
    if args.folder.exists():
        parser.error(f"{args.folder} exists already; name a folder to make")
    digits = draw_digits(args.seed)
    write_digits(digits, args.folder)
    counts = ", ".join(f"{digits.splits.count(split)} {split}" for split in PER_CLASS)
    print(
        f"{len(digits.labels)} images of {SIDE} x {SIDE} px ({counts}), half of them threes, in {args.folder}"
    )
    print("next:", *(f"  {shlex.join(['activmask', *command])}" for command in chain(args.folder)), sep="\n")
    if args.run:
        _run(args.folder)


def _run(folder: Path) -> None:
    """Run the chain, then tabulate and draw what came out."""
    for command in chain(folder):
        print("$", shlex.join(["activmask", *command]), flush=True)
        code = subprocess.run([sys.executable, "-m", "activmask_cli.app", *command], check=False).returncode
        if code:
            sys.exit(code)
    # Writing the images alone should not wait for torch.
    from digits_report import main as report

    report([*RUNS, "--picture", str(folder / "digits.png"), "--json", str(folder / "digits.json")])


def _share_out(
    target: NDArray[np.int64], per_class: Mapping[str, int], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Different scans for every split, as many of each class; within a split in their own order."""
    ends = np.cumsum(list(per_class.values()))
    shares = [np.split(rng.permutation(np.flatnonzero(target == digit)), ends)[:-1] for digit in CLASSES]
    return np.concatenate([np.sort(np.concatenate(of_split)) for of_split in zip(*shares, strict=True)])


def _greys(scans: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.rint(scans * (255 / BLACKEST)).astype(np.uint8)


def _framed(scans: NDArray[Pixel]) -> NDArray[Pixel]:
    """Enlarge (N, 8, 8) to (N, 16, 16) by nearest neighbour, and add the frame."""
    large = scans.repeat(ENLARGED, axis=1).repeat(ENLARGED, axis=2)
    return np.pad(large, ((0, 0), (FRAME, FRAME), (FRAME, FRAME)))


def _tagged(images: NDArray[np.uint8], right: NDArray[np.bool_]) -> NDArray[np.uint8]:
    images[right, -TAG:, -TAG:] = TAG_GREY
    images[~right, -TAG:, :TAG] = TAG_GREY
    return images


if __name__ == "__main__":
    main()
