"""What a process reads once and uses for many runs: never what a file no longer says."""

import os
import shutil

import numpy as np
import pytest
import torch
from PIL import Image

from activmask.data.dataset import CARD_FILE, TABLE_FILE
from activmask.runs.folder import METRICS_FILE
from activmask.runs.making import make_config
from activmask.training.feed import reading as reading_module
from activmask.training.feed.reading import Reading
from activmask.training.replicas.watcher import Callback
from activmask.training.run import train

QUICK = {"model": "cnn", "width": 2, "epochs": 1, "device": "cpu", "lr": 1e-3, "threads": 1}


@pytest.fixture
def data(crosses, tmp_path):
    return shutil.copytree(crosses, tmp_path / "data")


def trained(data, folder, reading=None, progress=None, **settings):
    config = make_config(data=str(data), **{**QUICK, **settings})
    train(config, (0, 1), folder, reading=reading, progress=progress)
    return [
        {path.name: path.read_bytes() for path in sorted((folder / f"seed-{seed}").iterdir())}
        for seed in (0, 1)
    ]


def scores(found):
    """Every byte that does not tell times."""
    timed = ("history", "run", "state")
    return [{name: own[name] for name in own if not name.startswith(timed)} for own in found]


def whole(reading):
    return {
        "decoded": sum(map(len, reading.decoded.values())),
        "drawn": sorted(reading._drawn),
        "tables": sorted(reading.tables),
    }


@pytest.mark.process
@pytest.mark.parametrize("settings", [{}, {"data": "synthetic"}], ids=str)
def test_runs_that_read_once_are_those_that_read_anew(settings, data, tmp_path):
    reading = Reading(decoded={})
    place = settings.get("data", data)
    fresh = {}
    for turn, mask in enumerate(("file", "circle", "file")):
        reading = reading.still_true()
        if mask not in fresh:
            fresh[mask] = scores(trained(place, tmp_path / f"fresh-{mask}", actdiff=1.0, mask=mask))
        kept = scores(trained(place, tmp_path / f"kept-{turn}", reading, actdiff=1.0, mask=mask))
        assert kept == fresh[mask]
    assert METRICS_FILE in fresh["file"][0]
    assert fresh["file"] != fresh["circle"]
    if settings:
        assert whole(reading) == {"decoded": 0, "drawn": [0, 1], "tables": []}
    else:
        assert whole(reading) == {"decoded": 160, "drawn": [], "tables": [data]}


def test_a_run_takes_from_it_and_reads_no_file_again(data, tmp_path, monkeypatch):
    reading = Reading(decoded={})
    trained(data, tmp_path / "one", reading)
    for name in ("read_stored", "read_plain_mask"):
        monkeypatch.setattr(f"activmask.data.dataset.{name}", lambda *_, **__: pytest.fail("read again"))
    assert reading.still_true() is reading
    trained(data, tmp_path / "two", reading)


def other_pixels(path):
    with_one_more = np.zeros((28, 28), np.uint8)
    with_one_more[3, 3] = 255
    Image.fromarray(with_one_more).save(path)


def touched(path):
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 1))


def replaced(path):
    content, stamp = path.read_bytes(), path.stat()
    path.unlink()
    path.with_name("other").write_bytes(content)
    path.with_name("other").rename(path)
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))


@pytest.mark.parametrize("change", [touched, replaced, lambda path: path.unlink()])
@pytest.mark.parametrize("which", [TABLE_FILE, CARD_FILE, "image", "mask"])
def test_whatever_changed_in_a_data_set_nothing_of_it_is_used_again(which, change, data, tmp_path):
    reading = Reading(decoded={})
    table = reading.table(data)
    named = {"image": table.file_names[5], "mask": table.mask_file_names[5]}
    assert reading.still_true() is reading
    kept = data / "held"
    os.link(data / named.get(which, which), kept)  # No other file takes its number.
    change(data / named.get(which, which))
    after = reading.still_true()
    assert after is not reading
    assert not after.tables


def test_a_card_that_comes_later_counts_as_a_change(data):
    card = (data / CARD_FILE).read_text()
    (data / CARD_FILE).unlink()
    reading = Reading(decoded={})
    reading.table(data)
    assert not reading.changed()
    (data / CARD_FILE).write_text(card)
    assert reading.changed()


def test_a_file_that_changes_while_a_run_trains_is_seen_by_the_next(data, tmp_path):
    class Meddling(Callback):
        def epoch(self, seed, row):
            other_pixels(data / reading.table(data).file_names[0])

    reading = Reading(decoded={})
    before = trained(data, tmp_path / "one", reading, Meddling())
    following = reading.still_true()
    assert following is not reading
    after = trained(data, tmp_path / "two", following)
    assert before[0]["splits.csv"] != after[0]["splits.csv"]


def test_images_that_take_much_are_let_go_and_all_else_is_kept(data, tmp_path, monkeypatch):
    monkeypatch.setattr(reading_module, "MOST_KEPT", 1000)
    reading = Reading(decoded={})
    first = trained(data, tmp_path / "one", reading)
    trained("synthetic", tmp_path / "drawn", reading)
    assert whole(reading) == {"decoded": 0, "drawn": [], "tables": [data]}
    assert scores(trained(data, tmp_path / "two", reading)) == scores(first)


@pytest.mark.process
@pytest.mark.parametrize(
    "settings", [{"actdiff": 1.0, "augment": "flips"}, {"classify_masked": "all"}], ids=str
)
def test_training_changes_nothing_of_what_others_take(settings, tmp_path):
    reading = Reading(decoded={})
    before = {name: samples.images.clone() for name, samples in reading.drawn(0).items()}
    trained("synthetic", tmp_path / "run", reading, **settings)
    for name, samples in reading.drawn(0).items():
        assert torch.equal(samples.images, before[name])
