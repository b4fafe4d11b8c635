import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activmask.evaluation.verdict import verdict


def judged(full, background_shuffled, roi_shuffled, mask_area=0.5):
    return verdict(full, background_shuffled, roi_shuffled, mask_area=mask_area, chance_distance=0.1)


@pytest.mark.parametrize(
    ("full", "background_shuffled", "roi_shuffled", "finding"),
    [
        (0.95, 0.93, 0.52, "reads the region of interest"),
        (0.95, 0.55, 0.94, "reads the background"),
        (0.00, 0.50, 0.00, "reads the background"),
        (0.00, 0.95, 0.50, "reads the region of interest"),
        (0.95, 0.85, 0.80, "reads both"),
        (0.95, 0.62, 0.94, "reads mostly the background"),
        (0.95, 0.94, 0.62, "reads mostly the region of interest"),
        (0.95, 0.52, 0.45, "needs both together"),
        (0.52, 0.48, 0.55, "cannot be told"),
        (0.52, 0.90, 0.55, "reads the region of interest"),
        (0.52, 0.50, 0.10, "reads the background"),
    ],
)
def test_findings(full, background_shuffled, roi_shuffled, finding):
    assert judged(full, background_shuffled, roi_shuffled).finding == finding


def test_a_shortcut_that_is_reversed_is_said_in_words():
    sentences = judged(0.00, 0.51, 0.00).sentences
    assert sentences[0] == (
        "The model reads the background: with the region of interest shuffled the AUC is 0.00 "
        "(full images 0.00), with the background shuffled it is at chance (0.51)."
    )
    assert sentences[1].startswith("The AUC on full images is below 0.5")
    assert len(sentences) == 2


def test_a_ranking_that_turns_round_is_said_in_words():
    assert judged(0.00, 0.90, 0.02).sentences[-1] == (
        "Shuffling the background turns the ranking round (0.00 to 0.90): on full images the background "
        "outvotes the rest."
    )


def test_an_auc_at_chance_that_hides_something_is_said_in_words():
    assert "hide what either tells it alone" in judged(0.5, 0.9, 0.1).sentences[1]


@pytest.mark.parametrize("mask_area", [0.0, 0.39, 0.61, 1.0])
def test_a_mask_area_that_tells_the_label_is_a_caution(mask_area):
    caution = judged(0.9, 0.9, 0.5, mask_area).sentences[-1]
    assert caution.startswith(f"Caution: the mask's area alone predicts the label (AUC {mask_area:.2f})")


def test_a_mask_area_at_chance_is_no_caution():
    assert len(judged(0.9, 0.9, 0.5, 0.45).sentences) == 1


@given(st.lists(st.integers(0, 64), min_size=4, max_size=4))
def test_the_finding_is_the_same_when_every_ranking_is_reversed(sixty_fourths):
    full, background_shuffled, roi_shuffled, area = (k / 64 for k in sixty_fourths)
    straight = judged(full, background_shuffled, roi_shuffled, area)
    reverse = judged(1 - full, 1 - background_shuffled, 1 - roi_shuffled, 1 - area)
    assert straight.finding == reverse.finding


def test_every_combination_has_a_sentence():
    for full, background_shuffled, roi_shuffled in itertools.product([0.0, 0.5, 0.65, 1.0], repeat=3):
        result = judged(full, background_shuffled, roi_shuffled)
        assert result.sentences
        assert all(sentence.endswith(".") for sentence in result.sentences)
