"""Files as people have them: DICOM, NIfTI, photographs, masks, tables, and the code of a network."""

import csv
from collections.abc import Iterable, Sequence
from pathlib import Path

import nibabel
import numpy as np
from PIL import Image
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian, generate_uid

PATIENTS = 24
PHOTOGRAPH_KINDS = ("webp", "bmp", "jpg", "tif", "png")
LARGEST = 4095
"""Of 12 bits."""

NETWORK = '''"""A network as somebody has it."""

from torch import Tensor, nn


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        )
        self.head = nn.Linear(16, 2)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(self.body(images).flatten(1))


def make() -> nn.Module:
    return Small()
'''

WEIGHTS = '''"""Somebody's weights: of the small network, of a library's, and pickled by torch."""

import torch
from net import make
from safetensors.torch import save_file
from torchvision.models import resnet18

torch.manual_seed(0)
save_file(make().state_dict(), "net.safetensors")
save_file(resnet18(num_classes=2).state_dict(), "resnet.safetensors")
torch.save(make().state_dict(), "net.pt")
'''

ARRAYS = '''"""Training from arrays, watched."""

import numpy as np

import activmask as am


class Count(am.Callback):
    epochs = 0

    def epoch(self, seed, row):
        self.epochs += 1


rng = np.random.default_rng(0)
labels = ["ill" if number % 2 else "well" for number in range(40)]
masks = np.zeros((40, 16, 16), np.uint8)
masks[:, 4:9, 5:11] = 1
images = rng.integers(0, 90, (40, 16, 16), np.uint8)
images[1::2] += 120 * masks[1::2]
count = Count()
config = am.make_config(model="cnn", width=4, actdiff=1.0, epochs=3, batch_size=8)
data = (images, masks, labels, [f"person {number // 2}" for number in range(40)])
am.train(config, data=data, seeds=[0], out="runs/arrays", progress=count)
print(f"{count.epochs} epochs were seen")
'''

GRID = """name = "mine"

[base]
data = "data/chest"
split_policy = "subject"
model = "cnn"
width = 4
batch_size = 8
epochs = 1

[axes.method]
"Plain" = {}
"Actdiff" = { actdiff = 1.0 }
"""


def write_files(home: Path) -> None:
    """Write everything that the walk starts from.

    Args:
        home: folder to make.
    """
    rng = np.random.default_rng(0)
    home.mkdir()
    _radiographs(home, rng)
    _photographs(home, rng)
    _volumes(home, rng)
    code = {"net.py": NETWORK, "weights.py": WEIGHTS, "arrays.py": ARRAYS, "mine.toml": GRID}
    for name, text in code.items():
        (home / name).write_text(text)


def _drawn(rng: np.random.Generator, height: int, width: int, bright: bool) -> tuple[np.ndarray, np.ndarray]:
    """A noisy picture in [0, 1] (H, W), whose disc is bright in one class, and the disc."""
    rows, columns = np.mgrid[:height, :width]
    row, column = rng.integers(12, height - 12), rng.integers(12, width - 12)
    disc = (rows - row) ** 2 + (columns - column) ** 2 < 64
    return np.clip(rng.normal(0.3, 0.05, (height, width)) + 0.4 * bright * disc, 0, 1), disc


def _radiographs(home: Path, rng: np.random.Generator) -> None:
    """`dicom`, `rois`, `labels.csv`, `findings.csv`: some lie, some have black and white exchanged."""
    (home / "dicom").mkdir()
    (home / "rois").mkdir()
    rows, findings = [], []
    for number in range(2 * PATIENTS):
        patient, ill, name = number // 2, number // 2 % 2 == 1, f"scan-{number:03d}"
        picture, disc = _drawn(rng, *((40, 56) if patient % 3 else (56, 40)), ill)
        _write_dicom(home / "dicom" / f"{name}.dcm", picture, exchanged=patient % 5 == 0)
        Image.fromarray(disc.astype(np.uint8) * 255).save(home / "rois" / f"{name}.png")
        site = "north" if patient % 4 else "south"
        rows.append(
            [
                f"{name}.dcm",
                "lesion" if ill else "normal",
                f"person-{patient}",
                site,
                "f" if patient % 3 else "m",
            ]
        )
        findings.append([f"{name}.dcm", int(ill), int(patient % 3 == 0), f"person-{patient}"])
    _write_table(home / "labels.csv", ["file_name", "label", "subject", "site", "sex"], rows)
    _write_table(home / "findings.csv", ["file_name", "effusion", "mass", "subject"], findings)


def _write_dicom(path: Path, picture: np.ndarray, exchanged: bool) -> None:
    stored = (LARGEST * (1 - picture if exchanged else picture)).astype(np.uint16)
    one = Dataset()
    one.file_meta = FileMetaDataset()
    one.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    one.file_meta.MediaStorageSOPClassUID = one.SOPClassUID = DigitalXRayImageStorageForPresentation
    one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID = generate_uid()
    one.PatientName, one.PatientID = "Nobody^Known", "0"
    one.Rows, one.Columns = stored.shape
    one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME1" if exchanged else "MONOCHROME2"
    one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 12, 11, 0
    one.PixelData = stored.tobytes()
    one.save_as(path, enforce_file_format=True)


def _photographs(home: Path, rng: np.random.Generator) -> None:
    """`photos`, `photo-masks`, `photos.csv`: in colour, of three classes."""
    (home / "photos").mkdir()
    (home / "photo-masks").mkdir()
    rows = []
    for number in range(2 * PATIENTS):
        kind, which = PHOTOGRAPH_KINDS[number % len(PHOTOGRAPH_KINDS)], number % 3
        picture, disc = _drawn(rng, 48, 64, bright=False)
        colours = np.repeat(picture[..., None], 3, axis=2)
        colours[disc, which] = 0.9
        Image.fromarray((255 * colours).astype(np.uint8)).save(home / "photos" / f"photo-{number:03d}.{kind}")
        Image.fromarray(disc.astype(np.uint8) * 255).save(home / "photo-masks" / f"photo-{number:03d}.png")
        rows.append([f"photo-{number:03d}.{kind}", ("red", "green", "blue")[which]])
    _write_table(home / "photos.csv", ["file_name", "label"], rows)


def _volumes(home: Path, rng: np.random.Generator) -> None:
    """`volumes`, `volume-labels`, `volumes.csv`: a label a volume, and voxels that are not cubes."""
    (home / "volumes").mkdir()
    (home / "volume-labels").mkdir()
    affine = np.diag([1.0, 1.5, 3.0, 1.0])
    rows = []
    for number in range(PATIENTS):
        ill = number % 2 == 1
        slices = [_drawn(rng, 32, 40, ill) for _ in range(4)]
        volume = np.stack([picture for picture, _ in slices], axis=2).astype(np.float32)
        labels = np.stack([disc for _, disc in slices], axis=2).astype(np.uint8)
        name = f"case-{number:02d}.nii.gz"
        for folder, voxels in (("volumes", volume), ("volume-labels", labels)):
            image = nibabel.Nifti1Image(voxels, affine)  # type: ignore[no-untyped-call]
            nibabel.save(image, home / folder / name)
        rows.append([name, "lesion" if ill else "normal", f"person-{number}"])
    _write_table(home / "volumes.csv", ["file_name", "label", "subject"], rows)


def _write_table(path: Path, names: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([names, *rows])
