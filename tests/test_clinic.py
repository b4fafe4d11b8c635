"""What a clinician asks: curves, thresholds, calibration and groups, by hand and against scikit-learn."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

from activmask.auditing.clinic.calibration import calibration, ece
from activmask.auditing.clinic.clinic import clinic
from activmask.auditing.clinic.curves import auc, average_precision, resampled_precision
from activmask.auditing.clinic.decisions import rates
from activmask.auditing.clinic.groups import _in_quarters
from activmask.auditing.clinic.score import scored
from activmask.auditing.clinic.threshold import Wish, find_threshold
from activmask.evaluation.curves import bin_numbers, one_against_rest, precision_recall, roc
from activmask.ground.errors import CheckpointError, UsageError

TRUE = np.array([False, False, True, True])
SCORES = np.array([-2.0, 0.5, 0.0, 1.0])


def logits_of(scores):
    """Of two classes, whose contrast the scores are."""
    scores = torch.as_tensor(np.asarray(scores), dtype=torch.float32)
    return torch.stack([torch.zeros_like(scores), scores], dim=1)


def answered(scores, labels, **options):
    names = options.pop("class_names", ("well", "ill"))
    subjects = options.pop("subjects", [str(k) for k in range(len(labels))])
    return clinic(logits_of(scores), torch.tensor(labels), subjects, class_names=names, **options)


def noisy(n=200, seed=0, strength=2.0):
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=n)
    return (labels - 0.5) * strength + rng.normal(size=n), labels.tolist()


def test_curves_by_hand():
    curve = roc(SCORES, TRUE)
    assert list(zip(curve.x, curve.y, strict=True)) == [(0, 0), (0, 0.5), (0.5, 0.5), (0.5, 1), (1, 1)]
    assert auc(np.stack([-SCORES, SCORES], axis=1), TRUE.astype(int), None).value == 0.75
    # 1.0 is right, 0.5 is wrong, 0.0 is right: precision 1 at recall 1/2, 2/3 at recall 1.
    assert average_precision(SCORES, TRUE, None).value == pytest.approx((1 + 2 / 3) / 2)
    assert (2 / 3) in precision_recall(SCORES, TRUE).y
    assert precision_recall(SCORES, TRUE).x[0] == 0
    assert precision_recall(SCORES, TRUE).x[-1] == 1


@given(st.lists(st.tuples(st.integers(-3, 3), st.booleans(), st.integers(0, 3)), min_size=2, max_size=30))
def test_draws_score_as_scikit_learn_scores_the_images_that_they_hold(rows):
    scores, truth, times = (np.array(part) for part in zip(*rows, strict=True))
    held = np.repeat(truth, times)
    if held.all() or not held.any():
        return
    found = resampled_precision(scores.astype(float), truth, times[None].astype(np.uint16))
    assert found == pytest.approx(average_precision_score(held, np.repeat(scores, times)))


def test_log_odds_are_the_contrast_of_two_and_never_saturate():
    assert one_against_rest(np.array([[1.0, 3.0]]), 1) == pytest.approx([2.0])
    wide = one_against_rest(np.array([[0.0, 900.0, 1.0], [0.0, 901.0, 1.0]]), 1)
    assert wide[1] - wide[0] == pytest.approx(1)
    three = np.array([[0.3, -1.0, 2.0]])
    softmax = np.exp(three) / np.exp(three).sum()
    assert expit(one_against_rest(three, 0)) == pytest.approx(softmax[:, 0])


def test_rates_by_hand_beside_a_guess_that_calls_as_often():
    called, positive = np.array([1, 1, 1, 0, 0]) > 0, np.array([1, 1, 0, 1, 0]) > 0
    found = rates(called, positive, None)
    assert (found.sensitivity.value, found.specificity.value) == (pytest.approx(2 / 3), 0.5)
    assert (found.ppv.value, found.npv.value) == (pytest.approx(2 / 3), 0.5)
    assert (found.sensitivity.chance, found.specificity.chance) == (0.6, pytest.approx(0.4))
    assert (found.ppv.chance, found.npv.chance) == (0.6, pytest.approx(0.4))
    assert rates(np.zeros(5, bool), positive, None).ppv.value is None


def test_thresholds_are_chosen_on_validation_images_or_not_at_all():
    valid = (np.array([-1.0, 0.2, 0.4, 3.0]), np.array([False, False, True, True]))
    youden = find_threshold(Wish(), valid, probabilities=True)
    assert (youden.score, youden.how, youden.n) == (0.4, "Youden", 4)
    assert youden.probability == pytest.approx(expit(0.4))
    assert find_threshold(Wish(sensitivity=0.5), valid, probabilities=True).score == 3
    given_one = find_threshold(Wish(threshold=0.5), valid, probabilities=True)
    assert (given_one.score, given_one.how) == (0, "given")
    default = find_threshold(Wish(), None, probabilities=True)
    assert (default.score, default.how) == (0, "default")
    assert "no validation images" in default.sentence
    assert find_threshold(Wish(), None, probabilities=False) is None
    useless = (-valid[0], valid[1])
    assert find_threshold(Wish(), useless, probabilities=True).how == "default"
    assert "no threshold helps on 4" in find_threshold(Wish(), useless, probabilities=True).sentence


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (Wish(threshold=0.5, sensitivity=0.9), "give one"),
        (Wish(threshold=1.0), "probability between 0 and 1"),
        (Wish(sensitivity=0.0), "above 0"),
        (Wish(sensitivity=0.9), "there are none"),
    ],
)
def test_wishes_that_make_no_sense_are_refused(wish, said):
    with pytest.raises(UsageError, match=said):
        answered(SCORES, [0, 0, 1, 1], wish=wish)


def test_the_images_that_are_judged_choose_nothing():
    scores, labels = noisy()
    alone = answered(scores, labels)
    assert alone.questions[0].threshold.how == "default"
    valid = (logits_of(scores + 7), torch.tensor(labels))
    chosen = answered(scores, labels, valid=valid).questions[0].threshold
    assert chosen.score > 4


def test_calibration_by_hand():
    probabilities = np.array([0.1, 0.1, 0.9, 1.0])
    positive = np.array([False, True, True, True])
    assert bin_numbers(probabilities).tolist() == [1, 1, 9, 9]
    # |0.2 - 1| / 4 + |1.9 - 2| / 4
    assert ece(probabilities, positive, bin_numbers(probabilities), np.ones((1, 4))) == pytest.approx(0.225)
    found = calibration(probabilities, positive, None, seed=0)
    assert found.brier.value == pytest.approx((0.01 + 0.81 + 0.01 + 0) / 4)
    assert found.brier.chance == pytest.approx(0.75 * 0.25)
    assert [(one.n, one.observed.value) for one in found.bins] == [(2, 0.5), (2, 1)]
    assert found.bins[1].predicted == pytest.approx(0.95)


def test_perfect_calibration_scores_what_chance_is_said_to_be():
    rng = np.random.default_rng(1)
    probabilities = rng.random(4000)
    found = calibration(probabilities, rng.random(4000) < probabilities, None, seed=0)
    assert found.ece.value == pytest.approx(found.ece.chance, abs=0.01)
    overconfident = calibration(probabilities**3, rng.random(4000) < probabilities, None, seed=0)
    assert overconfident.ece.value > 5 * overconfident.ece.chance


def test_scores_of_two_classes_with_intervals_and_baselines():
    scores, labels = noisy()
    found = answered(scores, labels)
    [question] = found.questions
    assert question.name == "ill"
    assert question.auc.low < question.auc.value < question.auc.high
    assert question.auc.value == pytest.approx(roc_auc_score(labels, scores), abs=1e-6)
    assert question.average_precision.chance == np.mean(labels)
    assert found.accuracy.chance == max(np.mean(labels), 1 - np.mean(labels))
    (tn, fp), (fn, tp) = found.confusion
    assert tn + fp + fn + tp == 200
    assert (tn + tp) / 200 == found.accuracy.value
    assert tp / (tp + fn) == question.rates.sensitivity.value


def test_intervals_draw_subjects_not_images():
    scores, labels = noisy(40)
    alone = answered(scores, labels)
    copies = answered(
        np.repeat(scores, 5), np.repeat(labels, 5).tolist(), subjects=[str(k // 5) for k in range(200)]
    )
    width = alone.auc.high - alone.auc.low
    assert copies.auc.high - copies.auc.low == pytest.approx(width, rel=0.2)


def test_classes_beyond_two_are_one_against_the_rest():
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=150)
    logits = rng.normal(size=(150, 3)) + 1.5 * np.eye(3)[labels]
    found = clinic(
        torch.tensor(logits), torch.tensor(labels), [str(k) for k in range(150)], class_names=("a", "b", "c")
    )
    assert [one.name for one in found.questions] == ["a", "b", "c"]
    softmax = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    assert found.auc.value == pytest.approx(roc_auc_score(labels, softmax, multi_class="ovr"))
    assert np.trace(found.confusion) / 150 == found.accuracy.value
    assert found.questions[1].calibration.brier.value == pytest.approx(
        brier_score_loss(labels == 1, softmax[:, 1])
    )


def test_a_class_without_an_image_is_said():
    found = clinic(torch.zeros(6, 3), torch.tensor([0, 1] * 3), list("abcdef"), class_names=("a", "b", "c"))
    assert [one.name for one in found.questions] == ["a", "b"]
    assert found.auc is None
    assert any("no image of class c" in note for note in found.notes)


def test_scores_that_are_no_probabilities_have_no_calibration():
    scores, labels = noisy()
    found = answered(scores, labels, probabilities=False)
    assert found.questions[0].calibration is None
    assert found.confusion is None
    assert found.accuracy is None
    assert len([note for note in found.notes if "no probability" in note or "no threshold" in note]) == 2
    given_one = answered(scores, labels, probabilities=False, wish=Wish(threshold=1.5))
    assert given_one.confusion[1][1] == sum(
        score >= 1.5 and label == 1 for score, label in zip(scores, labels, strict=True)
    )


def test_groups_of_every_value_and_the_worst_beside_random_groups():
    scores, labels = noisy(300)
    sites = np.array(["A", "B", "C"] * 100)
    scores[sites == "C"] *= -1
    found = answered(scores, labels, columns={"site": sites.tolist(), "one": ["x"] * 300})
    [column] = found.columns
    assert [group.value for group in column.groups] == ["A", "B", "C"]
    worst = column.worst
    assert (worst.value, worst.among) == ("C", 3)
    assert worst.auc < worst.chance_low < worst.chance
    c = sites == "C"
    assert column.groups[2].auc.value == pytest.approx(roc_auc_score(np.array(labels)[c], scores[c]))


def test_a_worst_group_by_chance_is_no_worse_than_random_groups():
    scores, labels = noisy(300)
    found = answered(scores, labels, columns={"site": ["A", "B", "C"] * 100})
    worst = found.columns[0].worst
    assert worst.chance_low < worst.auc


def test_groups_that_cannot_be_scored_say_so():
    scores, labels = noisy(100)
    column = ["big"] * 70 + ["few"] * 5 + [""] * 5 + ["sick"] * 20
    labels[80:] = [1] * 20
    [found] = answered(scores, labels, columns={"kind": column}).columns
    assert (found.small, found.small_images, found.unknown) == (1, 5, 5)
    by_value = {group.value: group for group in found.groups}
    assert by_value["sick"].reason == "no image of class 0"
    assert by_value["sick"].auc is None
    assert by_value["big"].accuracy.value is not None
    assert found.worst is None


def test_columns_of_many_numbers_are_cut_into_quarters():
    ages = [str(k) for k in range(20, 60)] + [""]
    values = _in_quarters(ages)
    assert sorted(set(values) - {""}) == ["20 to 29", "30 to 39", "40 to 49", "50 to 59"]
    assert values[-1] == ""
    assert _in_quarters(["1", "2", "x"] * 9) == ["1", "2", "x"] * 9


def test_scores_that_are_no_numbers_are_refused():
    with pytest.raises(CheckpointError, match="not finite"):
        answered([0.0, float("nan")], [0, 1])


def test_everything_can_be_written_as_json():
    import json

    scores, labels = noisy()
    found = answered(scores, labels, columns={"site": ["A", "B"] * 100})
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["classes"] == ["well", "ill"]


def test_an_interval_always_holds_its_own_value():
    resampled = np.linspace(0.316, 0.322, 1000)
    found = scored(0.313, resampled, 0.3)
    assert (found.low, found.value) == (0.313, 0.313)
    assert found.high == np.quantile(resampled, 0.975)
    inside = scored(0.319, resampled, 0.3)
    assert (inside.low, inside.high) == tuple(np.quantile(resampled, [0.025, 0.975]))
