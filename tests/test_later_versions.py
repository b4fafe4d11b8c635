"""Files of a version that is not written yet are refused in a sentence, never half understood."""

import json
import shutil

import pytest
from in_process import told
from kept_version import UNFINISHED
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from test_previous_version import place  # noqa: F401 - a fixture

NEWER = "activmask checkpoint 3"
SENTENCE = (
    "is of a format that this version of activmask does not know; expected activmask checkpoint 2 or older, "
    "found activmask checkpoint 3; update activmask"
)


@pytest.fixture
def copied(place, tmp_path):  # noqa: F811
    return shutil.copytree(place, tmp_path / "copied")


def restamp(path, stamp):
    """Rewrite a safetensors file's description, which `stamp` changes."""
    with safe_open(path, framework="pt") as file:
        written = json.loads(file.metadata()["activmask"])
    stamp(written)
    save_file(load_file(path), path, {"activmask": json.dumps(written)})


def restamp_json(path, key, value):
    path.write_text(json.dumps({**json.loads(path.read_text()), key: value}))


def test_a_checkpoint(copied):
    path = copied / "runs/cnn-actdiff/seed-0/best.safetensors"
    restamp(path, lambda written: written.update(format=NEWER))
    said = told("evaluate", "runs/cnn-actdiff/seed-0", cwd=copied, code=3)
    assert f"error: runs/cnn-actdiff/seed-0/best.safetensors {SENTENCE}\n" in said.stderr
    restamp(path, lambda written: written.update(format="another program 1"))
    assert "found another program 1; update activmask" in told("evaluate", path, cwd=copied, code=3).stderr
    restamp(path, lambda written: written.pop("format"))
    told("evaluate", path, cwd=copied)


def test_an_interrupted_run(copied):
    path = copied / f"runs/{UNFINISHED}/seed-0/state.safetensors"
    restamp(path, lambda written: written["description"].update(format=NEWER))
    given = ("--config", f"settings/{UNFINISHED}.toml", "--out", f"runs/{UNFINISHED}", "--resume")
    said = told("train", *given, cwd=copied, code=3)
    assert f"state.safetensors {SENTENCE}\n" in said.stderr


def test_a_run_folder(copied):
    restamp_json(copied / "runs/cnn-actdiff/seed-1/run.json", "format", NEWER)
    said = told("table", "runs/cnn-actdiff", cwd=copied, code=3)
    assert f"unreadable: runs/cnn-actdiff/seed-1/run.json {SENTENCE}\n" in said.stderr


def test_a_data_set(copied):
    card = copied / "data/crosses/card.json"
    restamp_json(card, "format", 3)
    given = ("--data", "data/crosses", "--epochs", 1, "--model", "cnn", "--width", 2, "--out", "runs/new")
    assert (
        "data/crosses/card.json is of a data set whose format this version of activmask does not know; "
        "expected format 2 or older, found 3; update activmask\n"
    ) in told("train", *given, cwd=copied, code=3).stderr
    for strange in ("3", "my own", 1.5, True, 0, []):
        restamp_json(card, "format", strange)
        assert f"older, found {strange}; " in told("train", *given, cwd=copied, code=3).stderr
    restamp_json(card, "format", None)
    told("train", *given, cwd=copied)
