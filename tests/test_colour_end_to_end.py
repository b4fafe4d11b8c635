"""Photographs in colour through the whole program, as a user would take them."""

import json
from pathlib import Path

import numpy as np
import pytest
from colour_photographs import RADIUS, SHAPE, photographs
from in_process import told
from PIL import Image

from activmask.data.dataset import load_samples, read_dataset
from activmask.runs.checkpoint import load_checkpoint

pytestmark = pytest.mark.process

SIZE = 32
RUNS = {"cnn": ("--actdiff", "1"), "resnet18": ("--gradmask", "1")}


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A data set of photographs, and two networks of it."""
    root = tmp_path_factory.mktemp("colour")
    (root / "user").mkdir()
    photographs(root / "user")
    said = told(
        "prepare-folder", "user/images", "--masks", "user/masks", "--labels", "user/labels.csv",
        "--size", SIZE, "--out", "photos", cwd=root,
    ).output  # fmt: skip
    (root / "said.txt").write_text(said)
    for model, objective in RUNS.items():
        told(
            "train", "--data", "photos", "--split-policy", "given", "--model", model, "--width", 4,
            "--epochs", 1, "--seeds", 0, "--device", "cpu", "--out", f"runs/{model}", *objective, cwd=root,
        )  # fmt: skip
    return root


def checkpoint(model: str) -> str:
    return f"runs/{model}/seed-0/last.safetensors"


def test_preparing_says_what_became_of_colours_and_shapes(place):
    said = (place / "said.txt").read_text()
    assert f"16 images of {SIZE} x {SIZE} px, 8 bits a channel; 16 masks" in said
    assert "16 of 16 images show colours: all are stored with three channels\n" in said
    assert (
        "16 of 16 images are not square: black bars, outside every mask, fill up to 29% of an image" in said
    )
    assert "next: activmask train --data photos --split-policy given" in said


def test_the_round_masks_are_round_still(place):
    masks = load_samples(read_dataset(place / "photos"), range(16)).masks[:, 0].numpy()
    across = 2 * RADIUS * SIZE / max(SHAPE)
    for mask in masks:
        assert mask.any(axis=0).sum() == pytest.approx(across, abs=1.5)
        assert mask.any(axis=1).sum() == pytest.approx(across, abs=1.5)


@pytest.mark.parametrize("model", RUNS)
def test_a_network_of_photographs_takes_three_channels_and_is_evaluated(place, model):
    stored = load_checkpoint(place / checkpoint(model))
    assert (stored.channels, stored.recipe["image_channels"], stored.recipe["fit"]) == (3, 3, "pad")
    assert next(stored.model.parameters()).shape[1] == 3
    (found,) = json.loads(told("evaluate", checkpoint(model), "--json", cwd=place).stdout)["checkpoints"]
    assert found["evaluation"]["scores"]["n"] == 4


@pytest.mark.parametrize("model", RUNS)
def test_an_original_is_explained_as_the_stored_image_is(place, model):
    for name, mask in (("user", "user/masks"), ("photos", "photos/masks")):
        told(
            "saliency", checkpoint(model), f"{name}/images/cat6.png", "--mask", mask, "--raw",
            f"{model}-{name}.npy", "--out", f"{model}-{name}.png", cwd=place,
        )  # fmt: skip
    of_user, of_set = (np.load(place / f"{model}-{name}.npy") for name in ("user", "photos"))
    assert of_user.shape == (SIZE, SIZE)
    assert of_user.any()
    np.testing.assert_array_equal(of_user, of_set)
    with Image.open(place / f"{model}-user.png") as image:
        left = np.asarray(image.convert("RGB"))[:, : image.width // 3].astype(int)
    brown = (left[..., 0] > left[..., 1] + 20) & (left[..., 1] > left[..., 2] + 10)
    assert brown.mean() > 0.2


def test_an_audit_of_photographs(place):
    audit = told(
        "audit", "--model", checkpoint("resnet18"), "--draws", 1, "--without", "clinic", "--report", "audit",
        "--json", cwd=place,
    ).stdout  # fmt: skip
    assert json.loads(audit)
    assert (place / "audit" / "index.html").is_file()


def test_a_report_draws_in_colour(place):
    told("report", "runs", "--out", "report", cwd=place)
    with Image.open(place / "report/figures/saliency-photos.png") as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    assert (np.ptp(pixels[:, : pixels.shape[1] // 6], axis=-1) > 40).mean() > 0.02
