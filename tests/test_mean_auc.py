"""The mean AUC over several labels and its interval, against plain loops in float64."""

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from activmask.training.replicas import mean_auc as module
from activmask.training.replicas.mean_auc import LabelScores, label_scores_of, mean_auc
from activmask.training.replicas.resampled_auc import areas

PEOPLE = 15


@pytest.fixture(autouse=True)
def few_draws(monkeypatch):
    monkeypatch.setattr(module, "RESAMPLES", 50)


def made(seed: int = 0, n: int = 40, labels: int = 3):
    """Logits (n, L) on a coarse grid, so that scores tie, labels some of which are unknown, and subjects."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(-1, 2, size=(n, labels))
    logits = np.round(rng.normal(size=(n, labels)) + truth, 1)
    subjects = tuple(f"p{k}" for k in rng.integers(PEOPLE, size=n))
    return logits, truth, subjects


def by_loops(logits, truth, subjects, draws: int, seed: int) -> tuple[float, float, float, int]:
    """Mean, ends and draws made again, a subject, a label and a draw at a time."""
    known = [truth[:, k] >= 0 for k in range(truth.shape[1])]
    names = sorted({one for own in known for one, here in zip(subjects, own, strict=True) if here})
    images = {name: [i for i, one in enumerate(subjects) if one == name] for name in names}
    rng, means, again = np.random.default_rng(seed), [], 0
    while len(means) < draws:
        drawn = [i for k in rng.integers(len(names), size=len(names)) for i in images[names[k]]]
        values = []
        for k, own in enumerate(known):
            rows = [i for i in drawn if own[i]]
            if len(set(truth[rows, k])) == 2:
                values.append(roc_auc_score(truth[rows, k], logits[rows, k]))
        if len(values) == len(known):
            means.append(np.mean(values))
        else:
            again += 1
    value = np.mean([roc_auc_score(truth[own, k], logits[own, k]) for k, own in enumerate(known)])
    low, high = np.quantile(np.array(means, np.float64), [0.025, 0.975])
    return float(value), min(low, value), max(high, value), again


@pytest.mark.parametrize(("seed", "n"), [(0, 40), (1, 40), (2, 22)])
def test_mean_and_interval_are_those_of_plain_loops(seed, n):
    logits, truth, subjects = made(seed, n)
    told = label_scores_of(torch.from_numpy(logits), torch.from_numpy(truth), subjects, ("a", "b", "c"))
    found = mean_auc(told, seed=7)
    value, low, high, again = by_loops(logits, truth, subjects, 50, 7)
    assert (found.labels, found.redrawn, found.reason) == (3, again, "")
    assert (found.auc, found.low, found.high) == pytest.approx((value, low, high), abs=1e-12)
    assert found.low < found.auc < found.high


def test_draws_without_an_answer_are_made_anew_and_counted():
    truth = np.array([1, 1, 0, 0, 0, 0, 0, 0])
    rare = label("rare", np.arange(8.0), truth)
    found = mean_auc([rare], seed=0)
    expected = by_loops(rare.scores[:, None], truth[:, None], rare.subjects, 50, 0)
    assert found.redrawn == expected[3] > 0
    assert f"; {found.redrawn} more lacked an answer to a label, and were drawn again" in found.of_interval


def label(name, scores, truth, subjects=None):
    people = tuple(map(str, range(len(truth)))) if subjects is None else subjects
    return LabelScores(label=name, scores=np.asarray(scores, np.float64), truth=truth, subjects=people)


def test_the_same_subjects_are_drawn_for_all_labels():
    rng = np.random.default_rng(0)
    truth, scores = rng.integers(2, size=30), rng.normal(size=30)
    one = mean_auc([label("a", scores, truth)], seed=3)
    copies = mean_auc([label(str(k), scores, truth) for k in range(4)], seed=3)
    assert (copies.low, copies.high) == pytest.approx((one.low, one.high), abs=1e-12)
    assert one.high - one.low > 0.1
    opposite = mean_auc([label("a", scores, truth), label("b", scores, 1 - truth)], seed=3)
    assert (opposite.auc, opposite.low, opposite.high) == pytest.approx((0.5, 0.5, 0.5), abs=1e-12)


def test_subjects_are_drawn_not_images():
    rng = np.random.default_rng(1)
    truth, scores = rng.integers(2, size=30), rng.normal(size=30)
    once = mean_auc([label("a", scores, truth)], seed=0)
    twice = label("a", np.tile(scores, 2), np.tile(truth, 2), tuple(map(str, range(30))) * 2)
    assert mean_auc([twice], seed=0) == once


def test_without_an_interval_there_is_a_reason():
    truth = np.array([1, 1, 0, 0, 1, 0])
    alone = label("<b>rare", np.arange(6.0), np.array([1, 1, 0, 0, 0, 0]), ("p", "p", "q", "r", "s", "t"))
    found = mean_auc([label("a", np.arange(6.0), truth), alone], seed=0)
    assert (found.labels, found.low, found.high) == (2, None, None)
    assert found.reason == "<b>rare is true of one subject alone"
    assert found.of_interval == "The mean has no interval: <b>rare is true of one subject alone."
    assert "95 %" not in found.in_words


def test_where_hardly_a_draw_has_all_answers_there_is_no_interval():
    n = 80
    rare = [label(str(k), np.arange(n), np.isin(np.arange(n), (2 * k, 2 * k + 1)) * 1) for k in range(40)]
    found = mean_auc(rare, seed=0)
    assert found.low is None
    assert f"in {found.redrawn} of 1000 draws of subjects a label is true of all or of none" in found.reason


def test_labels_of_one_answer_are_left_out():
    scores = np.arange(6.0)
    constant = label("never", scores, np.zeros(6, np.int64))
    assert mean_auc([constant], seed=0) is None
    found = mean_auc([constant, label("a", scores, np.array([0, 0, 1, 0, 1, 1]))], seed=0)
    assert (found.labels, found.auc) == (1, pytest.approx(8 / 9))


def test_areas_are_those_of_images_drawn_one_by_one():
    rng = np.random.default_rng(0)
    scores, truth = np.round(rng.normal(size=60), 1), rng.integers(2, size=60)
    of_subject = rng.integers(20, size=60)
    counts = rng.integers(4, size=(30, 20)).astype(np.uint16)
    found = areas(scores, truth == 1, counts, of_subject)
    for area, times in zip(found, counts, strict=True):
        rows = np.repeat(np.arange(60), times[of_subject])
        assert area == pytest.approx(roc_auc_score(truth[rows], scores[rows]), abs=1e-12)
