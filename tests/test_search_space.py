"""Where a search looks: how it is written, what is refused, and where a value lies."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activmask.ground.errors import UsageError
from activmask.tuning.space import Dimension, check_space, corners, middles, parse_over


def test_ranges_and_choices_are_read():
    found = parse_over(["lr=1e-5..1e-2:log,width=4..32:log", "label-smoothing=0..0.5,model=cnn|resnet18"])
    assert found == (
        Dimension(name="lr", ends=(1e-5, 1e-2), log=True),
        Dimension(name="width", ends=(4, 32), log=True, whole=True),
        Dimension(name="label_smoothing", ends=(0.0, 0.5)),
        Dimension(name="model", values=("cnn", "resnet18")),
    )
    assert [str(one) for one in found] == ["1e-05..0.01:log", "4..32:log", "0.0..0.5", "cnn|resnet18"]
    assert parse_over([f"{one.name}={one}" for one in found]) == found
    assert parse_over(["augment=flips,crop|flips,batch_size=16|32"]) == (
        Dimension(name="augment", values=("flips,crop", "flips")),
        Dimension(name="batch_size", values=(16, 32)),
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "there is no setting ''"),
        ("lr", "range such as 1e-3..1:log or a choice"),
        ("lr=1e-3", "range such as 1e-3..1:log or a choice"),
        ("actdif=1..2", "there is no setting 'actdif' to search over; did you mean 'actdiff'"),
        ("lr=1e-2..1e-5", "the range begins at 0.01 and ends at 1e-05; let it rise"),
        ("lr=0..1:log", "must begin above 0"),
        ("lr=-1..1", "lr must be from 0 to"),
        ("lr=a..b", "lr must be of type float"),
        ("width=4..8.5", "width must be of type int"),
        ("optimizer=adam|adma", "optimizer must be one of adam, adamw"),
        ("width=4|4", "a value twice"),
        ("lr=1e-3..1,lr=1|2", "lr is searched twice"),
        ("data=a|b", "decides which images a run sees"),
        ("split_seed=0..9", "decides which images a run sees"),
        ("select=auc|loss", "is what the search goes by"),
        ("threads=1..2", "changes no result"),
        ("epochs=10..100", "is what every trial may cost"),
    ],
)
def test_what_cannot_be_searched_is_told(text, sentence):
    with pytest.raises(UsageError) as told:
        check_space({}, parse_over([text]))
    assert sentence in str(told.value)


@pytest.mark.parametrize(
    ("settings", "over", "sentence"),
    [
        ({"lr": 0.1}, "lr=1e-3..1", "both given and searched over"),
        ({"recon": 1.0}, "model=cnn|ae", "with model cnn: cnn has no decoder"),
        ({}, "model=cnn|resnet81", "there is no model 'resnet81'"),
        ({}, "classify_masked=off|all", "scored on other images than the others"),
    ],
)
def test_combinations_that_could_not_be_trained_or_compared_are_told(settings, over, sentence):
    with pytest.raises(UsageError) as told:
        check_space(settings, parse_over([over]))
    assert sentence in str(told.value)


def test_corners_are_all_ends_and_middles_all_choices():
    over = parse_over(["lr=1e-4..1e-2:log,width=2..4,model=cnn|ae"])
    assert len(list(corners(over))) == 8
    assert [tuple(one.values()) for one in middles(over)] == [
        (pytest.approx(1e-3), 3, "cnn"),
        (pytest.approx(1e-3), 3, "ae"),
    ]


@given(
    st.floats(1e-6, 1.0),
    st.floats(1.001, 1e3),
    st.floats(0, 1),
    st.booleans(),
)
def test_the_place_of_a_value_is_the_share_of_the_range_below_it(low, factor, share, log):
    high = low * factor
    one = Dimension(name="lr", ends=(low, high), log=log)
    value = math.exp(math.log(low) + share * math.log(factor)) if log else low + share * (high - low)
    assert one.place(value) == pytest.approx(share, abs=1e-6)
    assert (one.place(low), one.place(high)) == (0, pytest.approx(1))
