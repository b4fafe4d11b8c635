"""The commands of the worked example, one after another, as a user types them in a folder of their own."""

import json
from pathlib import Path

import pytest
from activmask_cli.app import app
from PIL import Image
from typer.testing import CliRunner

from benchmarks.digits import draw_digits, write_digits
from benchmarks.digits_report import main as report

PER_CLASS = {"train": 20, "valid": 10, "test": 10}
TRAIN = "train --data digits/data --model resnet18 --width 4 --lr 1e-3 --epochs 2 --device cpu"


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    write_digits(draw_digits(0, PER_CLASS), tmp_path / "digits")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def activmask(command: str) -> str:
    result = CliRunner().invoke(app, command.split())
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.process
def test_the_chain_runs_from_a_users_folder_to_a_picture(place, capsys):
    check_preparation(
        activmask(
            "prepare-folder digits/images --masks digits/masks --labels digits/labels.csv --out digits/data"
        )
    )
    assert "activmask evaluate runs/baseline" in activmask(f"{TRAIN} --name baseline")
    assert "activmask evaluate runs/actdiff" in activmask(f"{TRAIN} --name actdiff --actdiff 10")
    check_evaluation(activmask("evaluate runs/baseline runs/actdiff --device cpu --json"))
    check_saliency(place)
    report(["runs/baseline", "runs/actdiff", "--picture", "both.png"])
    check_report(capsys.readouterr().out, place)


def check_preparation(printed: str) -> None:
    assert "80 images of 32 x 32 px, 8 bits; 80 masks" in printed
    assert "3 = 0" in printed
    assert "8 = 1" in printed
    assert "next: activmask train --data digits/data --split-policy given" in printed


def check_evaluation(printed: str) -> None:
    checkpoints = json.loads(printed)["checkpoints"]
    assert [one["run"] for one in checkpoints] == ["runs/baseline", "runs/actdiff"]
    for one in checkpoints:
        assert (one["data"], one["split"]) == ("digits/data", "test")
        audit = one["evaluation"]["audit"]
        assert audit["n"] == 20
        assert [row["images"] for row in audit["rows"]] == ["full", "background shuffled", "ROI shuffled"]
        assert all(0 <= row["auc"] <= 1 for row in audit["rows"])
        assert one["evaluation"]["localisation"]["n"] == 20


def check_saliency(place: Path) -> None:
    scan = min((place / "digits" / "images").iterdir()).name
    printed = activmask(
        f"saliency runs/actdiff/seed-0/best.safetensors digits/images/{scan} --mask digits/masks/{scan} "
        "--out picture.png --device cpu"
    )
    assert "inside mask" in printed
    with Image.open(place / "picture.png") as picture:
        assert picture.width > picture.height > 100


def check_report(printed: str, place: Path) -> None:
    _, _, *rows = printed.splitlines()
    assert [row.split(" (")[0] for row in rows] == [
        f"| {run}, {kind}" for run in ("baseline", "actdiff") for kind in ("best", "last")
    ]
    assert not any(" - |" in row for row in rows)
    with Image.open(place / "both.png") as picture:
        assert picture.width > 300
