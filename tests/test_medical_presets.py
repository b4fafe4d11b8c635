"""The medical presets from the released formats to a checkpoint, a table and a picture, by the commands."""

import json

import numpy as np
import pytest
from in_process import told
from msd_files import Decathlon

SMALL = ("--train-images", 8, "--valid-images", 8, "--test-images", 8, "--width", 4, "--epochs", 2)
TASKS = {
    "liver": ("Task03_Liver", "CT"),
    "cardiac": ("Task02_Heart", "MRI"),
    "pancreas": ("Task07_Pancreas", "CT"),
}


def decathlon(root, modality) -> Decathlon:
    """Eight volumes of 320 x 288 px in which the organ is a bright block with an outside."""
    task = Decathlon(root, modality)
    for k in range(8):
        rng = np.random.default_rng(k)
        image = rng.integers(-100, 100, (20, 18, 8)).astype(np.int16)
        label = np.zeros(image.shape, np.uint8)
        label[8:10, 7:9, 4:] = 1
        image[label > 0] += 100
        image, label = (one.repeat(16, axis=0).repeat(16, axis=1) for one in (image, label))
        task.case(f"scan_{k:03d}", image, label)
    return task


@pytest.mark.process
@pytest.mark.parametrize(
    ("preset", "workers", "objective"),
    [
        pytest.param("liver", 2, ("--model", "resnet18", "--actdiff", 1), marks=pytest.mark.process),
        ("cardiac", 1, ("--model", "unet", "--recon-masked")),
        ("pancreas", 1, ("--model", "cnn", "--gradmask", 1)),
    ],
)
def test_a_decathlon_preset_goes_from_the_task_to_a_picture(preset, workers, objective, tmp_path):
    name, modality = TASKS[preset]
    task = decathlon(tmp_path / name, modality)
    said = told("prepare-msd", name, "--workers", workers, cwd=tmp_path).stdout
    assert "training cannot begin with these images: 64 train images of class 0 are wanted" in said
    shape = told("train", "--preset", preset, *SMALL, *objective, "--name", "r", cwd=tmp_path).stdout
    assert "Best epoch" in shape
    checkpoint = tmp_path / "runs/r/seed-0/best.safetensors"
    found = json.loads(told("evaluate", "runs/r", "--json", cwd=tmp_path).stdout)
    assert found["checkpoints"][0]["evaluation"]["scores"]["n"] == 8
    stored = next((tmp_path / f"data/{preset}/masks").iterdir())
    picture = tmp_path / "slice.png"
    image = tmp_path / f"data/{preset}/images/{stored.name}"
    told("saliency", checkpoint, image, "--mask", stored, "--out", picture, cwd=tmp_path)
    assert picture.stat().st_size > 1000
    nifti = task.image("scan_003")
    answer = told("saliency", checkpoint, nifti, "--slice", 5, "--mask", task.label("scan_003"), cwd=tmp_path)
    assert "class" in answer.stdout
    assert list(nifti.parent.glob("*.saliency.png"))
