"""Where a run goes that nobody gave a place: the folder is called after the images, or after the preset."""

from pathlib import Path

import pytest

from activmask.runs.making import make_config
from activmask.runs.usual_folder import usual_folder


def images(place: Path, card: str | None) -> str:
    place.mkdir(parents=True)
    if card is not None:
        (place / "card.json").write_text(card)
    return str(place)


@pytest.mark.parametrize(
    ("place", "card", "name"),
    [
        ("scans", '{"source": "folder"}', "scans-cnn"),
        ("my scans!", '{"source": "folder"}', "my_scans-cnn"),
        ("own/data", '{"source": "folder"}', "own-cnn"),
        ("hearts", '{"source": "msd"}', "hearts-cnn"),
        ("plain", None, "plain-cnn"),
        ("crosses", '{"source": "synthetic"}', "synthetic-cnn"),
        ("old crosses", '{"made_by": "an earlier version"}', "synthetic-cnn"),
        ("broken", "{", "synthetic-cnn"),
    ],
)
def test_images_of_no_preset_give_their_name(tmp_path, place, card, name):
    config = make_config(data=images(tmp_path / place, card), model="cnn")
    assert usual_folder(config, tmp_path / "runs") == tmp_path / "runs" / name


def test_a_preset_that_was_chosen_keeps_its_name(tmp_path):
    data = images(tmp_path / "hearts", '{"source": "folder"}')
    config = make_config(preset="cardiac", data=data, model="cnn")
    assert usual_folder(config, tmp_path).name == "cardiac-cnn"


@pytest.mark.parametrize("data", ["synthetic", "nowhere", "data/synthetic"])
def test_images_that_are_not_there_change_nothing(tmp_path, monkeypatch, data):
    monkeypatch.chdir(tmp_path)
    assert usual_folder(make_config(data=data, model="cnn"), tmp_path).name == "synthetic-cnn"


def test_a_run_of_an_earlier_version_goes_on_where_it_is(tmp_path, monkeypatch):
    data = images(tmp_path / "scans", '{"source": "folder"}')
    config = make_config(data=data, model="cnn")
    before = tmp_path / "synthetic-cnn"
    monkeypatch.setattr(
        "activmask.runs.usual_folder._images_of", lambda folder: data if folder == before else None
    )
    assert usual_folder(config, tmp_path) == before
