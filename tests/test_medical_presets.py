"""The medical presets from the released formats to a checkpoint, a table and a picture, by the program."""

import json

import numpy as np
import pytest
from msd_files import Decathlon
from test_cli import run

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


@pytest.mark.parametrize(
    ("preset", "objective"),
    [
        ("liver", ("--model", "resnet18", "--actdiff", 1)),
        ("cardiac", ("--model", "unet", "--recon-masked")),
        ("pancreas", ("--model", "cnn", "--gradmask", 1)),
    ],
)
def test_a_decathlon_preset_goes_from_the_task_to_a_picture(preset, objective, tmp_path):
    name, modality = TASKS[preset]
    task = decathlon(tmp_path / name, modality)
    said = run("prepare-msd", name, "--workers", 2, cwd=tmp_path).stdout
    assert f"activmask train --preset {preset} --data data/{preset}" in said
    shape = run("train", "--preset", preset, *SMALL, *objective, "--name", "r", cwd=tmp_path).stdout
    assert "Best epoch" in shape
    checkpoint = tmp_path / "runs/r/seed-0/best.safetensors"
    found = json.loads(run("evaluate", "runs/r", "--json", cwd=tmp_path).stdout)
    assert found["checkpoints"][0]["evaluation"]["scores"]["n"] == 8
    stored = next((tmp_path / f"data/{preset}/masks").iterdir())
    picture = tmp_path / "slice.png"
    image = tmp_path / f"data/{preset}/images/{stored.name}"
    run("saliency", checkpoint, image, "--mask", stored, "--out", picture, cwd=tmp_path)
    assert picture.stat().st_size > 1000
    nifti = task.image("scan_003")
    answer = run("saliency", checkpoint, nifti, "--slice", 5, "--mask", task.label("scan_003"), cwd=tmp_path)
    assert "class" in answer.stdout
    assert list(nifti.parent.glob("*.saliency.png"))
