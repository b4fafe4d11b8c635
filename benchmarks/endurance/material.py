"""The small inputs that programs read, of every kind that they read."""

import csv
import json
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from PIL import Image
from pydicom import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from activmask.data.sources.synthetic.prepare import make_synthetic
from activmask.data.sources.synthetic.spec import SyntheticSpec

SIDE = 28

GRID = """
seeds = 2
[base]
data = "CROSSES"
model = "cnn"
width = 2
lr = 1e-3
epochs = 2
threads = 1
device = "cpu"
[axes.method]
"Classify" = {}
"Actdiff" = { actdiff = 1.0 }
"""
RUN = 'model = "cnn"\nwidth = 2\nepochs = 2\nlr = 1e-3\nseeds = "0-1"\nactdiff = 1.0\nthreads = 1\n'

_NIH = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)
_PADCHEST = {
    "StudyDate_DICOM": "20140915",
    "PatientBirth": "1930.0",
    "ViewPosition_DICOM": "POSTEROANTERIOR",
    "Projection": "PA",
    "MethodProjection": "Manual review of DICOM fields",
    "Pediatric": "No",
    "Report": "sin hallazg",
}
_PADCHEST_NAME = "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv"

# mypy takes this class, which has no annotations, for an untyped call.
_volume: Any = nibabel.Nifti1Image


def write_material(root: Path) -> None:
    """Write `crosses`, `pictures`, `Task03_Liver` and its tar, `xray`, `raw` and two TOML files."""
    crosses = root / "crosses"
    make_synthetic(SyntheticSpec(n=24, valid=12, test=12, size=SIDE, seed=3), crosses)
    write_pictures(root / "pictures")
    write_task(root / "Task03_Liver")
    with tarfile.open(root / "Task03_Liver.tar", "w") as tar:
        tar.add(root / "Task03_Liver", "Task03_Liver")
    write_collections(root / "xray")
    write_raw(root / "raw")
    (root / "grid.toml").write_text(GRID.replace("CROSSES", str(crosses)), encoding="utf-8")
    (root / "run.toml").write_text(RUN + f'data = "{crosses}"\n', encoding="utf-8")


def write_pictures(root: Path, n: int = 12) -> None:
    """Images of three formats, masks of two, and a table, for `prepare-folder`."""
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    rows = []
    for k in range(n):
        name = f"scan-{k:02d}{('.png', '.tif', '.jpg')[k % 3]}"
        Image.fromarray(_noise(k, 255)).save(root / "images" / name)
        mask = np.zeros((SIDE, SIDE), np.uint8)
        mask[4 : 10 + k % 4, 5:15] = 255
        Image.fromarray(mask).save(root / "masks" / f"scan-{k:02d}{('.png', '.tif')[k % 2]}")
        rows.append([name, ("cat", "dog")[k % 2], f"p{k // 2}"])
    _write_table(root / "labels.csv", [["file_name", "label", "subject"], *rows])


def write_task(root: Path, n: int = 4) -> None:
    """Volumes of a few slices as the Medical Segmentation Decathlon has them."""
    listed = []
    for k in range(n):
        label = np.zeros((24, 24, 6), np.uint8)
        label[6:16, 8:18, 3:] = 1
        image = np.random.default_rng(k).integers(-300, 400, label.shape).astype(np.int16)
        ending = ".nii.gz" if k % 2 else ".nii"
        for folder, values in (("imagesTr", image), ("labelsTr", label)):
            (root / folder).mkdir(parents=True, exist_ok=True)
            path = root / folder / f"liver_{k}{ending}"
            nibabel.save(_volume(values, np.diag([0.8, 0.8, 5.0, 1.0])), path)
        listed.append({name: f"./{name}sTr/liver_{k}{ending}" for name in ("image", "label")})
    facts = {
        "name": "LITS",
        "modality": {"0": "CT"},
        "labels": {"0": "background", "1": "liver"},
        "tensorImageSize": "3D",
        "training": listed,
        "test": [],
    }
    (root / "dataset.json").write_text(json.dumps(facts), encoding="utf-8")


def write_collections(root: Path, n: int = 8) -> None:
    """NIH ChestX-ray14 and PadChest, `n` images each, one of them DICOM."""
    nih, padchest = root / "NIH", root / "PadChest"
    (nih / "images").mkdir(parents=True)
    (padchest / "0").mkdir(parents=True)
    lines, rows = [_NIH], []
    for k in range(n):
        name = f"{k + 1:08d}_000.png"
        finding = "No Finding" if k % 2 else "Emphysema"
        lines.append(f"{name},{finding},0,{k + 1},058Y,M,PA,40,40,0.143,0.143,")
        Image.fromarray(_noise(k, 255, 40)).save(nih / "images" / name)
        name = f"21684{k}_scan.png"
        cells = {"ImageID": name, "ImageDir": "0", "PatientID": f"7{k:036d}"}
        cells["Labels"] = "['normal']" if k % 2 else "['emphysema', 'kyphosis']"
        rows.append(cells | _PADCHEST)
        pixels = _noise(100 + k, 4095, 40, np.uint16)
        if k:
            Image.fromarray(pixels).save(padchest / "0" / name)
        else:
            write_dicom(padchest / "0" / name.replace(".png", ".dcm"), pixels)
    (nih / "Data_Entry_2017.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    _write_table(padchest / _PADCHEST_NAME, [list(rows[0]), *(list(row.values()) for row in rows)])


def write_raw(root: Path) -> None:
    """Pictures in three formats that nobody prepared, for `saliency`."""
    root.mkdir()
    for name in ("a.png", "b.tif", "c.jpg"):
        Image.fromarray(_noise(len(name), 255)).save(root / name)


def write_dicom(path: Path, pixels: np.ndarray) -> None:
    """An uncompressed grey image of nobody."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CTImageStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = generate_uid(entropy_srcs=["0"])
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8 * pixels.itemsize
    dataset.HighBit = dataset.BitsStored - 1
    dataset.PixelRepresentation = 0
    dataset.PixelData = pixels.tobytes()
    dataset.save_as(path, enforce_file_format=True)


def _noise(seed: int, top: int, side: int = SIDE, kind: type = np.uint8) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, top, (side, side)).astype(kind)


def _write_table(path: Path, rows: Sequence[Sequence[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


def files_below(root: Path) -> Iterator[Path]:
    """Every file, in an order that does not change."""
    return (path for path in sorted(root.rglob("*")) if path.is_file() and not path.is_symlink())
