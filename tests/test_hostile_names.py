"""Names are text: one hostile name goes through every command, its terminal, its files and its page."""

import csv
import io
import json
import os
import subprocess
import tomllib
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hostile import HOSTILE, SEEN, WORD, joined, seen
from in_process import told
from msd_files import Decathlon
from PIL import Image
from xray_files import Collections

from activmask.ground.shown import shown

QUICK = ("--model", "cnn", "--width", "4", "--lr", "1e-3", "--epochs", "1", "--batch-size", "4")
SIDE = 16


def said(*arguments: object, cwd: Path, code: int = 0) -> str:
    """What a command printed on both streams."""
    result = told(*arguments, cwd=cwd, code=code)
    return seen(result.stdout) + seen(result.stderr)


def picture(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, "PNG")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with a data set and a trained run, all of them hostile by name."""
    root = tmp_path_factory.mktemp("names")
    rng = np.random.default_rng(0)
    mask = np.zeros((SIDE, SIDE), np.uint8)
    mask[4:10, 4:10] = 255
    rows = [["file_name", "label", "subject", "site", "split", HOSTILE]]
    for number in range(24):
        name = f"{HOSTILE}{number}.png"
        picture(root / "raw" / name, rng.integers(0, 256, (SIDE, SIDE), dtype=np.uint8))
        picture(root / "masks" / name, mask)
        split = ("train", "valid", "test")[number % 3]
        # Both classes and both sites are in every split.
        label, site = number // 3 % 2, number // 6 % 2
        rows.append([name, f"{HOSTILE}{label}", f"{WORD}{number}", f"{WORD}{site}", split, HOSTILE])
    rows.append([f"{HOSTILE}broken.png", f"{HOSTILE}0", f"{WORD}x", f"{WORD}0", "train", HOSTILE])
    (root / "raw" / f"{HOSTILE}broken.png").write_bytes(b"no picture")
    with (root / "labels.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    flags = ("--labels", "labels.csv", "--masks", "masks", "--out", f"data/{HOSTILE}")
    prepared = said("prepare-folder", "raw", *flags, cwd=root)
    assert SEEN in joined(prepared)
    trained = said(
        "train", *QUICK, "--data", f"data/{HOSTILE}", "--split-policy", "given", "--actdiff", 1,
        "--out", f"runs/{HOSTILE}", cwd=root,
    )  # fmt: skip
    assert SEEN in joined(trained)
    return root


def test_what_was_skipped_is_listed_without_formulas(place):
    text = (place / f"data/{HOSTILE}/skipped.csv").read_text(encoding="utf-8")
    header, row = csv.reader(io.StringIO(seen(text)), strict=True)
    assert header == ["file_name", "reason"]
    assert row[0] == f"'{shown(HOSTILE)}broken.png"


def test_what_is_read_again_keeps_every_name(place):
    from activmask.data.dataset import read_dataset

    dataset = read_dataset(place / f"data/{HOSTILE}")
    assert set(dataset.sites) == {f"{WORD}0", f"{WORD}1"}
    assert f"{WORD}5" in dataset.subjects


def test_evaluate(place):
    text = said("evaluate", f"runs/{HOSTILE}", cwd=place)
    assert joined(f"{shown(WORD)}0") in joined(text)
    assert "By site" in text
    told_as_json = seen(told("evaluate", f"runs/{HOSTILE}", "--json", cwd=place).stdout)
    assert HOSTILE in json.loads(told_as_json)["checkpoints"][0]["checkpoint"]


def test_saliency(place):
    network = f"runs/{HOSTILE}/seed-0/best.safetensors"
    image = f"raw/{HOSTILE}3.png"
    text = said("saliency", network, image, "--mask", f"masks/{HOSTILE}3.png", cwd=place)
    assert joined(shown(image)) in joined(text)
    assert SEEN in joined(text.partition("class")[2])
    assert (place / f"raw/{HOSTILE}3.saliency.png").stat().st_size > 1000


def test_score(place):
    maps = f"maps/{HOSTILE}"
    for image in (place / f"data/{HOSTILE}/images").rglob("*.png"):
        picture(place / maps / image.name, np.random.default_rng(0).integers(0, 256, (SIDE, SIDE), np.uint8))
    picture(place / maps / f"{HOSTILE}extra.png", np.zeros((SIDE, SIDE), np.uint8))
    flags = ("--data", f"data/{HOSTILE}", "--by", "subject", "--out", f"{WORD}.csv".replace("/", ""))
    text = said("score", maps, *flags, cwd=place)
    assert joined(shown(maps)) in joined(text)
    assert joined(f"{shown(HOSTILE)}extra.png") in joined(text)
    assert joined(shown(WORD)) in joined(text)
    rows = list(csv.DictReader(io.StringIO(seen((place / flags[-1]).read_text(encoding="utf-8")))))
    assert {row["subject"] for row in rows} >= {f"'{shown(WORD)}2"}
    as_json = seen(told("score", maps, "--data", f"data/{HOSTILE}", "--json", cwd=place).stdout)
    assert json.loads(as_json)["maps"] == str(Path(maps))


@pytest.mark.parametrize("form", ["rich", "markdown", "latex", "csv", "json"])
def test_table(place, form):
    text = seen(told("table", f"runs/{HOSTILE}", "--format", form, cwd=place).stdout)
    folder, data = Path(f"runs/{HOSTILE}"), shown(Path(HOSTILE).name)[1:]
    if form == "csv":
        (row,) = csv.DictReader(io.StringIO(text), strict=True)
        assert shown(folder) in row["folder"]
        assert row["data"].endswith(data)
    elif form == "json":
        assert json.loads(text)["rows"][0]["folder"].endswith(str(folder))
        assert text.isascii()
    elif form == "markdown":
        assert r"\:skull:" in text
        assert "<i>" not in text.replace(r"\<", "")
    elif form == "rich":
        assert joined(data) in joined(text)
    told("table", f"runs/{HOSTILE}", "--format", form, "--out", "table.txt", cwd=place)
    seen((place / "table.txt").read_text(encoding="utf-8"))


class Words(HTMLParser):
    """The words of a page, those of attributes among them, and its elements."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.tags = [], []

    def handle_data(self, data):
        self.words.append(data)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.words += [value or "" for _, value in attrs]


def test_the_report(place):
    text = said("report", "runs", "--out", f"page/{HOSTILE}", cwd=place)
    assert joined(shown(f"page/{HOSTILE}/index.html")) in joined(text)
    page = (place / f"page/{HOSTILE}/index.html").read_text(encoding="utf-8")
    reader = Words()
    reader.feed(page)
    seen("".join(reader.words))
    assert "i" not in reader.tags
    assert shown(Path(HOSTILE).name)[1:] in "".join(reader.words)
    drawings = list((place / f"page/{HOSTILE}/figures").glob("*.svg"))
    assert drawings
    for drawing in drawings:
        tree = ET.fromstring(drawing.read_text(encoding="utf-8"))
        seen("".join(tree.itertext()))
        seen(tree.attrib["aria-label"])
    for table in (place / f"page/{HOSTILE}/tables").iterdir():
        seen(table.read_text(encoding="utf-8"))


def test_sweep(place, inline_sweeps):
    quoted = json.dumps(HOSTILE)
    (place / "grid.toml").write_text(
        f"name = 'grid'\ntitle = {quoted}\nnote = {quoted}\n[base]\ndata = {json.dumps(f'data/{HOSTILE}')}\n"
        'model = "cnn"\nwidth = 4\nlr = 1e-3\nepochs = 1\nbatch_size = 4\nsplit_policy = "given"\n'
        f"[axes.method]\n{quoted} = {{ actdiff = 1.0 }}\n",
        encoding="utf-8",
    )
    assert joined(said("sweep", "grid.toml", "--dry-run", cwd=place)).count(SEEN) >= 3
    text = said("sweep", "grid.toml", "--out", f"grids/{HOSTILE}", "--seeds", 1, cwd=place)
    assert joined(text).count(SEEN) >= 4


def test_a_cell_that_fails(place, inline_sweeps):
    (place / "bad" / HOSTILE).mkdir(parents=True)
    (place / "bad.toml").write_text(
        f'[base]\ndata = {json.dumps(f"bad/{HOSTILE}")}\n[axes.model]\n"x" = {{ model = "cnn" }}\n',
        encoding="utf-8",
    )
    assert "failed twice" in said("sweep", "bad.toml", "--seeds", 1, cwd=place, code=4)


def test_a_dry_run_reads_back(place):
    flags = ("train", *QUICK, "--data", f"data/{HOSTILE}", "--dry-run")
    text = seen(told(*flags, cwd=place).stdout)
    assert tomllib.loads(text)["data"] == f"data/{HOSTILE}"
    (place / "run.toml").write_text(text, encoding="utf-8")
    assert told("train", "--config", "run.toml", "--dry-run", cwd=place).stdout == text


def test_a_dry_run_refuses_what_toml_cannot_hold(place):
    flags = ("train", *QUICK, "--data", os.fsdecode(b"\xff"), "--dry-run")
    assert "bytes that are no text" in said(*flags, cwd=place, code=2)


@pytest.mark.process
def test_the_next_command_can_be_pasted(place):
    text = told("train", *QUICK, "--data", f"data/{HOSTILE}", "--split-policy", "given",
                "--out", f"next/{HOSTILE}", cwd=place).stderr  # fmt: skip
    line = text.partition("next: activmask ")[2].strip()
    words = subprocess.run(
        ["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True
    ).stdout.decode()
    assert words.split("\0")[:-1] == ["evaluate", f"next/{HOSTILE}"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("evaluate", HOSTILE),
        ("table", HOSTILE),
        ("report", HOSTILE),
        ("saliency", HOSTILE, HOSTILE),
        ("sweep", HOSTILE),
        ("sweep", "table1", "--models", HOSTILE),
        ("sweep", "table1", "--set", f"{HOSTILE}=1"),
        ("train", "--model", HOSTILE),
        ("train", "--data", HOSTILE),
        ("train", "--config", HOSTILE),
        ("train", "--seeds", HOSTILE),
        ("train", "--name", HOSTILE),
        ("train", f"--{HOSTILE}"),
        ("train", HOSTILE),
        ("train", "--epochs", HOSTILE),
        ("train", "--actdiff-norm", HOSTILE),
        ("prepare-folder", HOSTILE, "--labels", HOSTILE),
        ("prepare-folder", "raw", "--labels", "labels.csv", "--intensity", HOSTILE),
        ("prepare-folder", "raw", "--labels", "labels.csv", "--mask-values", HOSTILE),
        ("prepare-msd", HOSTILE),
        ("prepare-msd", "raw", "--window", HOSTILE),
        ("prepare-xray", "--nih", HOSTILE),
        ("prepare-xray", "--nih", "raw", "--finding", HOSTILE),
        ("plant", HOSTILE, "--shortcut", "tag", "--class", "1", "--share", "0.5"),
        ("plant", "data", "--shortcut", HOSTILE, "--class", "1", "--share", "0.5"),
        ("plant", f"data/{HOSTILE}", "--shortcut", "tag", "--class", f"no{HOSTILE}", "--share", "0.5"),
        ("make-synthetic", "--seed", HOSTILE),
        ("make-synthetic", "--out", f"labels.csv/{HOSTILE}"),
        ("demo", "--epochs", HOSTILE),
        (HOSTILE,),
    ],
    ids=lambda words: " ".join(words).replace(HOSTILE, "NAME"),
)
def test_wrong_use_is_told_in_characters_that_are_seen(place, arguments):
    result = told(*arguments, cwd=place, code=None)
    assert result.exit_code in {2, 3}
    assert seen(result.stderr)
    assert seen(result.stdout) == ""


def test_a_setting_of_a_file(place):
    (place / "wrong.toml").write_text(f"model = {json.dumps(HOSTILE)}\n", encoding="utf-8")
    assert SEEN in joined(said("train", "--config", "wrong.toml", cwd=place, code=2))
    (place / "key.toml").write_text(f"{json.dumps(HOSTILE)} = 1\n", encoding="utf-8")
    assert SEEN in joined(said("train", "--config", "key.toml", cwd=place, code=3))


def test_make_synthetic(tmp_path):
    text = said("make-synthetic", "--n", 4, "--valid", 4, "--test", 4, "--out", HOSTILE, cwd=tmp_path)
    assert SEEN in joined(text)


def test_plant(place):
    flags = ("--shortcut", "tag", "--class", f"{HOSTILE}1", "--share", 0.5, "--out", f"planted/{HOSTILE}")
    text = said("plant", f"data/{HOSTILE}", *flags, cwd=place)
    assert joined(text).count(SEEN) >= 3
    assert (
        json.loads((place / f"planted/{HOSTILE}/card.json").read_text())["planted"]["class_name"]
        == f"{HOSTILE}1"
    )


def test_prepare_msd(tmp_path):
    task = Decathlon(tmp_path / HOSTILE)
    task.facts["name"] = HOSTILE
    task.facts["labels"] = {"0": "background", "1": HOSTILE, "2": "tumour"}
    for number in range(2):
        task.case(f"case_{number}")
    task.case("broken")
    (tmp_path / HOSTILE / "imagesTr/broken.nii.gz").write_bytes(b"no volume")
    text = said("prepare-msd", HOSTILE, "--labels", HOSTILE.replace(",", ""), "--size", 16,
                "--out", f"out/{HOSTILE}", cwd=tmp_path)  # fmt: skip
    assert SEEN in joined(text)
    assert "skipped" in text
    seen((tmp_path / f"out/{HOSTILE}/skipped.csv").read_text(encoding="utf-8"))


def test_prepare_xray(tmp_path):
    made = Collections(tmp_path / HOSTILE, n=4)
    made.image("00000001_000.png").write_bytes(b"no picture")
    text = said("prepare-xray", "--nih", made.nih, "--padchest", made.padchest, "--size", 16,
                "--out", f"out/{HOSTILE}", cwd=tmp_path)  # fmt: skip
    assert SEEN in joined(text)
