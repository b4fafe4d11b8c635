from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from activmask.data.settings import Source
from activmask.data.splits import SPLITS, split_indices
from activmask.data.subjects import find_straddler
from activmask.ground.errors import ActivmaskError, DataError, UsageError

POLICIES = ("given", "subject", "site-correlated")


def table(labels, subjects=None, sites=None, splits=None, names=None) -> dict[str, Any]:
    n = len(labels)
    return {
        "labels": np.array(labels, dtype=np.int64),
        "names": tuple(names or [f"{i:05d}" for i in range(n)]),
        "subjects": tuple(subjects or [f"s{i:05d}" for i in range(n)]),
        "sites": tuple(sites or [""] * n),
        "splits": tuple(splits or [""] * n),
    }


def by_subject(**settings_) -> Source:
    return replace(Source(split_policy="subject", split_ratio="30/30/40"), **settings_)


def correlated(**settings_) -> Source:
    return replace(Source(split_policy="site-correlated"), **settings_)


def two_sites(each: int) -> dict[str, Any]:
    """`each` images of every class at every site, one a subject."""
    return table([0, 1] * (2 * each), sites=["nih", "nih", "padchest", "padchest"] * each)


def cells(rows: np.ndarray, data: dict[str, Any]) -> dict[tuple[int, str], int]:
    found: dict[tuple[int, str], int] = {}
    for i in rows:
        key = int(data["labels"][i]), data["sites"][i]
        found[key] = found.get(key, 0) + 1
    return found


def sizes(drawn: dict[str, np.ndarray]) -> tuple[int, ...]:
    return tuple(len(drawn[split]) for split in SPLITS)


def test_given_takes_the_column():
    data = table([0, 1, 0, 1, 0, 1], splits=["test", "train", "train", "valid", "valid", "test"])
    drawn = split_indices(Source(), **data, seed=0)
    assert {split: rows.tolist() for split, rows in drawn.items()} == {
        "train": [1, 2],
        "valid": [3, 4],
        "test": [0, 5],
    }


@pytest.mark.parametrize("bad", ["", "val"])
def test_given_needs_a_split_in_every_row(bad):
    data = table([0, 1] * 3, splits=["train", "train", "valid", "valid", "test", bad])
    with pytest.raises(DataError, match="train, valid or test in every row"):
        split_indices(Source(), **data, seed=0)


def test_given_refuses_a_subject_in_two_splits():
    data = table(
        [0, 1] * 3,
        subjects=["a", "b", "c", "a", "d", "e"],
        splits=["train"] * 2 + ["valid"] * 2 + ["test"] * 2,
    )
    with pytest.raises(DataError, match="'a' has images in train and in valid"):
        split_indices(Source(), **data, seed=0)


def test_subjects_are_shared_out_by_the_ratio_within_each_class():
    data = table([0] * 10 + [1] * 20)
    drawn = split_indices(by_subject(), **data, seed=3)
    assert [np.bincount(data["labels"][drawn[split]]).tolist() for split in SPLITS] == [
        [3, 6],
        [3, 6],
        [4, 8],
    ]


def test_few_subjects_of_a_class_still_reach_every_split():
    drawn = split_indices(by_subject(), **table([0] * 3 + [1] * 40), seed=0)
    assert all(0 in rows for rows in (table([0] * 3 + [1] * 40)["labels"][drawn[split]] for split in SPLITS))


def test_a_requested_number_is_drawn_balanced():
    data = table([0, 1] * 100, subjects=[f"s{i // 10}" for i in range(200)])
    drawn = split_indices(by_subject(train_images=20, valid_images=10, test_images=30), **data, seed=0)
    assert [np.bincount(data["labels"][drawn[split]]).tolist() for split in SPLITS] == [
        [10, 10],
        [5, 5],
        [15, 15],
    ]


def test_too_large_a_request_names_split_wanted_and_available():
    with pytest.raises(DataError, match="16 valid images of class 0 are wanted, but only 3 available"):
        split_indices(by_subject(valid_images=32), **table([0] * 10 + [1] * 100), seed=0)


def test_a_request_that_cannot_be_balanced_is_wrong_use():
    with pytest.raises(UsageError, match="train_images must be a multiple of the 2 classes"):
        split_indices(by_subject(train_images=7), **table([0, 1] * 20), seed=0)


@pytest.mark.parametrize(
    "ratio", ["50/50", "50/25/20", "a/b/c", "100/0/0", "", "-10/60/50", "nan/50/50", "50/25/25/0"]
)
def test_a_senseless_ratio_is_wrong_use(ratio):
    with pytest.raises(UsageError, match="split_ratio"):
        split_indices(by_subject(split_ratio=ratio), **table([0, 1] * 20), seed=0)


def test_site_correlation_by_hand():
    """20 images a cell: train 18 + 2 a class, valid and test 1 + 9 each, nothing left over."""
    data = two_sites(20)
    drawn = split_indices(correlated(), **data, seed=1)
    assert sizes(drawn) == (40, 20, 20)
    assert cells(drawn["train"], data) == {
        (1, "padchest"): 18,
        (1, "nih"): 2,
        (0, "nih"): 18,
        (0, "padchest"): 2,
    }
    for split in ("valid", "test"):
        assert cells(drawn[split], data) == {
            (1, "padchest"): 1,
            (1, "nih"): 9,
            (0, "nih"): 1,
            (0, "padchest"): 9,
        }


def test_full_correlation_empties_two_cells():
    data = two_sites(20)
    drawn = split_indices(correlated(correlation=1.0), **data, seed=1)
    assert cells(drawn["train"], data) == {(1, "padchest"): 20, (0, "nih"): 20}
    assert cells(drawn["test"], data) == {(1, "nih"): 10, (0, "padchest"): 10}


def test_the_scarcest_cell_limits_all():
    data = table(
        [1] * 1000 + [1] * 40 + [0] * 300 + [0] * 500,
        sites=["padchest"] * 1000 + ["nih"] * 40 + ["nih"] * 300 + ["padchest"] * 500,
    )
    drawn = split_indices(correlated(), **data, seed=0)
    assert sizes(drawn) == (80, 40, 40)


def test_a_requested_number_of_the_correlated_split():
    data = two_sites(50)
    drawn = split_indices(correlated(train_images=40, test_images=20), **data, seed=0)
    assert sizes(drawn)[::2] == (40, 20)
    assert cells(drawn["train"], data)[1, "padchest"] == 18
    with pytest.raises(DataError, match="train images of class 0 from the site 'padchest' are wanted"):
        split_indices(correlated(train_images=400), **data, seed=0)


def test_a_site_without_a_class_is_named_with_all_counts():
    data = table([0] * 7 + [1] * 9 + [0] * 5, sites=["nih"] * 16 + ["padchest"] * 5)
    with pytest.raises(DataError) as raised:
        split_indices(correlated(), **data, seed=0)
    assert str(raised.value) == (
        "the split train would be empty: site-correlated splits take both classes from both sites, but of "
        "class 1 the site 'padchest' has no images (of classes 0 and 1 there are 7 and 9 from 'nih' and 5 "
        "and 0 from 'padchest'); add such images or choose the split policy 'subject'"
    )


def test_a_site_whose_images_of_a_class_are_of_one_subject_is_named_with_it():
    few = table(
        [0, 1] * 8 + [1] * 6,
        subjects=[f"s{k}" for k in range(16)] + ["one"] * 6,
        sites=["nih"] * 8 + ["padchest", "nih"] * 4 + ["padchest"] * 6,
    )
    with pytest.raises(DataError, match="class 1 the site 'padchest' has 6 images of 1 subject"):
        split_indices(correlated(correlation=0.5), **few, seed=0)


@pytest.mark.parametrize(
    "data",
    [two_sites(5) | {"sites": ("a",) * 20}, table([0, 1, 2] * 4, sites=["a", "b"] * 6), table([0, 1] * 10)],
    ids=["one site", "three classes", "no sites"],
)
def test_site_correlation_needs_two_sites_and_two_classes(data):
    with pytest.raises(DataError, match="site-correlated splits need exactly"):
        split_indices(correlated(), **data, seed=0)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("labels", [[], [0], [0, 0, 0], [0, 1]])
def test_tables_that_cannot_be_split(policy, labels):
    data = table(
        labels, sites=["a", "b", "a"][: len(labels)], splits=["train", "valid", "test"][: len(labels)]
    )
    with pytest.raises(DataError):
        split_indices(Source(split_policy=policy), **data, seed=0)


def test_negative_seed_and_unknown_policy_are_wrong_use():
    with pytest.raises(UsageError, match="seed"):
        split_indices(by_subject(), **table([0, 1] * 10), seed=-1)
    with pytest.raises(UsageError, match="did you mean 'subject'"):
        split_indices(replace(Source(), split_policy="subjects"), **table([0, 1]), seed=0)  # type: ignore[arg-type]


@pytest.mark.parametrize("config", [by_subject(), correlated(correlation=0.8)], ids=["subject", "correlated"])
def test_a_subject_of_two_sites_stays_in_one_split(config):
    data = two_sites(40)
    data["subjects"] = tuple(f"{i % 2}-{i // 4}" for i in range(160))
    drawn = split_indices(config, **data, seed=5)
    check_disjoint(drawn, data)
    check_balance(config, drawn, data)
    again = split_indices(config, **data, seed=5)
    assert all(drawn[split].tolist() == again[split].tolist() for split in SPLITS)


def test_seeds_differ():
    data = table([0, 1] * 50)
    first, second = (split_indices(by_subject(), **data, seed=seed)["train"] for seed in (0, 1))
    assert first.tolist() != second.tolist()


@st.composite
def tables(draw) -> dict[str, Any]:
    n = draw(st.one_of(st.integers(60, 250), st.integers(1, 60)))
    people = draw(st.one_of(st.integers(30, 120), st.integers(1, 30)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    subjects = rng.integers(0, people, n)
    home = rng.choice(SPLITS, people)
    classes = draw(st.sampled_from([2, 2, 2, 2, 3, 1]))
    return table(
        rng.integers(0, classes, n),
        subjects=[f"p{s}" for s in subjects],
        sites=rng.choice(["nih", "padchest"], n).tolist(),
        splits=[str(home[s]) for s in subjects],
    )


configs = st.builds(
    lambda policy, ratio, r, counts: Source(
        split_policy=policy,
        split_ratio=ratio,
        correlation=r,
        train_images=counts[0],
        valid_images=counts[1],
        test_images=counts[2],
    ),
    st.sampled_from(POLICIES),
    st.sampled_from(["50/25/25", "30/30/40", "80/10/10", "33.3/33.3/33.4"]),
    st.one_of(st.floats(0.5, 1), st.floats(0, 1)),
    st.tuples(*[st.sampled_from([0, 0, 0, 2, 4, 7])] * 3),
)


@settings(max_examples=300)
@given(config=configs, data=tables(), seed=st.integers(0, 2**31), shuffle=st.integers(0, 2**31))
def test_every_policy_keeps_its_promises(config, data, seed, shuffle):
    try:
        drawn = split_indices(config, **data, seed=seed)
    except ActivmaskError:
        return
    check_disjoint(drawn, data)
    check_balance(config, drawn, data)
    check_order_is_irrelevant(config, drawn, data, seed, shuffle)


def check_disjoint(drawn, data):
    assert list(drawn) == list(SPLITS)
    rows = [(data["subjects"][i], split) for split in SPLITS for i in drawn[split]]
    assert find_straddler([who for who, _ in rows], [where for _, where in rows]) is None
    for indices in drawn.values():
        assert indices.dtype == np.int64
        assert (np.diff(indices) > 0).all()


def check_balance(config, drawn, data):
    for split in SPLITS:
        counts = np.bincount(data["labels"][drawn[split]], minlength=data["labels"].max() + 1)
        assert (counts > 0).all()
        wanted = getattr(config, f"{split}_images")
        if wanted:
            assert counts.sum() == wanted
        if wanted or config.split_policy == "site-correlated":
            assert len(set(counts.tolist())) == 1
        if config.split_policy == "site-correlated":
            found = cells(drawn[split], data)
            share = config.correlation if split == "train" else 1 - config.correlation
            assert found.get((1, "padchest"), 0) == found.get((0, "nih"), 0)
            assert found.get((1, "nih"), 0) == found.get((0, "padchest"), 0)
            assert abs(found.get((1, "padchest"), 0) - share * counts[0]) <= 0.5 + 1e-9


def check_order_is_irrelevant(config, drawn, data, seed, shuffle):
    order = np.random.default_rng(shuffle).permutation(len(data["labels"]))
    moved = {key: tuple(column[i] for i in order) for key, column in data.items()}
    moved["labels"] = data["labels"][order]
    again = split_indices(config, **moved, seed=seed)
    for split in SPLITS:
        assert {data["names"][i] for i in drawn[split]} == {moved["names"][i] for i in again[split]}


@settings(max_examples=30)
@given(data=tables(), seed=st.integers(0, 1000))
def test_a_subject_split_without_numbers_leaves_nobody_out(data, seed):
    assume(len(set(data["labels"].tolist())) == 2)
    try:
        drawn = split_indices(by_subject(), **data, seed=seed)
    except DataError:
        return
    assert sum(sizes(drawn)) == len(data["labels"])
