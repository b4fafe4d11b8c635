import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activmask.auditing.conditions.mask_baseline import MaskBaseline
from activmask.auditing.conditions.rows import ConditionRow
from activmask.auditing.conditions.verdict import verdict
from activmask.auditing.conditions.versions import CONDITIONS
from activmask.evaluation.estimate import Estimate
from activmask.evaluation.sides import FEWEST_JUDGED, Area, ToldSides, finding_of_sides, told_from_chance
from activmask.evaluation.standing import CLOSE

WIDTH = 0.05
"""Of half an interval, where nothing else is said."""


def estimate(value, width=WIDTH):
    return Estimate(value=value, low=value - width, high=value + width)


def rows_of(aucs, width=WIDTH):
    """Rows of AUCs by condition, changes against full with intervals as wide; others are as full."""
    return [
        ConditionRow(
            condition=one.name,
            draws=1,
            auc=estimate(aucs.get(one.name, aucs["full"]), width),
            auc_spread=None,
            auc_change=None
            if one.name == "full"
            else estimate(aucs.get(one.name, aucs["full"]) - aucs["full"], width),
            accuracy=None,
            accuracy_change=None,
        )
        for one in CONDITIONS
    ]


def judged(
    full,
    roi,
    background,
    masks=0.5,
    *,
    width=WIDTH,
    masks_width=WIDTH,
    subjects=100,
    blank=False,
    outline=None,
    alone=0.5,
    paired=None,
    **others,
):
    aucs = {"full": full, "inside only": roi, "outside only": background, "outline only": alone}
    aucs |= {name.replace("_", " "): value for name, value in others.items()}
    baseline = MaskBaseline(
        area=estimate(0.5),
        place=estimate(masks, masks_width),
        outline=None if outline is None else estimate(outline),
    )
    return verdict(
        rows_of(aucs, width),
        baseline,
        estimate(background - alone, width),
        estimate(abs(roi - 0.5) - abs(background - 0.5), width if paired is None else paired),
        subjects=subjects,
        chance_distance=0.1,
        blank_background=blank,
    )


@pytest.mark.parametrize(
    ("full", "roi", "background", "masks", "finding"),
    [
        (0.95, 0.93, 0.52, 0.5, "reads the region of interest"),
        (0.95, 0.55, 0.94, 0.5, "reads the background"),
        (0.05, 0.50, 0.02, 0.5, "reads the background"),
        (0.05, 0.95, 0.50, 0.5, "reads the region of interest"),
        (0.95, 0.85, 0.80, 0.5, "reads both"),
        (0.95, 0.64, 0.94, 0.5, "reads mostly the background"),
        (0.95, 0.94, 0.64, 0.5, "reads mostly the region of interest"),
        (0.95, 0.52, 0.45, 0.5, "needs both together"),
        (0.52, 0.48, 0.55, 0.5, "cannot be told"),
        # More than chance, but its interval holds 0.5, or the other way round.
        (0.52, 0.54, 0.58, 0.5, "cannot be told"),
        # The masks tell as much as either side.
        (0.95, 0.80, 0.80, 0.80, "reads the region of interest or its size"),
        (0.95, 0.80, 0.80, 0.20, "reads the region of interest or its size"),
        (0.95, 0.95, 0.80, 0.80, "reads the region of interest"),
        (0.95, 0.80, 0.95, 0.80, "reads the background"),
        # With the background blank the masks show, too, and tell nothing.
        (0.95, 0.50, 0.80, 0.80, "reads the background"),
        # As of a model that counts the pixels of a bright region: of the blank one it counts none.
        (0.95, 0.80, 0.50, 0.80, "reads the region of interest or its size"),
        # More than the masks tell.
        (0.95, 0.95, 0.90, 0.65, "reads both"),
    ],
)
def test_findings(full, roi, background, masks, finding):
    assert judged(full, roi, background, masks).finding == finding


@pytest.mark.parametrize(
    ("width", "finding"), [(0.05, "reads the background"), (0.2, "cannot be told"), (0.4, "cannot be told")]
)
def test_an_interval_that_holds_chance_claims_nothing(width, finding):
    assert judged(0.65, 0.5, 0.65, width=width).finding == finding


def test_a_wide_interval_does_not_tell_the_minor_side():
    assert judged(0.95, 0.64, 0.94).finding == "reads mostly the background"
    assert judged(0.95, 0.64, 0.84, width=0.12).finding == "reads both"


def test_what_chance_may_still_tell_without_the_background_does_not_convict_it():
    """Blank backgrounds may leave as much as the masks tell, for all their interval says."""
    assert judged(0.95, 0.6, 0.8, 0.8, width=0.05).finding == "reads the background"
    assert judged(0.95, 0.6, 0.8, 0.8, width=0.21).finding == "cannot be told"


def test_the_first_sentence_gives_the_numbers_and_their_intervals():
    assert judged(0.9, 0.5, 0.9).sentences[0] == (
        "The model reads the background: with the background blank the AUC is 0.50 (95 % 0.45 to 0.55), at "
        "chance within 0.1; with the region of interest blank 0.90 (95 % 0.85 to 0.95); on full images 0.90 "
        "(95 % 0.85 to 0.95)."
    )


def test_changes_are_told_only_where_their_interval_leaves_0_out():
    found = judged(0.9, 0.5, 0.9, outside_shuffled=0.8, inside_mean=0.86, inside_blurred=0.96).sentences
    (changes,) = [one for one in found if one.startswith("Against full images")]
    assert changes == (
        "Against full images the AUC changes, each by its own 95 % interval, with outside shuffled (-0.10, "
        "-0.15 to -0.05), inside only (-0.40, -0.45 to -0.35), inside blurred (+0.06, +0.01 to +0.11)."
    )
    (none,) = [one for one in found if one.startswith("No change")]
    assert "inside mean" in none
    assert "outside shuffled" not in none


def test_a_shuffled_side_that_leaves_more_than_a_blank_one_is_said():
    found = judged(0.9, 0.9, 0.5, inside_shuffled=0.9).sentences
    assert [one for one in found if one.startswith("With the region of interest shuffled")] == [
        "With the region of interest shuffled in place of blank the AUC is 0.90 (95 % 0.85 to 0.95): the "
        "intensities of the region of interest tell the class, or blank ones are too unlike what it was "
        "trained on."
    ]
    untold = judged(0.9, 0.9, 0.5, inside_shuffled=0.59).sentences
    assert not any("in place of blank" in one for one in untold)


def test_a_reversed_ranking_and_one_that_turns_round_are_said():
    found = judged(0.05, 0.9, 0.05).sentences
    assert any(one.startswith("The AUC on full images is below 0.5") for one in found)
    assert any("With the background blank the ranking is turned round (0.05 to 0.90)" in one for one in found)


def test_chance_on_full_images_that_hides_something_is_said():
    assert any("may hide what either tells alone" in one for one in judged(0.5, 0.9, 0.1).sentences)


def test_masks_that_tell_the_label_are_a_caution_and_others_are_none():
    caution = "Caution: the masks alone predict the label"
    assert any(one.startswith(caution) for one in judged(0.9, 0.9, 0.5, 0.3).sentences)
    assert not any(one.startswith(caution) for one in judged(0.9, 0.9, 0.5, 0.58).sentences)
    # Above chance, with an interval that holds it.
    assert not any(one.startswith(caution) for one in judged(0.9, 0.9, 0.5, 0.7, masks_width=0.3).sentences)


@pytest.mark.parametrize(
    ("subjects", "told"), [(FEWEST_JUDGED - 1, False), (FEWEST_JUDGED, True), (19, True)]
)
def test_few_subjects_are_said_first_and_too_few_claim_nothing(subjects, told):
    found = judged(0.9, 0.5, 0.9, subjects=subjects)
    assert (found.finding != "cannot be told") == told
    assert f"{subjects} subjects" in found.sentences[0]


@pytest.mark.parametrize(
    ("full", "roi", "finding"),
    [
        (0.95, 0.95, "reads the region of interest"),
        (0.05, 0.05, "reads the region of interest"),
        (0.52, 0.52, "cannot be told"),
    ],
)
def test_a_blank_background_is_never_read(full, roi, finding):
    found = judged(full, roi, 0.9, blank=True)
    assert found.finding == finding
    assert "no background to read" in found.sentences[0]
    assert not any("reads the background" in one or "outvotes" in one for one in found.sentences)


SIXTY_FOURTHS = st.integers(0, 64).map(lambda k: k / 64)


@given(st.lists(SIXTY_FOURTHS, min_size=4, max_size=4), st.integers(0, 32).map(lambda k: k / 64))
def test_no_side_is_claimed_whose_interval_holds_chance(values, width):
    full, roi, background, masks = values
    found = judged(full, roi, background, masks, width=width)
    if abs(background - 0.5) <= max(width, 0.1):
        assert found.finding not in {"reads the background", "reads both", "reads mostly the background"}
    if abs(roi - 0.5) <= max(width, 0.1):
        assert found.finding in {"reads the background", "needs both together", "cannot be told"}


@given(st.lists(SIXTY_FOURTHS, min_size=4, max_size=4))
def test_the_finding_is_the_same_when_every_ranking_is_reversed(values):
    assert judged(*values).finding == judged(*(1 - value for value in values)).finding


def test_every_combination_has_sentences():
    for values in itertools.product([0.0, 0.5, 0.65, 1.0], repeat=4):
        found = judged(*values)
        assert all(sentence.endswith(".") for sentence in found.sentences)
        assert len(found.sentences) >= 2


def test_areas_without_intervals_are_judged_by_chance_alone():
    areas = Area(0.9), Area(0.62), Area(0.9)
    assert _finding(*areas) == "reads mostly the background"
    assert _finding(Area(0.9), Area(0.62, 0.4, 0.8), Area(0.9)) == "reads the background"


def _finding(*areas):
    return finding_of_sides(ToldSides(*told_from_chance(areas, 0.1)), *areas[1:])


@given(st.floats(0, 1), st.floats(0, 0.5), st.floats(0, 0.5), st.floats(0.01, 0.5), st.booleans())
def test_one_score_by_itself_is_told_where_it_informs(auc, below, above, chance, interval):
    area = Area(auc, auc - below, auc + above) if interval else Area(auc)
    beside = abs(area.p(chance) - 0.05) > 1e-9
    assert not beside or told_from_chance([area], chance) == [area.informs(chance)]


def test_several_scores_by_hand():
    """At a distance of 0.1 that chance reaches in 5 %: 0.1222 in 5 % of three, 0.1144 of two."""
    by_hand = {0.621: [False, False, False], 0.623: [True, False, False]}
    for auc, told in by_hand.items():
        assert told_from_chance([Area(auc), Area(0.55), Area(0.45)], 0.1) == told
    assert told_from_chance([Area(0.623), Area(0.384), Area(0.5)], 0.1) == [True, True, False]
    assert told_from_chance([Area(0.623), Area(0.387), Area(0.5)], 0.1) == [True, False, False]
    assert told_from_chance([Area(0.623), Area(0.384), Area(0.601)], 0.1) == [True, True, True]
    # Of one whose interval is wider than chance.
    assert told_from_chance([Area(0.7, 0.51, 0.9), Area(0.5), Area(0.5)], 0.1) == [False] * 3


def test_a_ranking_that_the_masks_may_turn_round_is_not_laid_on_a_side():
    [turned] = [one for one in judged(0.90, 0.90, 0.15, 0.9).sentences if "turned round" in one]
    assert turned.endswith("(0.90 to 0.15), as the masks by themselves may do.")
    borne_out = {"inside_shuffled": 0.1, "inside_mean": 0.2}
    [turned] = [one for one in judged(0.90, 0.90, 0.02, 0.8, **borne_out).sentences if "turned round" in one]
    assert turned.endswith("on full images the region of interest outvotes the rest.")


def test_what_shuffling_leaves_may_be_the_outlines_of_masks_that_tell_the_class():
    told = judged(0.99, 0.99, 0.80, 0.85, inside_shuffled=0.98).sentences
    assert any("tell the class, the masks' outlines stand out more, or blank" in one for one in told)
    told = judged(0.99, 0.99, 0.80, 0.5, inside_shuffled=0.98).sentences
    assert any("of the region of interest tell the class, or blank" in one for one in told)


@pytest.mark.parametrize(
    ("roi", "background", "outline", "finding"),
    [
        (0.95, 0.90, 0.95, "reads the region of interest"),
        (0.95, 0.95, 0.70, "reads both"),
        # With the background blank outlines show, too, and tell nothing.
        (0.50, 0.90, 0.95, "reads the background"),
        # The outline belongs to the region.
        (0.90, 0.50, 0.95, "reads the region of interest"),
    ],
)
def test_what_outlines_tell_is_not_laid_on_the_background(roi, background, outline, finding):
    found = judged(0.95, roi, background, outline=outline)
    assert found.finding == finding
    said = any("A blank region still shows its outline" in one for one in found.sentences)
    assert said == ("background" in finding or finding == "reads both")


@pytest.mark.parametrize(
    ("roi", "background", "alone", "finding"),
    [
        (0.50, 0.90, 0.90, "cannot be told"),
        (0.50, 0.90, 0.84, "reads the background"),
        (0.50, 0.90, 0.86, "cannot be told"),
        (0.50, 0.10, 0.10, "cannot be told"),
        (0.50, 0.10, 0.50, "reads the background"),
        # By the outline it ranks the other way round, or better than on the image's own background.
        (0.50, 0.10, 0.90, "reads the background"),
        (0.50, 0.80, 0.95, "cannot be told"),
        (0.90, 0.90, 0.90, "reads the region of interest"),
        (0.90, 0.90, 0.60, "reads both"),
    ],
)
def test_what_the_model_makes_of_the_outline_alone_is_not_laid_on_the_background(
    roi, background, alone, finding
):
    found = judged(0.95, roi, background, alone=alone)
    assert found.finding == finding
    read = "background" in finding or finding == "reads both"
    assert any("A blank region still shows its outline" in one for one in found.sentences) == read
    assert ("by the outline of what is blank" in found.sentences[0]) != read


def test_a_difference_of_rounding_is_none():
    rows = rows_of({"full": 0.9, "outside only": 0.9, "outline only": 0.9})
    nothing = Estimate(value=1e-16, low=1e-16, high=2e-16)
    baseline = MaskBaseline(area=estimate(0.5), place=None)
    assert (
        "background"
        not in verdict(rows, baseline, nothing, nothing, subjects=100, chance_distance=0.1).finding
    )


def test_a_blank_that_turns_the_ranking_round_by_itself_outvotes_nothing():
    """As of a network that blank patches have taught something: otherwise the region hardly matters."""
    found = judged(0.9, 0.9, 0.1, inside_shuffled=0.88, inside_mean=0.87).sentences
    assert not any("outvotes" in one for one in found)
    [turned] = [one for one in found if "turned round" in one]
    assert "blank -0.80, -0.85 to -0.75; shuffled -0.02, -0.07 to +0.03; mean -0.03, -0.08 to +0.02" in turned
    assert "They disagree" in turned


def test_intensities_tell_nothing_where_the_side_by_itself_tells_another_thing():
    claim = "intensities of the region of interest tell the class"
    kept = {"inside_shuffled": 0.88, "inside_mean": 0.87}
    assert claim in " ".join(judged(0.9, 0.8, 0.5, **kept).sentences)
    for alone in (0.55, 0.396, 0.2):
        found = " ".join(judged(0.9, alone, 0.5, **kept).sentences)
        assert claim not in found
        assert "The conditions that destroy the region of interest disagree" in found
        assert f"with nothing else to see the AUC is {alone:.2f}" in found


def test_a_side_that_nothing_misses_is_said():
    sentence = "Though the background alone tells the class, no condition that destroys it"
    full = {f"outside_{way}": 0.9 for way in ("shuffled", "mean", "blurred")}
    assert any(one.startswith(sentence) for one in judged(0.9, 0.9, 0.85, **full).sentences)
    missed = judged(0.9, 0.9, 0.85, **{**full, "outside_shuffled": 0.7}).sentences
    assert not any(one.startswith(sentence) for one in missed)


def test_the_region_is_read_only_where_a_difference_shows_it():
    assert judged(0.81, 0.8, 0.58, paired=0.3).finding == "cannot be told"
    undecided = judged(0.81, 0.8, 0.58, paired=0.3).sentences
    assert any("no difference shows that the region of interest tells more" in one for one in undecided)
    assert judged(0.81, 0.8, 0.58, paired=0.2).finding == "reads the region of interest"
    missed = judged(0.81, 0.8, 0.58, paired=0.3, inside_mean=0.7)
    assert missed.finding == "reads the region of interest"


SOME = st.integers(0, 32).map(lambda k: k / 64)


@given(st.lists(SIXTY_FOURTHS, min_size=7, max_size=7), SOME, SOME, st.integers(FEWEST_JUDGED, 40))
def test_no_sentence_says_more_than_the_intervals_beside_it(values, width, paired, subjects):
    full, roi, background, masks, outline, shuffled, mean = values
    others = {"inside_shuffled": shuffled, "inside_mean": mean, "outside_shuffled": outline}
    found = judged(
        full, roi, background, masks, width=width, paired=paired, subjects=subjects, alone=outline, **others
    )
    text = " ".join(found.sentences)
    three = [estimate(value, width) for value in (full, roi, background)]
    close = [one.low <= 0.5 <= one.high and max(0.5 - one.low, one.high - 0.5) <= CLOSE for one in three]
    assert text.count("at chance") <= sum(close)
    if any(word in found.finding for word in ("background", "both")) and "needs" not in found.finding:
        assert estimate(background - outline, width).told
    if "region of interest" in found.finding and abs(background - 0.5) <= width:
        changed = [abs(value - full) > width for value in (shuffled, mean)]
        assert any(changed) or abs(roi - 0.5) - abs(background - 0.5) > paired
    if "region of interest outvotes" in text:
        assert all(abs(value - full) > width for value in (shuffled, mean, background))
    if "intensities of the region of interest tell" in text:
        assert (roi > 0.5) == (shuffled > 0.5)
        assert abs(roi - 0.5) > width
