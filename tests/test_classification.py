import math
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import Tensor

from activmask.objectives.classification import cross_entropy
from activmask.objectives.classify_masked import keep_inside
from activmask.objectives.cutout import cutout, cutout_within
from activmask.runs.description import written
from activmask.runs.making import make_config
from activmask.runs.names import baseline, method_name, run_name


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def cut_rectangle(image: Tensor) -> tuple[int, int, int, int]:
    """First and last row and column of the zeros of an image (C, H, W) that was all ones."""
    rows, columns = torch.nonzero(image[0] == 0, as_tuple=True)
    return int(rows.min()), int(rows.max()), int(columns.min()), int(columns.max())


def test_cross_entropy_by_hand():
    logits = torch.tensor([[0.0, 0.0], [math.log(3), 0.0]], dtype=torch.float64)
    expected = (math.log(2) + math.log(4)) / 2
    assert float(cross_entropy(logits, torch.tensor([0, 1]))) == pytest.approx(expected)


def test_cross_entropy_of_three_classes_equals_its_formula():
    logits = torch.randn((5, 3), dtype=torch.float64, generator=generator())
    labels = torch.tensor([0, 2, 1, 1, 2])
    rows = zip(logits.tolist(), labels.tolist(), strict=True)
    expected = sum(math.log(sum(math.exp(v) for v in row)) - row[label] for row, label in rows) / 5
    assert float(cross_entropy(logits, labels)) == pytest.approx(expected)


def test_keep_inside_zeroes_the_outside_of_every_channel():
    images = 1 + torch.arange(8.0).view(1, 2, 2, 2)
    masks = torch.tensor([[[[True, False], [False, True]]]])
    assert keep_inside(images, masks).flatten().tolist() == [1, 0, 0, 4, 5, 0, 0, 8]


def test_keep_inside_can_leave_mid_grey_outside():
    images = 1 + torch.arange(8.0).view(1, 2, 2, 2)
    masks = torch.tensor([[[[True, False], [False, True]]]])
    assert keep_inside(images, masks, "grey").flatten().tolist() == [1, 0.5, 0.5, 4, 5, 0.5, 0.5, 8]


def test_keep_inside_leaves_an_image_without_a_mask_whole():
    images = torch.rand((2, 1, 3, 3), generator=generator())
    assert torch.equal(keep_inside(images, torch.ones(2, 1, 3, 3, dtype=torch.bool)), images)


@given(
    channels=st.integers(1, 2),
    height=st.integers(1, 9),
    width=st.integers(1, 9),
    side=st.integers(1, 12),
    seed=st.integers(0, 1000),
)
def test_cutout_zeroes_one_square_clipped_to_the_image(channels, height, width, side, seed):
    images = torch.ones(3, channels, height, width)
    for image in cutout(images, side, generator(seed)):
        assert bool((image == image[:1]).all())
        top, bottom, left, right = cut_rectangle(image)
        assert bool((image[:, top : bottom + 1, left : right + 1] == 0).all())
        assert int((image[0] == 0).sum()) == (bottom - top + 1) * (right - left + 1)
        for first, last, length in ((top, bottom, height), (left, right, width)):
            extent = last - first + 1
            assert extent == side or (extent < side and (first == 0 or last == length - 1))
    assert bool((images == 1).all())


def test_cutout_leaves_the_rest_untouched():
    images = 0.5 + torch.rand((4, 2, 8, 8), generator=generator())
    cut = cutout(images, 3, generator(1))
    kept = cut != 0
    assert torch.equal(cut[kept], images[kept])
    assert bool((~kept).flatten(1).any(dim=1).all())


@pytest.mark.parametrize("side", [1, 4])
def test_the_centre_is_uniform_over_the_image(side):
    draws, length = 6_400, 8
    cut = cutout(torch.ones(draws, 1, length, length), side, generator(2))
    # A square of odd or even side covers [centre - side // 2, centre - side // 2 + side).
    first_of_centre = [max(0, centre - side // 2) for centre in range(length)]
    last_of_centre = [min(length, centre - side // 2 + side) - 1 for centre in range(length)]
    pairs = list(zip(first_of_centre, last_of_centre, strict=True))
    assert len(set(pairs)) == length
    seen = Counter()
    for image in cut:
        top, bottom, left, right = cut_rectangle(image)
        seen[pairs.index((top, bottom)), pairs.index((left, right))] += 1
    assert len(seen) == length**2
    assert chisquare(list(seen.values())).pvalue > 1e-3


def test_cutout_draws_from_its_generator_alone_and_afresh():
    images = torch.ones(8, 1, 10, 10)
    source = generator(3)
    first, second = cutout(images, 3, source), cutout(images, 3, source)
    assert torch.equal(first, cutout(images, 3, generator(3)))
    assert not torch.equal(first, second)
    assert len({cut_rectangle(image) for image in first}) > 1


@given(side=st.integers(1, 9), share=st.floats(0, 1), seed=st.integers(0, 1000))
def test_cutout_within_a_region_leaves_all_else_alone(side, share, seed):
    regions = torch.rand((3, 1, 6, 7), generator=generator(seed)) < share
    cut = cutout_within(torch.ones(3, 2, 6, 7), side, regions, generator(seed + 1)) == 0
    assert not (cut & ~regions).any()
    for image, region in zip(cut, regions, strict=True):
        assert torch.equal(image[0], image[1])
        assert bool(image.any()) == bool(region.any())
        if image.any():
            top, bottom, left, right = cut_rectangle(1.0 - image.float())
            within = region[0, top : bottom + 1, left : right + 1]
            assert torch.equal(image[0, top : bottom + 1, left : right + 1], within)
            assert max(bottom - top, right - left) < side


def test_the_centre_of_a_cutout_within_a_region_is_uniform_over_it():
    region = torch.zeros(1, 1, 5, 5, dtype=torch.bool)
    region[0, 0, [0, 1, 1, 3, 4], [4, 0, 2, 3, 4]] = True
    draws = 5_000
    cut = cutout_within(torch.ones(draws, 1, 5, 5), 1, region.expand(draws, 1, 5, 5), generator(4)) == 0
    assert (cut.flatten(1).sum(dim=1) == 1).all()
    assert chisquare(cut.sum(dim=0)[region[0]].tolist()).pvalue > 1e-3


def test_cutouts_inside_and_outside_are_named_and_described_where_they_are_on():

    both = make_config(cutout_inside=9, cutout_outside=5)
    assert method_name(both) == "Cutout 9 inside & Cutout 5 outside"
    assert run_name(both).endswith("-cutout_inside9-cutout_outside5")
    assert baseline(both) == make_config()
    assert not {"cutout_inside", "cutout_outside"} & written(make_config(cutout=9)).keys()
