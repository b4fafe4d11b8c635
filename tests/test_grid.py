"""Grids: the paper's own against its tables, and grids of users' own."""

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activmask.experiments.cells import grid_cells
from activmask.experiments.forms import form_of
from activmask.experiments.grid import NAMED, Grid, axis_labels, form_names, read_grid, slug, with_folders
from activmask.experiments.paper import paper_cell
from activmask.experiments.printed import Printed
from activmask.ground.errors import ConfigError, UsageError
from activmask.runs.making import make_config

TABLE1 = """
Conv AE Classify | 1.00 ± 0.00 | 0.06 ± 0.03 | 0.00 ± 0.00
Conv AE Actdiff | 0.80 ± 0.26 | 0.80 ± 0.26 | 140.10 ± 156.84
Conv AE Gradmask | 0.50 ± 0.00 | 0.50 ± 0.00 | 44.70 ± 102.68
Conv AE Actdiff & Gradmask | 0.50 ± 0.00 | 0.50 ± 0.00 | 0.00 ± 0.00
Conv AE Classify Masked | 1.00 ± 0.00 | 0.53 ± 0.01 | 127.00 ± 132.24
Conv AE Reconstruct Masked | 1.00 ± 0.00 | 0.06 ± 0.05 | 0.00 ± 0.00
CNN Classify | 1.00 ± 0.00 | 0.00 ± 0.01 | 38.10 ± 120.13
CNN Actdiff | 0.50 ± 0.00 | 0.50 ± 0.00 | 7.30 ± 23.08
CNN Gradmask | 0.50 ± 0.00 | 0.50 ± 0.00 | 0.00 ± 0.00
CNN Actdiff & Gradmask | 0.50 ± 0.00 | 0.50 ± 0.00 | 0.00 ± 0.00
CNN Classify Masked | 1.00 ± 0.00 | 0.55 ± 0.02 | 14.10 ± 7.36
ResNet Classify | 1.00 ± 0.00 | 0.00 ± 0.000 | 0.000 ± 0.00
ResNet Actdiff | 1.00 ± 0.00 | 1.00 ± 0.00 | 147.60 ± 148.59
ResNet Gradmask | 0.55 ± 0.06 | 0.54 ± 0.073 | 243.10 ± 218.66
ResNet Actdiff & Gradmask | 0.53 ± 0.04 | 0.52 ± 0.03 | 143.60 ± 190.57
ResNet Classify Masked | 1.00 ± 0.00 | 0.73 ± 0.21 | 169.80 ± 178.95
UNet Classify | 1.00 ± 0.00 | 0.05 ± 0.02 | 0.00 ± 0.00
UNet Actdiff | 1.00 ± 0.00 | 0.90 ± 0.31 | 43.50 ± 30.06
UNet Gradmask | 0.50 ± 0.00 | 0.50 ± 0.00 | 107.10 ± 142.43
UNet Actdiff & Gradmask | 0.63 ± 0.14 | 0.60 ± 0.09 | 348.00 ± 160.69
UNet Classify Masked | 1.00 ± 0.00 | 0.54 ± 0.04 | 51.40 ± 96.29
UNet Reconstruct Masked | 1.00 ± 0.00 | 0.01 ± 0.01 | 0.00 ± 0.00
"""
"""Train, valid, best epoch as printed in Table 1."""

TABLE2 = """
CNN Classify | 0.35 ± 0.20 | 0.87 ± 0.02 | 0.86 ± 0.13 | 0.82 ± 0.02
CNN Actdiff | 0.50 ± 0.00 | 0.77 ± 0.12 | 0.60 ± 0.11 | 0.66 ± 0.12
CNN Gradmask | 0.50 ± 0.00 | 0.85 ± 0.01 | 0.75 ± 0.20 | 0.82 ± 0.02
CNN Actdiff & Gradmask | 0.50 ± 0.00 | 0.79 ± 0.10 | 0.50 ± 0.00 | 0.66 ± 0.05
CNN Classify Masked | 0.74 ± 0.11 | 0.57 ± 0.05 | 0.75 ± 0.07 | 0.50 ± 0.01
ResNet Classify | 0.50 ± 0.00 | 0.86 ± 0.02 | 0.90 ± 0.03 | 0.81 ± 0.02
ResNet Actdiff | 0.98 ± 0.01 | 0.86 ± 0.02 | 0.88 ± 0.03 | 0.81 ± 0.02
ResNet Gradmask | 0.71 ± 0.05 | 0.89 ± 0.02 | 0.93 ± 0.01 | 0.82 ± 0.03
ResNet Actdiff & Gradmask | 0.67 ± 0.04 | 0.87 ± 0.02 | 0.92 ± 0.03 | 0.84 ± 0.01
ResNet Classify Masked | 0.96 ± 0.03 | 0.61 ± 0.03 | 0.77 ± 0.08 | 0.57 ± 0.05
Conv AE Classify | 0.50 ± 0.00 | 0.78 ± 0.10 | 0.76 ± 0.17 | 0.77 ± 0.01
Conv AE Actdiff | 0.78 ± 0.24 | 0.80 ± 0.02 | 0.84 ± 0.08 | 0.76 ± 0.02
Conv AE Gradmask | 0.52 ± 0.05 | 0.75 ± 0.09 | 0.89 ± 0.10 | 0.77 ± 0.02
Conv AE Actdiff & Gradmask | 0.50 ± 0.00 | 0.82 ± 0.01 | 0.69 ± 0.17 | 0.78 ± 0.02
Conv AE Classify Masked | 0.79 ± 0.11 | 0.59 ± 0.05 | 0.69 ± 0.10 | 0.51 ± 0.03
Conv AE Reconstruct Masked | 0.50 ± 0.00 | 0.84 ± 0.02 | 0.82 ± 0.17 | 0.81 ± 0.02
UNet Classify | 0.50 ± 0.00 | 0.81 ± 0.07 | 0.83 ± 0.17 | 0.77 ± 0.09
UNet Actdiff | 0.95 ± 0.12 | 0.82 ± 0.02 | 0.88 ± 0.03 | 0.78 ± 0.03
UNet Gradmask | 0.55 ± 0.07 | 0.81 ± 0.02 | 0.82 ± 0.13 | 0.79 ± 0.02
UNet Actdiff & Gradmask | 0.63 ± 0.10 | 0.78 ± 0.04 | 0.78 ± 0.09 | 0.76 ± 0.02
UNet Classify Masked | 0.74 ± 0.10 | 0.58 ± 0.09 | 0.56 ± 0.10 | 0.53 ± 0.05
UNet Reconstruct Masked | 0.50 ± 0.00 | 0.87 ± 0.01 | 0.75 ± 0.20 | 0.81 ± 0.03
"""
"""Test on synthetic, liver, cardiac, pancreas as printed in Table 2."""

OWN = """
title = "How strong?"
seeds = 2

[base]
data = "synthetic"

[axes.model]
"CNN" = { model = "cnn" }
"U-Net" = { model = "unet" }

[axes.method]
"plain" = {}
"strong, L2" = { gradmask = 10.0 }
"""


def rows(table: str) -> dict[str, list[Printed]]:
    found = {}
    for line in table.strip().splitlines():
        name, *values = (part.strip() for part in line.split("|"))
        found[name] = [Printed(*map(float, re.split(" ± ", value))) for value in values]
    return found


def write(tmp_path, text: str) -> str:
    path = tmp_path / "own.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_table1_is_the_papers():
    cells = {" ".join(cell.labels.values()): cell for cell in grid_cells(read_grid("table1"))}
    printed, test = rows(TABLE1), rows(TABLE2)
    assert set(cells) == set(printed) == set(test)
    for title, cell in cells.items():
        train, valid, best_epoch = printed[title]
        assert cell.printed == {
            "train": replace(train, epoch="last"),
            "valid": replace(valid, epoch="last"),
            "best_epoch": best_epoch,
            "test": test[title][0],
        }
        assert cell.config.source.data == "synthetic"


def test_table2_is_the_papers():
    cells = {" ".join(cell.labels.values()): cell for cell in grid_cells(read_grid("table2"))}
    assert len(cells) == 66
    for title, (_, *values) in rows(TABLE2).items():
        for data, value in zip(("Liver", "Cardiac", "Pancreas"), values, strict=True):
            cell = cells[f"{data} {title}"]
            assert cell.printed == {"test": value}
            assert cell.config.preset == data.lower()


@pytest.mark.parametrize("name", ["table1", "table2"])
def test_cells_have_the_papers_weights(name):
    weight = 10 if name == "table1" else 1
    for cell in grid_cells(read_grid(name)):
        config, method = cell.config, cell.labels["method"]
        assert config["actdiff"] == (weight if "Actdiff" in method else 0)
        assert config["gradmask"] == (weight if "Gradmask" in method else 0)
        assert config["recon"] == (weight if config.network.model in {"ae", "unet"} else 0)
        assert config["recon_masked"] == (method == "Reconstruct Masked")
        assert config["classify_masked"] == ("train" if method == "Classify Masked" else "off")
        assert config.training.epochs == 500


@pytest.mark.parametrize("name", ["table1", "table2", "figure5", "figure6"])
def test_the_papers_epochs_are_selected_by_accuracy_as_its_code_does(name):
    assert {cell.config.training.select for cell in grid_cells(read_grid(name))} == {"accuracy"}


FORMS = {
    ("unet", "released"): ("channel", "post", "l1"),
    ("resnet18", "released"): ("channel", "pre", "l1"),
    ("unet", "written"): ("layer", "pre", "l2"),
    ("resnet18", "written"): ("layer", "pre", "l2"),
    ("unet", "ours"): ("channel", "post", "l2"),
    ("resnet18", "ours"): ("row", "pre", "l2"),
}


@pytest.mark.parametrize(("model", "form"), FORMS)
def test_a_form_says_how_each_network_computes_both_penalties(model, form):
    cells = grid_cells(read_grid("table1"), keep={"form": [form]})
    [cell] = [one for one in cells if one.config.network.model == model and "&" in one.labels["method"]]
    config = cell.config
    assert (config["actdiff_norm"], config["actdiff_at"], config["gradmask_norm"]) == FORMS[model, form]
    assert form_of(config) == cell.form == form
    assert cell.name.endswith(f"actdiff-gradmask-{form}")


def test_a_plain_run_takes_the_released_form_and_no_experiment_is_trained_twice():
    grid = read_grid("table1")
    plain, everything = grid_cells(grid), grid_cells(grid, keep={"form": ["all"]})
    assert len(plain) == 22
    assert {cell.form for cell in plain} == {"", "released"}
    assert [cell for cell in everything if cell.form in {"", "released"}] == plain
    configs = [cell.config for cell in everything]
    assert all(configs.count(config) == 1 for config in configs)
    names = {cell.name for cell in everything}
    assert "unet-classify" in names
    assert {f"resnet-actdiff-{form}" for form in ("released", "written", "ours")} <= names
    # What train does to a UNet by default is the released form of actdiff; of gradmask it is Eq. 2.
    assert {"unet-actdiff-ours", "unet-gradmask-ours"}.isdisjoint(names)
    ours = {cell.name for cell in grid_cells(grid, keep={"form": ["ours"]})}
    assert {"unet-classify", "unet-actdiff-released", "unet-gradmask-written"} <= ours <= names


def test_settings_that_change_a_form_take_its_name_away():
    [cell] = grid_cells(
        read_grid("table1"),
        keep={"model": ["ResNet"], "method": ["Actdiff"]},
        settings={"actdiff_at": "post"},
    )
    assert cell.name == "resnet-actdiff-released-form-changed"
    assert cell.title == "ResNet Actdiff (released form, changed)"
    assert paper_cell(cell.config).form == "other"
    [same] = grid_cells(
        read_grid("table1"),
        keep={"model": ["ResNet"], "method": ["Actdiff"]},
        settings={"actdiff_norm": "row"},
    )
    assert (same.form, same.title) == ("ours", "ResNet Actdiff (ours)")


@pytest.mark.process
def test_the_paper_is_compared_with_every_form_and_each_is_named():
    for form in ("released", "written", "ours"):
        for cell in grid_cells(read_grid("table1"), keep={"form": [form]}):
            found = paper_cell(cell.config)
            assert found.form == cell.form
            assert found.printed == cell.printed
            assert bool(found.departures) == (cell.form not in {"", "released"})


def test_forms_in_a_grid_of_ones_own(tmp_path):
    grid = read_grid(write(tmp_path, OWN.replace("seeds = 2", 'seeds = 2\nforms = ["written", "ours"]')))
    cells = grid_cells(grid, keep={"form": ["all"]})
    assert [cell.name for cell in cells] == [
        "cnn-plain",
        "cnn-strong-l2-written",
        "u-net-plain",
        "u-net-strong-l2-written",
    ]
    with pytest.raises(UsageError, match="there is no form 'wriiten'; did you mean 'written'"):
        grid_cells(grid, keep={"form": ["wriiten"]})
    with pytest.raises(UsageError, match="own has no forms to choose from"):
        form_names(read_grid(write(tmp_path, OWN)), ["ours"])


def test_an_axis_called_form_is_an_axis_as_ever(tmp_path):
    text = OWN + '[axes.form]\n"round" = {}\n"square" = { width = 3 }\n'
    cells = grid_cells(read_grid(write(tmp_path, text)), keep={"form": ["round"]})
    assert [cell.name for cell in cells][:2] == ["cnn-plain-round", "cnn-strong-l2-round"]
    with pytest.raises(UsageError, match="two ways to say one thing"):
        read_grid(write(tmp_path, text.replace("seeds = 2", "seeds = 2\nforms = ['ours']")))


def test_figure6_says_that_the_paper_gives_two_numbers_of_seeds():
    grid = read_grid("figure6")
    assert grid.seeds == 10
    assert "5 seeds" in grid.note
    assert "10 in the captions" in grid.note


def test_figure5_has_its_five_bars():
    cells = {" ".join(cell.labels.values()): cell.config for cell in grid_cells(read_grid("figure5"))}
    assert len(cells) == 5
    assert cells["Classify, no SPC"]["correlation"] == 0.5
    assert {config.source.correlation for title, config in cells.items() if "no SPC" not in title} == {0.9}
    assert cells["Classify Masked, SPC"]["classify_masked"] == "all"
    assert {config.network.model for config in cells.values()} == {"resnet18"}


def test_figure6_keeps_a_share_of_the_masks():
    cells = [cell for cell in grid_cells(read_grid("figure6")) if cell.labels["data"] == "Synthetic"]
    assert sorted(cell.config.view.masks for cell in cells) == sorted([0.2, 0.4, 0.6, 0.8, 1.0] * 2)
    assert {cell.config["actdiff"] for cell in cells} == {10.0}


def test_the_follow_ups_column_can_be_measured_with_its_settings():
    cells = {cell.title: cell for cell in grid_cells(read_grid("followup"))}
    assert {title: cell.printed["test"].mean for title, cell in cells.items()} == {
        "Baseline": 0.00,
        "Actdiff": 1.00,
        "Classify Masked": 0.99,
        "Adversarial": 0.92,
        "Gradmask": 0.76,
        "RRR": 0.49,
    }
    assert {(cell.config.training.batch_size, cell.config.training.epochs) for cell in cells.values()} == {
        (16, 100)
    }
    found = {title: paper_cell(cell.config) for title, cell in cells.items()}
    assert all(one is not None and one.grid == "followup" and not one.departures for one in found.values())


@pytest.mark.process
@pytest.mark.parametrize("name", NAMED)
def test_every_cell_of_the_paper_is_found_again_from_its_settings_alone(name):
    for cell in grid_cells(read_grid(name), settings={"epochs": 3, "lr": 0.5}):
        found = paper_cell(cell.config)
        if cell.printed:
            assert found is not None
            assert (found.grid, found.printed) == (name, cell.printed)
            assert set(found.departures) <= {"epochs", "lr"}
            assert found.departures["epochs"][0] == 3


@pytest.mark.parametrize(
    "settings", [{"actdiff": 3.0}, {"model": "convnext_tiny"}, {"data": "own"}, {"rrr": 1.0}, {"masks": 0.5}]
)
def test_a_run_the_paper_does_not_have_gets_no_printed_value(settings):
    config = make_config(**{"data": "synthetic", "actdiff": 10.0, **settings})
    assert paper_cell(config) is None


def test_a_grid_of_ones_own(tmp_path):
    grid = read_grid(write(tmp_path, OWN))
    cells = grid_cells(grid, settings={"epochs": 2})
    assert (grid.name, grid.title, grid.seeds) == ("own", "How strong?", 2)
    assert [cell.name for cell in cells] == ["cnn-plain", "cnn-strong-l2", "u-net-plain", "u-net-strong-l2"]
    assert {cell.config.training.epochs for cell in cells} == {2}
    assert cells[1].config["gradmask"] == 10.0
    assert cells[0].printed == {}


def test_values_are_found_by_what_people_type(tmp_path):
    grid = read_grid(write(tmp_path, OWN))
    assert axis_labels(grid, "model", ["UNET".replace("UN", "U-N"), "cnn"]) == ["U-Net", "CNN"]
    assert axis_labels(grid, "method", ["strong-l2"]) == ["strong, L2"]
    with pytest.raises(UsageError, match="no method 'storng-l2'; did you mean 'strong-l2'"):
        axis_labels(grid, "method", ["storng-l2"])
    with pytest.raises(UsageError, match="its axes are model, method"):
        axis_labels(grid, "data", ["liver"])


def test_folders_of_a_data_axis():
    grid = with_folders(read_grid("table2"), {"Liver": "elsewhere/liver"})
    data = {cell.labels["data"]: cell.config.source.data for cell in grid_cells(grid)}
    assert data == {"Liver": "elsewhere/liver", "Cardiac": "data/cardiac", "Pancreas": "data/pancreas"}


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("seeds = 2", "seeds = 0", "seeds must be at least 1"),
        ("seeds = 2", 'seeds = "2"', "seeds must be of type int"),
        (
            "[base]",
            "[bose]",
            "there is no key 'bose' in a grid; did you mean 'base'\\? Known: name, title, seeds,",
        ),
        ("{ gradmask = 10.0 }", "{ gradmusk = 1.0 }", "there is no setting 'gradmusk'"),
        ("{ gradmask = 10.0 }", "7", "must be of type dict"),
        ('"U-Net" = { model = "unet" }', '"cnn " = { model = "unet" }', "share the folder cnn-plain"),
        ("[base]", "[[exclude]]\nmodle = 'CNN'\n[base]", "there is no axis 'modle'"),
        ("[base]", "[[exclude]]\nmodel = 'ResNet'\n[base]", "there is no model 'ResNet'"),
        ("[base]", "[[exclude]]\nmodel = ['CNN', 'U-Net']\n[base]", "no cell is left"),
        ("[base]", "[base", "is not TOML"),
        ("seeds = 2", "seeds = 2\nforms = ['oars']", "no form 'oars'; did you mean 'ours'"),
        ("[base]", "[printed]\nlast_epoch=['best_epoch']\n[base]", "last_epoch lists some of train"),
        ("[base]", "[printed]\ncolumns=['tost']\n[base]", "no printed measure 'tost'"),
        ("[base]", "[printed]\ncolumns=['model','test']\nrows=[['CNN']]\n[base]", "must have 2 entries"),
        ("[base]", "[printed]\ncolumns=['model','test']\nrows=[['C',[1.0]]]\n[base]", "unknown model 'C'"),
        (
            "[base]",
            "[printed]\ncolumns=['model','test']\nrows=[['CNN',1.0]]\n[base]",
            "must be \\[mean, SD\\]",
        ),
    ],
)
def test_a_wrong_grid_is_named(tmp_path, old, new, sentence):
    path = write(tmp_path, OWN.replace(old, new))
    with pytest.raises(ConfigError if sentence == "is not TOML" else UsageError, match=sentence):
        grid_cells(read_grid(path))


def test_a_cell_without_a_folder_name_is_refused():
    grid = Grid(name="g", title="g", seeds=1, base={}, axes={"model": {"+": {"model": "cnn"}}})
    with pytest.raises(UsageError, match="gives no folder name"):
        grid_cells(grid)


def test_an_unknown_grid_suggests_the_nearest():
    with pytest.raises(UsageError, match="did you mean 'table1'"):
        read_grid("tabel1")
    with pytest.raises(ConfigError, match="cannot be read"):
        read_grid("missing.toml")


@given(sizes=st.lists(st.integers(1, 4), min_size=1, max_size=3), data=st.data())
def test_cells_are_the_product_of_the_axes_without_what_is_excluded(sizes, data):
    fields = ("epochs", "batch_size", "width")
    axes = {f"axis{i}": {f"v{n}": {fields[i]: n + 1} for n in range(size)} for i, size in enumerate(sizes)}
    dropped = data.draw(st.sampled_from(sorted(axes["axis0"])))
    grid = Grid(name="g", title="g", seeds=1, base={}, axes=axes, exclude=({"axis0": (dropped,)},))
    count = (sizes[0] - 1) * (sizes[1] if len(sizes) > 1 else 1) * (sizes[2] if len(sizes) > 2 else 1)
    if count == 0:
        with pytest.raises(UsageError, match="no cell is left"):
            grid_cells(grid)
        return
    cells = grid_cells(grid)
    assert len({cell.name for cell in cells}) == len(cells) == count
    for cell in cells:
        assert cell.labels["axis0"] != dropped
        assert all(cell.config[fields[i]] == int(cell.labels[f"axis{i}"][1:]) + 1 for i in range(len(sizes)))


@given(st.text())
def test_a_slug_is_a_safe_folder_name(text):
    assert re.fullmatch(r"([a-z0-9.-]*[a-z0-9])?", slug(text))
    assert not slug(text).startswith((".", "-"))


@pytest.mark.parametrize("name", ["..", "../up", "a/b", "a\\b", "a.", "a ", "nul", "a\x1b[0m", "x" * 300])
def test_a_grid_is_called_as_its_folder_can_be(tmp_path, name):
    path = tmp_path / "grid.toml"
    path.write_text(f'name = {json.dumps(name)}\n[axes.model]\n"x" = {{ model = "cnn" }}\n')
    with pytest.raises(UsageError, match=r"plain folder name|letter or digit"):
        read_grid(str(path))


def test_a_cell_is_called_as_its_folder_can_be(tmp_path):
    path = tmp_path / "grid.toml"
    path.write_text('[axes.model]\n"NUL" = { model = "cnn" }\n')
    with pytest.raises(UsageError, match="'NUL' gives no folder name"):
        grid_cells(read_grid(str(path)))
