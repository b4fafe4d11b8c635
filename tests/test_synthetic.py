import json
from dataclasses import asdict, replace
from math import comb
from pathlib import Path

import numpy as np
import pytest
import torch
from dataset_records import contents
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import label as connected
from skimage.measure import regionprops

from activmask.data.dataset import load_samples, read_dataset
from activmask.data.masks import dilate
from activmask.data.sources.synthetic.drawing import (
    SyntheticSpec,
    SyntheticSplit,
    draw_synthetic,
    synthetic_samples,
)
from activmask.data.sources.synthetic.prepare import make_synthetic
from activmask.data.sources.synthetic.preview import synthetic_preview
from activmask.ground.errors import DataError, UsageError

EIGHT_NEIGHBOURS = np.ones((3, 3))
SMALL = SyntheticSpec(n=12, valid=6, test=4, seed=3)


def cross(extent: int) -> np.ndarray:
    picture = np.zeros((extent, extent), dtype=bool)
    picture[extent // 2, :] = picture[:, extent // 2] = True
    return picture


def boxes(size: int) -> tuple[np.ndarray, np.ndarray]:
    left = np.zeros((size, size), dtype=bool)
    left[size - 5 : size - 3, 3:6] = True
    return left, left[:, ::-1]


def components(picture: np.ndarray) -> list[np.ndarray]:
    """Each 8-connected white region, cut out of its bounding box."""
    return [region.image for region in regionprops(connected(picture, EIGHT_NEIGHBOURS)[0])]


def everything(splits: dict[str, SyntheticSplit]) -> SyntheticSplit:
    parts = list(splits.values())
    return SyntheticSplit(
        images=np.concatenate([p.images for p in parts]),
        masks=np.concatenate([p.masks for p in parts]),
        labels=np.concatenate([p.labels for p in parts]),
        box_right=np.concatenate([p.box_right for p in parts]),
        distinct=sum(p.distinct for p in parts),
    )


def agreement(split: SyntheticSplit) -> dict[int, float]:
    """By class, the share of images whose box stands on its class's side, read from the pixels."""
    _, right = boxes(split.images.shape[1])
    stands_right = np.array([bool(image[right].all()) for image in split.images])
    return {k: float((stands_right == (k == 0))[split.labels == k].mean()) for k in (0, 1)}


@pytest.fixture(scope="module")
def paper() -> dict[str, SyntheticSplit]:
    return draw_synthetic(SyntheticSpec())


def test_the_papers_counts_and_balance(paper):
    assert list(paper) == ["train", "valid", "test"]
    for name, n in (("train", 500), ("valid", 128), ("test", 128)):
        split = paper[name]
        assert split.images.shape == split.masks.shape == (n, 28, 28)
        assert split.labels.dtype == np.int64
        assert np.bincount(split.labels).tolist() == [n // 2, n // 2]
        assert split.distinct == n


def test_masks_are_one_or_two_crosses_of_3_or_5_px_alike_in_an_image(paper):
    extents = []
    for split in paper.values():
        for mask, label in zip(split.masks, split.labels, strict=True):
            found = components(mask)
            assert len(found) == (2 if label == 0 else 1)
            extent = len(found[0])
            assert extent in {3, 5}
            for one in found:
                assert np.array_equal(one, cross(extent))
            extents.append((int(label), extent))
    for label in (0, 1):
        share = np.mean([extent == 3 for known, extent in extents if known == label])
        assert 0.4 < share < 0.6


def test_the_box_is_2_x_3_px_in_rows_23_and_24_on_one_side(paper):
    left, right = boxes(28)
    assert [axis.tolist() for axis in map(np.unique, left.nonzero())] == [[23, 24], [3, 4, 5]]
    assert [axis.tolist() for axis in map(np.unique, right.nonzero())] == [[23, 24], [22, 23, 24]]
    split = everything(paper)
    for image, mask, on_right in zip(split.images, split.masks, split.box_right, strict=True):
        assert np.array_equal(image & ~mask, right if on_right else left)


def test_nothing_touches_so_that_an_image_shows_its_count(paper):
    split = everything(paper)
    assert not (split.masks & ~split.images).any()
    for image, label in zip(split.images, split.labels, strict=True):
        assert len(components(image)) == (3 if label == 0 else 2)


@pytest.mark.parametrize("seed", [0, 1])
def test_no_arrangement_occurs_twice_within_or_across_splits(seed):
    split = everything(draw_synthetic(SyntheticSpec(seed=seed)))
    assert len({mask.tobytes() for mask in split.masks}) == 500 + 128 + 128


def test_training_agrees_with_the_class_and_validation_and_test_are_reversed(paper):
    assert agreement(paper["train"]) == {0: 1.0, 1: 1.0}
    assert agreement(paper["valid"]) == agreement(paper["test"]) == {0: 0.0, 1: 0.0}
    two, one = paper["train"].labels == 0, paper["train"].labels == 1
    assert paper["train"].box_right[two].all()
    assert not paper["train"].box_right[one].any()


@pytest.mark.parametrize(("share", "of_fifty"), [(0.0, 0), (0.1, 5), (0.5, 25), (0.94, 47), (1.0, 50)])
def test_correlation_is_an_exact_count_in_each_class(share, of_fifty):
    splits = draw_synthetic(
        SyntheticSpec(n=100, valid=100, test=100, correlation=share, valid_correlation=1 - share)
    )
    assert agreement(splits["train"]) == {0: of_fifty / 50, 1: of_fifty / 50}
    for name in ("valid", "test"):
        assert agreement(splits[name]) == {0: (50 - of_fifty) / 50, 1: (50 - of_fifty) / 50}


def test_which_images_agree_is_not_a_matter_of_their_order():
    split = draw_synthetic(SyntheticSpec(n=400, correlation=0.5))["train"]
    agrees = split.box_right == (split.labels == 0)
    for run in (agrees, split.labels == 0):
        changes = int((run[1:] != run[:-1]).sum())
        assert abs(changes - 200) < 60


@settings(max_examples=25)
@given(
    n=st.integers(2, 31),
    valid=st.integers(2, 9),
    test=st.integers(2, 9),
    size=st.integers(16, 40),
    seed=st.integers(0, 1000),
    correlation=st.floats(0, 1),
)
def test_every_spec_gives_what_it_asks_for(n, valid, test, size, seed, correlation):
    spec = SyntheticSpec(n=n, valid=valid, test=test, size=size, seed=seed, correlation=correlation)
    splits = draw_synthetic(spec)
    left, right = boxes(size)
    for name, count in (("train", n), ("valid", valid), ("test", test)):
        split = splits[name]
        assert np.bincount(split.labels, minlength=2).tolist() == [count - count // 2, count // 2]
        for image, mask, label, on_right in zip(
            split.images, split.masks, split.labels, split.box_right, strict=True
        ):
            assert [part.shape for part in components(mask)] in (
                [(3, 3)] * (2 - label),
                [(5, 5)] * (2 - label),
            )
            assert np.array_equal(image ^ mask, right if on_right else left)
            assert len(components(image)) == 3 - label
    for label, share in agreement(splits["train"]).items():
        members = int((splits["train"].labels == label).sum())
        assert abs(share - correlation) * members <= 0.5 + 1e-9


def test_without_a_distractor_images_are_their_masks():
    split = everything(draw_synthetic(replace(SMALL, distractor=False)))
    assert np.array_equal(split.images, split.masks)


def test_the_distractor_and_its_side_change_no_arrangement():
    with_box, without = draw_synthetic(SMALL), draw_synthetic(replace(SMALL, distractor=False))
    for name in with_box:
        assert np.array_equal(with_box[name].masks, without[name].masks)


def test_overlap_lets_crosses_meet_each_other_and_the_box():
    split = everything(draw_synthetic(SyntheticSpec(overlap=True)))
    two = split.masks[split.labels == 0]
    merged = sum(len(components(mask)) == 1 for mask in two)
    covering = sum(bool((mask & (boxes(28)[0] | boxes(28)[1])).any()) for mask in split.masks)
    assert 0 < merged < len(two) / 4
    assert covering > 0
    assert {int(mask.sum()) for mask in split.masks[split.labels == 1]} == {5, 9}
    assert all(mask.sum() > 5 for mask in two)
    assert len({mask.tobytes() for mask in split.masks}) == len(split.masks)


def test_overlapping_crosses_still_have_one_extent_and_fit_the_image():
    split = everything(draw_synthetic(SyntheticSpec(overlap=True)))
    for mask in split.masks:
        centres = {}
        for extent in (3, 5):
            windows = np.lib.stride_tricks.sliding_window_view(mask, (extent, extent))
            fits = (windows | ~cross(extent)).all(axis=(2, 3))
            covered = np.zeros_like(mask)
            for y, x in np.argwhere(fits):
                covered[y : y + extent, x : x + extent] |= cross(extent)
            centres[extent] = np.array_equal(covered, mask)
        assert any(centres.values())


def test_crosses_reach_every_edge_and_every_allowed_place():
    masks = draw_synthetic(SyntheticSpec(n=4000, overlap=True))["train"].masks
    assert masks.any(axis=0).sum() == 28 * 28 - 4
    assert not masks.any(axis=0)[[0, 0, -1, -1], [0, -1, 0, -1]].any()


def places(extent: int, size: int) -> int:
    """In how many places a cross of one extent fits without touching either box, counted one by one."""
    blocked = sum(box.astype(int) for box in boxes(size))
    count = 0
    for y in range(size - extent + 1):
        for x in range(size - extent + 1):
            picture = np.zeros((size, size), dtype=int)
            picture[y : y + extent, x : x + extent] = cross(extent)
            count += connected(picture | blocked, EIGHT_NEIGHBOURS)[1] == 3
    return count


def test_the_documented_number_of_single_crosses_is_the_counted_one():
    assert places(3, 28) + places(5, 28) == 1100


def test_training_images_repeat_evenly_where_the_size_has_too_few():
    splits = draw_synthetic(SyntheticSpec(n=4000, valid=100, test=100))
    single = splits["train"].masks[splits["train"].labels == 1]
    _, times = np.unique(single.reshape(len(single), -1), axis=0, return_counts=True)
    assert len(times) == 1100 - 50 - 50
    assert set(times) == {2}
    assert splits["train"].distinct == 1000 + 2000
    for name in ("valid", "test"):
        assert splits[name].distinct == 100
    train = {mask.tobytes() for mask in splits["train"].masks}
    held_out = [mask.tobytes() for name in ("valid", "test") for mask in splits[name].masks]
    assert len(set(held_out)) == 200
    assert train.isdisjoint(held_out)


def test_a_repeated_arrangement_gets_its_boxes_independently():
    split = draw_synthetic(SyntheticSpec(n=4000, valid=100, test=100, correlation=0.5))["train"]
    sides: dict[bytes, list[bool]] = {}
    for mask, right in zip(split.masks[split.labels == 1], split.box_right[split.labels == 1], strict=True):
        sides.setdefault(mask.tobytes(), []).append(bool(right))
    both = sum(len(set(pair)) == 2 for pair in sides.values())
    assert both == pytest.approx(500, abs=4 * 250**0.5)


@pytest.mark.process
def test_two_crosses_run_out_at_their_number_of_pairs_that_keep_apart():
    size, extents = 16, (3, 5)
    pairs = 0
    for extent in extents:
        blocked = np.logical_or(*boxes(size))
        allowed = []
        for y in range(size - extent + 1):
            for x in range(size - extent + 1):
                picture = np.zeros((size, size), dtype=bool)
                picture[y : y + extent, x : x + extent] = cross(extent)
                if connected(picture | blocked, EIGHT_NEIGHBOURS)[1] == 3:
                    allowed.append(picture)
        stack = np.array(allowed)
        grown = np.zeros_like(stack)
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                padded = np.pad(stack, ((0, 0), (1, 1), (1, 1)))
                grown |= padded[:, 1 + dy : 1 + dy + size, 1 + dx : 1 + dx + size]
        touching = grown.reshape(len(stack), -1).astype(int) @ stack.reshape(len(stack), -1).T.astype(int) > 0
        pairs += comb(len(stack), 2) - int(np.triu(touching, 1).sum())
    drawn = draw_synthetic(SyntheticSpec(n=120_000, valid=2, test=2, size=size))["train"]
    two = drawn.masks[drawn.labels == 0]
    found = len(np.unique(np.packbits(two.reshape(len(two), -1), axis=1), axis=0))
    assert found == pairs - 2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size": 15}, "size must be from 16 to 8,192; found 15"),
        ({"n": 1}, "n must be from 2 to 1,000,000,000; found 1"),
        ({"valid": 0}, "valid must be from 2"),
        ({"test": -4}, "test must be from 2"),
        ({"correlation": 1.5}, "correlation must be from 0 to 1; found 1.5"),
        ({"valid_correlation": -0.1}, "valid_correlation must be from 0 to 1"),
        ({"correlation": float("nan")}, "correlation must be from 0 to 1"),
        ({"seed": -1}, "seed must be from 0 to .*; found -1"),
        ({"valid": 1500, "test": 1500}, "only 1100 different arrangements.*ask for fewer valid and test"),
        ({"valid": 1100, "test": 1100}, "only 1100 different arrangements"),
    ],
)
def test_impossible_specs_are_refused(changes, message):
    with pytest.raises(UsageError, match=message):
        draw_synthetic(SyntheticSpec(**changes))


def test_one_seed_gives_one_set_of_arrays_and_another_seed_another():
    first, same, other = (draw_synthetic(replace(SMALL, seed=seed)) for seed in (3, 3, 4))
    for name, split in first.items():
        for field in ("images", "masks", "labels", "box_right"):
            assert np.array_equal(getattr(split, field), getattr(same[name], field))
        assert not np.array_equal(split.masks, other[name].masks)


def test_an_odd_count_gives_its_last_image_to_class_0():
    splits = draw_synthetic(SyntheticSpec(n=7, valid=5, test=3))
    assert np.bincount(splits["train"].labels).tolist() == [4, 3]
    assert np.bincount(splits["valid"].labels).tolist() == [3, 2]
    assert np.bincount(splits["test"].labels).tolist() == [2, 1]


def test_samples_hold_the_same_pixels_as_binary_floats():
    split = draw_synthetic(SMALL)["valid"]
    samples = synthetic_samples(split)
    assert samples.images.dtype == torch.float32
    assert samples.images.shape == samples.masks.shape == (6, 1, 28, 28)
    assert np.array_equal(samples.images[:, 0].numpy(), split.images.astype(np.float32))
    assert np.array_equal(samples.masks[:, 0].numpy(), split.masks)
    assert samples.labels.tolist() == split.labels.tolist()
    assert bool(samples.has_mask.all())
    assert len(set(samples.subjects)) == 6


def test_one_spec_gives_one_folder_byte_for_byte(tmp_path):
    for name in ("one", "two"):
        make_synthetic(SMALL, tmp_path / name)
    first = contents(tmp_path / "one")
    assert first == contents(tmp_path / "two")
    assert len(first) == 2 * (12 + 6 + 4) + 3
    make_synthetic(replace(SMALL, seed=4), tmp_path / "three")
    third = contents(tmp_path / "three")
    assert set(third) == set(first)
    assert third["preview.png"] != first["preview.png"]


def test_the_folder_reads_back_as_what_was_drawn(tmp_path):
    summary, distinct = make_synthetic(SMALL, tmp_path / "set")
    assert summary.counts == {"train": {0: 6, 1: 6}, "valid": {0: 3, 1: 3}, "test": {0: 2, 1: 2}}
    assert distinct == {"train": 12, "valid": 6, "test": 4}
    dataset = read_dataset(tmp_path / "set")
    assert len(set(dataset.subjects)) == 22
    for name, split in draw_synthetic(SMALL).items():
        rows = [row for row, known in enumerate(dataset.splits) if known == name]
        samples = load_samples(dataset, rows)
        expected = synthetic_samples(split)
        assert torch.equal(samples.images, expected.images)
        assert torch.equal(samples.masks, expected.masks)
        assert torch.equal(samples.labels, expected.labels)


def test_the_card_says_how_the_set_was_made(tmp_path):
    make_synthetic(SMALL, tmp_path / "set")
    card = json.loads((tmp_path / "set" / "card.json").read_text())
    assert SyntheticSpec(**card["spec"]) == SMALL
    assert {**card["spec"], "test_correlation": None} == asdict(SMALL)
    assert card["made_by"] == "activmask make-synthetic"
    assert card["classes"] == {"0": "two crosses", "1": "one cross"}
    assert card["distinct_arrangements"] == {"train": 12, "valid": 6, "test": 4}
    assert card["images"] == card["masks"] == 22
    samples = load_samples(read_dataset(tmp_path / "set"), range(22))
    for name, masks in {"stored": samples.masks, "dilated": dilate(samples.masks, 0.5)}.items():
        share = masks.flatten(1).double().mean(dim=1)
        assert card["mask_shares"][name]["mean"] == pytest.approx(float(share.mean()))
        assert card["mask_shares"][name]["maximum"] == pytest.approx(float(share.max()))
    assert (card["height"], card["width"], card["bit_depth"]) == (28, 28, 8)


def test_the_preview_is_a_picture_of_both_classes_and_both_splits(tmp_path):
    make_synthetic(SMALL, tmp_path / "set")
    with Image.open(tmp_path / "set" / "preview.png") as picture:
        width, height = picture.size
        pixels = np.asarray(picture.convert("L"))
    assert width > 2 * height > 400
    # Two rows of six black images on white paper.
    assert connected(pixels < 10, np.ones((3, 3)))[1] >= 12
    assert (tmp_path / "set" / "preview.png").read_bytes() == synthetic_preview(draw_synthetic(SMALL))


@pytest.mark.process
@pytest.mark.parametrize(
    "changes", [{"n": 2, "valid": 2, "test": 2}, {"distractor": False}, {"overlap": True}]
)
def test_a_preview_exists_for_the_smallest_and_oddest_sets(changes, tmp_path):
    make_synthetic(replace(SMALL, **changes), tmp_path / "set")
    with Image.open(tmp_path / "set" / "preview.png") as picture:
        assert picture.size[0] > 500


def test_an_existing_set_is_replaced_only_when_asked(tmp_path):
    folder = tmp_path / "set"
    make_synthetic(SMALL, folder)
    before = contents(folder)
    other = replace(SMALL, seed=9)
    with pytest.raises(DataError, match="exists already"):
        make_synthetic(other, folder)
    assert contents(folder) == before
    make_synthetic(other, folder, overwrite=True)
    assert json.loads((folder / "card.json").read_text())["spec"]["seed"] == 9


def test_a_foreign_folder_is_never_replaced(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(DataError, match="not a data set"):
        make_synthetic(SMALL, tmp_path, overwrite=True)
    assert contents(tmp_path) == {"thesis.txt": b"years of work"}


def test_an_impossible_spec_leaves_nothing_behind(tmp_path):
    with pytest.raises(UsageError):
        make_synthetic(replace(SMALL, size=3), tmp_path / "set")
    assert list(tmp_path.iterdir()) == []


def test_progress_ends_at_the_total(tmp_path):
    calls: list[tuple[int, int]] = []
    make_synthetic(SMALL, tmp_path / "set", progress=lambda done, total: calls.append((done, total)))
    assert calls == [(22, 22)]
    assert Path(tmp_path / "set").is_dir()


def test_more_than_memory_holds_is_refused_before_it_is_drawn():
    with pytest.raises(UsageError, match="more than fits in memory"):
        draw_synthetic(SyntheticSpec(size=8192))
