"""The best epoch by the worst group of validation: what selects, what is refused, and who says so."""

import csv
import json
from collections import Counter
from dataclasses import replace
from shutil import copytree

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from in_process import told
from interrupted_runs import train_interrupted
from recorded_runs import small
from safetensors.torch import load_file
from sited import sited
from test_training import assert_same_run

from activmask.data.groups import grouped
from activmask.data.settings import IID
from activmask.data.sources.synthetic.drawing import SyntheticSpec
from activmask.data.sources.synthetic.prepare import make_synthetic
from activmask.ground.errors import DataError, UsageError
from activmask.report.findings.choices import choices
from activmask.report.findings.summary import summarise
from activmask.report.tables.formats import markdown
from activmask.runs.entries import wrong_metrics
from activmask.runs.folder import OTHER_FILE, read_history, read_metrics
from activmask.runs.identity import alike
from activmask.runs.making import make_config
from activmask.runs.results import find_runs
from activmask.runs.selection import chosen_by, selection_rule
from activmask.training import readiness
from activmask.training.feed import stream
from activmask.training.graphs import capture
from activmask.training.replicas.group_accuracy import by_group
from activmask.training.replicas.predictions import score, worst_accuracy
from activmask.training.replicas.replica import new_replica
from activmask.training.replicas.step_objective import refuse_of_classes
from activmask.training.run import train

CPU = torch.device("cpu")
BY = {"groups": "site", "select": "worst_group"}
HOW = {"model": "resnet18", "width": 2, "lr": 1e-3, "epochs": 4}
TWO = {**HOW, **BY, "valid_iid": 0.4}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Four groups of 11 images or more in every split, and in what is held out of training."""
    place = tmp_path_factory.mktemp("data")
    spec = SyntheticSpec(n=160, valid=64, test=64, seed=3, valid_correlation=0.7, test_correlation=0.7)
    make_synthetic(spec, place / "plain")
    return sited(place / "plain", place / "sited", agree=0.65)


@pytest.fixture(scope="module")
def runs(data, tmp_path_factory):
    """One training, of which the worst group or the AUC selects an epoch."""
    place = tmp_path_factory.mktemp("runs")
    train(small(data, **HOW, **BY), out=place / "worst")
    train(small(data, **HOW, groups="site"), out=place / "auc")
    return place


def edited(data, folder, change):
    """A copy of a data set whose table has the rows that a function makes of its own."""
    copytree(data, folder)
    table = folder / "metadata.csv"
    with table.open(newline="") as file:
        rows = change(list(csv.DictReader(file)))
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return folder


def moved(rows, split, label, site, to):
    """The rows with the site of some changed."""
    own = (split, label, site)
    return [{**row, "site": to} if (row["split"], row["label"], row["site"]) == own else row for row in rows]


def of_few(rows, left):
    """The rows with so many validation images of class 1 at site 0."""
    few = [row for row in rows if (row["split"], row["label"], row["site"]) == ("valid", "1", "0")]
    return [row for row in rows if row not in few[left:]]


@settings(max_examples=20)
@given(
    kinds=st.lists(st.tuples(st.integers(0, 1), st.sampled_from("ab")), min_size=40, max_size=60),
    seed=st.integers(0, 99),
)
def test_the_score_is_the_least_of_the_groups_accuracies_as_evaluations_count_them(kinds, seed):
    # Each group has the images that its accuracy is taken for the worst from.
    kinds = kinds + [(label, value) for label in (0, 1) for value in "ab" for _ in range(10)]
    labels = np.array([label for label, _ in kinds])
    groups = grouped("site", labels, [value for _, value in kinds])
    logits = torch.randn(len(kinds), 2, generator=torch.Generator().manual_seed(seed))
    answers = logits.argmax(dim=1).numpy()
    right: Counter[tuple[int, str]] = Counter()
    for kind, answer in zip(kinds, answers.tolist(), strict=True):
        right[kind] += answer == kind[0]
    sizes = Counter(kinds)
    members = torch.from_numpy(groups.members)
    found = worst_accuracy(logits, torch.from_numpy(labels), members)
    assert found == min(right[kind] / sizes[kind] for kind in sizes)
    evaluated = by_group(answers == labels, labels, groups, [str(k) for k in range(len(kinds))], seed=0)
    assert found == evaluated.worst.accuracy
    told_of = score(logits, torch.from_numpy(labels), members).to_json()
    assert told_of == {**score(logits, torch.from_numpy(labels)).to_json(), "worst_group": found}


@pytest.mark.process
def test_the_first_epoch_with_the_highest_worst_group_is_the_best(runs, data):
    rows = read_history(runs / "worst/seed-0")
    scores = [row["valid_worst_group"] for row in rows]
    assert len(set(scores)) > 1
    metrics, plain = (read_metrics(runs / f"{name}/seed-0") for name in ("worst", "auc"))
    assert metrics["best_epoch"] == int(np.argmax(scores))
    assert metrics["best_epoch"] != plain["best_epoch"] == int(np.argmax([row["valid_auc"] for row in rows]))
    by_epoch = metrics["groups"]
    assert scores[metrics["best_epoch"]] == by_epoch["best"]["valid"]["worst"]["accuracy"]
    assert scores[-1] == by_epoch["last"]["valid"]["worst"]["accuracy"]
    assert metrics["valid"]["worst_group"] == scores[metrics["best_epoch"]]
    assert metrics["last"]["valid"]["worst_group"] == scores[-1]
    assert wrong_metrics({**metrics, "valid": {**metrics["valid"], "worst_group": 1.2}}) != ""
    assert wrong_metrics(metrics) == ""
    # It selects alone: the same weights are trained.
    left, right = (load_file(runs / f"{name}/seed-0/last.safetensors") for name in ("worst", "auc"))
    assert all(torch.equal(left[name], right[name]) for name in left)


@pytest.mark.process
def test_runs_that_select_by_something_else_keep_the_files_of_before(runs):
    assert list(read_history(runs / "auc/seed-0")[0]) == [
        *("epoch", "loss", "loss_classify", "valid_auc", "valid_accuracy", "seconds", "images_per_second"),
    ]
    metrics = read_metrics(runs / "auc/seed-0")
    for split in ("train", "valid", "test"):
        assert list(metrics[split]) == ["auc", "accuracy", "loss"]
    assert list(read_metrics(runs / "worst/seed-0")["test"]) == ["auc", "accuracy", "loss"]


@pytest.mark.process
def test_an_interrupted_run_resumes_to_the_same_bits_streamed(runs, data, tmp_path, monkeypatch):
    monkeypatch.setattr(stream, "RESIDENT_BYTES", 0)
    monkeypatch.setattr(stream, "worker_count", lambda *_: 0)
    config = small(data, **HOW, **BY)
    train_interrupted(config, (0,), tmp_path / "run", before_epoch=2)
    train(config, (0,), tmp_path / "run", resume=True)
    assert_same_run(runs / "worst/seed-0", tmp_path / "run/seed-0")


@pytest.mark.process
def test_either_validation_split_selects_and_both_choices_are_told(data, tmp_path):
    for on in ("valid", IID):
        train(small(data, **TWO, select_on=on), out=tmp_path / on)
    rows = read_history(tmp_path / "valid/seed-0")
    best = {on: int(np.argmax([row[f"{on}_worst_group"] for row in rows])) for on in ("valid", IID)}
    valid, iid = (read_metrics(tmp_path / on / "seed-0") for on in ("valid", IID))
    assert (valid["best_epoch"], valid["other"]["best_epoch"]) == (best["valid"], best[IID])
    assert (iid["best_epoch"], iid["other"]["best_epoch"]) == (best[IID], best["valid"])
    assert iid[IID]["worst_group"] == rows[best[IID]][f"{IID}_worst_group"]
    assert (tmp_path / "valid/seed-0" / OTHER_FILE).exists()
    found = find_runs([tmp_path])
    for run in found:
        for on, choice in choices(run).items():
            assert choice.valid.mean == rows[best[on]][f"{on}_worst_group"]
    text = markdown(summarise(found))
    assert "iid validation worst-group accuracy" in text


def test_it_is_named_wherever_the_score_that_selects_is():
    config = make_config(data="x", **BY)
    assert chosen_by(config) == "validation worst-group accuracy"
    assert selection_rule(config) == (
        "first epoch with the highest worst-group accuracy on the validation split"
    )
    # The groups decide which epoch is the best, where elsewhere they are merely scored.
    other = replace(config, robustness=replace(config.robustness, groups="hue"))
    assert not alike(config, other)
    assert alike(*(replace(one, training=make_config().training) for one in (config, other)))


def test_without_groups_it_is_refused():
    with pytest.raises(UsageError, match="select worst_group needs groups: site, shortcut, or a column"):
        make_config(select="worst_group")
    with pytest.raises(UsageError, match="select worst_group knows classes that exclude each other"):
        refuse_of_classes(make_config(data="x", **BY))
    with pytest.raises(DataError, match="cannot be grouped by 'site', as no table says anything of them"):
        new_replica(make_config(data="synthetic", model="cnn", **BY), 0, CPU, CPU)


CASES = {
    "a small group": (
        lambda rows: of_few(rows, 9),
        r"valid has fewer than 10 images of class 1, site 0 \(9\), so the accuracy of its worst group says",
    ),
    "a group of training that validation lacks": (
        lambda rows: moved(rows, "train", "0", "1", to="7"),
        r"valid has fewer than 10 images of class 0, site 7 \(0\)",
    ),
    "images in no group": (
        lambda rows: moved(rows, "valid", "0", "1", to=""),
        "12 of 64 valid images have no site, so are in no group",
    ),
    "groups that are the classes": (
        lambda rows: [{**row, "site": "one"} for row in rows],
        "every valid image has the site one, so the groups are the classes",
    ),
}


@pytest.mark.parametrize("kind", CASES)
@pytest.mark.parametrize("large", [False, True])
def test_groups_that_cannot_select_are_refused_before_training(data, tmp_path, monkeypatch, kind, large):
    change, words = CASES[kind]
    other = edited(data, tmp_path / "data", change)
    if large:
        monkeypatch.setattr(readiness, "SMALL", 0)
    with pytest.raises(DataError, match=words):
        raise readiness.refusal(small(other, **HOW, **BY))
    assert readiness.refusal(small(other, **HOW, groups="site")) is None


def test_ten_images_of_each_group_are_enough(data, tmp_path):
    other = edited(data, tmp_path / "data", lambda rows: of_few(rows, 10))
    assert readiness.refusal(small(other, **HOW, **BY)) is None


@pytest.mark.process
def test_other_groups_of_validation_images_are_refused_on_resume(data, tmp_path):
    sites, data = data, tmp_path / "data"

    def again(shift):
        def hued(rows):
            # Two images of one class and then two of the other, so that both have either hue.
            kinds = [(k // 2 + shift * (row["split"] == "valid")) % 2 for k, row in enumerate(rows)]
            return [{**row, "hue": "ab"[kind]} for row, kind in zip(rows, kinds, strict=True)]

        return edited(sites, tmp_path / f"hued-{shift}", hued)

    again(0).rename(data)
    config = small(data, **HOW, groups="hue", select="worst_group")
    train_interrupted(config, (0,), tmp_path / "run", before_epoch=1)
    other = replace(config, robustness=replace(config.robustness, groups="site"))
    with pytest.raises(UsageError, match=r"other settings \(groups was hue, is site\)"):
        train(other, (0,), tmp_path / "run", resume=True)
    data.rename(tmp_path / "before")
    again(1).rename(data)
    with pytest.raises(UsageError, match=r"the column hue of .* has changed since"):
        train(config, (0,), tmp_path / "run", resume=True)


def test_epochs_of_such_runs_are_not_recorded(data, tmp_path):
    replica = new_replica(small(data, **HOW, **BY), 0, tmp_path, CPU)
    assert capture._unrecordable(replica) == "the worst group of validation images is found on the host"


@pytest.mark.process
def test_a_last_layer_is_retrained_of_a_run_selected_so(runs, data, tmp_path):
    config = small(data, **HOW, **BY, retrain_head=str(runs / "worst"))
    train(config, out=tmp_path / "dfr")
    [row], metrics = read_history(tmp_path / "dfr/seed-0"), read_metrics(tmp_path / "dfr/seed-0")
    assert row["valid_worst_group"] == metrics["valid"]["worst_group"]


@pytest.mark.process
def test_train_and_table_say_which_score_chose(data, tmp_path):
    done = told(
        *("train", "--data", data, "--model", "resnet18", "--width", 2, "--epochs", 2, "--device", "cpu"),
        *("--groups", "site", "--select", "worst_group", "--out", "run"),
        cwd=tmp_path,
    )
    said = " ".join(done.stdout.split())
    assert "by validation worst-group accuracy" in said
    assert "the best epoch is the first epoch with the highest worst-group accuracy" in said
    table = told("table", "run", cwd=tmp_path).stdout
    assert "validation worst-group accuracy" in " ".join(table.split())


@pytest.mark.process
@pytest.mark.usefixtures("inline_sweeps")
def test_a_search_goes_by_the_worst_group_and_tells_what_chance_makes_of_it(data, tmp_path):
    command = (
        *("search", "--over", "lr=1e-3..1e-1:log", "--trials", 2, "--seeds", 1, "--data", data),
        *("--model", "resnet18", "--width", 2, "--epochs", 2, "--device", "cpu", "--threads", 1),
        *("--groups", "site", "--select", "worst_group", "--out", "found"),
    )
    done = told(*command, cwd=tmp_path)
    assert "by validation worst-group accuracy" in " ".join(done.stderr.split())
    found = json.loads(told(*command, "--json", cwd=tmp_path).stdout)
    for one in found["trials"]:
        metrics = json.loads((tmp_path / one["folder"] / "seed-0/metrics.json").read_text())
        best = metrics["groups"]["best"]["valid"]
        assert one["scores"] == {"0": best["worst"]["accuracy"]}
        if one["trial"] == found["best"]:
            assert found["chance"] == best["chance"]
            assert f"(chance {best['chance']:.3f})" in done.stdout
    scores = [one["score"] for one in found["trials"]]
    assert scores[found["best"]] == max(scores)
    written = (tmp_path / found["config"]).read_text()
    assert 'select = "worst_group"' in written
    assert 'groups = "site"' in written
