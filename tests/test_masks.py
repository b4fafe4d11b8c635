import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skimage.filters import gaussian

from activmask.data import masks as module
from activmask.data.masks import circle, dilate, dilation_radius, keep_share


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def blur_then_above_zero(mask: np.ndarray, sigma: float, mode: str = "nearest") -> np.ndarray:
    """The paper's dilation as its authors ran it."""
    return gaussian(mask.astype(np.float64), sigma=sigma, mode=mode, truncate=4.0) > 0


@pytest.mark.parametrize(("sigma", "radius"), [(0, 0), (0.1, 0), (0.5, 2), (1, 4), (8, 32), (16, 64)])
def test_dilation_radius_is_four_sigmas_rounded(sigma, radius):
    assert dilation_radius(sigma) == radius


def test_one_pixel_grows_into_a_square():
    masks = torch.zeros(1, 1, 9, 9, dtype=torch.bool)
    masks[0, 0, 4, 2] = True
    expected = torch.zeros_like(masks)
    expected[0, 0, 2:7, 0:5] = True
    assert torch.equal(dilate(masks, 0.5), expected)


@pytest.mark.parametrize("sigma", [0.1, 0.13, 0.3, 0.5, 0.62, 0.63, 0.82, 1, 1.3, 2.5, 4, 8, 16])
@pytest.mark.parametrize("share", [0.0004, 0.01])
def test_dilate_equals_scikit_images_blur_above_zero(sigma, share):
    masks = rng(3).random((3, 1, 150, 130)) < share
    masks[0, 0, 0, 129] = True
    masks[2] = False
    found = dilate(torch.from_numpy(masks), sigma).numpy()
    assert found.dtype == np.bool_
    for mask, grown in zip(masks[:, 0], found[:, 0], strict=True):
        assert np.array_equal(grown, blur_then_above_zero(mask, sigma))


@pytest.mark.parametrize("mode", ["nearest", "reflect", "constant"])
def test_the_blurs_boundary_does_not_matter(mode):
    masks = rng(4).random((1, 1, 40, 40)) < 0.01
    masks[0, 0, 0, 0] = masks[0, 0, 39, 20] = True
    assert np.array_equal(
        dilate(torch.from_numpy(masks), 2.0)[0, 0].numpy(), blur_then_above_zero(masks[0, 0], 2.0, mode)
    )


@given(
    height=st.integers(1, 20),
    width=st.integers(1, 20),
    sigma=st.floats(0, 6),
    share=st.floats(0, 0.3),
    seed=st.integers(0, 1000),
)
def test_dilate_grows_and_equals_a_search_in_the_square_around_each_pixel(height, width, sigma, share, seed):
    mask = rng(seed).random((height, width)) < share
    grown = dilate(torch.from_numpy(mask)[None, None], sigma)[0, 0].numpy()
    reach = dilation_radius(sigma)
    for y in range(height):
        for x in range(width):
            around = mask[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
            assert grown[y, x] == around.any()


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7])
@pytest.mark.parametrize("pixels_at_once", [1, 200, 260, 10_000])
def test_dilating_a_few_masks_at_a_time_gives_the_same_bits(monkeypatch, count, pixels_at_once):
    masks = torch.from_numpy(rng(5).random((count, 1, 10, 13)) < 0.05)
    whole = dilate(masks, 0.7)
    assert whole.shape == masks.shape
    monkeypatch.setattr(module, "_PIXELS_AT_ONCE", pixels_at_once)
    assert torch.equal(dilate(masks, 0.7), whole)


def test_dilating_many_masks_never_holds_more_than_its_result_and_a_few_of_them(monkeypatch):
    monkeypatch.setattr(module, "_PIXELS_AT_ONCE", 4 * 16 * 16)
    sizes: list[int] = []
    one_pass = module._dilated

    def watched(few: torch.Tensor, radius: int) -> torch.Tensor:
        sizes.append(few.numel())
        return one_pass(few, radius)

    monkeypatch.setattr(module, "_dilated", watched)
    dilate(torch.zeros(50, 1, 16, 16, dtype=torch.bool), 0.5)
    assert sum(sizes) == 50 * 16 * 16
    assert max(sizes) == 4 * 16 * 16


@pytest.mark.process
@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory that Linux counts")
def test_the_peak_of_memory_stays_far_below_the_float_copy_of_all_masks():
    script = """
import resource, torch
from activmask.data.masks import dilate
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
masks = torch.ones(400, 1, 256, 256, dtype=torch.bool)
dilate(masks[:64], 0.5)
before = peak()
dilate(masks, 0.5)
print(peak() - before)
"""
    # The result is 25 MB; the three floats per pixel of a single pass would be 300 MB.
    grown_mb = float(subprocess.run([sys.executable, "-c", script], capture_output=True, check=True).stdout)
    assert grown_mb < 120


def test_dilate_leaves_its_input_alone():
    masks = torch.from_numpy(rng().random((2, 1, 10, 10)) < 0.1)
    before = masks.clone()
    dilate(masks, 1.0)
    assert torch.equal(masks, before)


@pytest.mark.parametrize("size", [5, 10, 28, 100, 128])
def test_circle_is_the_disc_around_the_middle_of_the_image(size):
    disc = circle(size)
    assert disc.shape == (1, size, size)
    assert disc.dtype == torch.bool
    middle = (size - 1) / 2
    for y in range(size):
        for x in range(size):
            inside = ((y - middle) ** 2 + (x - middle) ** 2) ** 0.5 <= size / 2.5
            assert bool(disc[0, y, x]) == inside
    assert torch.equal(disc, disc.flip(1))
    assert torch.equal(disc, disc.transpose(1, 2))


def test_circle_covers_half_the_image():
    assert float(circle(128).float().mean()) == pytest.approx(np.pi / 2.5**2, abs=0.002)


def test_keep_share_by_hand_counts_masks_of_each_class():
    labels = torch.tensor([0] * 8 + [1] * 6)
    has_mask = torch.tensor([True] * 8 + [True] * 4 + [False] * 2)
    kept = keep_share(labels, has_mask, 0.25, rng())
    assert int(kept[:8].sum()) == 2
    assert int(kept[8:].sum()) == 1


@given(
    kinds=st.lists(st.tuples(st.integers(0, 2), st.booleans()), min_size=1, max_size=60),
    share=st.floats(0, 1),
    seed=st.integers(0, 100),
)
def test_keep_share_keeps_that_share_of_each_class_to_the_nearest_image(kinds, share, seed):
    labels = torch.tensor([label for label, _ in kinds])
    has_mask = torch.tensor([has for _, has in kinds])
    before = has_mask.clone()
    kept = keep_share(labels, has_mask, share, rng(seed))
    assert kept.dtype == torch.bool
    assert not bool((kept & ~has_mask).any())
    for label in range(3):
        available = int((has_mask & (labels == label)).sum())
        count = int((kept & (labels == label)).sum())
        assert abs(count - share * available) <= 0.5 + 1e-9
    assert torch.equal(has_mask, before)
    assert torch.equal(kept, keep_share(labels, has_mask, share, rng(seed)))


@pytest.mark.parametrize(
    ("share", "kept"), [(0.0, 0), (0.04, 0), (0.06, 1), (0.94, 9), (0.96, 10), (1.0, 10)]
)
def test_keep_share_rounds_to_whole_images(share, kept):
    ten = torch.ones(10, dtype=torch.bool)
    assert int(keep_share(torch.zeros(10, dtype=torch.int64), ten, share, rng()).sum()) == kept


def test_keep_share_picks_every_image_equally_often():
    labels, everyone = torch.tensor([0, 1] * 4), torch.ones(8, dtype=torch.bool)
    source = rng(1)
    counts = sum(keep_share(labels, everyone, 0.5, source).int() for _ in range(2000))
    assert counts.tolist() == pytest.approx([1000] * 8, abs=4 * 500**0.5)
