"""A folder of small pictures with two labels that do not exclude each other, for the tests of them."""

import csv
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 16
NAMES = ("effusion", "mass")


def pictures(count: int = 48) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Images uint8 (N, H, W): a square at the top left for the first label, at the lower right for the other.

    Beside them masks bool (N, H, W) of both places, and labels float (N, 2), NaN where unknown.
    """
    rng = np.random.default_rng(0)
    images = rng.integers(0, 60, (count, SIDE, SIDE)).astype(np.uint8)
    labels = np.stack([np.arange(count) // 2 % 2, np.arange(count) % 2], axis=1).astype(float)
    masks = np.zeros(images.shape, np.bool_)
    for at, rows in ((0, slice(2, 6)), (1, slice(10, 14))):
        images[labels[:, at] == 1, rows, rows] += 150
        masks[:, rows, rows] = True
    labels[5::16, 0] = np.nan
    return images, masks, labels


def write_folder(root: Path, *, joined: bool = False, count: int = 48) -> Path:
    """`scans`, `rois` and `labels.csv`, whose labels have columns of their own or stand in one."""
    images, masks, labels = pictures(count)
    for name in ("scans", "rois"):
        (root / name).mkdir(parents=True)
    rows = []
    for i, (image, mask, (effusion, mass)) in enumerate(zip(images, masks, labels, strict=True)):
        file = f"i{i:03d}.png"
        Image.fromarray(image).save(root / "scans" / file)
        if i % 8:
            Image.fromarray(mask).save(root / "rois" / file)
        true = [name for name, value in zip(NAMES, (effusion, mass), strict=True) if value == 1]
        cells = (
            ["|".join([*true, "hernia"] if i % 3 == 0 else true) or "No Finding"]
            if joined
            else ["" if np.isnan(value) else f"{value:g}" for value in (effusion, mass)]
        )
        rows.append([file, f"p{i}", "A" if i % 3 else "B", *cells])
    with (root / "labels.csv").open("w", newline="") as file:
        header = ["file_name", "subject", "site", *(("label",) if joined else NAMES)]
        csv.writer(file).writerows([header, *rows])
    return root
