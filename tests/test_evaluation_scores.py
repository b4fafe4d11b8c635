import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from activmask.evaluation.bootstrap import subject_resamples
from activmask.evaluation.estimate import Drawn, counts_over_subjects
from activmask.evaluation.scores import (
    accuracy,
    chance_distance,
    drawn_auc,
    macro_auc,
    score_report,
)
from activmask.ground.errors import CheckpointError
from activmask.training.replicas.predictions import auc
from activmask.training.replicas.resampled_auc import RESAMPLES


def each(n: int) -> tuple[str, ...]:
    """As many subjects as images."""
    return tuple(map(str, range(n)))


def two_class(scores: list[float]) -> torch.Tensor:
    """Logits whose contrast y1 - y0 is the score."""
    return torch.tensor([[-s / 2, s / 2] for s in scores], dtype=torch.float64)


def test_auc_by_hand():
    # Of the four pairs of (0.9, 0.3) with (0.5, 0.1), three are in the right order.
    assert auc(two_class([0.9, 0.3, 0.5, 0.1]), torch.tensor([1, 1, 0, 0])) == 0.75


def test_auc_of_ties_is_a_half():
    assert auc(two_class([0.2, 0.2]), torch.tensor([1, 0])) == 0.5


def test_accuracy_gives_equal_logits_to_the_lower_class():
    assert accuracy(torch.zeros(4, 2), torch.tensor([0, 0, 0, 1])) == 0.75


@pytest.mark.process
def test_intervals_cover_as_often_as_they_say_where_images_of_a_subject_go_together():
    """Three images a subject that differ little: as images they would be three times as many."""
    generator, subjects, images, runs = np.random.default_rng(7), 60, 3, 300
    labels = np.arange(subjects).repeat(images) % 2
    whose = [str(k) for k in np.arange(subjects).repeat(images)]
    truth = norm.cdf(0.8 / np.sqrt(2))
    by_subject = counts_over_subjects(labels, whose, seed=0)
    by_image = counts_over_subjects(labels, each(len(labels)), seed=0)
    covered = np.zeros(2)
    for _ in range(runs):
        score = generator.normal(size=subjects).repeat(images) + 0.8 * labels
        score += 0.01 * generator.normal(size=len(labels))
        for k, counts in enumerate((by_subject, by_image)):
            found = drawn_auc(np.stack([-score, score], axis=1), labels, counts).estimate()
            covered[k] += found.low <= truth <= found.high
    assert 0.9 < covered[0] / runs < 0.98
    assert covered[1] / runs < 0.8


def test_draws_that_are_kept_for_the_next_network_cannot_be_changed():
    labels, whose = np.arange(8) % 2, each(8)
    counts = counts_over_subjects(labels, whose, seed=0)
    expected = counts.copy()
    with pytest.raises(ValueError, match="read-only"):
        counts[0, 0] = 9
    assert (counts_over_subjects(labels, whose, seed=1) != expected).any()
    np.testing.assert_array_equal(counts_over_subjects(labels, list(whose), seed=0), expected)
    assert counts_over_subjects(np.array([0, 0, 0, 1]), each(4), seed=0) is None


@given(st.integers(0, 2**32), st.integers(0, 2**32))
def test_differences_are_those_of_every_draw(seed, other):
    """Paired percentiles written out, and distances from 0.5 to the side that each score is on."""
    one, two = (
        Drawn(float(rng.random()), rng.random(50)) for rng in map(np.random.default_rng, (seed, other))
    )
    change, further = one.change(two), one.further(two)
    sides = [1 if each.value >= 0.5 else -1 for each in (one, two)]
    differences = [
        (change, one.value - two.value, one.resampled - two.resampled),
        (
            further,
            abs(one.value - 0.5) - abs(two.value - 0.5),
            sides[0] * (one.resampled - 0.5) - sides[1] * (two.resampled - 0.5),
        ),
    ]
    for found, value, drawn in differences:
        low, high = np.quantile(drawn, [0.025, 0.975])
        assert found.value == pytest.approx(value)
        assert (found.low, found.high) == pytest.approx((min(low, value), max(high, value)))


def test_report_of_two_classes():
    report = score_report(two_class([2.0, -1.0, 1.0, -2.0]), torch.tensor([1, 1, 0, 0]), each(4), seed=0)
    assert (report.n, report.auc, report.accuracy, report.reason) == (4, 0.75, 0.5, None)
    assert report.auc_kind == "ROC AUC"
    assert report.interval is not None
    assert report.interval.method == "bootstrap over subjects"


def test_report_of_one_class_says_why_there_is_no_auc():
    report = score_report(two_class([2.0, -1.0]), torch.tensor([1, 1]), each(2), seed=0)
    assert report.auc is None
    assert report.interval is None
    assert report.reason == "no image of class 0"
    assert report.accuracy == 0.5


def test_a_single_image_of_a_class_has_an_auc_but_no_interval():
    report = score_report(two_class([2.0, -1.0, 0.0]), torch.tensor([1, 0, 0]), each(3), seed=0)
    assert report.auc == 1.0
    assert report.interval is None


def test_a_single_subject_of_a_class_has_an_auc_but_no_interval():
    logits, labels = two_class([2.0, 1.0, 0.5, 1.5, 0.0]), torch.tensor([1, 1, 0, 0, 0])
    assert score_report(logits, labels, list("aabcd"), seed=0).interval is None
    assert score_report(logits, labels, list("abcde"), seed=0).interval is not None


def test_three_classes_are_named_and_bootstrapped():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 3
    logits = torch.randn(60, 3, generator=generator) + 1.5 * torch.nn.functional.one_hot(labels, 3)
    report = score_report(logits, labels, each(60), seed=0)
    assert report.auc_kind == "macro one-vs-rest ROC AUC"
    assert report.auc == pytest.approx(
        np.mean([roc_auc_score(labels == k, logits.double().softmax(1)[:, k]) for k in range(3)])
    )
    assert report.interval is not None
    assert 0 < report.interval.low < report.auc < report.interval.high < 1
    assert score_report(logits, labels, each(60), seed=0) == report


def test_rank_sum_auc_equals_scikit_learn():
    generator = np.random.default_rng(3)
    values = generator.integers(0, 6, (40, 3)) + 1.0
    values /= values.sum(axis=1, keepdims=True)
    truth = np.arange(40) % 3
    expected = roc_auc_score(truth, values, multi_class="ovr", average="macro")
    assert macro_auc(values, truth) == pytest.approx(expected)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_logits_that_are_not_finite_are_refused(bad):
    logits = torch.tensor([[0.0, bad], [0.0, 1.0]])
    with pytest.raises(CheckpointError, match="scores of 1 of 2 images are not finite"):
        score_report(logits, torch.tensor([0, 1]), each(2), seed=0)


def test_chance_distance_holds_for_scores_without_information():
    generator = np.random.default_rng(5)
    labels = torch.tensor([0] * 40 + [1] * 24)
    distance = chance_distance(labels, 2)
    areas = [roc_auc_score(labels, generator.normal(size=64)) for _ in range(400)]
    outside = np.mean(np.abs(np.array(areas) - 0.5) > distance)
    assert 0.02 < outside < 0.08


def test_chance_distance_never_leaves_the_scale():
    assert chance_distance(torch.tensor([0, 1]), 2) == 0.5
    assert 0 < chance_distance(torch.arange(30) % 3, 3) < 0.5


@given(st.lists(st.floats(-100, 100), min_size=4, max_size=20))
def test_auc_ignores_the_scale_of_logits_and_turns_round_with_the_classes(scores):
    labels = torch.arange(len(scores)) % 2
    value = auc(two_class(scores), labels)
    assert 0 <= value <= 1
    assert auc(two_class(scores).flip(1), labels) == pytest.approx(1 - value)
    rounded = [round(s) for s in scores]
    assert auc(two_class(rounded) * 4, labels) == pytest.approx(auc(two_class(rounded), labels))


@settings(max_examples=10)
@given(st.integers(0, 99), st.lists(st.integers(0, 2), min_size=2, max_size=40), st.randoms())
def test_images_of_whoever_is_shown_once_are_drawn_class_by_class(seed, labels, random):
    names = [f"s{k}" for k in range(len(labels))]
    random.shuffle(names)
    groups = [
        sorted(n for n, k in zip(names, labels, strict=True) if k == kind) for kind in sorted({*labels})
    ]
    rng = np.random.default_rng(seed)
    drawn = subject_resamples(np.array(labels), names, seed=seed)
    assert len(drawn) == RESAMPLES
    for rows in drawn:
        chosen = [group[k] for group in groups for k in rng.integers(len(group), size=len(group))]
        assert [names[row] for row in rows] == chosen
