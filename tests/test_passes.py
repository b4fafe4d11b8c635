import pytest
import torch
from foreign_networks import pictures
from hypothesis import given
from hypothesis import strategies as st

from activmask.ground.errors import CheckpointError
from activmask.predictors.passes import images_at_once, in_passes


def means(images):
    return torch.stack([images.mean((1, 2, 3)), images.amax((1, 2, 3))], dim=1).double().requires_grad_()


@given(st.integers(1, 12), st.integers(1, 15))
def test_passes_of_any_size_give_the_same_without_gradients(n, at_once):
    images, sizes = pictures(n), []

    def noted(part):
        sizes.append(len(part))
        return means(part)

    found = in_passes("net", noted, images, at_once)
    assert torch.equal(found, means(images).float())
    assert (found.dtype, found.requires_grad, found.is_inference()) == (torch.float32, False, False)
    assert max(sizes) <= at_once
    assert sum(sizes) == n


def test_images_are_numbered_over_all_passes():
    images = pictures(7)
    images[5] = torch.nan
    with pytest.raises(CheckpointError, match=r"for 1 of 7 images \(number 5, counted from 0\)"):
        in_passes("net", means, images, 2)


def test_a_pass_is_bounded_by_pixels_and_holds_one_image_at_least():
    cpu = torch.device("cpu")
    assert images_at_once((128, 128), cpu) == 16
    assert images_at_once((9999, 9999), cpu) == 1
    assert images_at_once((224, 224), torch.device("cuda")) > images_at_once((224, 224), cpu)
