from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import Tensor

from activmask.data.augment import centre_crop, random_crop_flip


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(batch: int, stored: int) -> Tensor:
    """Images (B, 1, S, S) whose pixel at row y, column x is y * S + x."""
    return torch.arange(float(stored**2)).view(1, 1, stored, stored).expand(batch, 1, stored, stored)


def every_crop(image: Tensor, size: int) -> dict[tuple[int, int, bool, bool], Tensor]:
    """All crops of one image (C, S, S): top, left, upside down, mirrored."""
    slack = image.shape[-1] - size + 1
    crops = {}
    for top in range(slack):
        for left in range(slack):
            window = image[:, top : top + size, left : left + size]
            for upside in (False, True):
                for mirrored in (False, True):
                    dims = [1] * upside + [2] * mirrored
                    crops[top, left, upside, mirrored] = window.flip(dims) if dims else window
    return crops


def name_of(crop: Tensor, crops: dict[tuple[int, int, bool, bool], Tensor]) -> tuple[int, int, bool, bool]:
    [name] = [name for name, candidate in crops.items() if torch.equal(candidate, crop)]
    return name


@pytest.mark.parametrize(
    ("stored", "size", "first"), [(4, 2, 5), (5, 3, 6), (5, 2, 6), (4, 4, 0), (110, 100, 5 * 110 + 5)]
)
def test_centre_crop_starts_at_half_the_slack(stored, size, first):
    crop = centre_crop(numbered(2, stored), size)
    assert crop.shape == (2, 1, size, size)
    assert float(crop[0, 0, 0, 0]) == first
    assert float(crop[0, 0, -1, -1]) == first + (size - 1) * (stored + 1)


@given(
    batch=st.integers(1, 4),
    channels=st.integers(1, 3),
    stored=st.integers(1, 7),
    data=st.data(),
    seed=st.integers(0, 1000),
)
def test_image_and_mask_get_the_same_crop_and_flips(batch, channels, stored, data, seed):
    size = data.draw(st.integers(1, stored))
    images = torch.rand((batch, channels, stored, stored), generator=generator(seed))
    masks = images[:, :1] > 0.5
    crops, cropped_masks = random_crop_flip(images, masks, size, generator(seed))
    assert crops.shape == (batch, channels, size, size)
    assert cropped_masks.shape == (batch, 1, size, size)
    assert cropped_masks.dtype == torch.bool
    assert torch.equal(cropped_masks, crops[:, :1] > 0.5)
    for image, crop in zip(images, crops, strict=True):
        assert any(torch.equal(crop, candidate) for candidate in every_crop(image, size).values())


def test_every_offset_and_flip_is_equally_likely():
    draws, stored, size = 7_200, 5, 3
    images = numbered(draws, stored)
    crops, _ = random_crop_flip(images, images > 3, size, generator(2))
    names = every_crop(images[0], size)
    by_pixels = {tuple(crop.flatten().tolist()): name for name, crop in names.items()}
    seen = Counter(by_pixels[tuple(crop)] for crop in crops.flatten(1).tolist())
    assert len(by_pixels) == len(seen) == 3 * 3 * 4
    assert chisquare(list(seen.values())).pvalue > 1e-3


def test_without_slack_only_flips_are_left():
    images = numbered(200, 3)
    crops, _ = random_crop_flip(images, images > 3, 3, generator(1))
    seen = {name_of(crop, every_crop(images[0], 3)) for crop in crops}
    assert seen == {(0, 0, upside, mirrored) for upside in (False, True) for mirrored in (False, True)}


def test_one_generator_state_gives_one_augmentation_and_the_next_another():
    images = numbered(8, 9)
    source = generator(4)
    first, second = (random_crop_flip(images, images > 3, 6, source)[0] for _ in range(2))
    assert torch.equal(first, random_crop_flip(images, images > 3, 6, generator(4))[0])
    assert not torch.equal(first, second)
    assert len({tuple(crop.flatten().tolist()) for crop in first}) > 1
