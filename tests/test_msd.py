import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import typer
from activmask_cli.prepare_msd import prepare_msd as command
from msd_files import SHAPE, Decathlon, digest, flip_a_bit, names, organ, packed, save, voxels
from typer.testing import CliRunner

from activmask.data import writer as dataset_writer
from activmask.data.dataset import load_samples, read_dataset
from activmask.data.sources.msd.prepare import default_out, prepare_msd
from activmask.ground.errors import DataError, UsageError


@pytest.fixture
def task(tmp_path) -> Decathlon:
    made = Decathlon(tmp_path / "Task03_Liver")
    for name in ("liver_0", "liver_1", "liver_10"):
        made.case(name)
    return made


def skipped(out: Path) -> str:
    return (out / "skipped.csv").read_text()


def test_a_task_becomes_a_data_set(task, tmp_path):
    seen = []
    summary = prepare_msd(
        task.root, tmp_path / "out", size=20, progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(1, 3), (2, 3), (3, 3)]
    assert summary.written.counts == {"all": {0: 9, 1: 9}}
    assert (summary.volumes, summary.skipped, summary.task) == (3, (), "LITS")
    assert (summary.mask_blur, summary.mask_radius, summary.native_sides) == (16, 64, (12, 12))
    assert min(summary.seconds_decompressing, summary.seconds_elsewhere) > 0
    dataset = read_dataset(tmp_path / "out")
    assert load_samples(dataset, range(18)).images.shape == (18, 1, 20, 20)
    table = (tmp_path / "out/metadata.csv").read_text().splitlines()
    assert table[0] == "file_name,mask_file_name,label,subject,native_height,native_width"
    assert table[1] == "images/liver_0-z000.png,,0,liver_0,12,12"
    assert table[4] == "images/liver_0-z003.png,masks/liver_0-z003.png,1,liver_0,12,12"


def test_the_card_says_what_was_done(task, tmp_path):
    prepare_msd(task.root, tmp_path / "out", labels=("tumour",), size=20)
    card = json.loads((tmp_path / "out/card.json").read_text())
    assert card["source"] == "msd"
    assert (card["task"], card["modality"], card["labels"]) == ("LITS", "CT", [2])
    assert card["window"] == {"low": -160.0, "high": 240.0, "unit": "value"}
    unit = "px of the native slice"
    assert card["mask_blur"] == {"sigma_px": 16.0, "radius_px": 64, "unit": unit, "stored": False}
    shares = card["mask_shares"]
    assert (shares["sigma_px"], shares["unit"], shares["without_mask"]) == (16.0, unit, 15)
    assert (shares["stored"]["masks"], shares["stored"]["full"], shares["dilated"]["full"]) == (3, 0, 3)
    assert "front to back" in card["orientation"]
    assert card["licence"] == "CC-BY-SA 4.0"
    assert card["counts"] == {"all": {"0": 15, "1": 3}}


@pytest.mark.parametrize("labels", [("tumour",), ("2",), ("TUMOUR", "2")])
def test_labels_are_named_or_numbered(task, tmp_path, labels):
    assert prepare_msd(task.root, tmp_path / "out", labels=labels, size=20).written.masks == 3


@pytest.mark.process
def test_the_number_of_workers_changes_no_byte(task, tmp_path):
    flip_a_bit(task.case("liver_11").image("liver_11"))
    for workers in (1, 2):
        prepare_msd(task.root, tmp_path / str(workers), size=20, slices_per_volume=4, workers=workers)
    assert digest(tmp_path / "1") == digest(tmp_path / "2")


def test_the_order_of_volumes_does_not_change_which_slices_are_drawn(task, tmp_path):
    prepare_msd(task.root, tmp_path / "a", size=20, slices_per_volume=2)
    task.described(training=task.facts["training"][::-1])
    prepare_msd(task.root, tmp_path / "b", size=20, slices_per_volume=2)
    assert {k: v for k, v in digest(tmp_path / "a").items() if "png" in k} == {
        k: v for k, v in digest(tmp_path / "b").items() if "png" in k
    }


def test_broken_volumes_are_left_out_and_named(task, tmp_path):
    task.case("cut").case("flipped").case("short", label=organ()[:5]).case("strange", label=organ() + 9)
    nan = voxels().astype(np.float32)
    nan[0, 0, 0] = np.nan
    task.case("nan", nan).case("gone").case("flat", voxels(1, (12, 10, 1)), organ()[..., :1])
    task.image("cut").write_bytes(task.image("cut").read_bytes()[:-20])
    flip_a_bit(task.label("flipped"))
    task.label("gone").unlink()
    task.image("gone").with_name("._gone.nii.gz").write_bytes(b"\0")
    task.listed("._gone").listed("liver_0")
    summary = prepare_msd(task.root, tmp_path / "out", size=20)
    assert summary.volumes == 4
    assert summary.written.counts == {"all": {0: 10, 1: 9}}
    assert skipped(tmp_path / "out").splitlines() == [
        "file_name,reason",
        "./imagesTr/gone.nii.gz,./labelsTr/gone.nii.gz does not exist",
        './imagesTr/._gone.nii.gz,"its name begins with a dot, so it is no volume"',
        "./imagesTr/liver_0.nii.gz,the subject liver_0 is listed already",
        "imagesTr/cut.nii.gz,imagesTr/cut.nii.gz is truncated or its gzip is corrupt; download it again",
        "imagesTr/flipped.nii.gz,labelsTr/flipped.nii.gz is truncated or its gzip is corrupt; "
        "download it again",
        "imagesTr/short.nii.gz,labelsTr/short.nii.gz has 5 x 10 x 6 voxels but its image 12 x 10 x 6",
        'imagesTr/strange.nii.gz,"labelsTr/strange.nii.gz holds a label value that dataset.json does not '
        'declare (0, 1, 2)"',
        "imagesTr/nan.nii.gz,imagesTr/nan.nii.gz holds voxels that are NaN or infinite; repair or remove "
        "the volume",
    ]


def test_volumes_that_do_not_say_how_they_lie_are_counted(task, tmp_path):
    assert prepare_msd(task.root, tmp_path / "out", size=20).unplaced == 0
    nib.save(nib.Nifti1Image(voxels(), None), task.image("liver_0"))
    nib.save(nib.Nifti1Image(organ(), None), task.label("liver_0"))
    assert prepare_msd(task.root, tmp_path / "out", size=20, overwrite=True).unplaced == 1


def test_volumes_with_other_channels_are_left_out_and_named(task, tmp_path):
    one_hot = np.stack([organ() == 0, organ() == 1, organ() == 2], axis=3).astype(np.uint8)
    task.case("hot", label=one_hot).case("many", np.stack([voxels(), voxels(1)], axis=3))
    task.case("plain", voxels()[..., None])
    summary = prepare_msd(task.root, tmp_path / "out", size=20)
    assert (summary.volumes, summary.written.counts) == (4, {"all": {0: 12, 1: 12}})
    remedy = "keep one, and of a label with one channel per class make one volume of numbers"
    assert summary.skipped == (
        (
            "imagesTr/hot.nii.gz",
            f"labelsTr/hot.nii.gz has 3 channels in its fourth axis, expected 1; {remedy}",
        ),
        (
            "imagesTr/many.nii.gz",
            f"imagesTr/many.nii.gz has 2 channels in its fourth axis, expected 1; {remedy}",
        ),
    )
    assert json.loads((tmp_path / "out/card.json").read_text())["channels"] == 1


def test_a_volume_without_the_declared_channels_is_left_out(task, tmp_path):
    task.described(modality={"0": "FLAIR", "1": "T1"})
    task.case("both", np.stack([voxels(), voxels(1)], axis=3))
    summary = prepare_msd(task.root, tmp_path / "out", size=20, channel=1)
    assert summary.volumes == 1
    assert summary.skipped[0] == (
        "imagesTr/liver_0.nii.gz",
        "imagesTr/liver_0.nii.gz has 1 channel in its fourth axis, expected 2; store all channels that "
        "dataset.json declares in one file",
    )
    assert json.loads((tmp_path / "out/card.json").read_text())["channels"] == 2


def test_slices_with_one_value_everywhere_are_named(task, tmp_path):
    air = voxels()
    air[..., :2] = -1000
    task.case("thin", air)
    summary = prepare_msd(task.root, tmp_path / "out", size=20)
    assert summary.constant == ("thin-z000", "thin-z001")
    assert json.loads((tmp_path / "out/card.json").read_text())["constant_images"] == list(summary.constant)


def test_slices_whose_organ_vanishes_are_named(task, tmp_path):
    label = np.zeros((60, 60, 3), np.uint8)
    label[:2, 0, 1] = 1
    task.case("small", voxels(0, label.shape), label)
    summary = prepare_msd(task.root, tmp_path / "out", size=5)
    assert summary.skipped == (("small-z001", "the organ vanishes at the stored size"),)


def test_nothing_written_in_a_header_reaches_the_data_set(task, tmp_path):
    for name in ("liver_0", "liver_1", "liver_10"):
        image = nib.load(task.image(name))
        image.header["descrip"], image.header["db_name"] = b"Jane Planted", b"Jane Planted"
        image.header.extensions.append(nib.nifti1.Nifti1Extension("comment", b"Jane Planted"))
        nib.save(nib.Nifti1Image(np.asanyarray(image.dataobj), None, image.header), task.image(name))
    flip_a_bit(task.image("liver_10"))
    prepare_msd(task.root, tmp_path / "out", size=20)
    assert not any(b"Planted" in data for data in digest(tmp_path / "out").values())


def test_an_archive_is_not_unpacked_for_nothing(task, tmp_path):
    archive = tmp_path / "Task03_Liver.tar"
    archive.write_bytes(b"never read")
    prepare_msd(task.root, tmp_path / "out", size=20)
    with pytest.raises(DataError, match="out exists already; choose another place or ask for overwrite"):
        prepare_msd(archive, tmp_path / "out")
    packed(task.root, archive)
    assert prepare_msd(archive, tmp_path / "out", size=20, overwrite=True).written.images == 18


def test_one_class_is_no_data_set(task, tmp_path):
    for name in ("liver_0", "liver_1", "liver_10"):
        save(task.label(name), np.zeros(SHAPE, np.uint8))
    with pytest.raises(DataError, match=r"the task LITS leaves none with the organ.*choose other labels"):
        prepare_msd(task.root, tmp_path / "out")
    for name in ("liver_0", "liver_1", "liver_10"):
        flip_a_bit(task.image(name))
    with pytest.raises(
        DataError, match=r"no slice at all.*3 items were skipped, the first because imagesTr/"
    ):
        prepare_msd(task.root, tmp_path / "out")
    assert names(tmp_path) == ["Task03_Liver"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, "size must be from 1"),
        ({"window": (3, 3)}, "window must rise"),
        ({"window": (float("nan"), 3)}, "window must rise"),
        ({"slices_per_volume": 1}, "slices_per_volume must be 0 or at least 2"),
        ({"mask_blur": -1}, "mask_blur must be"),
        ({"channel": 1}, "channel must be from 0 to 0 \\(CT\\)"),
        ({"labels": ("spleen",)}, "labels must be among liver \\(1\\), tumour \\(2\\).*found 'spleen'"),
        ({"labels": ("0",)}, "labels must be among"),
        ({"workers": 0}, "workers must be from 1"),
    ],
)
def test_a_senseless_request_is_refused(task, tmp_path, options, message):
    with pytest.raises(UsageError, match=message):
        prepare_msd(task.root, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_a_full_disk_leaves_nothing(task, tmp_path, monkeypatch):
    write, count = dataset_writer._write, iter(range(100))

    def failing(path, data):
        if next(count) > 5:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(path, data)

    monkeypatch.setattr(dataset_writer, "_write", failing)
    archive = packed(task.root, tmp_path / "Task03_Liver.tar")
    shutil.rmtree(task.root)
    with pytest.raises(DataError, match=r"out cannot be written \(No space left on device\); free the disk"):
        prepare_msd(archive, tmp_path / "out", size=20)
    assert names(tmp_path) == ["Task03_Liver.tar"]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs a folder nobody can write to")
def test_an_output_that_cannot_be_written_is_refused(task):
    with pytest.raises(DataError, match="cannot be written"):
        prepare_msd(task.root, Path("/proc/activmask/out"), size=20)
    archive = packed(task.root, task.root.parent / "Task03_Liver.tar")
    with pytest.raises(DataError, match="cannot be unpacked into /proc/activmask"):
        prepare_msd(archive, Path("/proc/activmask/out"), size=20)


@pytest.mark.parametrize(
    ("source", "out"),
    [
        ("Task03_Liver", "data/liver"),
        ("x/Task07_Pancreas.tar", "data/pancreas"),
        ("Task02_Heart/dataset.json", "data/cardiac"),
        ("Task08_HepaticVessel.tar.gz", "data/hepaticvessel"),
        ("Dataset004_Hippocampus", "data/hippocampus"),
        ("my liver (1)", "data/liver"),
        ("Task99_Ä ö", "data/msd"),
    ],
)
def test_the_usual_place_follows_from_the_task(source, out):
    assert default_out(Path(source)) == Path(out)


def run(*arguments: object) -> tuple[int, str, str]:
    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.stdout, result.stderr


def test_the_command_prints_a_summary_and_the_next_step(task, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    flip_a_bit(task.case("liver_[11]").image("liver_[11]"))
    code, stdout, stderr = run("Task03_Liver", "--size", 20, "--window=-100,100", "--labels", "liver, 2")
    assert code == 0
    assert stderr.startswith("to audit a classifier that you have: activmask audit --data ")
    assert "LITS │       3 │                 9 │       9" in stdout
    assert "18 slices of 20 x 20 px, 16 bits" in stdout
    assert "% of it outside decompression" in stdout
    assert (
        "mask blur 16 px of the native slice grows masks by 64 of 12 px, which are 107 of 20 px as stored"
    ) in stdout
    assert "no dilated mask has both an inside and an outside, so train refuses" in stdout
    assert "skipped imagesTr/liver_[11].nii.gz: imagesTr/liver_[11].nii.gz is truncated" in stdout
    assert "1 skipped in all, listed in data/liver/skipped.csv" in stdout
    assert "training cannot begin with these images: 64 train images of class 0 are wanted" in stdout
    assert "next: " not in stderr
    assert json.loads(Path("data/liver/card.json").read_text())["window"]["low"] == -100


def test_the_next_step_of_a_task_without_a_preset_takes_none(task, tmp_path):
    task.root.rename(tmp_path / "Task06_Lung")
    task.root = tmp_path / "Task06_Lung"
    task.described(name="Lung")
    code, _, stderr = run(task.root, "--size", 20, "--out", tmp_path / "out")
    assert code == 0
    assert stderr.endswith(f"train --split-policy subject --data {tmp_path / 'out'} --mask-blur 0.5\n")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("--window", "1"), 2, "--window must be two numbers LO,HI; found '1'"),
        (("--window", "1,x"), 2, "--window must be two numbers"),
        (("--labels", "[b]spleen"), 2, "found '[b]spleen'"),
        (("--slices-per-volume", 1), 2, "must be 0 or at least 2"),
    ],
)
def test_the_command_fails_with_one_sentence(task, tmp_path, arguments, code, message):
    found, stdout, stderr = run(task.root, "--out", tmp_path / "out", *arguments)
    assert (found, stdout) == (code, "")
    assert message in stderr
    assert len(stderr.strip().splitlines()) == 1
    assert run(tmp_path / "none", "--out", tmp_path / "out")[0] == 3


@pytest.mark.process
def test_the_command_imports_nothing_heavy_until_it_runs():
    heavy = "{'torch', 'numpy', 'nibabel', 'skimage', 'scipy'}"
    code = f"import sys, cli.prepare_msd; print({heavy} & set(sys.modules)); "
    code += f"import activmask.data.sources.msd.prepare; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["set()", "['nibabel', 'numpy', 'scipy', 'skimage']"]
