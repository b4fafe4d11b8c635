import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from activmask.evaluation.scores import (
    accuracy,
    auc,
    chance_distance,
    delong_interval,
    delong_variance,
    macro_auc,
    score_report,
)
from activmask.ground.errors import CheckpointError


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def two_class(scores: list[float]) -> torch.Tensor:
    """Logits whose contrast y1 - y0 is the score."""
    return torch.tensor([[-s / 2, s / 2] for s in scores], dtype=torch.float64)


def delong_by_pairs(positives: np.ndarray, negatives: np.ndarray) -> tuple[float, float]:
    """DeLong et al. 1988 as printed: structural components from every pair."""
    difference = positives[:, None] - negatives[None, :]
    wins = np.where(difference > 0, 1.0, np.where(difference == 0, 0.5, 0.0))
    area = wins.mean()
    from_positives, from_negatives = wins.mean(axis=1), wins.mean(axis=0)
    s10 = ((from_positives - area) ** 2).sum() / (len(positives) - 1)
    s01 = ((from_negatives - area) ** 2).sum() / (len(negatives) - 1)
    return float(area), float(s10 / len(positives) + s01 / len(negatives))


def test_auc_by_hand():
    # Of the four pairs of (0.9, 0.3) with (0.5, 0.1), three are in the right order.
    assert auc(two_class([0.9, 0.3, 0.5, 0.1]), torch.tensor([1, 1, 0, 0])) == 0.75


def test_auc_of_ties_is_a_half():
    assert auc(two_class([0.2, 0.2]), torch.tensor([1, 0])) == 0.5


def test_accuracy_gives_equal_logits_to_the_lower_class():
    assert accuracy(torch.zeros(4, 2), torch.tensor([0, 0, 0, 1])) == 0.75


def test_delong_by_hand():
    # wins = [[1, 1], [0, 1]]: components 1, 1/2 and 1/2, 1; both sample variances are 1/8.
    area, variance = delong_variance(np.array([0.9, 0.3]), np.array([0.5, 0.1]))
    assert area == pytest.approx(0.75)
    assert variance == pytest.approx(0.125)


@given(
    hnp.arrays(np.float64, st.integers(2, 12), elements=st.integers(-4, 4)),
    hnp.arrays(np.float64, st.integers(2, 12), elements=st.integers(-4, 4)),
)
def test_delong_equals_the_pairwise_form_with_ties(positives, negatives):
    assert delong_variance(positives, negatives) == pytest.approx(
        delong_by_pairs(positives, negatives), abs=1e-12
    )


def test_delong_interval_covers_as_often_as_it_says():
    generator = np.random.default_rng(7)
    shift, runs = 0.8, 1000
    truth = norm.cdf(shift / np.sqrt(2))
    covered = 0
    for _ in range(runs):
        interval = delong_interval(generator.normal(shift, 1, 100), generator.normal(0, 1, 100))
        covered += interval.low <= truth <= interval.high
    # 6,000 runs cover 94.3 %; the deviation of 1,000 is 0.7 %.
    assert 0.92 < covered / runs < 0.965


def test_delong_interval_is_clipped_and_degenerates_at_the_ends():
    perfect = delong_interval(np.array([2.0, 3.0]), np.array([0.0, 1.0]))
    assert (perfect.low, perfect.high) == (1.0, 1.0)
    nearly = delong_interval(np.array([0.9, 0.3]), np.array([0.5, 0.1]))
    assert nearly.high == 1.0
    assert nearly.low == pytest.approx(0.75 - 1.959964 * 0.125**0.5, abs=1e-6)


def test_report_of_two_classes():
    report = score_report(two_class([2.0, -1.0, 1.0, -2.0]), torch.tensor([1, 1, 0, 0]), rng())
    assert (report.n, report.auc, report.accuracy, report.reason) == (4, 0.75, 0.5, None)
    assert report.auc_kind == "ROC AUC"
    assert report.interval is not None
    assert report.interval.method == "DeLong"


def test_report_of_one_class_says_why_there_is_no_auc():
    report = score_report(two_class([2.0, -1.0]), torch.tensor([1, 1]), rng())
    assert report.auc is None
    assert report.interval is None
    assert report.reason == "no image of class 0"
    assert report.accuracy == 0.5


def test_a_single_image_of_a_class_has_an_auc_but_no_interval():
    report = score_report(two_class([2.0, -1.0, 0.0]), torch.tensor([1, 0, 0]), rng())
    assert report.auc == 1.0
    assert report.interval is None


def test_three_classes_are_named_and_bootstrapped():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 3
    logits = torch.randn(60, 3, generator=generator) + 1.5 * torch.nn.functional.one_hot(labels, 3)
    report = score_report(logits, labels, rng())
    assert report.auc_kind == "macro one-vs-rest ROC AUC"
    assert report.auc == pytest.approx(
        np.mean([roc_auc_score(labels == k, logits.double().softmax(1)[:, k]) for k in range(3)])
    )
    assert report.interval is not None
    assert report.interval.method == "bootstrap percentile"
    assert 0 < report.interval.low < report.auc < report.interval.high < 1
    assert score_report(logits, labels, rng()) == report


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
        score_report(logits, torch.tensor([0, 1]), rng())


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
