"""What networks make of pictured images is kept: the same page to the byte, and never a stale one."""

import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from report_runs import train_runs
from test_kept_evaluations import (
    other_card,
    other_description,
    other_library,
    other_program,
    other_threads,
)

from activmask.evaluation import basis
from activmask.ground.errors import DataError
from activmask.report.findings import looks
from activmask.report.findings.gallery import Gallery, look
from activmask.report.findings.looks import _from_kept, _packed, _Said, _to_keep
from activmask.report.write import write_report
from activmask.runs import checkpoint, manifest
from activmask.runs.checkpoint import load_checkpoint, save_checkpoint
from activmask.runs.folder import EVALUATIONS_FILE
from activmask.runs.making import make_config
from activmask.runs.results import find_runs
from activmask.training.feed.reading import Reading
from activmask.training.run import train

TINY = {"width": 4, "epochs": 1, "device": "cpu", "threads": 1, "batch_size": 16}


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """Three runs on crosses on disk, and apart from them one on images in memory, and one that decodes."""
    root = tmp_path_factory.mktemp("looks") / "all"
    train_runs(root, seeds=(0,), epochs=1)
    train(make_config(data="synthetic", model="cnn", **TINY), (0,), root / "drawn")
    decoding = make_config(data=str(root / "data/synthetic"), model="ae", recon=1.0, **TINY)
    train(decoding, (0,), root / "decoding")
    shutil.copytree(root, root.with_name("as it was"))
    return root


@pytest.fixture
def place(trained) -> Path:
    """All of it anew where it was: runs know where their data lay."""
    shutil.rmtree(trained)
    shutil.copytree(trained.with_name("as it was"), trained)
    return trained


@pytest.fixture
def asked(monkeypatch) -> list[Path]:
    """The checkpoints whose networks are asked from now on."""
    found: list[Path] = []
    ask = looks._asked

    def counted(one, *more):
        found.append(one.path)
        return ask(one, *more)

    monkeypatch.setattr(looks, "_asked", counted)
    return found


def seen(place: Path, *names: str, **choice: object) -> Gallery:
    runs = find_runs([place / name for name in names or ("runs",)])
    return look(runs, **{"images": 2, "seed": None, "epoch": "last", "top": 0.1, **choice})


def cells(gallery: Gallery) -> list[object]:
    """All that is drawn of it."""
    return [
        (place, one.shown.name, one.image.tobytes(), one.predicted, one.top.dtype, one.top.tobytes())
        for place, of in gallery.looks.items()
        for one in of
    ]


def kept_files(place: Path) -> list[Path]:
    return sorted(place.rglob(EVALUATIONS_FILE))


def report(place: Path, out: str, *names: str) -> dict[str, bytes]:
    """Every file of a report, by its path."""
    runs = find_runs([place / name for name in names])
    page = write_report(runs, place / out, now=datetime(2026, 1, 1, tzinfo=UTC))
    files = [path for path in page.parent.rglob("*") if path.is_file()]
    return {path.relative_to(page.parent).as_posix(): path.read_bytes() for path in files}


@pytest.mark.process
def test_a_second_report_builds_no_network_and_is_the_same_to_the_byte(place, monkeypatch):
    names = ("runs/actdiff", "drawn")
    first = report(place, "first", *names)
    with monkeypatch.context() as patched:
        patched.setattr(checkpoint, "build_model", lambda *_, **__: pytest.fail("a network is built"))
        assert report(place, "again", *names) == first
    for path in kept_files(place):
        path.unlink()
    assert report(place, "anew", *names) == first
    assert sum(name.startswith("figures/") for name in first) > 2


def test_all_parts_of_a_report_digest_a_file_once(place, monkeypatch):
    digested: list[Path] = []

    def counted(path):
        digested.append(path)
        return path.read_bytes()

    for module in (basis, manifest):
        monkeypatch.setattr(module, "file_content", counted)
    report(place, "report", "runs/actdiff")
    files = place / "data/synthetic"
    assert sorted(digested) == sorted([*files.glob("images/*.png"), *files.glob("masks/*.png")])


def test_what_changed_since_it_was_read_for_others_is_read_again(place):
    reading = Reading()
    runs = find_runs([place / "runs/actdiff"])
    look(runs, images=2, seed=None, epoch="last", top=0.1, reading=reading)
    image = next((place / "data/synthetic/images").glob("*.png"))
    Image.fromarray(np.flipud(np.array(Image.open(image)))).save(image)
    with pytest.raises(DataError, match="has changed since"):
        look(runs, images=2, seed=None, epoch="last", top=0.1, reading=reading)


@pytest.mark.parametrize("name", ["runs", "drawn"])
def test_what_is_kept_is_what_a_network_says(place, asked, name):
    first, again = seen(place, name), seen(place, name)
    count = len(first.looks)
    assert len(asked) == count > 0
    for path in kept_files(place):
        path.unlink()
    fresh = seen(place, name)
    assert len(asked) == 2 * count
    assert cells(first) == cells(again) == cells(fresh)
    assert len({one[-1] for one in cells(first)}) > 1


@pytest.mark.process
def test_a_second_report_of_resnets_does_not_import_torchvision(place):
    config = make_config(data=str(place / "data/synthetic"), model="resnet18", **TINY)
    train(config, (0,), place / "resnets")
    # The first is another process that has imported as much: imports take longer than both reports.
    program = (
        "import os, sys; from activmask.report.write import write_report\n"
        "from activmask.runs.results import find_runs\n"
        "first = os.fork() == 0\n"
        "assert first or os.wait()[1] == 0\n"
        "write_report(find_runs(['resnets']), 'first' if first else 'again')\n"
        "print('torchvision' in sys.modules)"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], cwd=place, capture_output=True, text=True, check=True
    ).stdout.split()
    assert told == ["True", "False"]


def other_weights(place, monkeypatch):
    path = place / "runs/actdiff/seed-0/last.safetensors"
    found = load_checkpoint(path)
    weights = {name: tensor * 1.5 for name, tensor in found.model.state_dict().items()}
    described = {name: value for name, value in vars(found).items() if name not in {"path", "model"}}
    save_checkpoint(path, weights, checkpoint.Description(**described))


@pytest.mark.parametrize(
    "change", [other_weights, other_description, other_program, other_library, other_threads, other_card]
)
def test_whatever_changes_the_network_is_asked_anew(place, asked, monkeypatch, change):
    seen(place, "runs/actdiff")
    change(place, monkeypatch)
    seen(place, "runs/actdiff")
    seen(place, "runs/actdiff")
    assert asked == [place / "runs/actdiff/seed-0/last.safetensors"] * 2


def test_another_question_is_asked_anew_and_both_are_kept(place, asked):
    choices = ({}, {"images": 1}, {"top": 0.3}, {"epoch": "best"})
    first = [cells(seen(place, "runs/actdiff", **choice)) for choice in choices]
    assert [cells(seen(place, "runs/actdiff", **choice)) for choice in choices] == first
    assert len(asked) == 4


def test_changed_images_are_refused_whatever_is_kept_of_them(place, asked):
    seen(place)
    for image in (place / "data/synthetic/images").glob("*.png"):
        Image.fromarray(np.flipud(np.array(Image.open(image)))).save(image)
    with pytest.raises(DataError, match="has changed since"):
        seen(place)
    assert len(asked) == 3


def test_nothing_is_kept_of_data_that_change_meanwhile(place, monkeypatch):
    ask = looks._asked

    def then_changed(*question):
        found = ask(*question)
        for mask in (place / "data/synthetic/masks").glob("*.png"):
            Image.fromarray(np.flipud(np.array(Image.open(mask)))).save(mask)
        return found

    monkeypatch.setattr(looks, "_asked", then_changed)
    seen(place)
    assert kept_files(place) == []


def test_of_a_network_that_decodes_nothing_is_kept_as_that_would_be_pixels(place, asked):
    first, again = seen(place, "decoding"), seen(place, "decoding")
    assert len(asked) == 2
    assert kept_files(place) == []
    assert cells(first) == cells(again)
    assert all(one.reconstruction is not None for of in first.looks.values() for one in of)


def test_what_is_kept_says_no_more_than_classes_and_marked_pixels(place):
    seen(place, "runs/actdiff")
    [path] = kept_files(place)
    [entry] = json.loads(path.read_bytes())["evaluations"]
    assert [one.keys() for one in entry["result"]] == [{"predicted", "top"}] * 2
    assert all(len(one["top"]) == len(_packed(np.zeros((28, 28), dtype=bool))) for one in entry["result"])


@given(st.integers(1, 40), st.integers(0, 3), st.integers(0, 2**32 - 1))
def test_marks_of_any_size_come_back(side, images, number):
    rng = np.random.default_rng(number)
    said = [_Said(predicted=k, top=rng.random((side, side)) < rng.random()) for k in range(images)]
    written = json.loads(json.dumps(_to_keep(said)))
    found = _from_kept(written, side, images)
    assert [one.predicted for one in found] == list(range(images))
    for one, before in zip(found, said, strict=True):
        np.testing.assert_array_equal(one.top, before.top)
        assert one.top.dtype == before.top.dtype
    assert _from_kept(written, side, images + 1) is None
    assert not images or _from_kept(written, side + 8, images) is None


@pytest.mark.parametrize(
    "found",
    [None, 3, [3], [{}], [{"predicted": 1}], [{"predicted": 1, "top": 3}], [{"predicted": 1, "top": "?"}],
     [{"predicted": True, "top": "AAAA"}], [{"predicted": 1, "top": "AAAA", "more": 0}]],
)  # fmt: skip
def test_what_is_no_look_is_none(found):
    assert _from_kept(found, 4, 1) is None
