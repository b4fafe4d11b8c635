"""The worked example, command after command, as a user types them in a folder of their own."""

import json
import subprocess
from pathlib import Path

import digits
import pytest
from activmask_cli.app import app
from PIL import Image
from typer.testing import CliRunner

PER_CLASS = {"train": 20, "valid": 10, "test": 10}
SMALL = {"16": "4", "30": "2", "0-2": "0"}
"""Another width, number of epochs and list of seeds than the example's."""

ADDED = {"train": ["--device", "cpu"], "evaluate": ["--device", "cpu", "--json"]}


def activmask(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return result.stdout if "--json" in arguments else result.output


@pytest.mark.process
def test_one_command_runs_from_a_users_folder_to_a_picture(tmp_path, monkeypatch, capsys):
    printed = {}

    def call(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        name, *rest = command[3:]
        printed[name] = activmask(name, *(SMALL.get(one, one) for one in rest), *ADDED.get(name, []))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "run", call)
    monkeypatch.setattr(digits, "PER_CLASS", PER_CLASS)
    few = digits.draw_digits(0, PER_CLASS)
    monkeypatch.setattr(digits, "draw_digits", lambda _seed: few)
    digits.main(["digits", "--run"])
    check_preparation(printed["prepare-folder"])
    check_evaluation(printed["evaluate"])
    check_saliency(tmp_path)
    check_report(capsys.readouterr().out, tmp_path / "digits")


def check_preparation(printed: str) -> None:
    assert "80 images of 32 x 32 px, 8 bits; 80 masks" in printed
    assert "3 = 0" in printed
    assert "8 = 1" in printed
    assert "next: activmask train --data digits/data --split-policy given" in printed


def check_evaluation(printed: str) -> None:
    checkpoints = json.loads(printed)["checkpoints"]
    assert [one["run"] for one in checkpoints] == ["runs/digits-baseline", "runs/digits-actdiff"]
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
        *f"saliency runs/digits-actdiff/seed-0/best.safetensors digits/images/{scan}".split(),
        *f"--mask digits/masks/{scan} --out picture.png --device cpu".split(),
    )
    assert "inside mask" in printed
    with Image.open(place / "picture.png") as picture:
        assert picture.width > picture.height > 100


def check_report(printed: str, folder: Path) -> None:
    rows = printed.splitlines()[-4:]
    names = [f"digits-{run}, {kind}" for run in ("baseline", "actdiff") for kind in ("best", "last")]
    assert [row.split(" (")[0] for row in rows] == [f"| {name}" for name in names]
    assert not any(" - |" in row for row in rows)
    numbers = json.loads((folder / "digits.json").read_text())
    for row, shown in zip(numbers, rows, strict=True):
        assert f"| {row['test AUC']['mean']:.2f} |" in shown
    with Image.open(folder / "digits.png") as picture:
        assert picture.width > 300
