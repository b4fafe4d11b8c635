import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activmask.evaluation.estimate import Estimate
from activmask.evaluation.sides import FEWEST_JUDGED
from activmask.evaluation.standing import CLOSE
from activmask.evaluation.verdict import Shuffled, verdict

WIDTH = 0.05
"""Of half an interval, where nothing else is said."""


def estimate(value, width=WIDTH):
    return Estimate(value=value, low=value - width, high=value + width)


def shuffled(full, background_shuffled, roi_shuffled, mask_area=0.5, width=WIDTH, paired=WIDTH):
    further = abs(background_shuffled - 0.5) - abs(roi_shuffled - 0.5)
    return Shuffled(
        full=estimate(full, width),
        without_background=estimate(background_shuffled, width),
        without_roi=estimate(roi_shuffled, width),
        background_change=estimate(background_shuffled - full, paired),
        roi_change=estimate(roi_shuffled - full, paired),
        further=estimate(further, paired),
        mask_area=estimate(mask_area),
    )


def judged(*aucs, subjects=100, blank=False, **widths):
    scores = shuffled(*aucs, **widths)
    return verdict(scores, subjects=subjects, chance_distance=0.1, blank_background=blank)


@pytest.mark.parametrize(
    ("full", "background_shuffled", "roi_shuffled", "finding"),
    [
        (0.95, 0.93, 0.52, "reads the region of interest"),
        (0.95, 0.55, 0.94, "reads the background"),
        (0.00, 0.50, 0.00, "reads the background"),
        (0.00, 0.95, 0.50, "reads the region of interest"),
        (0.95, 0.85, 0.80, "reads both"),
        (0.95, 0.64, 0.85, "reads mostly the background"),
        (0.95, 0.85, 0.64, "reads mostly the region of interest"),
        # What is left may be of the intensities of what is shuffled.
        (0.95, 0.64, 0.94, "reads the background"),
        (0.95, 0.94, 0.64, "reads the region of interest"),
        (0.95, 0.95, 0.94, "cannot be told"),
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
        "The model reads the background: with the background shuffled the AUC is 0.51 (95 % 0.46 to 0.56), "
        "at chance within 0.1; with the region of interest shuffled 0.00 (95 % -0.05 to 0.05), worse than "
        "chance; on full images 0.00 (95 % -0.05 to 0.05), worse than chance."
    )
    assert sentences[1] == (
        "Paired over subjects, shuffling the background changes the AUC by +0.51 (95 % +0.46 to +0.56), "
        "shuffling the region of interest by +0.00 (95 % -0.05 to +0.05, not told from none). Its distance "
        "from 0.5 with the background shuffled, less that with the region of interest shuffled, is -0.49 (95 "
        "% -0.54 to -0.44)."
    )
    assert sentences[2].startswith("The AUC on full images is below 0.5, worse than chance")
    assert len(sentences) == 3


def test_a_ranking_that_turns_round_is_said_in_words():
    found = judged(0.00, 0.90, 0.02)
    assert found.finding == "reads both"
    assert found.sentences[-1] == (
        "Shuffling the background turns the ranking round (0.00 to 0.90): on full images the background "
        "outvotes the rest."
    )


def test_an_auc_at_chance_that_hides_something_is_said_in_words():
    assert "hide what either tells alone" in judged(0.5, 0.9, 0.1).sentences[2]


@pytest.mark.parametrize("mask_area", [0.0, 0.39, 0.61, 1.0])
def test_a_mask_area_that_tells_the_label_is_a_caution(mask_area):
    caution = judged(0.9, 0.9, 0.5, mask_area).sentences[-1]
    assert caution.startswith(f"Caution: the mask's area alone predicts the label (AUC {mask_area:.2f} (95 %")


def test_a_mask_area_at_chance_is_no_caution():
    assert len(judged(0.9, 0.9, 0.5, 0.45).sentences) == 2


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
    assert result.sentences[2] == (
        "What is left with the region of interest shuffled (0.80) is no more than the mask's area alone "
        "tells (0.16), so by itself it does not show that the background is read."
    )


@pytest.mark.parametrize(
    ("full", "background_shuffled", "roi_shuffled", "mask_area", "finding"),
    [
        # More is left than the area and chance can explain.
        (0.98, 0.90, 0.80, 0.65, "reads both"),
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
    found = judged(0.98, 0.80, 0.80, 0.85).sentences
    assert any("shuffled (0.80) is no more than the mask's area alone tells (0.85)" in one for one in found)


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
        assert result.finding in {"reads the region of interest or its size", "cannot be told"}


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
    found = judged(full, full, roi_shuffled, blank=True)
    assert found.finding == finding
    assert not any("reads the background" in one or "outvotes" in one for one in found.sentences)


WIDTHS = st.integers(0, 32).map(lambda k: k / 64)


@given(SIXTY_FOURTHS, WIDTHS, WIDTHS, st.integers(FEWEST_JUDGED, 40), st.booleans())
def test_no_sentence_says_more_than_the_intervals_beside_it(values, width, paired, subjects, blank):
    scores = shuffled(*values, width=width, paired=paired)
    found = verdict(scores, subjects=subjects, chance_distance=0.1, blank_background=blank)
    text = " ".join(found.sentences)
    three = [scores.full, scores.without_background, scores.without_roi]
    close = [one.low <= 0.5 <= one.high and max(0.5 - one.low, one.high - 0.5) <= CLOSE for one in three]
    shown = [close[0], close[2]] if blank else close
    # In the sentence that gives them, and nowhere else.
    assert text.count("at chance") == found.sentences[subjects < 20].count("at chance")
    assert text.count("at chance") <= sum(shown)
    for one in three:
        if abs(one.value - 0.5) <= width:
            assert f"{one.value:.2f} (95 % {one.low:.2f} to {one.high:.2f}), worse" not in text
    if blank:
        return
    reads_background = "background" in found.finding or found.finding == "reads both"
    reads_roi = "region of interest" in found.finding or found.finding == "reads both"
    changes = scores.background_change.told, scores.roi_change.told
    if "needs both" in found.finding:
        assert all(changes)
    if reads_background:
        assert scores.without_roi.low > 0.5 or scores.without_roi.high < 0.5
        assert any(changes) or scores.further.high < 0
    if reads_roi:
        assert scores.without_background.low > 0.5 or scores.without_background.high < 0.5
        assert any(changes) or scores.further.low > 0
    assert ("outvotes" not in text) or any(changes)


@pytest.mark.parametrize(("subjects", "first"), [(9, "9 subjects, too"), (10, "10 subjects"), (19, "19 ")])
def test_few_subjects_are_said_first_and_too_few_claim_nothing(subjects, first):
    found = judged(0.9, 0.9, 0.5, subjects=subjects)
    assert first in found.sentences[0]
    assert (found.finding == "cannot be told") == (subjects < FEWEST_JUDGED)


def test_an_interval_that_is_wide_is_not_called_chance():
    found = judged(0.81, 0.88, 0.78, width=0.3, paired=0.3, subjects=30)
    assert found.finding == "cannot be told"
    assert found.sentences[0] == (
        "Where the model looks cannot be told: with the background shuffled the AUC is 0.88 (95 % 0.58 to "
        "1.18); with the region of interest shuffled 0.78 (95 % 0.48 to 1.08), not told from chance by 30 "
        "subjects; on full images 0.81 (95 % 0.51 to 1.11), not told from chance by 30 subjects, as several "
        "are tested together."
    )


def test_a_difference_that_is_not_told_convicts_no_side():
    assert judged(0.81, 0.88, 0.7, paired=0.3).finding == "cannot be told"
    assert judged(0.81, 0.88, 0.5, paired=0.3).finding == "reads the region of interest"
    assert judged(0.81, 0.88, 0.5, paired=0.4).finding == "cannot be told"
