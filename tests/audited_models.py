"""Small images with a tag outside their masks, and networks that read it, for the tests of audits."""

import csv
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

from activmask.auditing.audit import audit
from activmask.auditing.audited import Audited

N, SIDE = 48, 16


class ReadsTheCorner(nn.Module):
    """Two logits, of which the second is the brightness of a corner and a little of the middle."""

    def __init__(self, channels: int = 1, outputs: int = 2) -> None:
        super().__init__()
        self.taps = nn.Conv2d(channels, outputs, 4, stride=4, bias=False)
        self.active = nn.ReLU()
        self.head = nn.Linear(outputs * (SIDE // 4) ** 2, outputs)
        with torch.no_grad():
            self.taps.weight.fill_(1 / (16 * channels))
            self.head.weight.zero_()
            self.head.bias.zero_()
            last = (outputs - 1) * (SIDE // 4) ** 2
            self.head.weight[-1, last] = 8
            self.head.weight[-1, last + 5] = 1
            self.head.bias[-1] = -4

    def forward(self, images):
        return self.head(self.active(self.taps(images)).flatten(1))


def tagged(n: int = N, seed: int = 0):
    """Images uint8 (n, 16, 16) whose corner is bright in class 1, masks of the middle, and labels (n,)."""
    rng = np.random.default_rng(seed)
    images = rng.integers(0, 120, (n, SIDE, SIDE), dtype=np.uint8)
    labels = np.arange(n) % 2
    images[labels == 1, :4, :4] = 255
    masks = np.zeros((n, SIDE, SIDE), bool)
    masks[:, 4:12, 4:12] = True
    return images, masks, labels


def audited(model: nn.Module | None = None, **options: object) -> Audited:
    images, masks, labels = tagged()
    given = {"class_names": ["well", "ill"], "draws": 1, **options}
    return audit(model or ReadsTheCorner(), images, masks, labels, **given)


def write_folder(root: Path) -> Path:
    """The same as a user has them: images, masks, and a table with a column of the user's own."""
    images, masks, labels = tagged()
    for name, stack in (("images", images), ("masks", masks.astype(np.uint8) * 255)):
        (root / name).mkdir(parents=True)
        for k, pixels in enumerate(stack):
            Image.fromarray(pixels).save(root / name / f"scan {k:02}.png")
    with (root / "labels.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["file_name", "label", "subject", "split", "sex"])
        for k, label in enumerate(labels):
            split = ("valid", "test", "test")[k // 2 % 3]
            writer.writerow(
                [f"scan {k:02}.png", ("healthy", "ill")[label], f"p{k // 2}", split, "FM"[k // 6 % 2]]
            )
    return root
