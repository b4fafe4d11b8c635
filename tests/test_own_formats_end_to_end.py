"""A folder of DICOM files, and one of NIfTI volumes, from the user's files to an audit."""

import csv
import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
from dicom_files import PATIENT, PATIENT_ID, write_dicom
from in_process import told
from PIL import Image
from pydicom.uid import generate_uid

from activmask.ground.errors import DataError

pytestmark = pytest.mark.process

SIDE = 16
TRAINED = ("--model", "cnn", "--width", 4, "--seeds", 0, "--epochs", 1, "--device", "cpu")
QUICK = ("--without", "looks", "--draws", 1, "--device", "cpu")


def words_of_headers(place: Path) -> list[str]:
    """The files below a folder that hold a word of a DICOM header, by content or name."""
    words = (*PATIENT.split("^"), PATIENT_ID, "DICM")
    files = [path for path in place.rglob("*") if path.is_file()]
    return [
        str(path)
        for path in files
        for word in words
        if word.encode() in path.read_bytes() or word in str(path)
    ]


def region() -> np.ndarray:
    inside = np.zeros((24, 20), np.uint8)
    inside[6:14, 5:15] = 1
    return inside


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """24 files without an ending, two of each study, with masks, a table and a network."""
    root = tmp_path_factory.mktemp("scans")
    rng = np.random.default_rng(0)
    rows = []
    for number in range(24):
        ill = number // 2 % 2
        pixels = rng.integers(100, 900, (24, 20)) + 2000 * ill * region().astype(np.int64)
        study = generate_uid(entropy_srcs=[str(number // 2)])
        name = f"1.2.840.{number:02d}"
        write_dicom(
            root / "images" / name,
            pixels.astype(np.uint16),
            StudyInstanceUID=study,
            WindowCenter=1500,
            WindowWidth=3000,
            PhotometricInterpretation=("MONOCHROME2", "MONOCHROME1")[number % 2],
        )
        (root / "masks").mkdir(exist_ok=True)
        Image.fromarray(region() * 255).save(root / "masks" / f"{name}.png")
        rows.append(f"{name},{('normal', 'abnormal')[ill]},{'FM'[number % 3 % 2]},{40 + number}")
    (root / "labels.csv").write_text("\n".join(["file_name,label,sex,age", *rows]) + "\n")
    words = ("--masks", "masks", "--labels", "labels.csv", "--size", SIDE, "--positive", "abnormal")
    named = ("--name", "chest", "--title", "Chest X-rays [of ours]", "--out", "data")
    printed = told("prepare-folder", "images", *words, *named, cwd=root).output
    assert "normal = 0" in printed
    assert "abnormal = 1" in printed
    assert "24 DICOM files come from 12 studies" in printed
    told("train", "--data", "data", "--split-policy", "subject", *TRAINED, "--out", "run", cwd=root)
    return root


def test_dicom_scans_are_evaluated_explained_and_audited_by_name(scans):
    card = json.loads((scans / "data" / "card.json").read_text())
    assert (card["name"], card["title"]) == ("chest", "Chest X-rays [of ours]")
    assert card["classes"] == {"normal": 0, "abnormal": 1}
    printed = told("evaluate", "run", "--device", "cpu", "--predictions", "said.csv", cwd=scans).output
    assert "Scores, test split of chest" in printed
    assert "An AUC above 0.5 ranks 'abnormal' (class 1) above 'normal' (class 0)." in printed
    with (scans / "said.csv").open() as file:
        assert {"score normal", "score abnormal"} <= set(next(csv.reader(file)))
    checkpoint = "run/seed-0/best.safetensors"
    for image, mask in (
        ("images/1.2.840.04", "masks/1.2.840.04.png"),
        ("data/images/1.2.840.04.png", "data/masks"),
    ):
        printed = told(
            *("saliency", checkpoint, image, "--mask", mask, "--out", "picture.png", "--device", "cpu"),
            cwd=scans,
        ).output
        assert "inside mask" in printed
    told("audit", "--data", "data", "--model", checkpoint, "--json", *QUICK, "--report", "audit", cwd=scans)
    page = (scans / "audit" / "index.html").read_text()
    assert "abnormal" in page
    assert "Chest X-rays [of ours]" in page
    assert "sex" in page
    told("audit", "export", "--data", "data", "--draws", 1, "--out", "variants", cwd=scans)
    pictures = list((scans / "variants").rglob("*.png"))
    assert pictures
    for path in pictures:
        with Image.open(path) as picture:
            mode = "L" if path.parent.name == "masks" else "I;16"
            assert (picture.format, picture.mode, picture.size) == ("PNG", mode, (SIDE, SIDE))
    assert words_of_headers(scans / "images")
    for place in ("data", "run", "audit", "variants"):
        assert not words_of_headers(scans / place)


def test_an_original_is_seen_as_it_was_stored(scans):
    from activmask.data.dataset import load_samples, read_dataset
    from activmask.runs.checkpoint import load_checkpoint
    from activmask.saliency.inputs import read_inputs

    dataset = read_dataset(scans / "data")
    checkpoint = load_checkpoint(scans / "run" / "seed-0" / "best.safetensors")
    seen = read_inputs(checkpoint, [scans / "images" / "1.2.840.05"], scans / "masks")
    row = dataset.file_names.index("images/1.2.840.05.png")
    assert (seen.images[0] == load_samples(dataset, [row]).images[0]).all()


@pytest.fixture(scope="module")
def volumes(tmp_path_factory):
    """Eight volumes of oblong voxels, stored in two orientations, with labels 1 and 2 in their upper half."""
    root = tmp_path_factory.mktemp("volumes")
    rng = np.random.default_rng(1)
    for number in range(8):
        labels = np.zeros((20, 24, 6), np.uint8)
        labels[5:15, 6:14, 3:] = 1
        labels[8:10, 8:10, 4] = 2
        image = rng.normal(0, 40, labels.shape) + 300 * (labels > 0)
        turn = 1 if number % 2 else -1
        affine = np.diag([turn * 1.0, 1.0, 3.0, 1.0])
        for place, array in (("images", image.astype(np.int16)), ("labels", labels)):
            (root / place).mkdir(exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(array[::turn], affine), root / place / f"v{number}.nii.gz")
    lines = ["file_name,scanner", *(f"v{number}.nii.gz,{'AB'[number % 2]}" for number in range(8))]
    (root / "table.csv").write_text("\n".join(lines) + "\n")
    words = ("--masks", "labels", "--labels", "table.csv", "--label-from-mask", "--mask-labels", "1,2")
    printed = told(
        *("prepare-folder", "images", *words, "--window", "-100,400", "--size", SIDE, "--out", "data"),
        cwd=root,
    ).output
    assert "absent = 0" in printed
    assert "8 label volumes hold 0" in printed
    assert "48 images of 16 x 16 px, 16 bits; 24 masks" in printed
    told("train", "--data", "data", "--split-policy", "subject", *TRAINED, "--out", "run", cwd=root)
    return root


def test_slices_of_volumes_are_evaluated_explained_and_audited(volumes):
    with (volumes / "run" / "seed-0" / "splits.csv").open() as file:
        rows = list(csv.DictReader(file))
    places = {(Path(row["file"]).name.split("-z")[0], row["split"]) for row in rows if row["split"]}
    assert len(places) == len({volume for volume, _ in places})
    told("evaluate", "run", "--device", "cpu", cwd=volumes)
    checkpoint = "run/seed-0/best.safetensors"
    printed = told(
        *("saliency", checkpoint, "images/v1.nii.gz", "--slice", 4, "--mask", "labels/v1.nii.gz"),
        *("--out", "picture.png", "--device", "cpu"),
        cwd=volumes,
    ).output
    assert "inside mask" in printed
    told("audit", "--data", "data", "--model", checkpoint, "--json", *QUICK, "--report", "audit", cwd=volumes)
    page = (volumes / "audit" / "index.html").read_text()
    assert "scanner" in page
    assert "slice" in page


def test_a_slice_of_an_original_is_seen_as_it_was_stored(volumes):
    from activmask.data.dataset import load_samples, read_dataset
    from activmask.runs.checkpoint import load_checkpoint
    from activmask.saliency.inputs import read_inputs

    dataset = read_dataset(volumes / "data")
    checkpoint = load_checkpoint(volumes / "run" / "seed-0" / "best.safetensors")
    seen = read_inputs(
        checkpoint, [volumes / "images" / "v2.nii.gz"], volumes / "labels" / "v2.nii.gz", slice_number=4
    )
    row = dataset.file_names.index("images/v2-z004.png")
    stored = load_samples(dataset, [row])
    assert (seen.images[0] == stored.images[0]).all()
    assert seen.masks is not None
    # Dilated, as training dilates it.
    assert (seen.masks[0] >= stored.masks[0, 0]).all()
    label = nibabel.load(volumes / "labels" / "v2.nii.gz")
    moved = volumes / "moved.nii.gz"
    nibabel.save(
        nibabel.Nifti1Image(np.asarray(label.dataobj), label.affine + np.diag([0.5, 0, 0, 0])), moved
    )
    with pytest.raises(DataError, match="lies elsewhere in the patient than its image"):
        read_inputs(checkpoint, [volumes / "images" / "v2.nii.gz"], moved, slice_number=4)
    refused = told(
        *("saliency", "run/seed-0/best.safetensors", "images/v1.nii.gz", "--slice", 6, "--out", "x.png"),
        cwd=volumes,
        code=None,
    )
    assert "the slice must be from 0 to 5" in refused.output
