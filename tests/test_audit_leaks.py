"""What data give away: probes that were planted an answer, or none, and what crosses splits."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_info, threadpool_limits
from torch import nn

from activmask.auditing.leaks import probe
from activmask.auditing.leaks.columns import kinds
from activmask.auditing.leaks.crossing import crossing
from activmask.auditing.leaks.last_features import MOST_FEATURES, last_features
from activmask.auditing.leaks.leaks import find_leaks
from activmask.auditing.leaks.of_pictures import FEATURES, OfPictures
from activmask.auditing.leaks.pictures import border, border_px, thumbnail
from activmask.auditing.leaks.probe import FOLDS, answered, learning_chance, one_hot, out_of_fold, question
from activmask.auditing.leaks.told import Told, judged_together
from activmask.data.balanced_draw import balanced_draw
from activmask.data.samples import Samples
from activmask.models.output import ModelOutput
from activmask.predictors.predictor import Predictor

N, MANY, SIDE = 160, 240, 16


def samples(images, labels, *, subjects=None, has_mask=None):
    n = len(labels)
    return Samples(
        images=torch.as_tensor(images, dtype=torch.float32),
        masks=torch.ones(n, 1, *images.shape[-2:], dtype=torch.bool),
        has_mask=torch.ones(n, dtype=torch.bool) if has_mask is None else torch.as_tensor(has_mask),
        labels=torch.as_tensor(labels),
        subjects=subjects or tuple(f"p{i}" for i in range(n)),
        sites=("",) * n,
        names=tuple(f"{i}.png" for i in range(n)),
    )


def noise(n=N, side=SIDE, seed=0):
    return np.random.default_rng(seed).random((n, 1, side, side)).astype(np.float32)


def halves(n=N):
    return np.arange(n) % 2


def asked(labels, subjects=None, seed=0):
    names = subjects or [f"p{i}" for i in range(len(labels))]
    return question([str(k) for k in labels], names, np.arange(len(labels)), seed=seed)


def by_source(leaks):
    return {one.source: one for one in leaks.label}


def test_cells_and_borders_by_hand():
    image = torch.arange(16.0).view(1, 1, 4, 4)
    assert thumbnail(image).tolist() == [list(range(16))]
    means, deviations = np.split(border(image), 2, axis=1)
    assert means.tolist() == [[0, 1, 2, 3, 4, 7, 8, 11, 12, 13, 14, 15]]
    assert not deviations.any()
    assert border_px(128, 100) == (8, 7)
    assert border_px(28, 9) == (2, 1)
    # Two cells a row of the grid in one: the cell's values are 0 and 1, and 1 and 0.
    checks = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).tile(16, 16)[None, None]
    means, deviations = np.split(border(checks), 2, axis=1)
    assert np.unique(means) == pytest.approx([0.5])
    assert np.unique(deviations) == pytest.approx([0.5])


@pytest.mark.process
def test_a_label_in_the_border_alone_is_told_by_the_border():
    images, labels = noise(side=48), halves()
    images[labels == 1, :, :3, :3] += 0.5
    found = find_leaks(samples(images, labels), {})
    border_alone = by_source(found)["border of 3 px"]
    assert border_alone.auc > 0.8
    assert border_alone.tells
    assert border_alone.low <= border_alone.auc <= border_alone.high
    assert border_alone.n == border_alone.subjects == N
    assert any(
        sentence.startswith("The border of 3 px alone tells the label") for sentence in found.sentences()
    )
    inner = noise(side=48)
    inner[labels == 1, :, 20:28, 20:28] += 0.5
    found = find_leaks(samples(inner, labels), {})
    assert not by_source(found)["border of 3 px"].tells
    assert by_source(found)["thumbnail of 16 px"].tells


@pytest.mark.process
def test_nothing_is_told_of_noise_whatever_the_seed():
    found = [find_leaks(samples(noise(80, seed=seed), halves(80)), {}, seed=seed) for seed in range(6)]
    told = [one for leaks in found for one in leaks.label]
    assert sum(one.tells for one in told) <= 2
    assert all(one.chance == 0.5 for one in told)
    assert np.mean([one.auc for one in told]) == pytest.approx(0.5, abs=0.08)


@pytest.mark.process
def test_who_is_shown_often_is_no_reason_to_tell_the_label():
    """Pictures tell subjects, and each has one label: tested on others, they tell nothing."""
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(40) % 2, 4)
    images = np.repeat(rng.random((40, 1, SIDE, SIDE)), 4, axis=0) + rng.random((N, 1, SIDE, SIDE)) / 100
    subjects = tuple(f"p{i // 4}" for i in range(N))
    leaks = find_leaks(samples(images, labels, subjects=subjects), {})
    told = by_source(leaks)["thumbnail of 16 px"]
    assert told.subjects == 40
    assert not told.tells
    alone = find_leaks(samples(images, labels), {})
    assert by_source(alone)["thumbnail of 16 px"].auc > 0.95


def test_nobody_is_learned_from_and_tested_on():
    subjects = [f"p{i // 3}" for i in range(90)]
    found = asked(np.arange(90) // 3 % 2, subjects)
    assert len(found.folds) == FOLDS
    assert sorted(np.concatenate([tested for _, tested in found.folds])) == list(range(90))
    for learnt, tested in found.folds:
        assert not {subjects[i] for i in learnt} & {subjects[i] for i in tested}


@pytest.mark.process
def test_scores_are_those_of_another_implementation():
    """Newton's method in float64 on the same penalised loss."""
    rng = np.random.default_rng(1)
    labels = halves(60)
    features = (rng.normal(size=(60, 3)) + labels[:, None] * [0.5, 0, 0] + [3, 0, -7]).astype(np.float32)
    found = asked(labels)
    scores = np.empty(60)
    for learnt, tested in found.folds:
        wide = features.astype(np.float64)
        centred = (wide - wide[learnt].mean(axis=0)) / wide[learnt].std(axis=0)
        design = np.column_stack([centred, np.ones(60)])
        weights, ridge = np.zeros(4), np.diag([1, 1, 1, 0]) / 0.01
        for _ in range(30):
            p = 1 / (1 + np.exp(-design[learnt] @ weights))
            gradient = design[learnt].T @ (p - labels[learnt]) + ridge @ weights
            hessian = design[learnt].T @ (design[learnt] * (p * (1 - p))[:, None]) + ridge
            weights -= np.linalg.solve(hessian, gradient)
        scores[tested] = design[tested] @ weights
    np.testing.assert_allclose(
        out_of_fold(found.truth[None], found.folds, features, classes=2)[0, :, 1], scores, atol=1e-3
    )
    told = answered(found, features, what="label", source="x", seed=0)
    assert told.auc == pytest.approx(roc_auc_score(labels, scores), abs=1e-3)


@pytest.mark.process
def test_a_probe_learns_on_one_thread_whatever_the_process_has(monkeypatch):
    seen: list[list[int]] = []
    log_odds = probe._log_odds

    def threads() -> list[int]:
        return [one["num_threads"] for one in threadpool_info() if one["user_api"] == "blas"]

    def looked(*given):
        if not seen:
            seen.append(threads())
        return log_odds(*given)

    monkeypatch.setattr(probe, "_log_odds", looked)
    with threadpool_limits(2, user_api="blas"):
        before = threads()
        answered(asked(halves(40)), noise(40, side=2).reshape(40, 4), what="label", source="x", seed=0)
        assert threads() == before
    assert set(before) == {2}
    assert [set(one) for one in seen] == [{1}]


@pytest.mark.process
def test_a_probe_with_nothing_to_learn_spreads_wider_than_a_fixed_score():
    """Of 60 images and 200 features; a fixed score's AUC deviates by 0.075 (Mann & Whitney 1947)."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 200)).astype(np.float32)
    found = asked(halves(60))
    distance = learning_chance(found, features, seed=0).distance
    assert 1.96 * (61 / (12 * 30 * 30)) ** 0.5 < distance < 0.35
    assert distance == learning_chance(found, features, seed=0).distance
    constant = learning_chance(found, np.zeros((60, 2), np.float32), seed=0).distance
    assert constant == pytest.approx(0, abs=0.15)


@pytest.mark.process
def test_answers_dealt_out_anew_are_learned_in_folds_that_are_equal_of_them():
    """In folds of unequal answers the mean of such an AUC lay 0.15 below 0.5, and too much told."""
    features = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    means = [learning_chance(asked(halves(40)), features, seed=seed).mean for seed in range(4)]
    assert np.mean(means) == pytest.approx(0, abs=0.08)


def test_a_leak_is_told_where_every_subject_has_one_image_of_either_class():
    features = np.random.default_rng(0).normal(size=(80, 3)).astype(np.float32)
    features[:, 0] += 6 * halves(80)
    paired = asked(halves(80), [f"p{k // 2}" for k in range(80)])
    [told] = judged_together([answered(paired, features, what="label", source="x", seed=0)])
    assert told.tells


def test_what_is_asked_is_judged_as_one_of_all_that_is():
    """Of four with an AUC the least p counts four times; one whose interval holds chance counts, too."""
    asked_of = [replace(Told(what="site", source="x", auc=0.7), p=p) for p in (0.02, None, 0.012, 0.03)]
    unknown = Told(what="site", source="x", reason="there is none")
    together = judged_together([unknown, *asked_of])
    assert [one.p_holm for one in together] == pytest.approx([None, 0.06, 1.0, 0.048, 0.06])
    assert [one.tells for one in together] == [False, False, False, True, False]
    assert [one.tells for one in judged_together(asked_of[:1])] == [True]


@pytest.mark.process
def test_three_values_are_one_against_the_rest():
    labels = np.arange(90) % 3
    told = answered(asked(labels), one_hot([str(k) for k in labels]), what="label", source="itself", seed=0)
    assert told.values == ("0", "1", "2")
    assert told.auc == 1.0


def test_values_too_few_have_take_no_part():
    values = ["a"] * 40 + ["b"] * 40 + ["c"] * 9 + [""] * 11
    names = [f"p{i}" for i in range(100)]
    found = question(values, names, np.arange(100), seed=0)
    assert found.values == ("a", "b")
    assert len(found.rows) == 80
    of_one = question(values, ["p"] * 40 + names[40:], np.arange(100), seed=0)
    assert of_one == "telling needs two values that 10 images of 5 subjects have; there is one such value"


@pytest.mark.process
def test_the_presence_of_a_mask_tells_in_either_direction():
    labels = halves(40)
    for marked in (0, 1):
        found = find_leaks(samples(noise(40), labels, has_mask=labels == marked), {})
        told = by_source(found)["presence of a mask"]
        assert told.auc == marked
        assert told.tells
        assert any("has a mask tells its label" in sentence for sentence in found.sentences())
    everywhere = by_source(find_leaks(samples(noise(40), labels), {}))["presence of a mask"]
    assert everywhere.auc == 0.5
    assert not everywhere.tells


def test_columns_are_kinds_terciles_or_left_out():
    rng = np.random.default_rng(0)
    ages = [f"{age:.1f}" for age in rng.permutation(np.arange(30.5, 60.0, 1.0))]
    found, left_out = kinds(
        {
            "sex": ["M", "F", ""] * 10,
            "age": [*ages[:29], ""],
            "grade": ["1", "2", "3"] * 10,
            "row": [str(i) for i in range(30)],
            "name": [f"p{i}" for i in range(30)],
            "town": [f"t{i % 25}" for i in range(30)],
            "maker": ["x"] * 30,
            "nothing": [""] * 30,
        }
    )
    by_name = {one.name: one for one in found}
    assert list(by_name) == ["sex", "age", "grade"]
    assert by_name["sex"].values == ("M", "F", "") * 10
    assert not by_name["grade"].terciles
    assert by_name["age"].terciles
    assert len(set(by_name["age"].values)) == 4
    assert by_name["age"].values[29] == ""
    assert {one.name: one.why for one in left_out} == {
        "row": "it numbers the images",
        "name": "it names every image",
        "town": "it has 25 different values",
        "maker": "it is the same in all images",
        "nothing": "it is empty",
    }


class Reading(nn.Module):
    """Its last linear layer reads the mean of each half of the image."""

    def __init__(self):
        super().__init__()
        self.unused, self.first, self.head = nn.Linear(2, 2), nn.Linear(2, 2), nn.Linear(2, 2)

    def forward(self, images, reconstruct=True):
        halves_of = images.unflatten(3, (2, -1)).mean(dim=(1, 2, 4))
        self.first(halves_of)
        return ModelOutput(self.head(halves_of))


def predictor(module):
    def predict(images):
        with torch.no_grad():
            return module(images, reconstruct=False).logits

    return Predictor(name="reading", outputs=2, predict=predict, module=module)


def test_last_features_are_the_inputs_of_the_linear_layer_that_runs_last():
    images = torch.from_numpy(noise(5))
    features = last_features(Reading().eval(), images, seed=0)
    np.testing.assert_allclose(features, images.unflatten(3, (2, -1)).mean(dim=(1, 2, 4)), rtol=1e-6)
    assert "only predictions" in last_features(None, images, seed=0)


class Convolutional(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Conv2d(1, 2, 1)

    def forward(self, images, reconstruct=True):
        return ModelOutput(self.head(images).mean(dim=(2, 3)))


class Wide(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(64 * 64, 2)

    def forward(self, images, reconstruct=True):
        return ModelOutput(self.head(images.flatten(1)))


@pytest.mark.process
def test_networks_without_a_linear_layer_and_with_very_many_features():
    images = torch.from_numpy(noise(40, side=64))
    assert "no linear layer" in last_features(Convolutional(), images, seed=0)
    first, second = (last_features(Wide(), images, seed=3) for _ in range(2))
    assert first.shape == (40, MOST_FEATURES)
    np.testing.assert_array_equal(first, second)
    exact, kept = images.flatten(1).numpy(), first
    lengths = [np.linalg.norm(values[1:] - values[0], axis=1) for values in (exact, kept)]
    np.testing.assert_allclose(lengths[1], lengths[0], rtol=0.15)


@pytest.fixture(scope="module")
def sites():
    """Pictures and features hold the site; in one set it goes with the label, in another it does not."""
    rng = np.random.default_rng(3)
    labels = np.arange(MANY) % 2
    found = {}
    for name, share in {"goes along": 0.85, "apart": 0.5}.items():
        site = np.where(rng.random(MANY) < share, labels, 1 - labels)
        images = noise(MANY, seed=5)
        images[site == 1, :, :, SIDE // 2 :] += 0.2
        column = {"site": tuple("ab"[k] for k in site)}
        found[name] = find_leaks(
            samples(images, labels), column, predictor=predictor(Reading().eval()), class_names=("no", "yes")
        )
    return found


@pytest.mark.process
def test_encoding_a_site_is_not_going_with_the_label(sites):
    for name, leaks in sites.items():
        (column,) = leaks.columns
        assert column.name == "site"
        assert {one.source for one in column.encoded} == {"thumbnail of 16 px", FEATURES}
        assert {one.within for one in column.within} == {"no", "yes"}
        assert all(one.auc > 0.9 and one.tells for one in (*column.encoded, *column.within))
        assert column.label.tells == (name == "goes along")
        shortcut = "So site is a shortcut to the label that can be read from the pictures."
        assert (shortcut in leaks.sentences()) == (name == "goes along")
        assert any("also among images of the one class no or yes" in one for one in leaks.sentences())


@pytest.mark.process
def test_a_column_that_the_label_alone_explains_is_not_told_within_a_class():
    """The pictures hold the label; the column goes with it and is nowhere else."""
    rng, labels = np.random.default_rng(0), np.arange(MANY) % 2
    column = np.where(rng.random(MANY) < 0.85, labels, 1 - labels)
    images = noise(MANY)
    images[labels == 1, :, 6:10, 6:10] += 0.6
    leaks = find_leaks(samples(images, labels), {"ward": tuple("ab"[k] for k in column)})
    (ward,) = leaks.columns
    assert ward.encoded[0].auc > 0.75
    assert ward.encoded[0].tells
    assert not any(one.tells for one in ward.within)
    assert any("no more is shown than what ward and label share" in one for one in leaks.sentences())


@pytest.mark.process
def test_a_column_that_is_the_label_cannot_be_asked_within_a_class():
    labels = halves(60)
    leaks = find_leaks(samples(noise(60), labels), {"ward": tuple("ab"[k] for k in labels)})
    (ward,) = leaks.columns
    assert ward.label.auc == 1.0
    assert all("there is one such value" in one.reason for one in ward.within)


@pytest.mark.process
def test_the_same_seed_gives_the_same_leaks_and_they_are_plain(sites):
    images, labels = noise(60), halves(60)
    first, second = (find_leaks(samples(images, labels), {"x": ("a", "b") * 30}, seed=4) for _ in range(2))
    assert first == second
    assert json.loads(json.dumps(sites["apart"].to_json(), allow_nan=False))["columns"][0]["name"] == "site"


@pytest.mark.process
def test_of_many_images_some_are_drawn_by_class():
    labels = np.array([0] * 90 + [1] * 10)
    rows = balanced_draw(labels, 30, seed=0)
    assert np.bincount(labels[rows]).tolist() == [20, 10]
    assert rows.tolist() == sorted(set(rows.tolist()))
    assert balanced_draw(labels, 200, seed=0).tolist() == list(range(100))
    leaks = find_leaks(samples(noise(100), labels), {}, most=40)
    assert leaks.probed == 40
    assert leaks.sentences()[0].startswith("Probes saw 40 of 100 images")


def test_subjects_and_pictures_in_two_splits_are_named():
    images = noise(6, side=32)
    images[4] = images[1]
    images[5] = np.clip(images[0] * 0.9 + 0.02, 0, 1)
    subjects = ("a", "b", "c", "c", "d", "e")
    found = crossing(samples(images, np.zeros(6, int), subjects=subjects), ("train",) * 3 + ("test",) * 3)
    assert found.subjects == ("c",)
    assert found.images == {"train": 3, "test": 3}
    told = found.to_json()
    assert told["equal_across_splits"] == 1
    assert told["equal"] == [["1.png", "4.png"]]
    assert told["near"] == [["0.png", "5.png"]]
    assert told["near_across_splits"] == 1
    assert (
        found.notes[0] == "1 subject has images in more than one split (c): what is tested was learned from."
    )
    assert len(found.notes) == 3


def test_colour_images_are_equal_in_all_channels_only():
    images = np.concatenate([noise(3, side=32, seed=k) for k in range(3)], axis=1)
    images[1] = images[0]
    images[2] = images[0][::-1]
    found = crossing(samples(images, np.zeros(3, int)), None)
    assert [[one.name for one in group] for group in found.duplicates.equal] == [["0.png", "1.png"]]
    assert [[one.name for one in pair] for pair in found.duplicates.near] == [
        ["0.png", "2.png"],
        ["1.png", "2.png"],
    ]


def test_without_splits_it_is_said_that_crossing_cannot_be_told():
    one_split = crossing(samples(noise(4), np.zeros(4, int)), ("test",) * 4)
    assert "all images are of one split" in one_split.notes[0]
    assert "name no splits" in crossing(samples(noise(4), np.zeros(4, int)), None).notes[0]


class Passing(nn.Module):
    """A linear layer that counts the images that it is shown."""

    def __init__(self):
        super().__init__()
        self.layer, self.seen = nn.Linear(SIDE**2, 2), 0

    def forward(self, images, reconstruct=False):
        self.seen += len(images)
        return ModelOutput(self.layer(images.flatten(1)))


@pytest.mark.process
def test_what_no_label_changes_is_asked_once_for_several_labels():
    several = [samples(noise(60), halves(60)), samples(noise(60), np.arange(60) // 2 % 2)]
    several[1] = replace(several[1], images=several[0].images)
    columns = {"site": ["A", "B", "B"] * 20}
    network = Passing().eval()
    predictor = Predictor(name="it", outputs=2, predict=lambda _: pytest.fail("predicted"), module=network)
    before: list[OfPictures] = []
    told: list[tuple[int, int]] = []
    together = [
        find_leaks(
            one, columns, predictor=predictor, before=before, done=lambda done, of: told.append((done, of))
        )
        for one in several
    ]
    # Of the label once, and of the one column twice, or once where its pictures were asked before.
    assert told == [(1, 3), (2, 3), (3, 3), (1, 2), (2, 2)]
    assert (network.seen, len(before)) == (60, 1)
    assert together == [find_leaks(one, columns, predictor=predictor) for one in several]
    assert not before[0].is_of(replace(several[0], images=several[0].images.clone()), before[0].rows)
