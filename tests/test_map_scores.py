"""Heat maps against masks: the metrics of the follow-up, intervals, and another library's numbers."""

import itertools

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import hypergeom

import activmask as am
from activmask.evaluation.localisation import EQUAL_AREA, PerImage, equal_area_iou, relevance_rank
from activmask.evaluation.map_scores import ALL_METRICS, summarised

SIDE = 4
MAPS = hnp.arrays(np.float64, (2, SIDE, SIDE), elements=st.integers(0, 5))
MASKS = hnp.arrays(np.bool_, (2, SIDE, SIDE))


def drawn(n=6, side=9, seed=0):
    rng = np.random.default_rng(seed)
    return rng.random((n, side, side)), rng.random((n, side, side)) < 0.3


def means(scores):
    return {row.metric: row.mean for row in scores.rows}


def test_equal_areas_by_hand():
    mask = np.zeros((1, 3, 3), dtype=bool)
    mask[0, 0] = True
    # Of the three highest, 9 and 8 are in the first row and 7 is not: two of four in the union.
    values = np.array([[[9, 8, 1], [7, 2, 3], [0, 0, 0]]], dtype=float)
    result = equal_area_iou(values, mask)
    assert result.values == pytest.approx([2 / 4])
    assert result.chance == pytest.approx([(45 * (1 / 5) + 18 * (2 / 4) + 1 * 1) / 84])
    # With 8 twice and room for one of them: two hits of four in the union, or one of five.
    tied = np.array([[[9, 8, 1], [8.5, 8, 3], [0, 0, 0]]], dtype=float)
    assert equal_area_iou(tied, mask).values == pytest.approx([(2 / 4 + 1 / 5) / 2])


@pytest.mark.parametrize(("pixels", "area"), [(100, 3), (100, 97), (784, 300), (3000, 1500)])
def test_chance_is_the_mean_of_the_hypergeometric_distribution(pixels, area):
    hits = np.arange(max(0, 2 * area - pixels), area + 1)
    expected = (hypergeom.pmf(hits, pixels, area, area) * hits / (2 * area - hits)).sum()
    mask = (np.arange(pixels) < area)[None, None]
    found = equal_area_iou(np.random.default_rng(0).random(mask.shape), mask)
    assert found.chance[0] == pytest.approx(expected, rel=1e-10)


def iou_of_every_order(values, mask):
    """Brute force: the mean over all orders of the pixels that respect their values."""
    area, found = int(mask.sum()), []
    for order in itertools.permutations(range(values.size)):
        top = sorted(order, key=lambda pixel: -values[pixel])[:area]
        hits = sum(bool(mask[pixel]) for pixel in top)
        found.append(hits / (2 * area - hits))
    return float(np.mean(found))


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 2), min_size=5, max_size=5), st.lists(st.booleans(), min_size=5, max_size=5))
def test_the_iou_of_equal_areas_is_the_mean_over_every_order_of_ties(levels, inside):
    assume(0 < sum(inside) < 5)
    values, mask = np.array(levels, dtype=float), np.array(inside)
    found = equal_area_iou(values[None, None], mask[None, None])
    assert found.values[0] == pytest.approx(iou_of_every_order(values, mask), abs=1e-12)
    assert found.chance[0] == pytest.approx(iou_of_every_order(np.zeros(5), mask), abs=1e-12)


@given(MAPS, MASKS)
def test_without_ties_it_follows_from_the_rank_accuracy(maps, masks):
    maps = maps + np.arange(SIDE**2).reshape(SIDE, SIDE) / SIDE**2
    rank = relevance_rank(maps, masks).values
    np.testing.assert_allclose(equal_area_iou(maps, masks).values, rank / (2 - rank))


@given(MAPS, MASKS, st.permutations(range(SIDE * SIDE)))
def test_the_order_of_pixels_and_monotone_changes_change_nothing(maps, masks, order):
    moved = [stack.reshape(2, -1)[:, list(order)].reshape(stack.shape) for stack in (maps, masks)]
    for metric in EQUAL_AREA.values():
        straight = metric(maps, masks)
        for other in (metric(*moved), metric(np.expm1(maps), masks)):
            np.testing.assert_allclose(other.values, straight.values, atol=1e-12)
            np.testing.assert_allclose(other.chance, straight.chance, atol=1e-12)


@given(MASKS, st.floats(0, 1e6))
def test_a_constant_map_scores_chance_and_the_mask_itself_everything(masks, level):
    for metric in ALL_METRICS.values():
        constant = metric(np.full(masks.shape, level), masks)
        np.testing.assert_allclose(constant.values, constant.chance, atol=1e-12)
    for metric in EQUAL_AREA.values():
        perfect = metric(masks.astype(float), masks).values
        assert (perfect[~np.isnan(perfect)] == 1).all()


def test_masks_that_are_empty_or_full_have_no_score():
    maps, masks = drawn()
    masks[0], masks[1] = True, False
    scores = am.score(maps, masks)
    assert (scores.n, scores.undefined, scores.subjects) == (4, 2, 4)
    for name, value in means(am.score(maps[2:], masks[2:])).items():
        assert means(scores)[name] == value
    nothing = am.score(maps[:2], masks[:2])
    assert (nothing.n, nothing.rows) == (0, ())


def test_the_sign_must_be_said_where_there_are_two():
    maps, masks = drawn()
    signed = maps - 0.5
    with pytest.raises(am.ActivmaskError, match="6 of 6 maps hold negative values, so sign must be said"):
        am.score(signed, masks)
    assert means(am.score(signed, masks, sign="absolute")) == means(am.score(np.abs(signed), masks))
    assert means(am.score(signed, masks, sign="positive")) == means(am.score(np.maximum(signed, 0), masks))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda maps, masks: (maps[0], masks[0], None), "one shape"),
        (lambda maps, masks: (maps, masks[:, 1:], None), "one shape"),
        (lambda maps, masks: (np.where(masks, np.nan, maps), masks, None), "finite real"),
        (lambda maps, masks: (maps * 1j, masks, None), "finite real"),
        (lambda maps, masks: (maps, masks * 255, None), "True or 1"),
        (lambda maps, masks: (maps, masks, ["x"]), "one subject a map"),
        (lambda maps, masks: (maps, masks, [None, *"abcde"]), "1 of 6 images have no subject"),
        (
            lambda maps, masks: ([*maps[:-1], maps[0, 1:]], masks, None),
            "must be arrays, or what NumPy makes one of",
        ),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change, said):
    maps, masks, subjects = change(*drawn())
    with pytest.raises(am.ActivmaskError, match=said):
        am.score(maps, masks, subjects)


def test_blank_maps_are_counted_and_score_chance():
    maps, masks = drawn()
    maps[:] = 0.25
    scores = am.score(maps, masks)
    assert scores.blank == 6
    for row in scores.rows:
        assert row.mean == pytest.approx(row.chance)


def test_the_interval_draws_subjects_and_not_images():
    rng = np.random.default_rng(0)
    subjects = np.repeat(np.arange(40), 5)
    values = rng.normal(size=40)[subjects] + 0.01 * rng.normal(size=200)
    found = {"x": PerImage(values, np.zeros(200))}
    none = np.zeros(200, bool)
    [clustered] = summarised(found, [str(one) for one in subjects], none, seed=0).rows
    [apart] = summarised(found, [str(one) for one in range(200)], none, seed=0).rows
    of_subjects = values.reshape(40, 5).mean(axis=1)
    expected = 2 * 1.96 * of_subjects.std(ddof=1) / 40**0.5
    assert clustered.high - clustered.low == pytest.approx(expected, rel=0.15)
    assert apart.high - apart.low == pytest.approx(expected / 5**0.5, rel=0.15)
    assert clustered.low < clustered.mean == values.mean() < clustered.high
    assert clustered.sd == pytest.approx(values.std(ddof=1))


def test_one_subject_has_no_interval_and_the_order_decides_nothing():
    maps, masks = drawn()
    assert {(row.low, row.high) for row in am.score(maps, masks, ["x"] * 6).rows} == {(None, None)}
    subjects = list("aabbcd")
    straight = am.score(maps, masks, subjects).rows
    turned = am.score(maps[::-1], masks[::-1], subjects[::-1]).rows
    for one, other in zip(straight, turned, strict=True):
        assert (one.mean, one.low, one.high) == pytest.approx((other.mean, other.low, other.high))


def test_worked_numbers_from_the_definitions_that_quantus_has():
    """Its relevance mass and rank accuracy, pointing game and AUC."""
    mask = np.array([[[1, 1, 0], [0, 0, 0]]], dtype=bool)
    values = np.array([[[0.5, 0.1, 0.2], [0.4, 0.0, 0.3]]])
    found = means(am.score(values, mask))
    assert found["relevance mass accuracy"] == pytest.approx(0.6 / 1.5)
    assert found["relevance rank accuracy"] == pytest.approx(1 / 2)
    assert found["pointing game (0 px)"] == 1
    # 0.5 is above all four outside, 0.1 above one of them.
    assert found["pixel ROC AUC"] == pytest.approx(5 / 8)
    assert found["IoU at |P| = |T|"] == pytest.approx(1 / 3)


@pytest.mark.process
def test_quantus_agrees_where_the_definitions_do():
    quantus = pytest.importorskip("quantus", reason="it is in the extra [test]")
    maps, masks = drawn(n=5, side=12)
    ours = {name: metric(maps, masks).values for name, metric in ALL_METRICS.items()}

    def theirs(metric, **options):
        made = metric(abs=False, normalise=False, disable_warnings=True, **options)
        return np.asarray(made.evaluate_batch(a_batch=maps[:, None], s_batch=masks[:, None]), float)

    for name, metric in {
        "relevance mass accuracy": quantus.RelevanceMassAccuracy,
        "relevance rank accuracy": quantus.RelevanceRankAccuracy,
        "pointing game (0 px)": quantus.PointingGame,
        "pixel ROC AUC": quantus.AUC,
    }.items():
        np.testing.assert_allclose(ours[name], theirs(metric), rtol=1e-12)
    k, areas = 14, masks.sum(axis=(1, 2))
    hits = k * theirs(quantus.TopKIntersection, k=k)
    np.testing.assert_allclose(ours["IoU of the top 10 %"], hits / (k + areas - hits), rtol=1e-12)
