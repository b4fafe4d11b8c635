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


def test_a_score_that_survives_without_the_background_does_not_convict_it_of_what_the_area_tells():
    """The authors' images, on which one cross has fewer pixels than two."""
    result = judged(0.979, 0.978, 0.80, 0.16)
    assert result.finding == "reads the region of interest or its size"
    assert result.sentences == (
        "The model reads the region of interest or its size, and does not need the background: with the "
        "background shuffled the AUC is 0.98 (full images 0.98). With the region of interest shuffled 0.80 "
        "are left, no more than the mask's area alone tells (AUC 0.16), so whether it also reads the "
        "background cannot be told.",
    )


@pytest.mark.parametrize(
    ("full", "background_shuffled", "roi_shuffled", "mask_area", "finding"),
    [
        # More is left than the area and chance can explain.
        (0.98, 0.98, 0.80, 0.65, "reads both"),
        # The score needs the background.
        (0.98, 0.80, 0.80, 0.85, "reads both"),
        (0.98, 0.50, 0.80, 0.85, "reads the background"),
        # Nothing is left with the region shuffled, whatever its area would tell.
        (0.98, 0.98, 0.52, 0.90, "reads the region of interest"),
    ],
)
def test_the_area_excuses_nothing_else(full, background_shuffled, roi_shuffled, mask_area, finding):
    assert judged(full, background_shuffled, roi_shuffled, mask_area).finding == finding


def test_what_the_area_explains_is_said_where_the_background_is_needed():
    last = judged(0.98, 0.80, 0.80, 0.85).sentences[-1]
    assert last.startswith(
        "What is left with the region of interest shuffled (0.80) is no more than this area"
    )


SIXTY_FOURTHS = st.lists(st.integers(0, 64).map(lambda k: k / 64), min_size=4, max_size=4)


@given(SIXTY_FOURTHS)
def test_the_background_is_never_claimed_where_the_area_explains_and_the_score_survives_without(values):
    full, background_shuffled, roi_shuffled, area = values
    result = judged(*values)
    survives = (
        abs(full - background_shuffled) <= 0.1 and min(abs(full - 0.5), abs(background_shuffled - 0.5)) > 0.1
    )
    explained = abs(roi_shuffled - 0.5) <= abs(area - 0.5) + 0.1 and abs(area - 0.5) > 0.1
    if survives and explained:
        assert "background" not in result.finding
        assert "The model reads the background" not in result.sentences[0]
        assert "also the background" not in result.sentences[0]


@given(SIXTY_FOURTHS)
def test_an_area_at_chance_changes_nothing_and_no_area_makes_a_claim_stronger(values):
    result, without = judged(*values), judged(*values[:3])
    if abs(values[3] - 0.5) <= 0.1:
        assert result == without
    if result.finding != without.finding:
        assert without.finding in {
            "reads both",
            "reads mostly the background",
            "reads mostly the region of interest",
        }


def test_every_combination_has_a_sentence():
    for values in itertools.product([0.0, 0.5, 0.65, 1.0], repeat=4):
        result = judged(*values)
        assert result.sentences
        assert all(sentence.endswith(".") for sentence in result.sentences)


@pytest.mark.parametrize(
    ("full", "roi_shuffled", "finding"),
    [
        (0.95, 0.94, "reads the region of interest"),
        (0.05, 0.50, "reads the region of interest"),
        (0.50, 0.80, "reads the region of interest"),
        (0.52, 0.45, "cannot be told"),
    ],
)
def test_a_blank_background_is_never_read(full, roi_shuffled, finding):
    found = verdict(full, full, roi_shuffled, mask_area=0.5, chance_distance=0.1, blank_background=True)
    assert found.finding == finding
    assert not any("reads the background" in one or "outvotes" in one for one in found.sentences)
