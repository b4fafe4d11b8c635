import itertools
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import roc_auc_score

from activmask.evaluation.localisation import (
    METRICS,
    pixel_auc,
    pointing_game,
    relevance_mass,
    relevance_rank,
    top_share_iou,
)

LEFT = np.array([[[True, False], [True, False]]])


def maps(*rows):
    return np.array([rows], dtype=float)


def test_relevance_mass_by_hand():
    result = relevance_mass(maps([1, 2], [3, 4]), LEFT)
    assert result.values == pytest.approx([0.4])
    assert result.chance == pytest.approx([0.5])


def test_relevance_rank_by_hand():
    # The two highest of 1 2 / 3 4 are 4 (outside) and 3 (inside).
    assert relevance_rank(maps([1, 2], [3, 4]), LEFT).values == pytest.approx([0.5])
    # With 3 twice and room for one of them, half a hit is expected beside none.
    assert relevance_rank(maps([1, 3], [3, 4]), LEFT).values == pytest.approx([0.25])


def test_top_share_iou_by_hand():
    mask = np.zeros((1, 3, 3), dtype=bool)
    mask[0, 0] = True
    attribution = maps([9, 8, 1], [7, 2, 3], [0, 0, 0])
    # Three of nine pixels: 9 and 8 are in the first row, 7 is not; the union has four.
    result = top_share_iou(attribution, mask, share=1 / 3)
    assert result.values == pytest.approx([2 / 4])
    # Random triples: P(hits) = C(3, h) C(6, 3 - h) / 84 and IoU = h / (6 - h).
    assert result.chance == pytest.approx([(45 * (1 / 5) + 18 * (2 / 4) + 1 * 1) / 84])


def test_pointing_game_by_hand():
    assert pointing_game(maps([1, 2], [3, 4]), LEFT).values == [0]
    assert pointing_game(maps([1, 2], [5, 4]), LEFT).values == [1]
    assert pointing_game(maps([1, 5], [5, 4]), LEFT).values == [0.5]


def test_pointing_game_with_tolerance():
    mask = np.zeros((1, 3, 3), dtype=bool)
    mask[0, 0, 0] = True
    attribution = maps([0, 0, 0], [0, 9, 0], [0, 0, 0])
    assert pointing_game(attribution, mask).values == [0]
    assert pointing_game(attribution, mask, tolerance_px=1.0).values == [0]
    near = pointing_game(attribution, mask, tolerance_px=1.5)
    assert near.values == [1]
    assert near.chance == pytest.approx([4 / 9])


def test_pixel_auc_by_hand():
    # Inside 1 and 3, outside 2 and 4: of the four pairs one is in the right order.
    assert pixel_auc(maps([1, 2], [3, 4]), LEFT).values == pytest.approx([0.25])


@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_empty_and_full_masks_have_no_score(metric):
    masks = np.array([np.zeros((2, 2)), np.ones((2, 2)), LEFT[0]], dtype=bool)
    result = metric(np.tile(maps([1, 2], [3, 4]), (3, 1, 1)), masks)
    assert np.isnan(result.values).tolist() == [True, True, False]
    assert np.isnan(result.chance).tolist() == [True, True, False]


@pytest.mark.parametrize("name", METRICS)
@pytest.mark.parametrize("level", [0.0, 2.5])
def test_a_constant_map_scores_chance(name, level):
    mask = np.random.default_rng(0).random((4, 6, 6)) < 0.3
    result = METRICS[name](np.full((4, 6, 6), level), mask)
    assert result.values == pytest.approx(result.chance)


@pytest.mark.parametrize("name", METRICS)
def test_random_maps_score_chance_on_average(name):
    generator = np.random.default_rng(1)
    mask = np.tile(generator.random((1, 5, 5)) < 0.3, (3000, 1, 1))
    result = METRICS[name](generator.random(mask.shape), mask)
    assert result.values.mean() == pytest.approx(result.chance.mean(), abs=0.02)


def test_maps_that_are_negative_or_not_finite_are_refused():
    for bad in (-1.0, np.nan, np.inf):
        with pytest.raises(ValueError, match="finite and at least 0"):
            relevance_mass(maps([bad, 1], [0, 0]), LEFT)
    with pytest.raises(ValueError, match="both be"):
        relevance_mass(np.zeros((1, 2, 3)), LEFT)


SIDE = 4
ATTRIBUTIONS = hnp.arrays(np.float64, (2, SIDE, SIDE), elements=st.integers(0, 6))
MASKS = hnp.arrays(np.bool_, (2, SIDE, SIDE))


@given(ATTRIBUTIONS, MASKS)
def test_scores_stay_in_range_and_ignore_the_scale(attribution, masks):
    for metric in METRICS.values():
        result = metric(attribution, masks)
        defined = ~np.isnan(result.values)
        assert ((result.values[defined] >= 0) & (result.values[defined] <= 1)).all()
        np.testing.assert_allclose(metric(attribution * 8, masks).values, result.values)


@given(ATTRIBUTIONS, MASKS)
def test_rank_metrics_ignore_monotone_transforms(attribution, masks):
    for name in METRICS:
        if name != "relevance mass accuracy":
            straight = METRICS[name](attribution, masks).values
            np.testing.assert_allclose(METRICS[name](np.expm1(attribution), masks).values, straight)


@settings(max_examples=30)
@given(st.lists(st.integers(0, 2), min_size=5, max_size=5), st.lists(st.booleans(), min_size=5, max_size=5))
def test_ties_score_the_mean_over_every_order_of_them(levels, inside):
    attribution, mask = np.array([[levels]], dtype=float), np.array([[inside]])
    orders = [np.array(order) for order in itertools.permutations(range(5))]
    # Steps of 1 / 10 keep every order of the levels.
    broken = np.array([attribution[0] + 0.1 * order for order in orders])
    for metric in (relevance_rank, pointing_game, pixel_auc, partial(top_share_iou, share=2 / 5)):
        every = metric(broken, np.repeat(mask, len(orders), axis=0)).values
        np.testing.assert_allclose(metric(attribution, mask).values, [every.mean()], atol=1e-9)


@given(ATTRIBUTIONS, MASKS)
def test_iou_of_as_many_pixels_as_the_mask_follows_from_the_rank_accuracy(attribution, masks):
    # Without ties: the mean of a ratio is no ratio of means.
    steps = np.arange(attribution.size).reshape(attribution.shape) / attribution.size
    for i in range(2):
        area = masks[i].sum()
        if 0 < area < SIDE * SIDE:
            one, mask = (attribution + steps)[i : i + 1], masks[i : i + 1]
            rank = relevance_rank(one, mask).values[0]
            iou = top_share_iou(one, mask, share=area / SIDE**2).values[0]
            assert iou == pytest.approx(rank / (2 - rank))


@given(MASKS)
def test_the_mask_itself_is_the_perfect_map(masks):
    for name, metric in METRICS.items():
        values = metric(masks.astype(float), masks).values
        values = values[~np.isnan(values)]
        if "IoU" not in name:
            assert (values == 1).all()


@given(ATTRIBUTIONS, MASKS)
def test_pixel_auc_equals_scikit_learn(attribution, masks):
    for one, mask, value in zip(attribution, masks, pixel_auc(attribution, masks).values, strict=True):
        if not np.isnan(value):
            assert value == pytest.approx(roc_auc_score(mask.ravel(), one.ravel()))
