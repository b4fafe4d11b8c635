import dataclasses
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score
from tiny_checkpoints import samples_of

from activmask.auditing.conditions.conditions import conditions
from activmask.auditing.conditions.mask_baseline import features, mask_baseline, outlines
from activmask.auditing.conditions.versions import CONDITIONS
from activmask.evaluation.bootstrap import subject_resamples
from activmask.evaluation.resampled import counted, ends, resampled_mean
from activmask.evaluation.scores import chance_distance, chance_over_subjects
from activmask.ground.errors import CheckpointError
from activmask.training.replicas.resampled_auc import resampled_auc

SIDE, N = 12, 60


def noise(classes=2, n=N, pixel=None):
    """Dim noise with a mask in one corner, and a pixel as bright as the class."""
    generator = torch.Generator().manual_seed(0)
    labels = [k % classes for k in range(n)]
    images = torch.rand(n, 1, SIDE, SIDE, generator=generator) * 0.4
    masks = torch.zeros(n, 1, SIDE, SIDE, dtype=torch.bool)
    masks[:, :, 1:6, 1:6] = True
    if pixel:
        images[:, 0, pixel[0], pixel[1]] = torch.tensor(labels) / (classes - 1)
    samples = samples_of(images, masks, labels)
    return dataclasses.replace(
        samples, subjects=tuple(f"s{k // 2 // classes * classes + k % classes}" for k in range(n))
    )


def reads(row, column):
    def predict(images):
        score = images[:, 0, row, column]
        return torch.stack([-score, score], dim=1)

    return predict


@pytest.mark.parametrize(
    ("pixel", "survives", "falls", "finding"),
    [
        ((9, 9), "inside", "outside", "reads the background"),
        ((3, 3), "outside", "inside", "reads the region of interest"),
    ],
)
def test_a_model_of_one_pixel_is_told_by_the_side_it_lies_on(pixel, survives, falls, finding):
    found, logits = conditions(reads(*pixel), noise(pixel=pixel), classes=2)
    assert [row.condition for row in found.rows] == [one.name for one in CONDITIONS]
    for way in ("shuffled", "mean", "blurred"):
        assert found.row(f"{survives} {way}").auc.value == 1
        assert found.row(f"{survives} {way}").auc_change.value == 0
    assert found.row(f"{falls} only").auc.value == 1
    lost = found.row(f"{falls} shuffled")
    assert lost.auc.value == pytest.approx(0.5, abs=0.12)
    assert lost.auc_change.high < -0.3
    assert lost.draws == 3
    assert lost.auc_spread > 0
    assert found.row("full").auc_change is None
    assert found.verdict.finding == finding
    assert logits["outside shuffled"].shape == (3, N, 2)
    json.dumps(found.to_json(), allow_nan=False)


def pairwise(labels, scores):
    ones, zeros = scores[labels == 1][:, None], scores[labels == 0][None]
    return ((ones > zeros) + 0.5 * (ones == zeros)).mean()


def test_scores_and_intervals_are_those_of_a_bootstrap_written_out():
    """Every AUC by comparing every pair of images, draw by draw, in float64."""
    samples = noise(pixel=(9, 9))
    generator = torch.Generator().manual_seed(3)
    blur = torch.randn(N, generator=generator) * 0.5

    def predict(images):
        start = calls[0] % N
        calls[0] += len(images)
        score = images[:, 0, 9, 9] + blur[start : start + len(images)]
        return torch.stack([torch.zeros_like(score), score], dim=1)

    calls = [0]
    found, logits = conditions(predict, samples, classes=2, seed=5)
    labels = samples.labels.numpy()
    draws = subject_resamples(labels, samples.subjects, seed=5)
    contrasts = {
        name: [(one[:, 1].double() - one[:, 0].double()).numpy() for one in drawn]
        for name, drawn in logits.items()
    }

    def auc(name, rows):
        return np.mean([pairwise(labels[rows], one[rows]) for one in contrasts[name]])

    def right(name, rows):
        return np.mean([((one > 0) == labels)[rows].mean() for one in contrasts[name]])

    for name in ("full", "outside shuffled", "outside mean"):
        row = found.row(name)
        for score, estimate in ((auc, row.auc), (right, row.accuracy)):
            assert estimate.value == pytest.approx(score(name, np.arange(N)), abs=1e-12)
            expected = np.quantile([score(name, rows) for rows in draws], [0.025, 0.975])
            assert [estimate.low, estimate.high] == pytest.approx(expected, abs=1e-12)
        if name == "full":
            continue
        for score, change in ((auc, row.auc_change), (right, row.accuracy_change)):
            pairs = [score(name, rows) - score("full", rows) for rows in draws]
            assert [change.low, change.high] == pytest.approx(np.quantile(pairs, [0.025, 0.975]), abs=1e-12)
    drawn = [pairwise(labels, one) for one in contrasts["outside shuffled"]]
    assert found.row("outside shuffled").auc_spread == pytest.approx(np.std(drawn, ddof=1))


@settings(max_examples=15)
@given(st.integers(0, 2**32), st.integers(2, 4), st.integers(1, 3))
def test_many_draws_counted_at_once_are_scikit_learns_areas_one_by_one(seed, classes, levels):
    rng = np.random.default_rng(seed)
    truth = np.concatenate([np.arange(classes), rng.integers(0, classes, 12)])
    values = rng.integers(0, 10**levels, (len(truth), classes)) / 10**levels
    draws = [np.concatenate([np.arange(classes), rng.integers(0, len(truth), 9)]) for _ in range(6)]
    counts = counted(draws, len(truth))
    chosen = [1] if classes == 2 else range(classes)
    expected = [np.mean([roc_auc_score(truth[rows] == k, values[rows, k]) for k in chosen]) for rows in draws]
    np.testing.assert_allclose(resampled_auc(values, truth, counts), expected, atol=1e-12)
    np.testing.assert_allclose(
        resampled_mean(values[:, 0], counts), [values[rows, 0].mean() for rows in draws], atol=1e-12
    )


def test_ends_are_percentiles():
    assert ends(np.arange(1001.0)) == pytest.approx((25, 975))


def test_three_classes_have_the_macro_auc_of_one_against_the_rest():
    def predict(images):
        level = images[:, 0, 9, 9]
        return torch.stack([-((level - k / 2) ** 2) for k in range(3)], dim=1) * 40

    found, _ = conditions(predict, noise(classes=3, pixel=(9, 9)), classes=3)
    assert found.auc_kind == "macro one-vs-rest ROC AUC"
    assert found.row("full").auc.value == found.row("outside only").auc.value == 1
    assert found.row("full").accuracy.value == 1
    assert found.verdict.finding == "reads the background"


def test_known_scores_of_full_images_are_not_predicted_again():
    samples, asked = noise(), []

    def predict(images):
        asked.append(len(images))
        return torch.randn(len(images), 2, generator=torch.Generator().manual_seed(0))

    known = torch.randn(N, 2, generator=torch.Generator().manual_seed(1))
    told = []
    _, logits = conditions(
        predict, samples, classes=2, draws=1, full=known, done=lambda done, total: told.append((done, total))
    )
    assert torch.equal(logits["full"][0], known)
    assert sum(asked) == (len(CONDITIONS) - 1) * N
    assert told[-1] == (len(CONDITIONS) * N, len(CONDITIONS) * N)


def test_scores_that_only_rank_have_no_accuracy():
    found, _ = conditions(reads(9, 9), noise(pixel=(9, 9)), classes=2, probabilities=False)
    assert {row.accuracy for row in found.rows} == {row.accuracy_change for row in found.rows} == {None}
    assert found.row("full").auc.value == 1


def test_scores_that_are_not_finite_are_refused():
    with pytest.raises(CheckpointError, match="not finite"):
        conditions(lambda images: torch.full((len(images), 2), float("nan")), noise(), classes=2)


def test_without_masks_there_is_a_reason_and_nothing_is_predicted():
    samples = dataclasses.replace(noise(), has_mask=torch.zeros(N, dtype=torch.bool))
    found, logits = conditions(lambda _: pytest.fail("predicted"), samples, classes=2)
    assert (found.n, found.rows, found.verdict, logits) == (0, (), None, {})
    assert found.reason == "no image has a mask that covers a part of it"
    json.dumps(found.to_json(), allow_nan=False)


def test_a_class_without_masks_borrows_them():
    samples = noise(pixel=(9, 9))
    masks = samples.masks | (samples.labels == 0)[:, None, None, None]
    samples = dataclasses.replace(samples, masks=masks, has_mask=samples.labels == 1)
    found, _ = conditions(reads(9, 9), samples, classes=2)
    assert (found.n, found.borrowed) == (N, N // 2)
    assert found.verdict.finding == "reads the background"


def striped(count=40, side=40):
    """Noise with regions of equal box and area, striped along or across by the class, finer than 16 cells."""
    rng = np.random.default_rng(0)
    along = np.zeros((32, 32), np.bool_)
    along[::2] = True
    along[:2] = along[-2:] = True
    along[:, :2] = along[:, -2:] = True
    masks = np.zeros((count, 1, side, side), np.bool_)
    for k, (row, column) in enumerate(rng.integers(0, (side - 32) // 2, (count, 2)) * 2):
        masks[k, 0, row : row + 32, column : column + 32] = along if k % 2 else along.T
    pixels = rng.integers(0, 256, (count, 1, side, side)).astype(np.float32) / np.float32(255)
    return samples_of(torch.from_numpy(pixels), torch.from_numpy(masks), [k % 2 for k in range(count)])


def reads_holes(images):
    """Which way holes are striped, and nothing of images that are blank all around."""

    def alike(one, other):
        return ((one - other).abs() < 1e-6).float().mean(dim=(1, 2, 3))

    stripes = alike(images[..., :-1], images[..., 1:]) - alike(images[..., :-1, :], images[..., 1:, :])
    in_a_hole = alike(images, images[..., :1, :1]) < 0.2
    return torch.stack([-stripes * in_a_hole, stripes * in_a_hole], dim=1) * 1000


def test_a_model_of_the_outlines_of_holes_alone_is_not_said_to_read_the_background():
    found, _ = conditions(reads_holes, striped(), classes=2)
    # What is known of the masks tells nothing, so they alone would let the background be convicted.
    assert found.baseline.outline.value == found.baseline.area.value == 0.5
    assert found.row("outside only").auc.value > 0.95
    assert found.row("inside only").auc.low <= 0.5
    assert found.row("outline only").auc.value > 0.95
    assert found.beyond_outline.value == pytest.approx(0, abs=0.05)
    assert found.verdict.finding == "cannot be told"
    assert "by the outline of what is blank" in found.verdict.sentences[0]


def test_a_background_that_is_read_beside_outlines_is_still_found():
    samples = striped()
    images = samples.images.clone()
    images[:, 0, 39, :] = samples.labels[:, None] / 2
    corner = dataclasses.replace(samples, images=images)
    found, _ = conditions(reads(39, 5), corner, classes=2)
    assert found.row("outside only").auc.value == 1
    assert found.row("outline only").auc.value == pytest.approx(0.5, abs=0.2)
    assert found.verdict.finding == "reads the background"


def test_two_subjects_carry_no_verdict():
    samples = dataclasses.replace(noise(pixel=(9, 9)), subjects=("a", "b") * (N // 2))
    found, _ = conditions(reads(9, 9), samples, classes=2)
    assert found.subjects == 2
    assert found.verdict.finding == "cannot be told"
    assert "2 subjects, too few" in found.verdict.sentences[0]


def test_images_of_one_subject_count_as_one_where_each_has_one_class():
    truth = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    of_four = np.array(list("aabbccdd"), dtype=object)
    assert chance_over_subjects(truth, of_four, 2) == chance_distance(torch.tensor([0, 0, 1, 1]), 2)
    mixed = np.array(list("abababab"), dtype=object)
    assert chance_over_subjects(truth, mixed, 2) == chance_distance(torch.from_numpy(truth), 2)


def test_where_masks_lie_worked_out_by_hand():
    mask = torch.zeros(1, 1, 4, 5, dtype=torch.bool)
    mask[0, 0, 1, 1:4], mask[0, 0, 2, 1] = True, True
    assert features(mask)[0].tolist() == pytest.approx(
        [4 / 20, (3 * 1 + 2) / 4 / 4, (1 + 2 + 3 + 1) / 4 / 5, 1 / 4, 2 / 4, 1 / 5, 3 / 5]
    )


def masks_at(columns):
    masks = torch.zeros(len(columns), 1, SIDE, SIDE, dtype=torch.bool)
    for k, column in enumerate(columns):
        masks[k, :, 2:5, column : column + 3] = True
    return masks


def baseline_of(masks, truth, subjects=None, classes=2):
    subjects = np.array([str(k) for k in range(len(truth))] if subjects is None else subjects, dtype=object)
    draws = subject_resamples(truth, subjects, seed=0)
    return mask_baseline(masks, truth, subjects, counted(draws, len(truth)), classes=classes, seed=0)


def test_a_place_that_tells_the_class_is_found_where_the_area_tells_nothing():
    truth = np.arange(40) % 2
    found = baseline_of(masks_at(truth * 6), truth)
    assert found.area.value == 0.5
    assert found.place.value == 1


def test_equal_masks_tell_nothing():
    truth = np.arange(40) % 2
    found = baseline_of(masks_at([3] * 40), truth)
    assert (found.area.value, found.place.value, found.place.low, found.place.high) == (0.5,) * 4


def test_the_place_is_judged_on_subjects_it_was_not_fitted_to():
    """Each subject has a column of its own and one class, drawn at random: there is nothing to learn."""
    rng = np.random.default_rng(0)
    whose = np.repeat(np.arange(9), 12)
    truth = rng.permutation([0, 0, 0, 0, 1, 1, 1, 1, 1])[whose]
    found = baseline_of(masks_at(whose), truth, [str(k) for k in whose])
    assert found.place.value < 0.8


def test_one_subject_of_a_class_leaves_no_place():
    truth = np.array([0, 0, 0, 1, 1, 1])
    found = baseline_of(masks_at([0, 1, 2, 3, 4, 5]), truth, list("abcddd"))
    assert found.place is None
    assert found.area.value == 0.5


THIRDS = {0: ["010", "111", "010"], 1: ["101", "010", "101"]}
"""A plus and a cross of five blocks each: of one area, centroid and bounding box."""


def with_outlines(n=40, block=3):
    """Grey of one value in masks of either shape, anywhere on noise: samples, by label."""
    rng = np.random.default_rng(0)
    images, masks = rng.random((n, 1, 24, 24), dtype=np.float32) / 2, np.zeros((n, 1, 24, 24), bool)
    for k in range(n):
        shape = np.array([[int(one) for one in row] for row in THIRDS[k % 2]], bool)
        down, right = rng.integers(1, 24 - 3 * block, 2)
        masks[k, 0, down : down + 3 * block, right : right + 3 * block] = np.kron(
            shape, np.ones((block, block), bool)
        )
    images[masks] = 0.9
    return torch.from_numpy(images), torch.from_numpy(masks), torch.arange(n) % 2


def corner_of_what_is_flat(images):
    """Whether the corner of the box of what is flat, and of another value than the picture's, is filled."""
    same = (images == images.roll(1, 2)) & (images == images.roll(1, 3)) & (images != images[..., :1, :1])
    filled = []
    for flat in same[:, 0]:
        down, right = (flat.any(dim=axis).nonzero().flatten() for axis in (1, 0))
        filled.append(float(flat[down[0], right[0]]) if len(down) else 0.0)
    score = torch.tensor(filled)
    return torch.stack([-score, score], dim=1)


def test_a_model_that_reads_outlines_is_not_said_to_read_the_background():
    images, masks, labels = with_outlines()
    found, _ = conditions(corner_of_what_is_flat, samples_of(images, masks, labels.tolist()), classes=2)
    assert abs(found.baseline.place.value - 0.5) < 0.2
    assert found.baseline.outline.value > 0.95
    assert found.row("outside only").auc.value == found.row("inside only").auc.value == 1
    assert found.verdict.finding == "reads the region of interest"
    assert "no more is sure than the masks' outlines tell" in found.verdict.sentences[0]


def test_outlines_by_hand():
    masks = torch.zeros(2, 1, 40, 40, dtype=torch.bool)
    masks[0, 0, 3:35, 5:21] = True
    masks[1, 0, :32, :32] = torch.ones(32, 32, dtype=torch.bool).tril(-16) | torch.eye(32, dtype=torch.bool)
    first, second = outlines(masks)
    assert (first == 1).all()
    assert second.reshape(16, 16)[0].tolist() == [0.5, *[0] * 15]
    assert second.reshape(16, 16)[-1].tolist() == [*[1] * 7, 0.75, *[0] * 7, 0.5]
