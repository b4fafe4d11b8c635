"""Commands that make data sets: one JSON object on stdout, the same words as ever on stderr."""

import json
import shlex

import numpy as np
import pytest
from in_process import told
from msd_files import Decathlon, organ
from user_folder import Folder, grey, half
from xray_files import Collections

from activmask.data.dataset import read_dataset
from activmask.data.splits import SPLITS


def both(*command: object, cwd) -> dict:
    """The object that a command prints, once what it says beside it is what it says to people."""
    plain = told(*command, cwd=cwd)
    asked = told(*command, "--overwrite", "--json", cwd=cwd)
    for line in plain.stdout.splitlines():
        assert " s of work on volumes" in line or line in asked.stderr
    found = json.loads(asked.stdout)
    assert asked.stdout.startswith("{\n")
    return found


def check_written(found: dict, cwd) -> None:
    """The numbers are those of the data set, and the next command is one that the program takes."""
    written = read_dataset(cwd / found["data"])
    assert found["images"] == len(written) == sum(sum(one.values()) for one in found["counts"].values())
    assert (
        found["masks"] == sum(map(bool, written.mask_file_names)) == found["mask_shares"]["stored"]["masks"]
    )
    assert (found["height"], found["width"], found["channels"]) == (
        written.height,
        written.width,
        written.channels,
    )
    if (step := found.get("next")) is not None:
        assert (step["train"] is None) == (step["refused"] is not None)
        if step["train"] is not None:
            words = shlex.split(step["train"])
            assert words[:2] == ["activmask", "train"]
            assert told(*words[1:], "--dry-run", cwd=cwd).stdout


@pytest.mark.process
def test_of_the_benchmark_and_what_is_planted_in_it(tmp_path):
    command = ("make-synthetic", "--n", 8, "--valid", 4, "--test", 4, "--no-distractor", "--out", "crosses")
    found = both(*command, cwd=tmp_path)
    check_written(found, tmp_path)
    assert found["different"] == {"train": 8, "valid": 4, "test": 4}
    planting = ("plant", "crosses", "--shortcut", "tag", "--class", 1)
    one = both(*planting, "--share", 0.75, "--out", "planted", cwd=tmp_path)
    (planted,) = one["sets"]
    check_written(planted | {"next": one["next"]}, tmp_path)
    assert planted["doses"][0] == {
        "split": "train",
        "images": [4, 4],
        "planted": [1, 3],
        "phi": pytest.approx(0.5),
        "accuracy": 0.75,
    }
    several = both(*planting, "--share", "0.5,1", "--out", "doses", cwd=tmp_path)
    assert [one["share"] for one in several["sets"]] == [0.5, 1.0]
    assert (tmp_path / several["grid"]).is_file()
    assert several["next"]["sweep"].startswith("activmask sweep ")


@pytest.mark.process
def test_of_a_folder(tmp_path):
    folder = Folder(tmp_path)
    for number, name in enumerate(f"{split}{label}.png" for split in SPLITS for label in ("ill", "well")):
        folder.image(name, grey(10 * number, side=28))
        folder.mask(name, half(28))
    rows = [f"{split}{label}.png,{label},{split}" for split in SPLITS for label in ("ill", "well")]
    folder.table("file_name,label,split", *rows, "gone.png,ill,train")
    found = both(
        "prepare-folder", "images", "--masks", "masks", "--labels", "labels.csv", "--out", "o", cwd=tmp_path
    )
    check_written(found, tmp_path)
    assert found["classes"] == {"ill": 0, "well": 1}
    assert [one["name"] for one in found["skipped"]] == ["gone.png"]
    assert found["mask_shares"]["stored"]["mean"] == pytest.approx(0.5)


@pytest.mark.process
def test_of_volumes(tmp_path):
    task = Decathlon(tmp_path / "Task06_Lung").described(name="Lung")
    for k in range(2):
        task.case(f"lung_{k}", label=organ())
    found = both("prepare-msd", "Task06_Lung", "--size", 28, "--out", "slices", cwd=tmp_path)
    check_written(found, tmp_path)
    assert (found["task"], found["volumes"], found["preset"]) == ("Lung", 2, None)


@pytest.mark.process
def test_of_chest_x_rays(tmp_path):
    Collections(tmp_path, n=2)
    command = ("prepare-xray", "--nih", "NIH", "--padchest", "PadChest")
    dry = told(*command, "--dry-run", "--json", cwd=tmp_path)
    tables = json.loads(dry.stdout)
    assert "Eligible images / patients" in dry.stderr
    assert tables["eligible"][-1]["positives"] == 2
    found = both(*command, "--size", 16, "--out", "x", cwd=tmp_path)
    check_written(found, tmp_path)
    assert {(cell["site"], cell["label"], cell["images"]) for cell in found["cells"]} == {
        (site, label, 2) for site in ("nih", "padchest") for label in (0, 1)
    }
    assert np.isfinite([cell["brightness"] for cell in found["cells"]]).all()
