"""A second validation split held out of training: what it holds, what it chooses, and who says so."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from in_process import told
from interrupted_runs import train_interrupted
from recorded_runs import small
from safetensors.torch import load_file
from test_splits import correlated, table
from test_training import assert_same_run

from activmask.data.settings import IID, Source
from activmask.data.sources.synthetic.drawing import SyntheticSpec, draw_synthetic
from activmask.data.sources.synthetic.prepare import make_synthetic
from activmask.data.splits import EVERY_SPLIT, SPLITS, split_indices
from activmask.evaluation.batch import evaluate_checkpoint
from activmask.ground.errors import CheckpointError, DataError, UsageError
from activmask.report.findings.choices import choices
from activmask.report.findings.summary import summarise
from activmask.report.tables.formats import csv, markdown
from activmask.runs.checkpoint_paths import find_checkpoints
from activmask.runs.description import written
from activmask.runs.folder import OTHER_FILE, read_history, read_metrics
from activmask.runs.making import make_config
from activmask.runs.names import run_name
from activmask.runs.results import find_runs
from activmask.runs.selection import chosen_by, selection_rule
from activmask.training.feed.sources import load_splits
from activmask.training.run import train

TWO = {"valid_iid": 0.25, "lr": 3e-3, "epochs": 4}


@pytest.fixture(scope="module")
def runs(crosses, tmp_path_factory):
    """One experiment twice, chosen by either split."""
    place = tmp_path_factory.mktemp("runs")
    for on in ("valid", IID):
        train(small(crosses, **TWO, select_on=on), out=place / on)
    return place


def shares(labels: np.ndarray, sites: tuple[str, ...], rows: np.ndarray) -> dict[tuple[int, str], float]:
    kinds = [(int(labels[i]), sites[i]) for i in rows]
    return {kind: kinds.count(kind) / len(kinds) for kind in set(kinds)}


@settings(max_examples=20)
@given(
    policy=st.sampled_from(["given", "subject", "site-correlated"]),
    seed=st.integers(0, 2**31),
    share=st.floats(0.15, 0.5),
    order=st.randoms(use_true_random=False),
)
def test_whole_subjects_are_held_out_and_valid_and_test_stay_as_they_were(policy, seed, share, order):
    n = 120
    data = table(
        [0, 1] * (n // 2),
        subjects=[f"s{i // 4 * 2 + i % 2}" for i in range(n)],
        sites=["a", "a", "b", "b"] * (n // 4),
        splits=["train"] * 60 + ["valid"] * 32 + ["test"] * 28,
    )
    if policy == "site-correlated":
        data["subjects"] = tuple(f"s{i}" for i in range(n))
    source = Source(split_policy=policy, correlation=0.7)
    plain = split_indices(source, **data, seed=seed)
    drawn = split_indices(replace(source, valid_iid=share), **data, seed=seed)
    assert tuple(drawn) == EVERY_SPLIT
    assert tuple(plain) == SPLITS
    for split in ("valid", "test"):
        assert np.array_equal(drawn[split], plain[split])
    assert np.array_equal(np.sort(np.concatenate([drawn["train"], drawn[IID]])), plain["train"])
    who = [{data["subjects"][i] for i in drawn[split]} for split in ("train", IID)]
    assert not who[0] & who[1]
    assert len(who[1]) == pytest.approx(share * len(who[0] | who[1]), abs=1)
    rows = order.sample(range(n), n)
    moved = {
        name: column[rows] if name == "labels" else tuple(column[i] for i in rows)
        for name, column in data.items()
    }
    again = split_indices(replace(source, valid_iid=share), **moved, seed=seed)
    for split in EVERY_SPLIT:
        assert {moved["names"][i] for i in again[split]} == {data["names"][i] for i in drawn[split]}


def test_what_goes_with_a_class_in_training_goes_with_it_in_what_is_held_out():
    data = table([0, 1] * 400, sites=["nih", "nih", "padchest", "padchest"] * 200)
    drawn = split_indices(correlated(valid_iid=0.25), **data, seed=2)
    own = {split: shares(data["labels"], data["sites"], rows) for split, rows in drawn.items()}
    assert own[IID] == pytest.approx(own["train"], abs=0.02)
    assert own["train"][1, "padchest"] == pytest.approx(0.45, abs=0.01)
    assert own["valid"][1, "padchest"] == pytest.approx(0.05, abs=0.01)


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({}, (0.9, 0.1, 0.1)),
        ({"valid_correlation": 0.9}, (0.9, 0.9, 0.1)),
        ({"test_correlation": 0.5}, (0.9, 0.1, 0.5)),
        ({"valid_correlation": 0.0, "test_correlation": 0.9}, (0.9, 0.0, 0.9)),
    ],
)
def test_each_split_has_the_site_correlation_asked_for(chosen, expected):
    data = table([0, 1] * 400, sites=["nih", "nih", "padchest", "padchest"] * 200)
    drawn = split_indices(correlated(**chosen), **data, seed=1)
    for split, share in zip(SPLITS, expected, strict=True):
        agreeing = [(data["sites"][i] == "padchest") == (data["labels"][i] == 1) for i in drawn[split]]
        assert np.mean(agreeing) == pytest.approx(share, abs=0.02)


def test_too_few_subjects_are_refused_with_the_class_that_would_be_missing():
    data = table([0, 1] * 3, splits=["train"] * 2 + ["valid"] * 2 + ["test"] * 2)
    with pytest.raises(DataError, match=r"holding 0.2 of the training subjects out leaves no image of class"):
        split_indices(Source(valid_iid=0.2), **data, seed=0)


@pytest.mark.parametrize(
    ("chosen", "words"),
    [
        ({"select_on": IID}, "select_on valid_iid needs that split"),
        ({"valid_iid": 1.0}, "valid_iid must be from 0 to 0.9"),
        ({"valid_correlation": 0.9}, "valid_correlation has no effect here"),
        (
            {"data": "x", "split_policy": "site-correlated", "test_correlation": -0.5},
            "test_correlation must be from 0 to 1, or -1",
        ),
    ],
)
def test_what_makes_no_sense_is_refused(chosen, words):
    with pytest.raises(UsageError, match=words):
        make_config(**chosen)


def test_runs_that_hold_nothing_out_are_described_and_named_as_ever():
    plain = make_config()
    assert not {"valid_iid", "select_on", "valid_correlation", "test_correlation"} & written(plain).keys()
    assert (selection_rule(plain), chosen_by(plain)) == (
        "first epoch with the highest AUC on the validation split",
        "validation AUC",
    )
    two = make_config(data="synthetic", valid_iid=0.25)
    assert chosen_by(two) == "shifted validation AUC"
    assert chosen_by(two, IID) == "iid validation AUC"
    assert run_name(two) == f"{run_name(make_config(data='synthetic'))}-iid0.25"
    by_site = {"data": "x", "split_policy": "site-correlated"}
    assert chosen_by(make_config(**by_site)) == "validation AUC"
    assert chosen_by(make_config(**by_site, valid_correlation=0.9)) == "iid validation AUC"
    assert chosen_by(make_config(**by_site, valid_iid=0.1, select="loss")) == "shifted validation loss"


def test_the_benchmark_in_memory_is_held_out_with_its_box_as_in_training():
    plain = load_splits(make_config(data="synthetic"), 3)
    splits = load_splits(make_config(data="synthetic", valid_iid=0.2), 3)
    assert {name: len(samples) for name, samples in splits.items()} == {
        "train": 400,
        "valid": 128,
        "test": 128,
        IID: 100,
    }
    for name in ("valid", "test"):
        assert torch.equal(splits[name].images, plain[name].images)
    for name, right in (("train", 1.0), (IID, 1.0), ("valid", 0.0)):
        box = splits[name].images[:, 0, 23:25, 22:25].flatten(1).amin(dim=1) == 1
        assert float((box == (splits[name].labels == 0)).double().mean()) == right
    assert splits[IID].labels.bincount().tolist() == [50, 50]


@pytest.mark.process
def test_either_split_chooses_and_what_the_other_would_have_is_kept(runs, crosses, tmp_path):
    valid, iid = (read_metrics(runs / on / "seed-0") for on in ("valid", IID))
    assert valid is not None
    assert iid is not None
    rows = read_history(runs / "valid/seed-0")
    drop = {"seconds", "images_per_second"}
    assert [{k: v for k, v in row.items() if k not in drop} for row in rows] == [
        {k: v for k, v in row.items() if k not in drop} for row in read_history(runs / IID / "seed-0")
    ]
    best = {on: int(np.argmax([row[f"{on}_auc"] for row in rows])) for on in ("valid", IID)}
    assert best["valid"] != best[IID]
    assert (valid["best_epoch"], valid["other"]["best_epoch"]) == (best["valid"], best[IID])
    assert valid["other"]["selected_on"] == IID
    assert iid["other"]["selected_on"] == "valid"
    # Each is the other's, to the bit.
    for split in EVERY_SPLIT:
        assert valid[split] == iid["other"][split]
        assert valid["other"][split] == iid[split]
    files = {
        (on, name): load_file(runs / on / "seed-0" / f"{name}.safetensors")
        for on in ("valid", IID)
        for name in ("best", "best-other", "last")
    }
    for one, other in (("best", "best-other"), ("best-other", "best"), ("last", "last")):
        for name, tensor in files["valid", one].items():
            assert torch.equal(tensor, files[IID, other][name])
    # And the weights are those after that epoch.
    short = small(crosses, **{**TWO, "epochs": best[IID] + 1})
    train(short, out=tmp_path / "short")
    for name, tensor in load_file(tmp_path / "short/seed-0/last.safetensors").items():
        assert torch.equal(tensor, files[IID, "best"][name])


@pytest.mark.process
def test_a_run_killed_in_its_last_epoch_goes_on_to_the_same_bits(runs, crosses, tmp_path):
    config = small(crosses, **TWO)
    train_interrupted(config, (0,), tmp_path / "run", before_epoch=3)
    # A state is enough to write whatever follows it.
    (tmp_path / "run/seed-0" / OTHER_FILE).unlink()
    train(config, out=tmp_path / "run", resume=True)
    assert_same_run(runs / "valid/seed-0", tmp_path / "run/seed-0")
    one, other = (load_file(place / "seed-0" / OTHER_FILE) for place in (runs / "valid", tmp_path / "run"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    train(small(crosses, epochs=1), out=tmp_path / "run", overwrite=True)
    assert not (tmp_path / "run/seed-0" / OTHER_FILE).exists()


@pytest.mark.process
def test_evaluations_tell_which_validation_chose_and_judge_on_either(runs, tmp_path):
    [other] = find_checkpoints(runs / "valid", "other")
    found = evaluate_checkpoint(other, split=IID)
    metrics = read_metrics(runs / "valid/seed-0")
    assert metrics is not None
    assert found.chosen_by == "iid validation AUC"
    assert found.evaluation.scores.auc == pytest.approx(metrics["other"][IID]["auc"], abs=1e-12)
    out = told("evaluate", runs / "valid", "--epoch", "other", "--split", "valid_iid", cwd=tmp_path).stdout
    assert "best-other.safetensors were chosen by iid validation AUC" in " ".join(out.split())
    as_json = json.loads(told("evaluate", runs / IID, "--json", cwd=tmp_path).stdout)
    assert as_json["checkpoints"][0]["chosen_by"] == "iid validation AUC"


@pytest.mark.process
def test_tables_set_both_choices_side_by_side(runs):
    found = find_runs([runs])
    summary = summarise(found)
    for run in found:
        both = choices(run)
        own, other = both[run.config.training.select_on], run.metrics[0]["other"]
        assert own.best_epoch is not None
        assert own.best_epoch.mean == run.metrics[0]["best_epoch"]
        theirs = both[other["selected_on"]]
        assert theirs.auc is not None
        assert theirs.auc.mean == other["test"]["auc"]
    text = markdown(summary)
    assert "by the validation split that chose the epoch" in text
    assert "iid validation AUC" in text
    assert "knows nothing of a shift" in text
    head, *lines = csv(summary).splitlines()
    assert {"selected_on", "on_valid_iid_auc_mean", "on_valid_auc_mean"} <= set(head.split(","))
    assert len(lines) == 2


@pytest.mark.process
def test_runs_of_one_validation_have_no_other_checkpoint(crosses, tmp_path):
    train(small(crosses, epochs=1), out=tmp_path / "plain")
    with pytest.raises(CheckpointError, match=r"no checkpoint.*valid_iid have one"):
        find_checkpoints(tmp_path / "plain", "other")
    assert choices(find_runs([tmp_path / "plain"])[0]) == {}


@pytest.mark.process
def test_train_says_what_either_validation_chose(crosses, tmp_path):
    said = told(
        *("train", "--data", crosses, "--model", "cnn", "--width", 2, "--epochs", 1, "--device", "cpu"),
        *("--valid-iid", 0.25, "--select-on", "valid_iid", "--out", "run"),
        cwd=tmp_path,
    ).stdout
    assert "by iid validation AUC" in said
    assert "by validation AUC the best epoch is 1: test AUC" in " ".join(said.split())


def test_validation_and_test_of_the_benchmark_can_differ(tmp_path):
    spec = SyntheticSpec(n=40, valid=20, test=20, valid_correlation=1.0, test_correlation=0.0)
    splits = draw_synthetic(spec)
    for name, agrees in (("train", True), ("valid", True), ("test", False)):
        assert ((splits[name].box_right == (splits[name].labels == 0)) == agrees).all()
    alike = draw_synthetic(replace(spec, valid_correlation=0.0, test_correlation=None))
    assert np.array_equal(alike["test"].images, splits["test"].images)
    make_synthetic(SyntheticSpec(n=4, valid=4, test=4), tmp_path / "plain")
    assert "test_correlation" not in json.loads((tmp_path / "plain/card.json").read_text())["spec"]
    with pytest.raises(UsageError, match="test_correlation must be from 0 to 1"):
        draw_synthetic(replace(spec, test_correlation=1.5))
