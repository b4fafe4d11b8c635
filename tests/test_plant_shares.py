"""One data set planted at several shares by one command, and the grid over the sets."""

import json

import pytest
from in_process import told
from test_planting import source

from activmask.data.dataset import read_dataset
from activmask.data.planting.at_shares import plant_at_shares
from activmask.data.planting.planting import Planting, told_dose
from activmask.experiments.cells import grid_cells
from activmask.experiments.grid import read_grid
from activmask.ground.errors import DataError, UsageError

ASKED = Planting(shortcut="tag", of_class="dog", share=0.5)
TAGGED = ("--shortcut", "tag", "--class", "dog")


def test_sets_are_one_family_with_the_same_test_images(tmp_path):
    data = source(tmp_path / "own")
    made = {share: place for share, place, _ in plant_at_shares(data, tmp_path / "dose", ASKED, [0.5, 1.0])}
    assert made == {0.5: tmp_path / "dose/0.5", 1.0: tmp_path / "dose/1.0"}
    sets = {share: read_dataset(place) for share, place in made.items()}
    doses = {share: told_dose(one.card) for share, one in sets.items()}
    assert {share: dose.share for share, dose in doses.items()} == {0.5: 0.5, 1.0: 1.0}
    assert len({dose.family for dose in doses.values()}) == 1
    shares = {share: one.card["planted"]["shares"] for share, one in sets.items()}
    assert shares == {
        0.5: {"train": 0.5, "valid": 0.5, "test": 0.5},
        1.0: {"train": 1.0, "valid": 1.0, "test": 0.5},
    }
    tests = [
        {name: (one.root / name).read_bytes() for name in of_split(one, "test")} for one in sets.values()
    ]
    assert tests[0] == tests[1]
    trains = [
        {name: (one.root / name).read_bytes() for name in of_split(one, "train")} for one in sets.values()
    ]
    assert trains[0] != trains[1]


def of_split(dataset, split):
    return [name for name, own in zip(dataset.file_names, dataset.splits, strict=True) if own == split]


def test_given_shares_of_validation_and_test_are_kept(tmp_path):
    asked = Planting(shortcut="tag", of_class="dog", share=0, valid_share=0.25, test_share=1)
    made = list(plant_at_shares(source(tmp_path / "own"), tmp_path / "dose", asked, [0.75, 1.0]))
    shares = [read_dataset(place).card["planted"]["shares"] for _, place, _ in made]
    assert [(one["train"], one["valid"], one["test"]) for one in shares] == [(0.75, 0.25, 1), (1, 0.25, 1)]


@pytest.mark.parametrize("shares", [(), (0.5,), (0.5, 0.5), (0.5, 1.5), (0.5, float("nan"))])
def test_shares_that_make_no_series_are_refused_before_anything_is_written(shares, tmp_path):
    with pytest.raises(UsageError):
        list(plant_at_shares(source(tmp_path / "own"), tmp_path / "dose", ASKED, shares))
    assert not (tmp_path / "dose").exists()


def test_a_set_in_the_way_is_seen_before_the_first_is_written(tmp_path):
    data = source(tmp_path / "own")
    source(tmp_path / "dose/1.0")
    with pytest.raises(DataError, match=r"1\.0.* exists already"):
        list(plant_at_shares(data, tmp_path / "dose", ASKED, [0.5, 1.0]))
    assert not (tmp_path / "dose/0.5").exists()


@pytest.mark.process
def test_one_command_makes_the_sets_and_a_grid_that_sweeps(tmp_path):
    source(tmp_path / "own")
    command = ("plant", "own", *TAGGED, "--share", "0.5,0.75,1", "--out", "my dose")
    printed = told(*command, cwd=tmp_path).stderr
    assert "next: activmask sweep 'my dose/dose.toml' --out 'runs/my dose'" in " ".join(printed.split())
    cells = grid_cells(read_grid(str(tmp_path / "my dose/dose.toml")))
    assert [(cell.title, cell.config.source.data) for cell in cells] == [
        ("0.5", "my dose/0.5"),
        ("0.75", "my dose/0.75"),
        ("1", "my dose/1.0"),
    ]
    dry = told("sweep", "my dose/dose.toml", "--out", "runs/dose", "--dry-run", cwd=tmp_path).stdout
    assert "0.75" in dry
    assert "exists already" in told(*command, cwd=tmp_path, code=3).stderr
    told(*command, "--overwrite", cwd=tmp_path)
    assert json.loads((tmp_path / "my dose/1.0/card.json").read_text())["planted"]["shares"]["train"] == 1


def test_a_grid_in_the_way_is_not_replaced(tmp_path):
    source(tmp_path / "own")
    (tmp_path / "dose").mkdir()
    (tmp_path / "dose/dose.toml").write_text("mine")
    command = ("plant", "own", *TAGGED, "--share", "0.5,1", "--out", "dose")
    assert "dose.toml exists already" in " ".join(told(*command, cwd=tmp_path, code=3).stderr.split())
    assert (tmp_path / "dose/dose.toml").read_text() == "mine"
    assert not (tmp_path / "dose/0.5").exists()


@pytest.mark.parametrize("text", ["half", "0.5;1", "0.5,", "1.1", "nan", "-1"])
def test_a_share_that_is_none_is_wrong_use(text, tmp_path):
    source(tmp_path / "own")
    told("plant", "own", *TAGGED, f"--share={text}", "--out", "dose", cwd=tmp_path, code=2)
    assert not (tmp_path / "dose").exists()
