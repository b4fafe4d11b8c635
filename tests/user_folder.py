"""A user's folder of images, masks and labels, for the tests of prepare-folder."""

from pathlib import Path

import numpy as np
from PIL import Image

from activmask.data.dataset import Dataset, read_dataset
from activmask.data.sources.folder.prepare import prepare_folder
from activmask.data.sources.folder.summary import FolderSummary


class Folder:
    """A user's folder: images, masks, a table."""

    def __init__(self, root: Path):
        self.images, self.masks, self.labels, self.out = (
            root / name for name in ("images", "masks", "labels.csv", "out")
        )
        self.images.mkdir()
        self.masks.mkdir()

    def image(self, name: str, pixels: np.ndarray) -> None:
        save(self.images / name, pixels)

    def mask(self, name: str, pixels: np.ndarray) -> None:
        save(self.masks / name, pixels)

    def table(self, *lines: str) -> None:
        self.labels.write_text("\n".join(lines) + "\n", encoding="utf-8")

    def prepare(self, **options) -> FolderSummary:
        return prepare_folder(self.images, self.labels, self.out, **{"masks": self.masks, **options})

    def written(self) -> Dataset:
        return read_dataset(self.out)


def save(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def grey(value: int, side: int = 8, kind: type = np.uint8) -> np.ndarray:
    return np.full((side, side), value, kind)


def half(side: int = 8) -> np.ndarray:
    mask = np.zeros((side, side), np.uint8)
    mask[:, : side // 2] = 255
    return mask


def cats_and_dogs(root: Path) -> Folder:
    """Two cats and two dogs, a mask for one of each."""
    made = Folder(root)
    for k, name in enumerate(("a.png", "b.tif", "sub/a.jpg", "c.png")):
        made.image(name, grey(50 * k))
    made.mask("a.png", half())
    made.mask("sub/a.tif", half())
    made.table("file_name,label,note", "a.png,cat,x", "b.tif,dog,", "sub/a.jpg,dog,", "c.png,cat,")
    return made
