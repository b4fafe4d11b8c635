"""Seeds counted by where they ended, and printed means taken apart again."""

from statistics import fmean, stdev

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from activmask.experiments.outcomes import Outcomes, decoded, outcomes


def test_seeds_count_sit_at_chance_or_took_the_box():
    accuracies = [1.0, 0.9, 0.899, 0.61, 0.6, 0.5, 0.4, 0.39, 0.1, 0.0]
    assert outcomes(accuracies) == Outcomes(counted=2, chance=3, box=2)
    assert str(outcomes([1.0] * 9 + [0.0])) == "9/0/1"
    assert outcomes([]) == Outcomes(0, 0, 0)


@pytest.mark.parametrize(
    ("mean", "sd", "expected"),
    [
        (0.90, 0.31, "9/0/1"),
        (0.80, 0.26, "6/4/0"),
        (1.00, 0.00, "10/0/0"),
        (0.50, 0.00, "0/10/0"),
        (0.00, 0.00, "0/0/10"),
    ],
)
def test_printed_means_of_table_1_come_apart_where_they_can(mean, sd, expected):
    assert str(decoded(mean, sd)) == expected


@pytest.mark.parametrize(
    ("mean", "sd"), [(0.78, 0.24), (0.95, 0.12), (0.63, 0.14), (0.06, 0.03), (0.98, 0.01), (0.9, None)]
)
def test_others_say_nothing_of_seeds_at_1_a_half_or_0(mean, sd):
    assert decoded(mean, sd) is None


def test_one_seed_and_many_seeds():
    assert str(decoded(0.5, 0.0, seeds=1)) == "0/1/0"
    assert decoded(0.5, 0.3, seeds=400) is None


@given(counted=st.integers(0, 10), box=st.integers(0, 10))
def test_what_ten_seeds_would_print_comes_apart_into_them(counted, box):
    assume(counted + box <= 10)
    values = [1.0] * counted + [0.5] * (10 - counted - box) + [0.0] * box
    found = decoded(round(fmean(values), 2), round(stdev(values), 2))
    assert found in {None, outcomes(values)}
    assert decoded(fmean(values), stdev(values)) == found
