import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from activmask.data.gaussian_blur import COARSE, gaussian_blur


@pytest.mark.parametrize("edge", ["constant", "nearest"])
@pytest.mark.parametrize("sides", [(150, 203), (64, 300)])
def test_wide_blurs_are_those_of_scipy_in_double_precision_within_a_thousandth(sides, edge):
    rng, sigma = np.random.default_rng(0), 2.7 * COARSE
    images = rng.random((2, 1, *sides))
    images[:, :, : sides[0] // 3] = images[:, :, : sides[0] // 3] > 0.5
    images[1, :, :, 90:] = 1
    expected = gaussian_filter(images, (0, 0, sigma, sigma), mode=edge)
    found = gaussian_blur(torch.from_numpy(images).float(), sigma, edge)
    assert np.abs(found.numpy() - expected).max() < 1e-3


def test_narrow_blurs_are_scipys_to_the_bit_and_one_image_does_not_change_another():
    images = torch.rand(3, 2, 30, 40, generator=torch.Generator().manual_seed(0))
    narrow = gaussian_blur(images, 3.0, "nearest")
    assert np.array_equal(narrow, gaussian_filter(images.numpy(), (0, 0, 3, 3), mode="nearest"))
    wide = gaussian_blur(images, 30.0, "constant")
    assert torch.equal(wide[1:2], gaussian_blur(images[1:2], 30.0, "constant"))


def test_a_quotient_of_wide_blurs_is_a_mean():
    values = torch.rand(1, 1, 99, 80, generator=torch.Generator().manual_seed(1))
    there = torch.zeros(1, 1, 99, 80)
    there[0, 0, 7, 60] = there[0, 0, 80, 3] = 1
    mean = gaussian_blur(values * there, 40.0, "constant") / gaussian_blur(there, 40.0, "constant")
    known = values[there > 0]
    assert mean.min() >= known.min() - 1e-5
    assert mean.max() <= known.max() + 1e-5
