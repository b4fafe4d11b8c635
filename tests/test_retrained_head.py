"""Last layers fitted anew: scikit-learn's numbers, from the first run's features, in an ordinary run."""

import json

import numpy as np
import pytest
import torch
from in_process import told
from recorded_runs import small
from safetensors.torch import load_file
from scipy.special import expit, softmax
from sited import sited
from sklearn.linear_model import LogisticRegression

from activmask.data.groups import grouped
from activmask.ground.errors import CheckpointError, DataError, UsageError
from activmask.runs.description import flat
from activmask.runs.making import make_config
from activmask.runs.names import baseline, method_name
from activmask.runs.results import find_runs
from activmask.training.last_layer_fit import (
    STRENGTHS,
    balanced_draw_of_groups,
    fitted_last_layer,
    l1_penalty,
    mean_fit,
)
from activmask.training.run import train


def features(n: int = 120, classes: int = 2):
    rng = np.random.default_rng(0)
    labels = np.arange(n) % classes
    values = [str(value) for value in rng.random(n) < np.where(labels == 0, 0.2, 0.8)]
    found = rng.normal(size=(n, 5)) * [1, 3, 0.1, 1, 1] + 4
    found[:, 0] += labels
    found[:, 1] += 5 * (np.array(values) == "True")
    return found, labels, grouped("site", labels, values)


def their_regression(scaled, truth, strength):
    """Scikit-learn's own, by whichever word it has for the penalty."""
    words = l1_penalty()
    model = LogisticRegression(solver="liblinear", C=strength, random_state=0, max_iter=1000, **words)
    return model.fit(scaled, truth).decision_function


@pytest.mark.parametrize("classes", [2, 3])
def test_the_layer_is_the_mean_of_scikit_learns_regressions_over_standardised_features(classes):
    raw, labels, groups = features(classes=classes)
    rng = np.random.default_rng(1)
    draws = [balanced_draw_of_groups(groups.members, rng) for _ in range(3)]
    layer = mean_fit(raw, labels, draws, 0.1, classes)
    scaled = (raw - raw.mean(axis=0)) / raw.std(axis=0)
    contrasts = np.stack(
        [
            np.mean([their_regression(scaled[d], labels[d] == k, 0.1)(scaled) for d in draws], axis=0)
            for k in range(classes)
        ],
        axis=1,
    )
    logits = layer.logits(raw)
    if classes == 2:
        np.testing.assert_allclose(softmax(logits, axis=1)[:, 1], expit(contrasts[:, 1]), atol=1e-9)
    else:
        np.testing.assert_allclose(logits, contrasts, atol=1e-9)


def test_a_draw_takes_as_many_images_of_every_group():
    _, _, groups = features()
    drawn = balanced_draw_of_groups(groups.members, np.random.default_rng(0))
    assert np.bincount(groups.members[drawn]).tolist() == [groups.sizes.min()] * 4
    assert len(set(drawn.tolist())) == len(drawn)


def test_it_uses_what_is_no_shortcut_and_says_of_what_it_is_made():
    raw, labels, groups = features(600)
    subjects = [str(k) for k in range(600)]
    fitted = fitted_last_layer(raw, labels, groups, subjects, classes=2, seed=0, data="here")
    right = fitted.layer.logits(raw).argmax(axis=1) == labels
    worst = min(right[groups.members == k].mean() for k in range(4))
    plain = mean_fit(raw, labels, [np.arange(600)], 1.0, 2).logits(raw).argmax(axis=1) == labels
    assert worst > min(plain[groups.members == k].mean() for k in range(4))
    assert fitted.strength in STRENGTHS
    assert fitted.per_group == groups.sizes.min()
    assert 4 * fitted.per_group <= fitted.used <= 600
    again = fitted_last_layer(raw, labels, groups, subjects, classes=2, seed=0, data="here")
    assert np.array_equal(again.layer.weight, fitted.layer.weight)


def test_a_group_of_one_subject_cannot_be_halved():
    raw, labels, groups = features()
    subjects = [str(k) if groups.members[k] else "one" for k in range(len(labels))]
    with pytest.raises(DataError, match="none of class 0, site False"):
        fitted_last_layer(raw, labels, groups, subjects, classes=2, seed=0, data="here")


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"retrain_head": "run"}, "retrain_head needs groups"),
        (
            {"retrain_head": "run", "groups": "site", "group_dro": 0.1},
            "retrain_head fits a run that is finished, and group_dro trains one",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, words):
    with pytest.raises(UsageError, match=words):
        make_config(**settings)


@pytest.fixture(scope="module")
def place(crosses, tmp_path_factory):
    """Two seeds of a tiny network, trained to its end, and its last layers retrained."""
    root = tmp_path_factory.mktemp("retrained")
    sited(crosses, root / "data", agree=0.6)
    words = (
        "--model",
        "cnn",
        "--width",
        2,
        "--epochs",
        2,
        "--lr",
        1e-2,
        "--device",
        "cpu",
        "--batch-size",
        12,
    )
    told("train", "--data", "data", *words, "--seeds", "0,1", "--out", "runs/first", cwd=root)
    said = told("train", "--retrain-head", "runs/first", "--groups", "site", "--out", "runs/dfr", cwd=root)
    return root, said


OWN = """
from torch import nn


class Net(nn.Module):
    def __init__(self, outputs, scale):
        super().__init__()
        self.conv, self.head, self.scale = nn.Conv2d(1, 3, 3), nn.Linear(3, outputs), scale

    def forward(self, images):
        return self.scale * self.head(self.conv(images).relu().mean((2, 3)))


def one_output():
    return Net(1, 1.0)


def scaled():
    return Net(2, 0.1)
"""


def test_a_single_output_is_the_contrast_and_a_layer_that_does_not_decide_is_refused(crosses, tmp_path):
    data = sited(crosses, tmp_path / "data", agree=0.6)
    (tmp_path / "net.py").write_text(OWN)
    outs = {}
    for name in ("one_output", "scaled"):
        model = f"{tmp_path / 'net.py'}:{name}"
        first = make_config(data=str(data), model=model, device="cpu", epochs=1, batch_size=12)
        train(first, (0,), tmp_path / name)
        outs[name] = make_config(**{**flat(first), "retrain_head": str(tmp_path / name), "groups": "site"})
    (result,) = train(outs["one_output"], (0,), tmp_path / "dfr")
    assert load_file(result.folder / "best.safetensors")["head.weight"].shape == (1, 3)
    with pytest.raises(UsageError, match="changes what its last layer gives before it answers"):
        train(outs["scaled"], (0,), tmp_path / "refused")


@pytest.mark.process
def test_the_rest_of_the_network_stays_and_the_run_is_an_ordinary_one(place):
    root, said = place
    assert "16 validation images" in said.stderr
    assert "test images took no part" in said.stderr
    for seed in (0, 1):
        before, after = (
            load_file(root / f"runs/{name}/seed-{seed}/best.safetensors") for name in ("first", "dfr")
        )
        changed = {name for name in before if not torch.equal(before[name], after[name])}
        assert changed == {"head.weight", "head.bias"}
    one, other = find_runs([root / "runs"])
    assert (one.seeds, other.seeds) == ((0, 1), (0, 1))
    assert method_name(one.config) == "Classify, last layer retrained (DFR)"
    assert baseline(one.config).robustness.retrain_head == ""
    assert (
        "nothing was trained"
        in told(
            *("train", "--retrain-head", "runs/first", "--groups", "site", "--out", "runs/dfr"), cwd=root
        ).output
    )
    rows = json.loads(told("table", "runs", "--json", cwd=root).stdout)["rows"]
    dfr = next(row for row in rows if "DFR" in row["method"])
    assert dfr["baseline"]["folder"] == "runs/first"
    found = json.loads(told("evaluate", "runs/dfr", "--json", cwd=root).stdout)
    assert [one["groups"]["by"] for one in found["checkpoints"]] == ["site", "site"]
    told("report", "runs", "--out", "page", cwd=root)


@pytest.mark.process
def test_what_is_another_run_is_refused(place, tmp_path):
    root, _ = place
    words = ("train", "--retrain-head", "runs/first", "--groups", "site", "--out", tmp_path / "out")
    assert "with other settings (lr was 0.01, is 0.5)" in told(
        *words, "--lr", 0.5, cwd=root, code=None
    ).output.replace("\n", " ")
    assert "epochs was 2, is 3" in told(*words, "--epochs", 3, cwd=root, code=None).output.replace("\n", " ")
    assert "cannot be read" in told(*words, "--seeds", 7, cwd=root, code=None).output
    sited(root / "data", tmp_path / "other", agree=0.5)
    assert "on other images" in told(
        *words, "--data", tmp_path / "other", cwd=root, code=None
    ).output.replace("\n", " ")
    assert (
        "holds no finished seed"
        in told("train", "--retrain-head", "nowhere", "--groups", "site", cwd=root, code=None).output
    )


@pytest.mark.process
def test_a_first_run_that_changed_is_no_longer_what_the_seed_was_made_of(crosses, tmp_path):
    data = sited(crosses, tmp_path / "data", agree=0.6)
    first = small(data, width=2, epochs=1)
    train(first, (0,), tmp_path / "first")
    config = make_config(**{**flat(first), "retrain_head": str(tmp_path / "first"), "groups": "site"})
    train(config, (0,), tmp_path / "dfr")
    train(small(data, width=2, epochs=2, lr=1e-2), (0,), tmp_path / "first", overwrite=True)
    with pytest.raises((UsageError, CheckpointError), match="is no longer what it was"):
        train(config, (0,), tmp_path / "dfr")
