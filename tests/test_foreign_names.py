"""Folders whose names are bytes that are no UTF-8: runs in them are read, tabulated, drawn and reported."""

import csv
import io
import json
import os
import sys
from pathlib import Path

import pytest
from in_process import told

from activmask.runs.checkpoint import load_checkpoint
from activmask.runs.making import make_config
from activmask.training.run import train

STRANGE = os.fsdecode(b"r\xff\xfens")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere such a name cannot be made")


@pytest.fixture(scope="module")
def strange(tmp_path_factory, crosses) -> Path:
    """A folder of that name with a run of that name on data of that name."""
    place = tmp_path_factory.mktemp("foreign") / STRANGE
    place.mkdir()
    (place / STRANGE).symlink_to(crosses, target_is_directory=True)
    config = make_config(
        data=str(place / STRANGE), model="cnn", width=2, epochs=1, device="cpu", actdiff=1.0, threads=1
    )
    train(config, out=place / "runs" / STRANGE)
    return place


def test_a_checkpoint_is_read(strange):
    assert load_checkpoint(strange / "runs" / STRANGE / "seed-0" / "best.safetensors").epoch == 0


@pytest.mark.parametrize("form", ["rich", "markdown", "latex", "csv", "json"])
def test_a_table_is_valid_text(strange, tmp_path, form):
    printed = told("table", strange / "runs", "--format", form, cwd=tmp_path).stdout
    told("table", strange / "runs", "--format", form, "--out", tmp_path / "table", cwd=tmp_path)
    written = (tmp_path / "table").read_bytes().decode("utf-8")
    for text in (printed, written):
        assert text.encode()
        if form == "json":
            assert json.loads(text)
        if form == "csv":
            assert len(list(csv.DictReader(io.StringIO(text)))) == 1


@pytest.mark.process
def test_a_report_is_valid_text_from_its_first_byte_to_its_last(strange, tmp_path):
    told("report", strange / "runs", "--out", tmp_path / STRANGE, "--device", "cpu", cwd=tmp_path)
    pages = [
        path for path in (tmp_path / STRANGE).rglob("*") if path.suffix in {".html", ".csv", ".tex", ".svg"}
    ]
    assert len(pages) > 3
    texts = {path.name: path.read_bytes().decode("utf-8") for path in pages}
    assert "\\xff\\xfe" in texts["index.html"]


def test_an_image_is_explained(strange, tmp_path):
    image = tmp_path / f"{STRANGE}.png"
    image.write_bytes((strange / STRANGE / "images" / "Valid-000000.png").read_bytes())
    checkpoint = strange / "runs" / STRANGE / "seed-0" / "best.safetensors"
    raw = tmp_path / f"{STRANGE}.npy"
    told("saliency", checkpoint, image, "--raw", raw, "--device", "cpu", cwd=tmp_path)
    assert raw.exists()
    assert (tmp_path / f"{STRANGE}.saliency.png").exists()
