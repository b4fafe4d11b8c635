"""The paired comparison over seeds and Holm's correction, by hand and against slow loops."""

from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from activmask.evaluation.paired import EXACT_UP_TO, holm, paired_difference, smallest_p
from activmask.ground.errors import UsageError

TENTHS = st.integers(0, 10)
PAIRS = st.lists(st.tuples(TENTHS, TENTHS), min_size=1, max_size=7)


def exact_p(differences):
    """The share of sign patterns whose sum lies at least as far from 0, in exact fractions."""
    observed = abs(sum(differences))
    patterns = list(product((1, -1), repeat=len(differences)))
    sums = [abs(sum(sign * one for sign, one in zip(signs, differences, strict=True))) for signs in patterns]
    return sum(one >= observed for one in sums) / len(patterns)


def test_a_case_worked_by_hand():
    # The sums of ±0.3 ±0.2 ±0.1 are ±0.6, ±0.4, ±0.2 and twice 0: four of eight reach 0.4.
    found = paired_difference([0.8, 0.7, 0.4], [0.5, 0.5, 0.5])
    assert (found.n, found.p) == (3, 0.5)
    assert found.mean == pytest.approx(0.4 / 3)
    # SD 0.2082, t(0.975, 2) = 4.3027, so the half width is 4.3027 * 0.2082 / sqrt(3) = 0.5171.
    assert (found.low, found.high) == (pytest.approx(-0.3838, abs=1e-4), pytest.approx(0.6505, abs=1e-4))


@given(PAIRS)
@settings(max_examples=150)
def test_p_is_that_of_exact_fractions_ties_and_rounding_included(pairs):
    found = paired_difference([one / 10 for one, _ in pairs], [other / 10 for _, other in pairs])
    differences = [Fraction(one - other, 10) for one, other in pairs]
    assert found.p == exact_p(differences)
    assert found.mean == pytest.approx(float(sum(differences)) / len(pairs), abs=1e-12)


@given(PAIRS)
@settings(max_examples=60)
def test_changing_sides_changes_only_the_sign(pairs):
    ours, theirs = [one / 10 for one, _ in pairs], [other / 10 for _, other in pairs]
    found, mirrored = paired_difference(ours, theirs), paired_difference(theirs, ours)
    assert (found.p, found.mean) == (mirrored.p, -mirrored.mean)
    if found.low is not None:
        assert (found.low, found.high) == pytest.approx((-mirrored.high, -mirrored.low), abs=1e-12)


@pytest.mark.parametrize("magnitudes", [(0.1, 0.2, 0.3, 0.35, 0.5), (0.2, 0.2, 0.2, 0.4), (0.0, 0.1, 0.1)])
def test_under_the_null_p_is_never_too_small(magnitudes):
    patterns = [np.multiply(signs, magnitudes) for signs in product((1, -1), repeat=len(magnitudes))]
    p_values = [paired_difference(0.5 + d / 2, 0.5 - d / 2).p for d in patterns]
    for alpha in sorted(set(p_values)):
        assert np.mean(np.array(p_values) <= alpha) <= alpha + 1e-12


def test_it_agrees_with_scipy_where_nothing_ties():
    random = np.random.default_rng(4)
    for n in (3, 5, 8):
        ours, theirs = 0.4 + 0.1 * random.random((2, n))
        found = paired_difference(ours, theirs)
        reference = stats.permutation_test(
            (ours, theirs),
            lambda x, y, axis: np.mean(x - y, axis=axis),
            permutation_type="samples",
            vectorized=True,
            n_resamples=2**n,
        )
        assert found.p == pytest.approx(reference.pvalue)
        interval = stats.ttest_1samp(ours - theirs, 0).confidence_interval()
        assert (found.low, found.high) == pytest.approx((interval.low, interval.high))


@pytest.mark.parametrize("n", [1, 2, 3, 5, 10, EXACT_UP_TO, EXACT_UP_TO + 4])
def test_the_smallest_p_is_reached_when_every_seed_agrees_and_is_stated(n):
    random = np.random.default_rng(n)
    found = paired_difference(0.6 + 0.4 * random.random(n), 0.4 * random.random(n))
    # Of 65 536 drawn patterns of 20 signs hardly one is all + or all - but the observed one.
    assert found.p == pytest.approx(smallest_p(n), rel=0 if n <= EXACT_UP_TO else 1.0)
    assert n > EXACT_UP_TO or smallest_p(n) == min(1, 2 / 2**n)


def test_with_many_seeds_patterns_are_drawn_the_same_way_each_time():
    random = np.random.default_rng(1)
    theirs = random.random(30) * 0.5
    ours = theirs + random.normal(0.02, 0.08, 30).clip(-0.2, 0.2) * (theirs > 0.2)
    found = paired_difference(ours, theirs)
    assert found == paired_difference(ours, theirs)
    assert found.p == pytest.approx(stats.ttest_1samp(ours - theirs, 0).pvalue, abs=0.02)


def test_no_interval_from_one_seed_or_from_seeds_without_spread():
    assert paired_difference([0.9], [0.5]).low is None
    alike = paired_difference([0.9, 0.7, 0.5], [0.7, 0.5, 0.3])
    assert (alike.low, alike.high, alike.p) == (None, None, 0.25)
    same = paired_difference([0.5, 0.5], [0.5, 0.5])
    assert (same.low, same.mean, same.p) == (None, 0.0, 1.0)


def test_the_interval_stays_within_what_a_difference_can_be():
    found = paired_difference([1.0, 1.0, 0.5], [0.0, 0.0, 0.5])
    assert found.high == 1.0
    assert found.low is not None
    assert -1.0 <= found.low < found.mean


@pytest.mark.parametrize(
    ("ours", "theirs", "words"),
    [
        ([0.5, 0.6], [0.5], "found 2 of the method and 1 of the baseline"),
        ([], [], "found 0 of the method"),
        ([0.5, float("nan")], [0.5, 0.5], "the method has a score of nan"),
        ([0.5], [1.5], "the baseline has a score of 1.5"),
    ],
)
def test_scores_that_cannot_be_paired_are_refused(ours, theirs, words):
    with pytest.raises(UsageError, match=words):
        paired_difference(ours, theirs)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.5, 0.6]) == [1.0, 1.0]
    assert holm([0.02]) == [0.02]
    assert holm([]) == []


def rejected(p_values, alpha):
    """Holm's own procedure: go up the sorted values, stop at the first that fails."""
    remaining, found = sorted(enumerate(p_values), key=lambda item: item[1]), set()
    while remaining and remaining[0][1] * len(remaining) <= alpha:
        found.add(remaining.pop(0)[0])
    return found


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=12), st.sampled_from([0.0103, 0.0507, 0.2003]))
def test_holm_rejects_what_the_step_down_procedure_rejects(thousandths, alpha):
    p_values = [one / 1000 for one in thousandths]
    adjusted = holm(p_values)
    assert {i for i, p in enumerate(adjusted) if p <= alpha} == rejected(p_values, alpha)
    assert all(p <= a <= 1 for p, a in zip(p_values, adjusted, strict=True))
    order = np.argsort(p_values, kind="stable")
    assert np.all(np.diff(np.array(adjusted)[order]) >= 0)
