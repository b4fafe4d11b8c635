"""The RSNA Pneumonia Detection Challenge as it lies on disk, a few images of it."""

from pathlib import Path
from zlib import crc32

import numpy as np
from dicom_files import PATIENT, write_dicom

HEADER = "patientId,x,y,width,height,Target"
SIDE = 40
BOX = "10.0,8.0,12.0,20.0"


class Rsna:
    """`n` images of each view and class; of those without pneumonia every second one is normal."""

    def __init__(self, root: Path, n: int = 2, box: str = BOX) -> None:
        self.root = root / "rsna"
        self.labels, self.classes = [HEADER], ["patientId,class"]
        for view in ("AP", "PA"):
            for k in range(n):
                self.add(f"{view.lower()}-sick-{k}", view, f"{box},1", "Lung Opacity")
                self.add(
                    f"{view.lower()}-well-{k}",
                    view,
                    ",,,,0",
                    "No Lung Opacity / Not Normal" if k % 2 else "Normal",
                )
        self.write()

    def add(self, name: str, view: str | None, row: str, kind: str) -> Path:
        """An image with one row in each table; None leaves its view out of the header."""
        self.row(name, row)
        self.classes.append(f"{name},{kind}")
        return self.image(name, view)

    def row(self, name: str, row: str) -> None:
        self.labels.append(f"{name},{row}")

    def image(self, name: str, view: str | None, **elements: object) -> Path:
        rng = np.random.default_rng(crc32(name.encode()))
        pixels = rng.integers(0, 255, (SIDE, SIDE), dtype=np.uint8).astype(np.uint16)
        more = {"ViewPosition": view} if view is not None else {}
        return write_dicom(
            self.root / f"stage_2_train_images/{name}.dcm",
            pixels,
            PatientID=name,
            PatientName=PATIENT,
            **{**more, **elements},
        )

    def write(self) -> None:
        (self.root / "stage_2_train_labels.csv").write_text("\n".join(self.labels) + "\n")
        (self.root / "stage_2_detailed_class_info.csv").write_text("\n".join(self.classes) + "\n")
