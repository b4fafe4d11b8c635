"""Tasks of the Medical Segmentation Decathlon as tests write them: real NIfTI, JSON and tar files."""

import gzip
import json
import tarfile
from io import BytesIO
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

SHAPE = (12, 10, 6)
AFFINE = np.array([[1.0, 0, 0, -5], [0, 1, 0, -4], [0, 0, 2, 3], [0, 0, 0, 1]])


def voxels(seed: int = 0, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """int16, Hounsfield-like."""
    return np.random.default_rng(seed).integers(-300, 400, shape).astype(np.int16)


def organ(shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """uint8: nothing in the slices 0 and 1, one voxel in 2, liver in 3 and 4, tumour too in 5."""
    inside = np.zeros(shape, np.uint8)
    inside[4, 4, 2] = 1
    inside[2:8, 3:9, 3:] = 1
    inside[3:5, 4:6, 5] = 2
    return inside


def save(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(array, affine), path)
    return path


class Decathlon:
    """A task folder that grows case by case."""

    def __init__(self, root: Path, modality: str = "CT") -> None:
        self.root = root
        self.facts: dict[str, Any] = {
            "name": "LITS",
            "licence": "CC-BY-SA 4.0",
            "reference": "somebody",
            "tensorImageSize": "3D",
            "modality": {"0": modality},
            "labels": {"0": "background", "1": "liver", "2": "tumour"},
            "training": [],
            "test": [],
        }

    def case(
        self,
        name: str,
        image: np.ndarray | None = None,
        label: np.ndarray | None = None,
        *,
        affine: np.ndarray = AFFINE,
        label_affine: np.ndarray | None = None,
    ) -> "Decathlon":
        image = voxels(len(self.facts["training"])) if image is None else image
        label = organ() if label is None else label
        save(self.image(name), image, affine)
        save(self.label(name), label, affine if label_affine is None else label_affine)
        return self.listed(name)

    def image(self, name: str) -> Path:
        return self.root / f"imagesTr/{name}.nii.gz"

    def label(self, name: str) -> Path:
        return self.root / f"labelsTr/{name}.nii.gz"

    def listed(self, name: str) -> "Decathlon":
        entry = {"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"}
        self.facts["training"].append(entry)
        return self.described()

    def described(self, **facts: Any) -> "Decathlon":
        self.facts.update(facts)
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / "dataset.json").write_text(json.dumps(self.facts))
        return self


def packed(task: Path, archive: Path, *extra: tarfile.TarInfo, mode: str = "w") -> Path:
    """A task folder as a tar, with AppleDouble files as macOS adds them, and `extra` members."""
    with tarfile.open(archive, mode) as tar:
        for path in sorted(task.rglob("*")):
            name = f"./{task.name}/{path.relative_to(task).as_posix()}"
            tar.add(path, name, recursive=False)
            if path.is_file():
                _add(tar, name.rsplit("/", 1)[0] + "/._" + path.name, b"\x00\x05\x16\x07 Mac OS X")
        for member in extra:
            tar.addfile(member, BytesIO(b"x" * member.size))
    return archive


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)
    member.size = len(data)
    tar.addfile(member, BytesIO(data))


def evil(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    member.size = 3 if kind == tarfile.REGTYPE else 0
    return member


def flip_a_bit(path: Path) -> None:
    """Spoil the stored checksum's subject: store the bytes uncompressed, then change one voxel."""
    data = bytearray(gzip.compress(gzip.decompress(path.read_bytes()), compresslevel=0))
    data[-100] ^= 1
    path.write_bytes(data)


def digest(root: Path) -> dict[str, bytes]:
    return {p.relative_to(root).as_posix(): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
