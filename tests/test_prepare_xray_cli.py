"""prepare-xray by its command, and the xray preset on what it makes."""

import importlib.util
import json
import shutil
from pathlib import Path

import pytest
import typer
from activmask_cli.prepare_xray import prepare_xray
from dicom_files import PATIENT, PATIENT_ID, write_dicom
from in_process import told
from typer.testing import CliRunner
from xray_files import SECRET, Collections, xray


def released_tables(root: Path) -> tuple[Path, Path]:
    """The collections' real metadata, without any image."""
    package = Path(importlib.util.find_spec("torchxrayvision").origin).parent / "data"
    for folder, name in (
        ("nih", "Data_Entry_2017_v2020.csv.gz"),
        ("padchest", "PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv.gz"),
    ):
        (root / folder).mkdir()
        shutil.copy(package / name, root / folder)
    return root / "nih", root / "padchest"


@pytest.mark.process
def test_the_dry_run_counts_the_released_tables(tmp_path):
    nih, padchest = released_tables(tmp_path)
    command = ("prepare-xray", "--nih", nih, "--padchest", padchest, "--dry-run")
    said = told(*command, "--per-cell", 500, cwd=tmp_path).stdout
    for count in ("1,499 / 781", "39,302 / 22,452", "861 / 735", "34,266 / 28,703"):
        assert count in said
    assert "train / valid / test 1000 / 500 / 500" in said
    said = told(*command, "--paper-sampling", cwd=tmp_path).stdout
    for count in ("2,516 / 1,046", "60,361 / 24,907", "500 / 446", "22,091 / 18,923", "998 / 498 / 504"):
        assert count in said
    assert "it leaks" in said


def in_process(*arguments):
    app = typer.Typer()
    app.command()(prepare_xray)
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_the_papers_sampling_draws_as_many_as_it_is_told(tmp_path):
    made = Collections(tmp_path, n=20)
    flags = ("--nih", made.nih, "--padchest", made.padchest, "--paper-sampling", "--dry-run")
    said = " ".join(in_process(*flags, "--per-cell", 20).output.split())
    assert "the paper's sampling: 20 images of each site and class" in said
    assert "train / valid / test 38 / 18 / 24 images" in said
    assert "500 images of label 0 are wanted from nih; found 20" in " ".join(
        in_process(*flags).output.split()
    )


def test_broken_drawn_images_and_the_brightness_of_sites_are_told(tmp_path):
    made = Collections(tmp_path, n=3)
    made.image("00000001_000.png").write_bytes(b"no image")
    flags = ("--nih", made.nih, "--padchest", made.padchest, "--size", 16, "--out", tmp_path / "out")
    said = " ".join(in_process(*flags).output.split())
    assert "drawn images that could not be used: 1; the next of the same order took their place" in said
    assert "of 3 images per site and class 2 are left" in said
    assert "mean brightness (--intensity image): nih 0." in said
    assert "tells the site" not in said
    said = " ".join(in_process(*flags, "--intensity", "released", "--overwrite").output.split())
    assert "padchest 0.0" in said
    assert "it tells the site" in said


def test_wrong_use(tmp_path):
    made = Collections(tmp_path)

    def said(*flags: object, code: int) -> str:
        return told("prepare-xray", *flags, cwd=tmp_path, code=code).stderr

    assert "needs" not in said("--nih", made.nih, "--dry-run", code=0)
    assert "patients in two splits" in said("--nih", made.nih, "--paper-sampling", code=2)
    assert "did you mean 'emphysema'" in said("--nih", made.nih, "--finding", "emphysem", code=2)
    said("--nih", made.nih, "--address", "auto", code=2)
    said(code=2)
    said("--nih", tmp_path / "none", code=3)


@pytest.mark.process
@pytest.mark.parametrize(("masked", "workers"), [(False, 2), (True, 1)])
def test_the_xray_preset_goes_from_the_collections_to_a_picture(masked, workers, tmp_path, capfd):
    made = Collections(tmp_path, n=12)
    made.as_dicom("216840_scan.png")
    said = told("prepare-xray", "--nih", "NIH", "--padchest", "PadChest", "--workers", workers, cwd=tmp_path)
    assert "next: activmask train --preset xray --data data/xray" in said.stderr
    assert "draws its own: a circle with 50.2% of the image inside" in said.stdout
    flags = ("--classify-masked", "all") if masked else ("--correlation", 0.75, "--actdiff", 1)
    told("train", "--preset", "xray", "--width", 4, "--epochs", 2, *flags, "--name", "r", cwd=tmp_path)
    checkpoint = tmp_path / "runs/r/seed-0/best.safetensors"
    found = json.loads(told("evaluate", checkpoint, "--json", cwd=tmp_path).stdout)
    assert [site["site"] for site in found["checkpoints"][0]["evaluation"]["sites"]] == ["nih", "padchest"]
    assert "By site" in told("evaluate", checkpoint, cwd=tmp_path).stdout
    scan = write_dicom(tmp_path / "new.dcm", xray(5, 4095, 60, "uint16"))
    answer = told("saliency", checkpoint, scan, "--method", "input-gradient", cwd=tmp_path)
    assert (tmp_path / "new.saliency.png").stat().st_size > 1000
    # What worker processes say bypasses the command's own streams.
    said = "".join((answer.output, said.output, *capfd.readouterr()))
    for word in (SECRET, PATIENT, PATIENT_ID):
        assert word not in said
        for path in tmp_path.rglob("*"):
            if (
                path.is_file()
                and path.suffix != ".dcm"
                and "NIH" not in path.parts
                and "PadChest" not in path.parts
            ):
                assert word.encode() not in path.read_bytes(), path
