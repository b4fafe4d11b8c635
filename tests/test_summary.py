"""Runs tabulated: order, names, the paper's values, baselines and notes."""

import json
from dataclasses import asdict

import pytest
from summary_runs import write_run

from activmask.data.sources.synthetic.spec import SyntheticSpec
from activmask.evaluation.spread import Spread
from activmask.ground.errors import CheckpointError
from activmask.report.findings.by_form import by_form, form_names
from activmask.report.findings.summary import summarise
from activmask.runs.results import find_runs

THREE = {0: 0.3, 1: 0.4, 2: 0.5}
BETTER = {0: 0.6, 1: 0.6, 2: 0.9}


def summary_of(folder):
    return summarise(find_runs([folder]))


def only(folder, title):
    found = [row for row in summary_of(folder).rows if row.title == title]
    assert len(found) == 1
    return found[0]


def notes(folder):
    return "\n".join(summary_of(folder).notes)


def test_rows_come_in_the_papers_order_whatever_the_folders_are_called(tmp_path):
    runs = [
        {"model": "unet", "recon_masked": True},
        {"model": "unet"},
        {"model": "resnet18", "width": 64, "actdiff": 10.0, "masks": 0.2},
        {"model": "resnet18", "width": 64, "actdiff": 10.0, "masks": 0.8},
        {"model": "resnet18", "width": 64, "actdiff": 10.0},
        {"model": "vgg11", "width": 64},
        {"model": "ae", "cutout": 4},
        {"model": "ae", "classify_masked": "train"},
        {"model": "ae", "gradmask": 10.0},
        {"data": "data/abdomen"},
    ]
    for number, settings in enumerate(runs):
        write_run(tmp_path / f"{number}", {0: 0.5}, **settings)
    write_run(tmp_path / "a", {0: 0.5}, preset="liver")
    summary = summary_of(tmp_path)
    assert summary.data_sets == ["Synthetic", "Liver", "Abdomen"]
    assert [row.title for row in summary.of("Synthetic")] == [
        "Conv AE Gradmask",
        "Conv AE Classify Masked",
        "Conv AE Cutout 4",
        "ResNet Actdiff",
        "ResNet Actdiff, 80% of masks",
        "ResNet Actdiff, 20% of masks",
        "UNet Classify",
        "UNet Reconstruct Masked",
        "vgg11 Classify",
    ]


def test_a_row_holds_the_spread_of_its_seeds_and_the_last_epoch(tmp_path):
    write_run(tmp_path / "run", THREE, unfinished=(7,))
    row = only(tmp_path, "CNN Classify")
    assert (row.run.seeds, row.run.unfinished) == ((0, 1, 2), (7,))
    assert row.scores["test"]["auc"] == Spread(pytest.approx(0.4), pytest.approx(0.1), 3)
    assert row.scores["test"]["accuracy"] == Spread(pytest.approx(0.2), pytest.approx(0.05), 3)
    assert row.scores["train"]["auc"] == Spread(1.0, 0.0, 3)
    assert row.best_epoch == Spread(3.0, 0.0, 3)
    assert row.last["valid"]["auc"] == Spread(pytest.approx(0.1), pytest.approx(0.0), 3)
    assert row.last["valid"]["accuracy"].mean == pytest.approx(0.05)
    assert row.last["train"]["auc"] == Spread(pytest.approx(0.9), pytest.approx(0.0), 3)
    assert row.last["test"]["auc"].mean == pytest.approx(0.35)
    assert "Unfinished seeds are left out: CNN Classify 7." in notes(tmp_path)


def test_distances_are_in_the_papers_sds_or_plain_where_it_printed_none(tmp_path):
    write_run(tmp_path / "run", THREE)
    row = only(tmp_path, "CNN Classify")
    beside = {(one.measure, one.ours): one for one in row.beside}
    # Table 1, last epoch: train 1.00 ± 0.00, valid 0.00 ± 0.01; best epoch 38.10 ± 120.13. Table 2, best
    # epoch: test 0.35 ± 0.20.
    assert {(one.measure, one.epoch) for one in row.beside} == {
        ("train", "last"),
        ("valid", "last"),
        ("test", "best"),
        ("best_epoch", "best"),
    }
    assert beside["test", "auc"].sds == pytest.approx((0.4 - 0.35) / 0.20)
    assert beside["test", "accuracy"].sds == pytest.approx((0.2 - 0.35) / 0.20)
    assert beside["train", "accuracy"].sds is None
    assert beside["train", "accuracy"].difference == pytest.approx(0.45 - 1)
    assert beside["valid", "auc"].sds == pytest.approx((0.1 - 0.0) / 0.01)
    assert [one.ours for one in row.beside if one.measure == "valid"] == ["accuracy", "auc"]
    assert beside["best_epoch", "epoch"].sds == pytest.approx((3 - 38.10) / 120.13)
    assert row.source == "paper Tables 1 and 2"


def test_runs_that_the_paper_did_not_print_stand_alone(tmp_path):
    write_run(tmp_path / "run", {0: 0.5}, cutout=4)
    row = only(tmp_path, "CNN Cutout 4")
    assert (row.paper, row.beside, row.departures, row.source) == ({}, (), {}, "")
    assert "printed" not in notes(tmp_path)


def test_departures_are_said_once_for_all_rows_that_share_them(tmp_path):
    for model in ("cnn", "ae"):
        write_run(tmp_path / model, {0: 0.5}, model=model, width=4, epochs=30)
    write_run(tmp_path / "resnet", {0: 0.5}, model="resnet18", width=64, epochs=30)
    write_run(tmp_path / "act", {0: 0.5}, model="resnet18", width=64, epochs=30, actdiff=10.0, lr=0.01)
    said = [note for note in summary_of(tmp_path).notes if note.startswith("Departing")]
    assert said == [
        "Departing from the paper, every row that it printed: epochs 30 (paper 500), "
        "select auc (paper accuracy).",
        "Departing from the paper, every row of Conv AE, CNN: width 4 (paper 16).",
        "Departing from the paper, ResNet Actdiff: actdiff_norm row (paper channel), lr 0.01 (paper 0.0001).",
    ]


def test_a_benchmark_drawn_otherwise_departs_from_the_papers(tmp_path):
    drawn = asdict(SyntheticSpec(n=40, size=48, correlation=0.9))
    write_run(tmp_path / "run", {0: 0.5}, described={"benchmark": drawn})
    row = only(tmp_path, "CNN Classify")
    assert row.departures == {
        "select": ("auc", "accuracy"),
        "training images": (40, 500),
        "side in px": (48, 28),
        "box in training": (0.9, 1.0),
    }
    assert row.seeds_at
    assert "training images 40 (paper 500)" in notes(tmp_path)


def test_of_an_earlier_version_it_is_known_how_many_images_there_were(tmp_path):
    counts = {"train": 400, "valid_iid": 100, "valid": 64, "test": 128}
    write_run(tmp_path / "run", {0: 0.5}, described={"images": counts, "recipe": {"source": "synthetic"}})
    departures = only(tmp_path, "CNN Classify").departures
    assert departures == {"select": ("auc", "accuracy"), "validation images": (64, 128)}


def test_how_many_images_a_run_was_told_to_take_is_told_once(tmp_path):
    counts = {"train": 200, "valid": 128, "test": 128}
    described = {"images": counts, "recipe": {"source": "synthetic"}}
    write_run(tmp_path / "run", {0: 0.5}, described=described, train_images=200, data="synthetic/")
    departures = only(tmp_path, "CNN Classify").departures
    assert {name for name in departures if "images" in name} == {"train_images"}


@pytest.mark.parametrize("drawn", [{"correlation": "high"}, ["n"], {"n": [40]}])
def test_a_benchmark_that_is_none_is_told_with_its_file(tmp_path, drawn):
    write_run(tmp_path / "run", {0: 0.5}, described={"benchmark": drawn})
    with pytest.raises(CheckpointError, match="benchmark"):
        only(tmp_path, "CNN Classify")


def test_the_papers_own_benchmark_departs_in_nothing(tmp_path):
    drawn = {name: value for name, value in asdict(SyntheticSpec(seed=7)).items() if value is not None}
    described = {"benchmark": drawn, "recipe": {"source": "synthetic"}}
    write_run(tmp_path / "run", {0: 0.5}, described=described, select="accuracy")
    assert only(tmp_path, "CNN Classify").departures == {}


@pytest.mark.parametrize(
    "drawn",
    [{"distractor": False}, {"correlation": 0.5}, {"valid_correlation": 1.0}, {"test_correlation": 1.0}],
)
def test_no_seed_is_said_to_take_a_box_that_is_not_there_or_does_not_lie(tmp_path, drawn):
    described = {"benchmark": asdict(SyntheticSpec(**drawn))}
    write_run(tmp_path / "run", {0: 0.05}, described=described)
    assert not only(tmp_path, "CNN Classify").seeds_at
    assert "took the box" not in notes(tmp_path)


def test_images_of_another_source_are_not_the_papers_whatever_they_are_called(tmp_path):
    write_run(tmp_path / "run", {0: 0.05}, described={"recipe": {"source": "folder"}})
    row = only(tmp_path, "CNN Classify")
    assert (row.paper, row.source, row.seeds_at) == ({}, "", {})


def test_a_method_is_paired_with_its_baseline_on_the_seeds_both_finished(tmp_path):
    write_run(tmp_path / "base", {**THREE, 3: 0.99})
    write_run(tmp_path / "act", {**BETTER, 8: 0.0}, actdiff=10.0)
    row = only(tmp_path, "CNN Actdiff")
    assert row.comparison.baseline.folder == tmp_path / "base"
    assert row.comparison.difference.n == 3
    assert row.comparison.difference.mean == pytest.approx((0.3 + 0.2 + 0.4) / 3)
    assert row.comparison.difference.p == 0.25
    assert only(tmp_path, "CNN Classify").comparison is None


def test_p_values_are_adjusted_within_a_data_set(tmp_path):
    ten = dict.fromkeys(range(10), 0.4)
    write_run(tmp_path / "base", ten)
    write_run(tmp_path / "act", {seed: 0.5 + seed / 100 for seed in ten}, actdiff=10.0)
    write_run(tmp_path / "grad", {seed: 0.3 + 0.2 * (seed % 2) for seed in ten}, gradmask=10.0)
    write_run(tmp_path / "liver", ten, preset="liver")
    write_run(tmp_path / "liver-act", ten, preset="liver", actdiff=1.0)
    adjusted = {row.title: row.comparison.adjusted_p for row in summary_of(tmp_path).rows if row.comparison}
    assert adjusted == {
        "CNN Actdiff": pytest.approx(2 * 2 / 2**10),
        "CNN Gradmask": 1.0,
        "ResNet Actdiff": 1.0,
    }
    said = notes(tmp_path)
    assert "On Synthetic, with 10 paired seeds, p cannot fall below 0.00195, nor, after Holm's" in said
    assert "for 2 comparisons, below 0.00391. On Liver, with 10 paired seeds, p cannot" in said
    assert "for 1 comparison, below 0.00195." in said


def test_a_repeated_experiment_is_tested_once(tmp_path):
    for where in ("table1", "figure6"):
        write_run(tmp_path / where / "base", THREE)
        write_run(tmp_path / where / "act", BETTER, actdiff=10.0)
    write_run(tmp_path / "again" / "act", {**BETTER, 2: 0.8}, actdiff=10.0)
    write_run(tmp_path / "other", BETTER, gradmask=10.0)
    summary = summary_of(tmp_path)
    compared = [row.comparison for row in summary.rows if row.comparison]
    assert len(compared) == 4
    assert {one.family for one in compared} == {3}
    assert [row.run.folder.relative_to(tmp_path).parts[0] for row in summary.compared] == [
        "again",
        "figure6",
        "other",
    ]


def test_seeds_that_differ_between_comparisons_are_a_maximum(tmp_path):
    write_run(tmp_path / "base", THREE)
    write_run(tmp_path / "act", BETTER, actdiff=10.0)
    write_run(tmp_path / "grad", {0: 0.3}, gradmask=10.0)
    assert "On Synthetic, with at most 3 paired seeds, p cannot fall below 0.25" in notes(tmp_path)


@pytest.mark.parametrize("other", [{"epochs": 30}, {"lr": 0.01}, {"model": "ae"}, {"data": "data/synthetic"}])
def test_a_baseline_trained_otherwise_is_none(tmp_path, other):
    write_run(tmp_path / "base", THREE, **other)
    write_run(tmp_path / "act", BETTER, actdiff=10.0)
    rows = [row for row in summary_of(tmp_path).rows if row.method == "Actdiff"]
    assert [row.comparison for row in rows] == [None]
    assert "Not compared" in notes(tmp_path)


def test_without_a_common_seed_there_is_no_comparison(tmp_path):
    write_run(tmp_path / "base", {5: 0.5}, unfinished=(0,))
    write_run(tmp_path / "act", BETTER, actdiff=10.0)
    assert only(tmp_path, "CNN Actdiff").comparison is None
    assert "CNN Actdiff." in notes(tmp_path)


def test_of_two_baselines_the_one_with_more_common_seeds_counts(tmp_path):
    write_run(tmp_path / "a", {0: 0.1})
    write_run(tmp_path / "b", THREE)
    write_run(tmp_path / "c", BETTER, actdiff=10.0)
    assert only(tmp_path, "CNN Actdiff").comparison.baseline.folder == tmp_path / "b"


def test_namesakes_are_told_apart_by_settings_or_else_by_folder(tmp_path):
    write_run(tmp_path / "a", {0: 0.5}, epochs=4)
    write_run(tmp_path / "b", {0: 0.5}, epochs=4)
    write_run(tmp_path / "c", {0: 0.5}, epochs=9)
    titles = {row.title for row in summary_of(tmp_path).rows}
    assert titles == {
        "CNN Classify (epochs 4, in a)",
        "CNN Classify (epochs 4, in b)",
        "CNN Classify (epochs 9)",
    }


def test_a_run_without_a_finished_seed_is_a_row_of_nothing(tmp_path):
    write_run(tmp_path / "run", {}, unfinished=(0, 1))
    row = only(tmp_path, "CNN Classify")
    assert row.scores["test"]["auc"] is row.best_epoch is row.last["valid"]["auc"] is row.comparison is None
    assert row.paper
    assert not row.beside


def test_the_notes_warn_of_shifted_validation_only_where_it_is(tmp_path):
    write_run(tmp_path / "synthetic", {0: 0.5})
    write_run(tmp_path / "liver", {0: 0.5}, preset="liver")
    assert "validation images of Synthetic are shifted" in notes(tmp_path)
    assert "shifted" not in notes(tmp_path / "liver")
    assert "optimistic" in notes(tmp_path / "liver")


@pytest.mark.parametrize(("correlation", "shifted"), [(0.5, False), (0.9, True)])
def test_sites_that_tell_nothing_in_training_are_no_shift(tmp_path, correlation, shifted):
    write_run(tmp_path / "run", {0: 0.5}, preset="xray", correlation=correlation)
    assert ("validation images of Xray are shifted" in notes(tmp_path)) is shifted


def test_an_old_run_has_the_last_epoch_of_its_history_and_never_another(tmp_path):
    place = write_run(tmp_path / "run", THREE, old=True)
    row = only(tmp_path, "CNN Classify")
    assert row.last["valid"]["auc"] == Spread(pytest.approx(0.1), pytest.approx(0.0), 3)
    assert row.last["train"]["accuracy"] is row.last["test"]["accuracy"] is None
    assert {one.measure for one in row.beside} == {"valid", "test", "best_epoch"}
    assert "left out: Synthetic CNN Classify seeds 0, 1, 2 (train and test)." in notes(tmp_path)
    (place / "seed-1" / "history.csv").unlink()
    assert only(tmp_path, "CNN Classify").last["valid"]["auc"].n == 2
    assert "Synthetic CNN Classify seed 1 (train, valid and test)." in notes(tmp_path)


def test_a_history_without_rows_is_damaged(tmp_path):
    (write_run(tmp_path / "run", THREE, old=True) / "seed-1" / "history.csv").write_text("epoch,valid_auc\n")
    with pytest.raises(CheckpointError, match=r"seed-1/history.csv .*it holds 0 rows"):
        summary_of(tmp_path)


def test_a_history_without_the_score_that_every_version_writes_is_damaged(tmp_path):
    (write_run(tmp_path / "run", THREE, old=True) / "seed-1" / "history.csv").write_text(
        "epoch,valid_buc\n0,1\n"
    )
    with pytest.raises(CheckpointError, match=r"seed-1/history.csv .*it has no column valid_auc"):
        summary_of(tmp_path)


@pytest.mark.parametrize("content", ["epoch,valid_auc\n0,0.5\n"])
def test_a_history_without_a_score_of_its_last_epoch_leaves_its_seed_out(tmp_path, content):
    (write_run(tmp_path / "run", THREE, old=True) / "seed-1" / "history.csv").write_text(content)
    assert only(tmp_path, "CNN Classify").last["valid"]["auc"].n == 2
    assert "CNN Classify seed 1 (train, valid and test)" in notes(tmp_path)


def test_a_history_that_ends_before_the_last_epoch_is_not_taken_for_it(tmp_path):
    place = write_run(tmp_path / "run", THREE, old=True)
    for seed, epochs in ((0, 5), (1, 5), (2, 9)):
        path = place / f"seed-{seed}" / "metrics.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "epochs": epochs}))
    with pytest.raises(CheckpointError, match=r"seed-2/history.csv .* 5 rows, of 9 epochs"):
        summary_of(tmp_path)


@pytest.mark.parametrize("last", [{}, 3, {"train": {"auc": 1.0}}])
def test_damaged_scores_of_the_last_epoch_are_named(tmp_path, last):
    path = write_run(tmp_path / "run", THREE) / "seed-1" / "metrics.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "last": last}))
    with pytest.raises(CheckpointError, match=r"seed-1/metrics.json is missing or damaged"):
        summary_of(tmp_path)


def test_seeds_that_counted_sat_at_chance_or_took_the_box_are_told(tmp_path):
    write_run(tmp_path / "run", {0: 0.05, 1: 0.1, 2: 0.95, 3: 1.0})
    row = only(tmp_path, "CNN Classify")
    assert str(row.seeds_at["best"]["test"]) == "0/2/2"
    assert str(row.seeds_at["last"]["train"]) == "0/4/0"
    assert {name: str(found) for name, found in row.papers_seeds_at.items()} == {"train": "10/0/0"}
    write_run(tmp_path / "liver", THREE, preset="liver")
    assert summary_of(tmp_path / "liver").rows[0].seeds_at == {}
    assert "9/0/1" in notes(tmp_path)
    assert "9/0/1" not in notes(tmp_path / "liver")


def test_a_row_in_another_form_is_never_taken_for_the_released_one(tmp_path):
    forms = {
        "released": {"actdiff_norm": "channel", "actdiff_at": "pre"},
        "written": {"actdiff_norm": "layer"},
        "ours": {},
        "other": {"actdiff_norm": "layer", "actdiff_at": "post"},
    }
    for name, settings in forms.items():
        write_run(tmp_path / name, {0: 0.5}, model="resnet18", width=64, actdiff=10.0, **settings)
    rows = {row.form: row for row in summary_of(tmp_path).rows}
    assert {form: row.full_title for form, row in rows.items()} == {
        "released": "ResNet Actdiff, channel (released form)",
        "written": "ResNet Actdiff, layer (form as written)",
        "ours": "ResNet Actdiff (ours)",
        "other": "ResNet Actdiff, layer, post (another form)",
    }
    assert "actdiff_norm" not in rows["released"].departures
    assert rows["ours"].departures["actdiff_norm"] == ("row", "channel")
    assert "as each says: released form, form as written, ours, another form. What" in notes(tmp_path)
    [group] = by_form(list(rows.values()))
    assert group.title == "ResNet Actdiff"
    assert form_names([group]) == ["released form", "form as written", "ours", "another form, layer, post"]


def test_masked_everywhere_is_not_compared_with_a_baseline_that_sees_whole_images(tmp_path):
    write_run(tmp_path / "base", THREE, preset="xray")
    write_run(tmp_path / "act", BETTER, preset="xray", actdiff=1.0)
    write_run(tmp_path / "upper", BETTER, preset="xray", classify_masked="all")
    write_run(tmp_path / "train", BETTER, preset="xray", classify_masked="train")
    compared = {row.method: row.comparison for row in summary_of(tmp_path).rows if row.comparison}
    assert set(compared) == {"Actdiff", "Classify Masked"}
    assert {one.family for one in compared.values()} == {2}
    said = notes(tmp_path)
    assert "Xray ResNet Masked Everywhere is validated and tested on images that are blank outside" in said
    assert "Not compared, for want" not in said


def test_nothing_makes_an_empty_table():
    assert summarise([]).rows == ()
