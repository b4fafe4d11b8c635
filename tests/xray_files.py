"""The two chest X-ray collections as they lie on disk, a few images each."""

from pathlib import Path

import numpy as np
from dicom_files import write_dicom
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from xray_tables_files import (
    NIH_2017_HEADER,
    PADCHEST_NAME,
    nih_row,
    padchest_row,
    padchest_text,
    write_table,
)

from activmask.data.sources.xray.prepare import Sources

SECRET = "Ottokar-Zwirbelmeier-1911"


def xray(seed: int, top: int, side: int = 40, kind: type = np.uint8) -> np.ndarray:
    """Noise under a bright disc; values up to `top`."""
    rng = np.random.default_rng(seed)
    axis = np.arange(side) - side / 2
    disc = (axis[:, None] ** 2 + axis**2) < (side / 4) ** 2
    return (rng.random((side, side)) * top / 2 + disc * top / 2).astype(kind)


def png(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    info = PngInfo()
    info.add_text("Comment", SECRET)
    Image.fromarray(pixels).save(path, pnginfo=info)
    return path


class Collections:
    """NIH under images_001/images and PadChest in numbered folders, `n` images of each class."""

    def __init__(self, root: Path, n: int = 4) -> None:
        self.root = root
        self.nih, self.padchest = root / "NIH", root / "PadChest"
        lines, rows = [NIH_2017_HEADER], []
        for k in range(2 * n):
            name = f"{k + 1:08d}_000.png"
            lines.append(nih_row(name, "No Finding" if k % 2 else "Emphysema|Mass"))
            png(self.nih / f"images_{k % 3 + 1:03d}/images/{name}", xray(k, 255))
            name = f"21684{k}_scan.png"
            labels = "['normal']" if k % 2 else "['emphysema', 'kyphosis']"
            rows.append(padchest_row(name, labels, PatientID=f"7{k:036d}", ImageDir=str(k % 2)))
            png(self.padchest / str(k % 2) / name, xray(100 + k, 4095, kind=np.uint16))
        self.nih_table = write_table(self.nih / "Data_Entry_2017.csv", "\n".join(lines) + "\n")
        self.padchest_table = write_table(self.padchest / PADCHEST_NAME, padchest_text(rows))

    @property
    def sources(self) -> Sources:
        return Sources(nih=self.nih, padchest=self.padchest)

    def image(self, name: str) -> Path:
        return next(self.root.rglob(name))

    def as_dicom(self, name: str, **elements: object) -> Path:
        """Replace an image by a DICOM file of the same stem."""
        old = self.image(name)
        old.unlink()
        return write_dicom(old.with_suffix(".dcm"), xray(7, 4095, kind=np.uint16), **elements)
