from collections import Counter
from itertools import permutations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare, kstest
from torch import Tensor

from activmask.kernels.masked_shuffle import masked_shuffle


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_masks(batch: int, height: int, width: int, share: float, seed: int) -> Tensor:
    return torch.rand((batch, 1, height, width), generator=generator(seed)) < share


def pixel_vectors(image: Tensor, where: Tensor) -> Counter[tuple[float, ...]]:
    """The multiset of the pixels of (C, H, W), each with all its channels, where (H, W) is True."""
    return Counter(tuple(pixel.tolist()) for pixel in image[:, where].T)


def test_two_outside_pixels_change_places_or_stay():
    image = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    inside = torch.tensor([[[[False, True], [True, False]]]])
    source = generator()
    seen = {tuple(masked_shuffle(image, inside, source).flatten().tolist()) for _ in range(50)}
    assert seen == {(1.0, 2.0, 3.0, 4.0), (4.0, 2.0, 3.0, 1.0)}


@given(
    batch=st.integers(1, 3),
    channels=st.integers(1, 3),
    height=st.integers(1, 7),
    width=st.integers(1, 7),
    share=st.floats(0, 1),
    seed=st.integers(0, 10_000),
)
def test_inside_stays_and_outside_is_a_permutation_of_whole_pixels(
    batch, channels, height, width, share, seed
):
    masks = random_masks(batch, height, width, share, seed)
    images = torch.randint(0, 4, (batch, channels, height, width), generator=generator(seed)).float()
    before = images.clone()
    shuffled = masked_shuffle(images, masks, generator(seed + 1))
    assert torch.equal(images, before)
    assert shuffled.shape == images.shape
    for image, copy, mask in zip(images, shuffled, masks[:, 0], strict=True):
        assert torch.equal(copy[:, mask], image[:, mask])
        assert pixel_vectors(copy, ~mask) == pixel_vectors(image, ~mask)


def test_channels_of_a_pixel_move_together():
    first = torch.arange(100.0).view(1, 1, 10, 10)
    images = torch.cat([first, first + 1000, first * -1], dim=1)
    shuffled = masked_shuffle(images, random_masks(1, 10, 10, 0.3, 1), generator())
    assert not torch.equal(shuffled, images)
    assert torch.equal(shuffled[:, 1], shuffled[:, 0] + 1000)
    assert torch.equal(shuffled[:, 2], -shuffled[:, 0])


def test_all_24_permutations_of_four_outside_pixels_are_equally_likely():
    draws = 24_000
    image = torch.tensor([[9.0, 0.0, 8.0], [1.0, 2.0, 7.0], [6.0, 5.0, 3.0]])
    mask = image > 3
    shuffled = masked_shuffle(image.expand(draws, 1, 3, 3), mask.expand(draws, 1, 3, 3), generator(2026))
    seen = Counter(tuple(order) for order in shuffled[:, 0][:, ~mask].int().tolist())
    assert set(seen) == set(permutations(range(4)))
    assert chisquare(list(seen.values())).pvalue > 1e-3


def test_each_outside_pixel_of_a_larger_image_lands_everywhere_equally_often():
    draws = 20_000
    mask = random_masks(1, 6, 6, 0.4, 3)
    outside = ~mask[0, 0].flatten()
    count = int(outside.sum())
    numbered = torch.full((36,), -1.0)
    numbered[outside] = torch.arange(float(count))
    shuffled = masked_shuffle(
        numbered.view(1, 1, 6, 6).expand(draws, 1, 6, 6), mask.expand(draws, 1, 6, 6), generator(7)
    )
    landed = shuffled.flatten(1)[:, outside].long()
    p_values = [
        chisquare(torch.bincount(landed[:, place], minlength=count).numpy()).pvalue for place in range(count)
    ]
    assert min(p_values) > 1e-3 / count
    assert kstest(p_values, "uniform").pvalue > 1e-3


def test_neighbouring_pixels_are_separated():
    draws = 20_000
    numbered = torch.arange(16.0).view(1, 1, 4, 4)
    shuffled = masked_shuffle(
        numbered.expand(draws, 1, 4, 4), torch.zeros(draws, 1, 4, 4, dtype=torch.bool), generator(5)
    )
    order = shuffled.flatten(1)
    follows = (order[:, 1:] - order[:, :-1] == 1).sum(dim=1).double()
    # A uniform permutation of n keeps (n - 1) / n successors on average, with variance below 1.
    assert float(follows.mean()) == pytest.approx(15 / 16, abs=4 / draws**0.5)


def test_every_call_draws_fresh_permutations():
    images = torch.arange(64.0).view(1, 1, 8, 8)
    outside = torch.zeros(1, 1, 8, 8, dtype=torch.bool)
    source = generator()
    copies = {tuple(masked_shuffle(images, outside, source).flatten().tolist()) for _ in range(20)}
    assert len(copies) == 20


def test_one_generator_state_gives_one_shuffle():
    images, masks = torch.rand((3, 2, 9, 9), generator=generator(1)), random_masks(3, 9, 9, 0.3, 2)
    source = generator(11)
    state = source.get_state()
    first = masked_shuffle(images, masks, source)
    source.set_state(state)
    assert torch.equal(masked_shuffle(images, masks, source), first)


def test_the_global_generator_is_neither_read_nor_moved():
    images, masks = torch.arange(81.0).view(1, 1, 9, 9), random_masks(1, 9, 9, 0.3, 2)
    before = torch.random.get_rng_state()
    first = masked_shuffle(images, masks, generator(3))
    assert torch.equal(torch.random.get_rng_state(), before)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(99)
        assert torch.equal(masked_shuffle(images, masks, generator(3)), first)


def test_images_of_a_batch_get_permutations_of_their_own():
    images = torch.arange(64.0).view(1, 1, 8, 8).expand(10, 1, 8, 8)
    copies = masked_shuffle(images, torch.zeros(10, 1, 8, 8, dtype=torch.bool), generator())
    assert len({tuple(copy.flatten().tolist()) for copy in copies}) == 10


def test_a_mask_of_ones_changes_nothing():
    images = torch.rand((4, 3, 5, 6), generator=generator())
    assert torch.equal(masked_shuffle(images, torch.ones(4, 1, 5, 6, dtype=torch.bool), generator()), images)


def test_a_mask_of_zeros_shuffles_the_whole_image():
    images = torch.arange(2 * 400.0).view(2, 1, 20, 20)
    shuffled = masked_shuffle(images, torch.zeros(2, 1, 20, 20, dtype=torch.bool), generator())
    assert torch.equal(shuffled.flatten(1).sort(dim=1).values, images.flatten(1))
    # A uniform permutation leaves one pixel of an image in place on average.
    assert int((shuffled == images).sum()) < 15


def test_a_single_outside_pixel_stays():
    images = torch.arange(9.0).view(1, 1, 3, 3)
    masks = torch.ones(1, 1, 3, 3, dtype=torch.bool)
    masks[0, 0, 1, 2] = False
    assert torch.equal(masked_shuffle(images, masks, generator()), images)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.uint8])
def test_values_of_every_dtype_are_moved_unchanged(dtype):
    numbers = torch.arange(200).view(2, 1, 10, 10)
    masks = random_masks(2, 10, 10, 0.4, 4)
    shuffled = masked_shuffle(numbers.to(dtype), masks, generator(8))
    assert shuffled.dtype == dtype
    assert torch.equal(shuffled, masked_shuffle(numbers, masks, generator(8)).to(dtype))
    assert not torch.equal(shuffled, numbers.to(dtype))


@pytest.mark.parametrize("channels", [1, 3])
def test_memory_layout_does_not_matter(channels):
    images = torch.arange(2.0 * channels * 56).view(2, channels, 7, 8)
    masks = random_masks(2, 7, 8, 0.4, 4)
    expected = masked_shuffle(images, masks, generator(8))
    transposed = images.transpose(2, 3).contiguous().transpose(2, 3)
    strided = torch.zeros(2, channels, 7, 16)
    strided[..., ::2] = images
    sparse_masks = torch.zeros(2, 1, 14, 8, dtype=torch.bool)
    sparse_masks[:, :, ::2] = masks
    for same in (images.contiguous(memory_format=torch.channels_last), transposed, strided[..., ::2]):
        assert torch.equal(same, images)
        assert torch.equal(masked_shuffle(same, masks, generator(8)), expected)
        assert torch.equal(masked_shuffle(same, sparse_masks[:, :, ::2], generator(8)), expected)


def test_gradients_return_to_the_pixels_that_moved():
    images = torch.arange(36.0, dtype=torch.float64).view(1, 1, 6, 6).requires_grad_()
    weights = torch.rand((1, 1, 6, 6), dtype=torch.float64, generator=generator(1))
    shuffled = masked_shuffle(images, random_masks(1, 6, 6, 0.3, 2), generator(3))
    (shuffled * weights).sum().backward()
    for value, weight in zip(shuffled.flatten().tolist(), weights.flatten().tolist(), strict=True):
        assert float(images.grad.flatten()[int(value)]) == weight
