"""Images that lie in data sets: what is known of them is found, and nothing is written beside them."""

import csv
import json
import subprocess
import sys
from dataclasses import replace

import nibabel
import numpy as np
import pytest
from in_process import told
from PIL import Image
from tiny_checkpoints import SIDE, tiny_checkpoint, tiny_config, write_checkpoint, write_image, write_mask

from activmask.ground.errors import DataError, UsageError
from activmask.saliency.asked import named_images
from activmask.saliency.inputs import image_files, read_inputs
from activmask.saliency.known_images import data_set_around, is_data_set, known_images
from activmask.training.run import train

COUNT = 14
"""Of images in the set of these tests: more than have a row each."""


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """A data set of two classes, `sick` before `well`, in which every other image has a mask."""
    root = tmp_path_factory.mktemp("sets") / "scans"
    rows = []
    for k in range(COUNT):
        write_image(root / f"images/{k:02d}.png", seed=k)
        if k % 2:
            write_mask(root / f"masks/m{k:02d}.png")
        mask, split = f"masks/m{k:02d}.png" if k % 2 else "", "train" if k < 12 else "test"
        rows.append(f"images/{k:02d}.png,{mask},{k % 2},{split}\n")
    (root / "metadata.csv").write_text("file_name,mask_file_name,label,split\n" + "".join(rows))
    (root / "card.json").write_text(json.dumps({"classes": {"sick": 0, "well": 1}}))
    return root


@pytest.fixture(scope="module")
def network(tmp_path_factory):
    """Of the same classes, which it numbers the other way round."""
    path = tmp_path_factory.mktemp("run") / "seed-0" / "best.safetensors"
    return write_checkpoint(path, described={"class_names": ("well", "sick")})


def test_mask_and_class_of_an_image_of_a_data_set_are_found(scans, network, tmp_path):
    asked = told("saliency", network, scans / "images/01.png", "--json", cwd=tmp_path)
    own = json.loads(asked.stdout)
    (image,) = own["images"]
    assert own["classes"] == ["well", "sick"]
    assert image["label"] == 0
    given = ("--mask", scans / "masks/m01.png", "--out", "given.png", "--json")
    same = json.loads(told("saliency", network, scans / "images/01.png", *given, cwd=tmp_path).stdout)
    assert image["inside_mask"] == same["images"][0]["inside_mask"] > 0
    assert own["files"] == ["01.saliency.png"]
    assert (tmp_path / "01.saliency.png").is_file()
    assert sorted(path.name for path in scans.iterdir()) == ["card.json", "images", "masks", "metadata.csv"]


def test_images_without_a_mask_stand_beside_those_with_one(scans, tmp_path):
    loaded = tiny_checkpoint(tmp_path)
    files = [scans / "images/00.png", scans / "images/01.png"]
    inputs = read_inputs(loaded, files, known=known_images(files))
    assert inputs.has_mask == (False, True)
    assert inputs.masks is not None
    assert inputs.masks[0].all()
    assert 0 < inputs.masks[1].sum() < SIDE**2
    assert inputs.labels == ()
    circles = replace(loaded, config=tiny_config(mask="circle", mask_blur=0.0))
    assert read_inputs(circles, files, known=known_images(files)).has_mask == ()


def test_a_data_set_is_one_sheet_one_table_and_one_row(scans, network, tmp_path):
    result = told("saliency", network, scans, "--out", "maps", cwd=tmp_path)
    assert sorted(path.name for path in (tmp_path / "maps").iterdir()) == ["saliency.csv", "sheet.png"]
    with (tmp_path / "maps/saliency.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["label_class"] for row in rows] == ["sick", "well"] * (COUNT // 2)
    assert [bool(row["inside_mask"]) for row in rows] == [False, True] * (COUNT // 2)
    right = sum(row["label_class"] == row["predicted_class"] for row in rows)
    assert f"{right} of {COUNT}" in result.stdout
    assert ".png" not in result.stdout
    assert len(result.stdout.splitlines()) == 5
    assert result.stderr.splitlines() == ["wrote", "maps/sheet.png", "maps/saliency.csv"]


def test_a_split_of_a_data_set(scans, network, tmp_path):
    chosen = (scans, "--split", "test", "--out", "maps", "--each", "--map", "viridis")
    assert told("saliency", network, *chosen, cwd=tmp_path).stdout.count(".png") == 2
    assert (tmp_path / "maps/13.saliency.png").is_file()
    refused = told("saliency", network, scans, "--split", "valid", cwd=tmp_path, code=3)
    assert "has no image of the split valid; found test, train" in " ".join(refused.stderr.split())
    refused = told("saliency", network, scans / "images", "--split", "test", cwd=tmp_path, code=2)
    assert "a split is of data sets" in refused.stderr


def test_without_images_a_network_explains_its_own_test_images(crosses, tmp_path):
    train(tiny_config(data=str(crosses)), seeds=(0,), out=tmp_path / "run")
    best = tmp_path / "run/seed-0/best.safetensors"
    own = json.loads(told("saliency", best, "--json", cwd=tmp_path).stdout)
    assert own["summary"]["labelled"] == own["summary"]["images"] == own["summary"]["masked"]
    assert {image["image"].rpartition("/")[2][:4] for image in own["images"]} == {"Test"}
    assert (tmp_path / "saliency/sheet.png").is_file()


def test_images_that_were_drawn_in_memory_are_no_files(network, tmp_path):
    assert "were drawn in memory" in told("saliency", network, cwd=tmp_path, code=3).stderr


@pytest.mark.parametrize("flags", [["--out", "{}/maps"], ["--out", "{}/a.png"], ["--raw", "{}/raw.npy"]])
def test_nothing_is_written_inside_a_data_set(scans, network, tmp_path, flags):
    before = sorted(scans.rglob("*"))
    flags = [flag.format(scans) for flag in flags]
    refused = told("saliency", network, scans / "images/00.png", *flags, cwd=tmp_path, code=2)
    assert "would lie inside the data set" in refused.stderr
    refused = told("saliency", network, scans / "images/00.png", cwd=scans / "images", code=2)
    assert "would lie inside the data set" in refused.stderr
    assert sorted(scans.rglob("*")) == before


def test_other_tables_of_that_name_make_no_data_set(tmp_path):
    image = write_image(tmp_path / "images/a.png")
    for text in ("", "file_name,caption\na.png,a dog\n"):
        (tmp_path / "metadata.csv").write_text(text)
        assert not is_data_set(tmp_path)
        assert known_images([image]) == {}
        assert data_set_around(image) is None


def test_a_broken_table_is_told(scans, network, tmp_path):
    root = tmp_path / "set"
    write_image(root / "images/a.png")
    (root / "metadata.csv").write_text("file_name,mask_file_name,label\nimages/a.png,0\n")
    assert "expected 3 cells" in told("saliency", network, root / "images/a.png", cwd=tmp_path, code=3).stderr


def test_folders_of_volumes(tmp_path):
    for name in ("b.nii.gz", "a.nii"):
        nibabel.save(nibabel.Nifti1Image(np.zeros((8, 8, 2), np.float32), np.eye(4)), tmp_path / name)
    assert [path.name for path in image_files([tmp_path])] == ["a.nii", "b.nii.gz"]
    write_image(tmp_path / "c.png")
    assert [path.name for path in image_files([tmp_path])] == ["c.png"]
    assert [path.name for path in named_images([tmp_path], volumes=True)] == ["a.nii", "b.nii.gz"]
    with pytest.raises(DataError, match="holds no volume"):
        named_images([write_image(tmp_path / "d/e.png").parent], volumes=True)
    with pytest.raises(UsageError, match="a split is of data sets"):
        named_images([tmp_path], "test")


@pytest.mark.process
def test_a_picture_is_explained_without_what_only_other_files_and_networks_need(network, tmp_path):
    image = write_image(tmp_path / "a.png")
    code = (
        "import sys; from activmask_cli.app import app; "
        f"app(['saliency', {str(network)!r}, {str(image)!r}, '--json'], standalone_mode=False); "
        "print(*[m for m in ('torchvision', 'pydicom', 'nibabel', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == ""


def test_a_link_to_an_image_of_a_data_set_is_none_of_it(scans, tmp_path):
    (tmp_path / "link.png").symlink_to(scans / "images/01.png")
    assert known_images([tmp_path / "link.png"]) == {}
    Image.open(tmp_path / "link.png").verify()


@pytest.mark.process
def test_a_second_sheet_replaces_none_of_another_network_or_of_other_images(scans, network, tmp_path):
    other = write_checkpoint(tmp_path / "other" / "seed-1" / "best.safetensors", seed=1)

    def asked(checkpoint, *options):
        return told("saliency", checkpoint, scans, "--split", "test", *options, "--json", cwd=tmp_path)

    def places(said):
        return {path.rpartition("/")[0] for path in json.loads(said.stdout)["files"]}

    first = asked(network)
    kept = {path: path.read_bytes() for path in (tmp_path / "saliency").iterdir()}
    again, second = asked(network), asked(other)
    assert places(first) == places(again) == {"saliency"}
    assert "note: saliency" not in first.stderr + again.stderr
    assert places(second) == {"saliency-2"}
    note = "saliency holds other maps, so these are in saliency-2"
    assert note in second.stderr
    assert {path: path.read_bytes() for path in (tmp_path / "saliency").iterdir()} == kept
    assert places(asked(other, "--method", "gradcam", "--out", "saliency")) == {"saliency"}
    assert (tmp_path / "saliency/sheet.png").read_bytes() != kept[tmp_path / "saliency/sheet.png"]
