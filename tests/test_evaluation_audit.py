import dataclasses

import pytest
import torch
from tiny_checkpoints import samples_of
from torch import nn

from activmask.evaluation.audit import MASK_AREA, Audit, audit, audited
from activmask.evaluation.participants import MaskCount
from activmask.evaluation.scores import score_report
from activmask.ground.errors import CheckpointError
from activmask.models.output import ModelOutput
from activmask.training.replicas.predictions import predict

SIDE, N = 8, 80


class ReadsOnePixel(nn.Module):
    """Class 1 where one pixel is bright."""

    def __init__(self, row: int, column: int, factor: float = 1.0) -> None:
        super().__init__()
        self.place = row, column
        self.factor = nn.Parameter(torch.tensor(factor))

    def forward(self, images, reconstruct=True):
        score = self.factor * images[:, 0, self.place[0], self.place[1]]
        return ModelOutput(torch.stack([-score, score], dim=1))


def shortcut_samples(*, reverse_background: bool = False):
    """Pixel (2, 2), inside, and pixel (6, 6), outside, are bright in class 1; the latter or in class 0."""
    labels = [i % 2 for i in range(N)]
    images, masks = torch.zeros(N, 1, SIDE, SIDE), torch.zeros(N, 1, SIDE, SIDE, dtype=torch.bool)
    masks[:, :, 1:5, 1:5] = True
    for i, label in enumerate(labels):
        images[i, 0, 2, 2] = label
        images[i, 0, 6, 6] = 1 - label if reverse_background else label
    return samples_of(images, masks, labels)


def run(model, samples) -> Audit:
    return audit(model, samples, predict(model, samples.images), seed=0)


def aucs(result: Audit) -> dict[str, float]:
    return {row.images: row.auc for row in result.rows}


def test_a_model_that_reads_the_background_is_found_out():
    result = run(ReadsOnePixel(6, 6), shortcut_samples())
    assert aucs(result)["full"] == 1
    assert aucs(result)["ROI shuffled"] == 1
    assert aucs(result)["background shuffled"] == pytest.approx(0.5, abs=0.06)
    assert result.verdict is not None
    assert result.verdict.finding == "reads the background"


def test_a_model_that_reads_the_region_of_interest_is_cleared():
    result = run(ReadsOnePixel(2, 2), shortcut_samples())
    assert aucs(result)["background shuffled"] == 1
    assert result.verdict is not None
    assert result.verdict.finding == "reads the region of interest"
    assert result.mask_area_auc == 0.5


def test_a_shortcut_whose_correlation_is_reversed_is_found_out_at_an_auc_of_0():
    result = run(ReadsOnePixel(6, 6), shortcut_samples(reverse_background=True))
    assert aucs(result)["full"] == aucs(result)["ROI shuffled"] == 0
    assert result.verdict is not None
    assert result.verdict.finding == "reads the background"


def test_scores_and_audit_tell_one_interval_of_the_same_images():
    """Images of 40 subjects, each with two of the same class, as the table of scores has them too."""
    samples = dataclasses.replace(shortcut_samples(), subjects=tuple(f"p{i // 4}{i % 2}" for i in range(N)))
    noise = torch.randn(N, generator=torch.Generator().manual_seed(1))
    score = samples.labels + noise
    logits = torch.stack([-score, score], dim=1)
    scores = score_report(logits, samples.labels, samples.subjects, seed=3)
    result = audit(ReadsOnePixel(6, 6), samples, logits, seed=3)
    full = result.rows[0]
    assert (full.auc, full.low, full.high) == (scores.auc, scores.interval.low, scores.interval.high)
    assert result.subjects == N // 2
    between = f"{full.auc:.2f} (95 % {full.low:.2f} to {full.high:.2f})"
    assert f"on full images {between}" in result.verdict.sentences[0]


def test_what_shuffling_changes_is_paired_with_the_full_images():
    result = run(ReadsOnePixel(6, 6), shortcut_samples())
    full, background, roi = result.rows
    assert full.change is None
    assert background.change.value == background.auc - full.auc
    assert background.change.high < -0.3
    assert (roi.change.low, roi.change.high) == (0, 0)
    assert result.further.high < -0.3


def test_too_few_subjects_have_no_verdict():
    samples = dataclasses.replace(shortcut_samples(), subjects=tuple(f"p{i % 8}" for i in range(N)))
    result = run(ReadsOnePixel(6, 6), samples)
    assert result.verdict.finding == "cannot be told"
    assert "8 subjects, too few" in result.verdict.sentences[0]


def test_shuffling_changes_only_one_side_of_the_mask_and_no_global_state():
    samples = shortcut_samples()
    before, state = samples.images.clone(), torch.get_rng_state()
    first, second = run(ReadsOnePixel(6, 6), samples), run(ReadsOnePixel(6, 6), samples)
    assert first == second
    assert torch.equal(samples.images, before)
    assert torch.equal(torch.get_rng_state(), state)


def test_only_images_with_a_mask_take_part():
    samples = shortcut_samples()
    has_mask = samples.has_mask.clone()
    has_mask[:10] = False
    masks = samples.masks.clone()
    masks[10:14], masks[14:16] = True, False
    result = run(ReadsOnePixel(6, 6), dataclasses.replace(samples, has_mask=has_mask, masks=masks))
    assert result.n == N - 16


def masks_of_class_1_only():
    """The samples with masks that differ and are missing in class 0, as slices without an organ."""
    samples = shortcut_samples()
    masks = samples.masks.clone()
    masks[: N // 2, :, 4] = False
    has_mask = samples.labels == 1
    return dataclasses.replace(samples, has_mask=has_mask, masks=masks | ~has_mask[:, None, None, None])


@pytest.mark.parametrize(("place", "kept"), [((2, 2), "background shuffled"), ((6, 6), "ROI shuffled")])
def test_a_class_without_masks_borrows_those_of_the_other(place, kept):
    result = run(ReadsOnePixel(*place), masks_of_class_1_only())
    assert (result.n, result.borrowed, result.reason) == (N, N // 2, None)
    assert result.mask_area_auc == pytest.approx(0.5, abs=0.2)
    for images, area in aucs(result).items():
        assert area == 1 if images in {"full", kept} else area == pytest.approx(0.5, abs=0.06)


def test_a_few_masks_in_the_other_class_do_not_switch_borrowing_off():
    samples = shortcut_samples()
    for few in (1, 3):
        has_mask = samples.labels == 1
        has_mask[torch.nonzero(samples.labels == 0).flatten()[:few]] = True
        masks = samples.masks | ~has_mask[:, None, None, None]
        result = run(ReadsOnePixel(2, 2), dataclasses.replace(samples, has_mask=has_mask, masks=masks))
        assert (result.n, result.borrowed) == (N, N // 2 - few)
        assert result.mask_counts == (MaskCount(0, N // 2, few), MaskCount(1, N // 2, N // 2))


def test_an_empty_mask_is_none():
    samples = shortcut_samples()
    masks = samples.masks & (samples.labels == 1)[:, None, None, None]
    result = run(ReadsOnePixel(2, 2), dataclasses.replace(samples, masks=masks))
    assert (result.n, result.borrowed, result.reason) == (N, N // 2, None)


def test_nothing_is_borrowed_where_both_classes_have_masks():
    samples = shortcut_samples()
    has_mask = samples.has_mask.clone()
    has_mask[:10] = False
    result = run(ReadsOnePixel(6, 6), dataclasses.replace(samples, has_mask=has_mask))
    assert (result.n, result.borrowed) == (N - 10, 0)


def test_no_masks_make_no_audit():
    samples = shortcut_samples()
    result = run(ReadsOnePixel(6, 6), dataclasses.replace(samples, has_mask=torch.zeros(N, dtype=torch.bool)))
    assert result.reason == "no image has a mask that covers a part of it"


def test_a_mask_area_that_tells_the_label_is_reported():
    samples = shortcut_samples()
    masks = samples.masks.clone()
    masks[samples.labels == 0, :, 0] = True
    result = run(ReadsOnePixel(2, 2), dataclasses.replace(samples, masks=masks))
    assert result.mask_area_auc == 0
    assert result.verdict is not None
    assert result.verdict.sentences[-1].startswith("Caution")
    assert audited(result) == {**aucs(result), MASK_AREA: 0}


def test_scores_of_shuffled_images_that_are_not_finite_are_refused():
    samples = shortcut_samples()
    model = ReadsOnePixel(2, 2, factor=float("nan"))
    with pytest.raises(CheckpointError, match="not finite"):
        audit(model, samples, torch.zeros(N, 2), seed=0)


def test_images_that_are_blank_outside_their_masks_have_no_background_to_read():
    samples = shortcut_samples()
    masked = dataclasses.replace(samples, images=samples.images * samples.masks)
    masked.images[:, :, 1:5, 1:5] += samples.labels[:, None, None, None] / 10
    result = run(ReadsOnePixel(2, 2), masked)
    assert aucs(result)["ROI shuffled"] > 0.9
    assert result.verdict is not None
    assert result.verdict.finding == "reads the region of interest"
    assert "no background to read" in result.verdict.sentences[0]
