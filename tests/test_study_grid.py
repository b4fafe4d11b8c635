"""The study as a grid: lists, its quick form, its data sets, and all of it through the real program."""

import csv
import json
from dataclasses import replace

import pytest
from activmask_cli.sweep_data import with_data
from in_process import told
from msd_files import Decathlon

from activmask.data.dataset import read_dataset
from activmask.data.planting.planting import Planting
from activmask.data.settings import with_given_masks
from activmask.experiments.cells import grid_cells
from activmask.experiments.digit_scans import write_digit_scans
from activmask.experiments.grid import axis_labels, quick_form, read_grid
from activmask.experiments.sets import SetRecipe, check_set, make_set, read_sets
from activmask.ground.errors import DataError, UsageError
from activmask.runs.description import View, flat
from activmask.runs.identity import alike


@pytest.fixture
def own(tmp_path):
    """Reads a grid out of its lines."""

    def read(*lines: str):
        (tmp_path / "own.toml").write_text("\n".join(lines), encoding="utf-8")
        return read_grid(str(tmp_path / "own.toml"))

    return read


def test_a_list_is_several_values_and_its_label_means_them_all(own):
    grid = own("[axes.method]", '"Plain" = {}', '"Act" = { actdiff = [0.1, 10.0], mask_blur = 1.0 }')
    assert grid.axes["method"] == {
        "Plain": {},
        "Act 0.1": {"actdiff": 0.1, "mask_blur": 1.0},
        "Act 10": {"actdiff": 10.0, "mask_blur": 1.0},
    }
    assert axis_labels(grid, "method", ["act"]) == ["Act 0.1", "Act 10"]
    assert axis_labels(grid, "method", ["act-10", "ACT"]) == ["Act 10", "Act 0.1"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('"A" = { actdiff = [1.0], gradmask = [1.0] }', "only one setting may be a list"),
        ('"A" = { actdiff = [] }', "must name each value once"),
        ('"A" = { actdiff = [1.0, 1] }', "must name each value once"),
        ('"A" = { actdiff = [1] }\n"A 1" = {}', "two values called 'A 1'"),
        ('"A" = {}\n[quick]\nseeds = 0', "quick.seeds must be"),
        ('"A" = {}\n[sets."B"]\nof = "digits"', "there is no axis 'data'"),
    ],
)
def test_what_makes_no_grid_is_refused(own, line, why):
    with pytest.raises(UsageError, match=why):
        own("[axes.method]", line)


def by_data(grid, settings):
    """The cells' settings by data set, without the set whose folder is the user's."""
    found = {}
    for cell in grid_cells(grid, settings=settings):
        found.setdefault(cell.labels["data"], []).append(cell.config)
    assert list(found) == list(read_sets(grid.sets, grid.name))
    return {data: configs for data, configs in found.items() if data != "Hippocampus"}


def varied(config):
    """Whether it is a control of another kind than masks at random places or of other images."""
    return config.view.mask_shift or config.view.mask_grow or flat(config)["actdiff_copy"] != "shuffled"


def with_other_masks(configs):
    return [one for one in configs if one.view.train_masks != View.train_masks]


def test_every_arm_with_other_masks_stands_beside_its_own_and_the_quick_form_is_that_of_414_networks():
    grid = read_grid("study")
    whole, quick = by_data(grid, {}), by_data(*quick_form(grid))
    assert {one.training.epochs for configs in quick.values() for one in configs} == {25}
    for configs in (*whole.values(), *quick.values()):
        for one in with_other_masks(configs):
            twin = replace(one, view=with_given_masks(one.view))
            assert any(alike(twin, other) for other in configs)
    assert sum(map(len, quick.values())) * grid.quick.seeds == 414
    long = [one for configs in whole.values() for one in configs if one.training.epochs == 100]
    assert (len(long) * grid.seeds, sum(map(len, whole.values())) * grid.seeds) == (1005, 1020)


def test_jtt_begins_with_a_fifth_of_the_epochs_and_dfr_with_classification_alone():
    cells = {cell.title: cell for cell in grid_cells(read_grid("study"), settings={"epochs": 30})}
    for data in read_grid("study").axes["data"]:
        jtt, dfr, plain = (cells[f"{data} {method}"] for method in ("JTT", "DFR", "Classify"))
        assert jtt.first.config == replace(
            plain.config, training=replace(plain.config.training, epochs=6, lr=1e-6)
        )
        assert (dfr.first, dfr.config.robustness.groups) == (plain, "shortcut")


def test_a_method_has_as_many_weights_with_masks_at_random_places_and_one_in_the_quick_form():
    grid = read_grid("study")
    weights = ("actdiff", "gradmask", "rrr", "expected_gradients", "cdep", "hirescam", "adversarial")
    for form, twins in (((grid, {}), 3), (quick_form(grid), 1)):
        configs = by_data(*form)["Crosses"]
        for weight in weights:
            masks = [one.view.train_masks for one in configs if flat(one)[weight] and not varied(one)]
            assert masks.count("given") == 3
            assert masks.count("random") == twins


def test_seeds_of_two_data_sets_share_no_images():
    sets = read_sets(read_grid("study").sets, "study")
    drawn = [(one.of, one.settings.get("seed", 0)) for one in sets.values()]
    assert len(set(drawn)) == len(drawn)


def test_digits_are_whole_or_refused_and_the_same_again(tmp_path):
    write_digit_scans(tmp_path / "one", train=4, valid=2, test=2)
    write_digit_scans(tmp_path / "two", train=4, valid=2, test=2)
    one = read_dataset(tmp_path / "one")
    assert sorted(one.labels.tolist()) == [0] * 8 + [1] * 8
    assert [list(one.splits).count(split) for split in ("train", "valid", "test")] == [8, 4, 4]
    assert (tmp_path / "one/metadata.csv").read_bytes() == (tmp_path / "two/metadata.csv").read_bytes()
    with pytest.raises(UsageError, match="174 scans of a 8"):
        write_digit_scans(tmp_path / "three", train=100, valid=60, test=15)


PLANT = Planting(shortcut="tag", of_class="1", share=0.75, valid_share=0.75, place="bottom-right")


def test_a_set_is_made_with_its_shortcut_and_another_is_not_taken_for_it(tmp_path):
    recipe = SetRecipe(of="crosses", settings={"n": 16, "valid": 8, "test": 8}, planting=PLANT)
    made = make_set(recipe, tmp_path / "sets/crosses")
    assert [one.planted for one in made.doses] == [(2, 6), (1, 3), (3, 1)]
    check_set(recipe, tmp_path / "sets/crosses")
    with pytest.raises(DataError, match="is not the one that this grid makes"):
        check_set(replace(recipe, planting=replace(PLANT, share=0.5)), tmp_path / "sets/crosses")
    with pytest.raises(UsageError, match="cannot be made"):
        make_set(replace(recipe, settings={"nn": 16}), tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_task_of_the_decathlon_becomes_a_set_of_the_users_folder(tmp_path, monkeypatch, own):
    monkeypatch.chdir(tmp_path)
    task = Decathlon(tmp_path / "Task99")
    for number in range(8):
        task.case(f"case_{number}")
    grid = own(
        "[axes.data]",
        '"Organ" = { data = "sets/organ" }',
        '[sets."Organ"]',
        'of = "msd"',
        "size = 24",
        "mask_blur = 0.5",
        '[sets."Organ".plant]',
        'shortcut = "tag"',
        'of_class = "1"',
        "share = 0.9",
        "valid_share = 0.9",
        'split_policy = "subject"',
    )
    assert with_data(grid, None)[1] == []
    assert not (tmp_path / "sets").exists()
    taken, labels = with_data(grid, f"organ={task.root}")
    assert labels == ["Organ"]
    assert taken.axes["data"]["Organ"]["data"] == "sets/organ"
    assert read_dataset(tmp_path / "sets/organ").card["planted"]["shares"]["test"] == 0.1
    assert with_data(grid, None)[1] == ["Organ"]


GRID = """
open = ["data"]
[base]
model = "cnn"
lr = 1e-3
epochs = 9
[quick]
seeds = 2
width = 2
epochs = 1
[axes.data]
"Crosses" = { data = "sets/crosses" }
[sets."Crosses"]
of = "crosses"
n = 16
valid = 8
test = 8
plant = { shortcut = "box", of_class = "one cross", share = 1.0, valid_share = 1.0, place = "bottom-right" }
[axes.method]
"Plain" = {}
"Act" = { actdiff = [0.1, 1.0] }
"Act random" = { actdiff = [0.1, 1.0], train_masks = "random" }
"""


@pytest.mark.process
@pytest.mark.usefixtures("inline_sweeps")
def test_a_study_is_made_run_resumed_and_answered(tmp_path):
    (tmp_path / "mine.toml").write_text(GRID, encoding="utf-8")
    write_digit_scans(tmp_path / "scans", train=8, valid=4, test=4)
    command = ("sweep", "mine.toml", "--quick", "--device", "cpu", "--set", "threads=1")
    command = (*command, "--data", "crosses,own=scans")
    first = told(*command, cwd=tmp_path)
    assert (
        "made Crosses in sets/crosses: 32 images, on some of them a box as a sign of one cross"
        in first.stderr
    )
    assert "10 of 10 cells are done, 0 failed" in first.stdout
    again = told(*command, cwd=tmp_path)
    assert "made" not in again.stderr
    assert "(10 of them were before)" in again.stdout
    told("report", "runs/mine-quick", "--out", "page", "--device", "cpu", cwd=tmp_path)
    page = (tmp_path / "page/index.html").read_text(encoding="utf-8")
    assert "Does it matter where a network looks?" in page
    assert "There are too few networks to tell whether attribution inside the mask" in page
    with (tmp_path / "page/tables/networks-study.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 20
    assert {(one["data"], one["known_is"]) for one in rows} == {
        ("Crosses", "validation AUC"),
        ("Scans", "training AUC"),
    }
    seed = next(tmp_path.glob("runs/mine-quick/crosses-plain/seed-1/metrics.json"))
    auc = json.loads(seed.read_text(encoding="utf-8"))["test"]["auc"]
    mine = [one for one in rows if one["data"] == "Crosses" and one["masks"] == "none" and one["seed"] == "1"]
    assert [float(one["test_auc"]) for one in mine] == [pytest.approx(auc, abs=1e-6)]
    for name in ("where-or-how-much", "pairs-of-masks"):
        assert (tmp_path / "page/figures" / f"{name}.svg").is_file()
    assert "has no quick form" in told("sweep", "table1", "--quick", cwd=tmp_path, code=2).stderr
