"""Groups of images: what they are, how accurate a network is in each, and the worst beside chance."""

import json
from dataclasses import replace

import numpy as np
import pytest
from dataset_records import records
from hypothesis import given
from hypothesis import strategies as st
from in_process import told
from scipy.stats import binomtest
from test_planting import source

from activmask.data.dataset import read_dataset
from activmask.data.groups import (
    FEWEST,
    check_groups,
    dealt_anew,
    group_notes,
    group_values,
    grouped,
    usual_groups,
)
from activmask.data.planting.plant import plant
from activmask.data.planting.planting import Planting
from activmask.data.writer import write_dataset
from activmask.ground.errors import DataError
from activmask.runs.entries import wrong_metrics
from activmask.runs.identity import alike, experiment, run_digest
from activmask.runs.making import make_config
from activmask.training.replicas.group_accuracy import by_group, wilson

LABELS = np.array([0, 0, 1, 1, 1, 0], dtype=np.int64)
VALUES = ["b", "a", "a", "b", "a", ""]


def test_a_group_is_a_class_and_a_value_and_images_without_one_are_in_none():
    found = grouped("site", LABELS, VALUES)
    assert found.labels == (0, 0, 1, 1)
    assert found.values == ("a", "b", "a", "b")
    assert found.members.tolist() == [1, 0, 2, 3, 2, -1]
    assert found.sizes.tolist() == [1, 1, 2, 1]
    assert found.name(2) == "class 1, site a"


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    root = tmp_path_factory.mktemp("groups")
    source(root / "clean", n=120)
    asked = Planting(
        shortcut="tag", of_class="dog", share=0.9, test_share=0.5, other_share=0.5, size=0.3, place="top-left"
    )
    plant(root / "clean", root / "tag", asked)
    return root


def test_columns_are_the_site_the_shortcut_or_any_of_the_table(planted, tmp_path):
    clean, tag = read_dataset(planted / "clean"), read_dataset(planted / "tag")
    assert usual_groups(clean) == ""
    assert usual_groups(tag) == "shortcut"
    assert group_values(clean, "site") == clean.sites
    carried = [value == "planted" for value in group_values(tag, "shortcut")]
    assert carried == [a != b for a, b in zip(tag.file_names, tag.twin_file_names, strict=True)]
    assert 0 < sum(carried) < len(carried)
    with pytest.raises(DataError, match=r"no column to group images by 'sight'; did you mean 'site'\?"):
        group_values(clean, "sight")
    further = [replace(one, columns={"scanner": f"s{k % 2}"}, site="") for k, one in enumerate(records(12))]
    write_dataset(tmp_path / "set", further, card={})
    more = read_dataset(tmp_path / "set")
    assert set(group_values(more, "scanner")) == {"s0", "s1"}
    with pytest.raises(DataError, match="Known: scanner"):
        group_values(more, "site")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (VALUES, "1 of 6 training images have no site"),
        (["a"] * 6, "every training image has the site a, so the groups are the classes"),
    ],
)
def test_what_training_cannot_weigh_is_refused(values, words):
    with pytest.raises(DataError, match=words):
        check_groups(grouped("site", LABELS, values), "data", "training")


def test_too_many_groups_are_refused():
    many = grouped("age", np.zeros(101, dtype=np.int64), [str(k) for k in range(101)])
    with pytest.raises(DataError, match="makes 101 groups of the training images, more than 100"):
        check_groups(many, "data", "training")


def test_groups_that_are_empty_or_small_are_told():
    labels = np.array([0] * 12 + [1] * 3, dtype=np.int64)
    notes = list(group_notes(grouped("site", labels, ["a"] * 11 + ["b"] + ["a"] * 3)))
    assert notes == [
        "no training image is in class 1, site b: nothing can be learned of it",
        f"of fewer than {FEWEST} training images each: class 0, site b (1); class 1, site a (3)",
    ]


@given(st.data())
def test_values_are_dealt_out_within_classes_and_to_subjects_as_wholes(data):
    people = data.draw(st.integers(2, 8))
    owners = np.array([k for k in range(people) for _ in range(data.draw(st.integers(1, 3)))])
    kinds, held = (np.array([data.draw(st.integers(0, 1)) for _ in range(people)]) for _ in range(2))
    labels, values = kinds[owners], held[owners]
    dealt = next(dealt_anew(values, labels, [f"p{k}" for k in owners], np.random.default_rng(0)))
    of_people = [set(dealt[owners == k].tolist()) for k in range(people)]
    assert all(len(found) == 1 for found in of_people)
    for kind in (0, 1):
        new = sorted(found.pop() for k, found in enumerate(map(set, of_people)) if kinds[k] == kind)
        assert new == sorted(held[kinds == kind].tolist())


@pytest.mark.parametrize(("right", "n"), [(0, 7), (3, 10), (19, 19)])
def test_the_interval_is_scipys(right, n):
    low, high = wilson(right / n, n)
    theirs = binomtest(right, n).proportion_ci(method="wilson")
    assert (low, high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_the_worst_group_by_hand_and_groups_that_are_small_take_no_part():
    labels = np.repeat([0, 1], 30).astype(np.int64)
    values = ["a"] * 15 + ["b"] * 15 + ["a"] * 20 + ["b"] * 5 + ["c"] * 5
    correct = np.array([True] * 12 + [False] * 3 + [True] * 6 + [False] * 9 + [True] * 20 + [False] * 10)
    subjects = [str(k // 3) for k in range(60)]
    found = by_group(correct, labels, grouped("site", labels, values), subjects, seed=0)
    assert [(one.label, one.value, one.n, one.accuracy) for one in found.groups] == [
        *((0, "a", 15, 0.8), (0, "b", 15, 0.4)),
        *((1, "a", 20, 1.0), (1, "b", 5, 0.0), (1, "c", 5, 0.0)),
    ]
    assert (found.worst.label, found.worst.value, found.among) == (0, "b", 3)
    # As many independent observations as subjects: three images of each.
    assert (found.worst.low, found.worst.high) == wilson(0.4, 5)
    # 0.6 of class 0 are right: the lesser half of 15 and 15 lies below that, and above what was found.
    assert 0.4 < found.chance < 0.6


def test_the_chance_of_a_column_that_says_nothing_is_its_own_worst_group():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, 4000)
    values = [str(value) for value in rng.integers(0, 2, 4000)]
    correct = rng.random(4000) < 0.7
    subjects = [str(k) for k in range(4000)]
    found = by_group(correct, labels, grouped("column", labels, values), subjects, seed=0)
    assert found.worst.accuracy == pytest.approx(found.chance, abs=0.03)


def test_groups_that_are_merely_scored_change_no_identity():
    plain, scored = make_config(), make_config(groups="site")
    assert experiment(plain) == experiment(scored)
    assert alike(plain, scored)
    assert run_digest(plain, 0, {}, {}) == run_digest(scored, 0, {}, {})


@pytest.mark.parametrize(
    "wrong", [{"best": {"test": {"worst": {"label": 0}}}}, {"best": {"test": {"worst": 3}}}, {"best": 1}, []]
)
def test_scores_of_groups_that_are_none_are_damage(wrong):
    scores = {"auc": 0.5, "accuracy": 0.5}
    metrics = {**dict.fromkeys(("train", "valid", "test"), scores), "best_epoch": 0}
    assert wrong_metrics(metrics) == ""
    assert "'groups'" in wrong_metrics({**metrics, "groups": wrong})


@pytest.mark.process
def test_train_evaluate_table_and_report_tell_the_worst_group(planted):
    words = (
        "--model",
        "cnn",
        "--width",
        2,
        "--epochs",
        1,
        "--device",
        "cpu",
        "--data",
        "tag",
        "--out",
        "run",
    )
    told("train", *words, cwd=planted)
    metrics = json.loads((planted / "run/seed-0/metrics.json").read_text())["groups"]["best"]["test"]
    assert metrics["by"] == "shortcut"
    evaluated = told("evaluate", "run", "--json", "--predictions", "p.csv", cwd=planted)
    [one] = json.loads(evaluated.stdout)["checkpoints"]
    assert one["groups"] == metrics
    assert sum(group["n"] for group in one["groups"]["groups"]) == 40
    header, first, *_ = (planted / "p.csv").read_text().splitlines()
    assert header.endswith(",group shortcut")
    assert first.endswith((",planted", ",plain"))
    again = told("evaluate", "run", "--groups", "site", cwd=planted).stdout
    assert "Worst group" in again
    assert "søndre" in again
    assert "none: " in again or "site " in again
    assert (
        "no column to group images by 'age'"
        in told("evaluate", "run", "--groups", "age", cwd=planted, code=None).output
    )
    table = told("table", "run", cwd=planted).stdout
    assert "worst group's accuracy" in table
    assert "by shortcut" in table
    [row] = json.loads(told("table", "run", "--json", cwd=planted).stdout)["rows"]
    assert row["worst_groups"]["best"]["accuracy"]["mean"] == metrics["worst"]["accuracy"]
    assert "test_worst_group_accuracy_mean" in told("table", "run", "--format", "csv", cwd=planted).stdout
    told("report", "run", "--out", "page", "--groups", "site", cwd=planted)
    assert "test accuracy by group" in (planted / "page/index.html").read_text()
    assert ",site," in (planted / "page/tables/groups-tag.csv").read_text()
