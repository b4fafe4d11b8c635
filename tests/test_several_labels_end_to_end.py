"""Every command on one data set of labels that do not exclude each other: it understands them, or says no."""

import csv
import json

import numpy as np
import pytest
from activmask_cli.app import app
from in_process import told
from safetensors.torch import load_file
from several_labels_files import NAMES, pictures, write_folder
from sklearn.metrics import roc_auc_score

import activmask as am
from activmask.ground.errors import CheckpointError, DataError
from activmask.runs.label_checkpoint import load_label
from activmask.runs.making import make_config

TRAIN = ("--model", "cnn", "--width", 2, "--lr", 0.01, "--batch-size", 8, "--split-policy", "subject")
QUICK = (*TRAIN, "--epochs", 2, "--device", "cpu", "--threads", 1)
OBJECTIVES = ("--actdiff", 0.1, "--gradmask", 0.1, "--rrr", 0.1)
BEST = "runs/ml/seed-0/best.safetensors"

NO_LABELS = "which do not exclude each other, and this takes one class an image"
NO_NETWORK = (
    "tells labels that do not exclude each other (effusion and mass), and this takes networks of classes"
)

WALK = {
    "train": (
        (*QUICK, "--data", "set", "--class-balance", "weights", "--out", "runs/no"),
        "class_balance knows",
    ),
    "evaluate": ((BEST, "--label", "cyst"), "there is no label 'cyst', expected effusion or mass"),
    "saliency": ((BEST,), NO_NETWORK),
    "plant": (("set", "--shortcut", "box", "--class", "mass", "--share", 0.9, "--out", "planted"), NO_LABELS),
    "audit export": (("--data", "set", "--out", "variants"), NO_LABELS),
}
"""What each command refuses: all that it could say of one label as if there were no other."""

SUPPORTED = {"prepare-folder", "train", "evaluate", "audit", "saliency", "table", "score", "report"}
OF_CLASSES = {"make-synthetic", "prepare-msd", "prepare-xray", "demo"}
"""Make data sets of classes themselves."""

BY_OTHERS = {
    **dict.fromkeys(("sweep", "search"), "trains as train does"),
    "audit score": "reads what audit export wrote",
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A data set and a run on it."""
    folder = tmp_path_factory.mktemp("labels")
    raw = write_folder(folder / "raw")
    given = ("--masks", raw / "rois", "--labels", raw / "labels.csv", "--multi-label", ",".join(NAMES))
    told("prepare-folder", raw / "scans", *given, "--out", "set", cwd=folder)
    told("train", *QUICK, *OBJECTIVES, "--data", "set", "--out", "runs/ml", cwd=folder)
    return folder


def test_every_command_has_its_answer():
    groups = {group.name: group.typer_instance for group in app.registered_groups}
    names = {
        command.name or command.callback.__name__.replace("_", "-") for command in app.registered_commands
    }
    names |= {f"{group} {command.name}" for group, it in groups.items() for command in it.registered_commands}
    assert names | set(groups) == SUPPORTED | WALK.keys() | OF_CLASSES | BY_OTHERS.keys()


@pytest.mark.process
@pytest.mark.parametrize("command", WALK)
def test_what_knows_classes_alone_says_no_in_a_sentence(place, command):
    given, sentence = WALK[command]
    said = told(*command.split(), *given, cwd=place, code=None)
    assert said.exit_code in {2, 3}
    assert sentence in " ".join(said.stderr.split())
    assert "Traceback" not in said.stderr


@pytest.mark.process
def test_a_run_tells_its_labels(place):
    metrics = json.loads((place / "runs/ml/seed-0/metrics.json").read_text())
    for scores in (metrics["test"], metrics["last"]["valid"]):
        assert scores["auc"] == pytest.approx(np.mean(scores["label_auc"]))
        assert len(scores["label_auc"]) == 2
    run = json.loads((place / "runs/ml/seed-0/run.json").read_text())
    assert (run["format"], run["class_names"]) == ("activmask checkpoint 2", list(NAMES))
    history = (place / "runs/ml/seed-0/history.csv").read_text()
    assert history.startswith("epoch,loss,loss_classify,loss_actdiff,loss_gradmask,loss_rrr,")
    said = told("table", "runs/ml", cwd=place)
    assert "AUC and accuracy are means over labels (0.5 is chance for each AUC)" in " ".join(
        said.stdout.split()
    )
    assert "95 % interval over test subjects, the same ones drawn for all labels" in " ".join(
        said.stdout.split()
    )
    between = metrics["test"]["auc_interval"]
    [row] = json.loads(told("table", "runs/ml", "--json", cwd=place).stdout)["rows"]
    assert row["test_auc_interval"]["best"] == {"low": between["low"], "high": between["high"]}
    [line] = csv.DictReader(told("table", "runs/ml", "--format", "csv", cwd=place).stdout.splitlines())
    assert float(line["test_auc_low"]) == pytest.approx(between["low"], abs=1e-6)


@pytest.mark.process
def test_evaluate_tells_each_label_as_its_predictions_do(place):
    said = told("evaluate", BEST, "--json", "--predictions", "p.csv", cwd=place)
    found = json.loads(said.stdout)
    with (place / "p.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["condition"] == "full"]
    areas = []
    for name in NAMES:
        known = [row for row in rows if row[f"label {name}"]]
        truth = [int(row[f"label {name}"]) for row in known]
        areas.append(roc_auc_score(truth, [float(row[f"score {name}"]) for row in known]))
        [one] = found["labels"][name]["checkpoints"]
        assert one["evaluation"]["scores"]["auc"] == pytest.approx(areas[-1])
        assert one["evaluation"]["scores"]["n"] == len(known)
    [mean] = found["mean_auc"]
    assert (mean["labels"], mean["auc"]) == (2, pytest.approx(np.mean(areas)))
    metrics = json.loads((place / "runs/ml/seed-0/metrics.json").read_text())
    assert metrics["test"]["label_auc"] == pytest.approx(areas)
    between = metrics["test"]["auc_interval"]
    assert 0 <= between["low"] < mean["auc"] < between["high"] <= 1
    assert {name: mean[name] for name in between} == pytest.approx(between)
    assert "auc_interval" not in metrics["valid"]
    for point in found["thresholds"]:
        truth = [int(row[f"label {point['label']}"]) for row in rows if row[f"label {point['label']}"]]
        assert sum(point["confusion"][1]) == sum(truth)
        assert sum(map(sum, point["confusion"])) == len(truth)
    again = told("evaluate", BEST, "--label", "mass", cwd=place)
    assert "An AUC above 0.5 ranks 'mass' (class 1) above 'no mass' (class 0)." in again.stdout
    assert "One mask an image stands for all of its labels." in again.stdout
    assert "mean of" not in again.stdout


@pytest.mark.process
def test_saliency_draws_the_label_that_is_named(place):
    image = place / "set/images/i001.png"
    said = told("saliency", BEST, image, "--label", "mass", "--json", "--out", "mass.png", cwd=place)
    found = json.loads(said.stdout)
    assert found["classes"] == ["no mass", "mass"]
    assert [one["label"] for one in found["images"]] == [1]
    assert (place / "mass.png").is_file()
    inside = told("saliency", BEST, image, "--label", "mass", "--out", "set/images/x.png", cwd=place, code=2)
    assert "would lie inside the data set" in " ".join(inside.stderr.split())


@pytest.mark.process
def test_audit_asks_about_each_label(place):
    given = ("--without", "looks", "--without", "leaks", "--draws", 1)
    found = json.loads(told("audit", "--model", BEST, "--data", "set", *given, "--json", cwd=place).stdout)
    assert list(found["labels"]) == list(NAMES)
    for name in NAMES:
        assert found["labels"][name]["classes"] == [f"no {name}", name]
    metrics = json.loads((place / "runs/ml/seed-0/metrics.json").read_text())
    assert found["mean_auc"]["auc"] == pytest.approx(metrics["test"]["auc"])
    between = metrics["test"]["auc_interval"]
    assert {name: found["mean_auc"][name] for name in between} == pytest.approx(between)


@pytest.mark.process
def test_arrays_train_to_the_same_bits_as_the_data_set(place, tmp_path):
    images, masks, labels = pictures()
    given = [None if k % 8 == 0 else mask for k, mask in enumerate(masks)]
    by_name = {name: labels[:, k] for k, name in enumerate(NAMES)}
    people = [f"p{k}" for k in range(len(images))]
    settings = {"model": "cnn", "width": 2, "lr": 0.01, "batch_size": 8, "epochs": 2, "device": "cpu"}
    config = make_config(**settings, threads=1, actdiff=0.1, gradmask=0.1, rrr=0.1)
    [held] = am.train(config, out=tmp_path / "run", data=(images, given, by_name, people))
    ours, theirs = (load_file(one) for one in (held.folder / "best.safetensors", place / BEST))
    assert all(bool((ours[name] == theirs[name]).all()) for name in theirs)


@pytest.mark.process
def test_the_library_refuses_what_would_take_labels_for_classes(place):
    with pytest.raises(CheckpointError, match="tells labels that do not exclude each other"):
        am.load_checkpoint(place / BEST)
    with pytest.raises(DataError, match="has 2 labels an image"):
        am.read_dataset(place / "set")
    one = load_label(place / BEST, "mass")
    assert (one.classes, one.class_names, one.multi_label) == (2, ("no mass", "mass"), False)
