"""Labels that do not exclude each other: how they are stored, what is minimised, and what is scored."""

import json

import numpy as np
import pytest
import torch
from dataset_records import contents, record
from hypothesis import given, settings
from hypothesis import strategies as st
from in_process import told
from several_labels_files import NAMES, pictures, write_folder
from sklearn.metrics import roc_auc_score

import activmask as am
from activmask.data.dataset import load_samples, read_dataset
from activmask.data.masks import presence
from activmask.data.multi_label import is_label_code, kinds_of, label_code, one_value_only
from activmask.data.samples import of_label
from activmask.data.settings import Source
from activmask.data.sources.folder.prepare import prepare_folder
from activmask.data.splits import SPLITS, split_indices
from activmask.data.writer import write_dataset
from activmask.evaluation.label_points import best_threshold
from activmask.evaluation.map_targets import targets_of
from activmask.ground.errors import DataError, UsageError
from activmask.models.build import build_model
from activmask.models.one_label import one_label
from activmask.objectives.classification import classification_loss
from activmask.objectives.gradmask import decision
from activmask.objectives.multi_label import label_cross_entropy, log_probabilities
from activmask.objectives.rrr import RRR, RrrSettings
from activmask.runs.making import make_config
from activmask.runs.manifest import format_entries, read_entries, table_entries
from activmask.training.replicas.predictions import score
from activmask.training.replicas.step_objective import form_of_classify

LABELS = st.lists(st.tuples(*[st.sampled_from([0, 1, -1])] * 3), min_size=1, max_size=9)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_folder(tmp_path_factory.mktemp("columns") / "raw")


def prepared(raw, out, **asked):
    return prepare_folder(raw / "scans", raw / "labels.csv", out, masks=raw / "rois", **asked)


def test_columns_of_1_and_0_become_a_data_set(folder, tmp_path):
    found = prepared(folder, tmp_path / "set", multi_label=NAMES)
    assert found.written.label_counts == {
        "all": {"effusion": {"yes": 24, "no": 21, "unknown": 3}, "mass": {"yes": 24, "no": 24, "unknown": 0}}
    }
    card = json.loads((tmp_path / "set/card.json").read_text())
    assert (card["format"], card["label_columns"]) == (2, list(NAMES))
    lines = (tmp_path / "set/metadata.csv").read_text().splitlines()
    assert lines[0] == "file_name,mask_file_name,subject,site,effusion,mass"
    assert lines[6] == "images/i005.png,masks/i005.png,p5,A,,1"
    stored = read_dataset(tmp_path / "set", multi_label=True)
    expected = np.nan_to_num(pictures()[2], nan=-1)
    assert (stored.labels == expected).all()
    assert (stored.label_names, dict(stored.columns)) == (NAMES, {})
    again = read_dataset(tmp_path / "set", multi_label=True)
    assert (again.labels == stored.labels).all()


def test_who_knows_classes_alone_refuses_it_in_a_sentence(folder, tmp_path):
    prepared(folder, tmp_path / "set", multi_label=NAMES)
    with pytest.raises(DataError, match=r"has 2 labels an image \(effusion and mass\), which do not exclude"):
        am.read_dataset(tmp_path / "set")


def test_names_in_one_column_are_the_same_labels(folder, tmp_path):
    raw = write_folder(tmp_path / "joined", joined=True)
    found = prepared(raw, tmp_path / "set", multi_label=NAMES)
    assert "other labels of the table count as none: hernia (16), No Finding (8)" in found.notes
    joined = read_dataset(tmp_path / "set", multi_label=True).labels
    expected = pictures()[2]
    known = ~np.isnan(expected)
    assert (joined[known] == expected[known]).all()
    assert (joined >= 0).all()


@pytest.mark.parametrize(
    ("cells", "names", "message"),
    [
        ({"effusion": "-1"}, NAMES, r"row 2.*effusion must be 1, 0 or empty.*'-1'.*leave the cell empty"),
        ({}, ("effusion", "cyst"), "lacks the label 'cyst'"),
        ({}, ("mass",), "makes two classes"),
        ({}, ("mass", "mass"), "twice"),
        ({}, ("mass", "split"), "another column"),
        ({}, ("mass", "a|b"), "commas between"),
        ({"effusion": "1", "": ""}, NAMES, "'effusion' is false of no image"),
    ],
)
def test_what_cannot_be_labels_is_refused(folder, tmp_path, cells, names, message):
    header, *rows = (folder / "labels.csv").read_text().splitlines()
    changed = [row.split(",") for row in rows]
    for row in changed if "" in cells else changed[:1]:
        row[3] = cells.get("effusion", row[3])
    table = tmp_path / "labels.csv"
    table.write_text("\n".join([header, *(",".join(row) for row in changed), ""]))
    with pytest.raises((DataError, UsageError), match=message) as refused:
        prepare_folder(folder / "scans", table, tmp_path / "set", multi_label=names)
    assert str(refused.value).count(". ") == 0
    assert not (tmp_path / "set").exists()


def test_an_image_of_which_no_label_is_known_is_left_out_and_named(folder, tmp_path):
    text = (folder / "labels.csv").read_text().replace("i001.png,p1,A,0,1", "i001.png,p1,A,,")
    (tmp_path / "labels.csv").write_text(text)
    found = prepare_folder(folder / "scans", tmp_path / "labels.csv", tmp_path / "set", multi_label=NAMES)
    assert found.skipped == (("i001.png", "none of its labels is known"),)
    with pytest.raises(UsageError, match="positive is about classes"):
        prepared(folder, tmp_path / "other", multi_label=NAMES, positive="mass")


def test_sets_of_classes_are_the_same_bytes_as_ever(tmp_path):
    """Nothing of several labels reaches a data set that has none."""
    write_dataset(tmp_path / "set", [record(i) for i in range(12)], card={})
    found = contents(tmp_path / "set")
    assert b"label_columns" not in found["card.json"]
    assert json.loads(found["card.json"])["format"] == 1
    assert found["metadata.csv"].startswith(b"file_name,mask_file_name,label,subject,site,split\n")


@settings(max_examples=40)
@given(LABELS, st.integers(1, 8))
def test_the_loss_is_the_mean_over_what_is_known(labels, cut):
    truth = np.array(labels)
    logits = np.random.default_rng(len(labels)).normal(size=truth.shape) * 3
    z, t = torch.tensor(logits, requires_grad=True), torch.tensor(truth)
    loss = label_cross_entropy(z, t)
    known = truth >= 0
    odds = np.where(truth == 1, logits, -logits)[known]
    expected = np.log1p(np.exp(-odds)).mean() if known.any() else 0.0
    assert float(loss.detach()) == pytest.approx(expected)
    loss.backward()
    assert (z.grad.numpy()[~known] == 0).all()
    parts = [slice(0, cut), slice(cut, None)]
    shares = [len(truth[part]) / len(truth) for part in parts]
    halves = [
        share * float(classification_loss(z.detach()[part], t[part], batch=t))
        for part, share in zip(parts, shares, strict=True)
        if share
    ]
    assert sum(halves) == pytest.approx(expected)


def test_what_gradmask_and_rrr_differentiate():
    logits = torch.tensor([[2.0, -3.0, 0.5], [1.0, 4.0, -2.0]], dtype=torch.float64)
    labels = torch.tensor([[1, 1, 0], [0, -1, 0]])
    assert decision(logits, "contrast", labels).tolist() == [-1.0, 0.0]
    p = 1 / (1 + np.exp(-logits.numpy()))
    expected = np.log(p * (1 - p)).sum(axis=1)
    assert log_probabilities(logits).numpy() == pytest.approx(expected)
    assert RRR.score(RrrSettings(rrr=1.0), logits, labels).numpy() == pytest.approx(expected)


def test_scores_are_means_over_labels_of_what_is_known():
    rng = np.random.default_rng(1)
    logits, labels = rng.normal(size=(40, 3)), rng.choice([0, 1, -1], size=(40, 3), p=[0.5, 0.4, 0.1])
    found = score(torch.tensor(logits), torch.tensor(labels))
    areas = [
        roc_auc_score(labels[known, k], logits[known, k]) for k in range(3) for known in [labels[:, k] >= 0]
    ]
    assert found.label_auc == pytest.approx(areas)
    assert found.auc == pytest.approx(np.mean(areas))
    right = [((logits[:, k] > 0) == labels[:, k])[labels[:, k] >= 0].mean() for k in range(3)]
    assert found.accuracy == pytest.approx(np.mean(right))
    two = score(torch.tensor(logits[:, :2]), torch.tensor([0, 1] * 20))
    assert set(two.to_json()) == {"auc", "accuracy", "loss"}


@settings(max_examples=15)
@given(st.integers(0, 1000), st.permutations(range(30)))
def test_splits_hold_both_answers_of_each_label_and_nobody_twice(seed, order):
    subjects = [f"p{i // 2}" for i in range(60)]
    labels = np.stack([np.arange(60) // 4 % 2, np.arange(60) // 2 % 2], axis=1)
    labels[7::20, 0] = -1
    table = {"subjects": subjects, "sites": [""] * 60, "splits": [""] * 60, "seed": seed}
    names = [f"{i:02d}" for i in range(60)]
    source = Source(split_policy="subject")
    rows = split_indices(source, labels=labels, names=names, **table)
    for split in SPLITS:
        assert one_value_only(labels[rows[split]], ("a", "b")) == ""
    homes = {subjects[i]: split for split in SPLITS for i in rows[split]}
    assert all(homes[subjects[i]] == split for split in SPLITS for i in rows[split])
    mixed = [*order, *range(30, 60)]
    table |= {"subjects": [subjects[i] for i in mixed]}
    again = split_indices(source, labels=labels[mixed], names=[names[i] for i in mixed], **table)
    assert all({mixed[i] for i in again[split]} == set(rows[split].tolist()) for split in SPLITS)


def test_ways_to_split_by_class_are_refused():
    labels = np.array([[0, 1], [1, 0]] * 6)
    names = [str(i) for i in range(12)]
    table = {"names": names, "subjects": names, "sites": ["a", "b"] * 6, "splits": [""] * 12, "seed": 0}
    for asked in ({"train_images": 4}, {"split_policy": "site-correlated"}):
        with pytest.raises(UsageError, match="balances classes"):
            split_indices(Source(**{"split_policy": "subject", **asked}), labels=labels, **table)


@pytest.mark.parametrize(
    "asked",
    [
        {"class_balance": "weights"},
        {"class_balance": "sampling"},
        {"label_smoothing": 0.1},
        {"hirescam": 1.0},
        {"cdep": 1.0},
        {"groups": "site"},
        {"groups": "site", "group_dro": 0.01},
        {"gradmask": 1.0, "gradmask_target": "positive"},
    ],
)
def test_what_knows_classes_alone_is_refused_in_training(asked):
    config = make_config(data="d", model="cnn", **asked)
    with pytest.raises(UsageError, match=r"exclude each other|several labels"):
        form_of_classify(config, torch.tensor([[0, 1]]), 2)
    plain = make_config(data="d", model="cnn", gradmask=1.0, rrr=1.0, actdiff=1.0)
    assert form_of_classify(plain, torch.tensor([[0, 1]]), 2).weights is None


@given(LABELS)
def test_labels_are_written_down_and_read_again(labels):
    codes = [label_code(one) for one in labels]
    assert all(map(is_label_code, codes))
    assert [[{"0": 0, "1": 1, "?": -1}[sign] for sign in code.split("|")] for code in codes] == [
        list(one) for one in labels
    ]
    kinds = kinds_of(torch.tensor(labels)).tolist()
    assert all(
        (kinds[i] == kinds[j]) == (labels[i] == labels[j])
        for i in range(len(labels))
        for j in range(len(labels))
    )


def test_a_manifest_tells_the_labels(folder, tmp_path):
    prepared(folder, tmp_path / "set", multi_label=NAMES)
    stored = read_dataset(tmp_path / "set", multi_label=True)
    entries = table_entries(stored, {"train": np.arange(6), "valid": np.arange(0), "test": np.arange(0)})
    assert [entry.label for entry in entries] == ["0|0", "0|1", "1|0", "1|1", "0|0", "?|1"]
    (tmp_path / "splits.csv").write_bytes(format_entries(entries))
    assert read_entries(tmp_path) == entries


def test_presence_is_of_the_label_that_it_tells_best():
    has_mask = torch.tensor([True, True, False, False, True, False])
    labels = torch.tensor([[0, 1], [1, 1], [0, 0], [1, 0], [-1, -1], [0, 0]])
    known = torch.tensor([0, 1, 2, 3, 5])
    assert presence(labels, has_mask) == presence(labels[known, 1], has_mask[known])
    assert presence(labels, has_mask).auc == 1.0


@pytest.mark.parametrize("name", ["cnn", "resnet18"])
def test_a_network_asked_about_one_label_answers_as_the_whole_one(name):
    config = make_config(data="d", model=name, width=2)
    model = build_model(config.network, channels=1, classes=3, image_size=16, seed=0).eval()
    images = torch.rand(4, 1, 16, 16)
    with torch.no_grad():
        whole = model(images, reconstruct=False).logits
        for k in range(3):
            found = one_label(model, k)(images, reconstruct=False)
            assert (found.logits[:, 1] - found.logits[:, 0]).numpy() == pytest.approx(whole[:, k].numpy())


def test_samples_of_one_label_are_those_of_which_it_is_known(folder, tmp_path):
    prepared(folder, tmp_path / "set", multi_label=NAMES)
    stored = read_dataset(tmp_path / "set", multi_label=True)
    found = of_label(load_samples(stored, range(len(stored))), 0)
    assert len(found) == 45
    assert "images/i005.png" not in found.names
    assert set(found.labels.tolist()) == {0, 1}


def test_heat_maps_made_elsewhere_stand_beside_the_labels_that_are_true(folder, tmp_path):
    prepared(folder, tmp_path / "set", multi_label=NAMES)
    targets = targets_of(read_dataset(tmp_path / "set", multi_label=True))
    assert [one.label for one in targets[:4]] == ["none of its labels", "mass", "effusion", "effusion|mass"]


def test_the_threshold_is_where_sensitivity_plus_specificity_is_greatest():
    scores, truth = np.array([-2.0, -1.0, 0.5, 1.0, 3.0]), np.array([0, 1, 0, 1, 1])
    assert best_threshold(scores, truth) == 1.0
    assert best_threshold(np.array([1.0, 2.0]), np.array([0, 1])) == 2.0


def test_prepare_folder_prints_each_label_with_what_is_unknown(folder, tmp_path):
    given = ("--masks", folder / "rois", "--labels", folder / "labels.csv", "--multi-label", "effusion, mass")
    said = told("prepare-folder", folder / "scans", *given, "--out", "set", cwd=tmp_path)
    rows = [line.split("│")[1:-1] for line in said.stdout.splitlines() if line.startswith("│ all")]
    assert [[cell.strip() for cell in row] for row in rows] == [
        ["all", "effusion", "24", "21", "3"],
        ["all", "mass", "24", "24", "0"],
    ]
    assert "next: activmask train --data set --split-policy subject" in said.stderr
