"""What the network sees of stored images and of their masks."""

from dataclasses import replace

import pytest
import torch

from activmask.data.masks import circle, dilate
from activmask.data.samples import Samples
from activmask.data.settings import Source, View, split_seed
from activmask.data.view import as_seen, at_network_size, dilates, with_dilated_masks, with_mask_source
from activmask.ground.errors import DataError

SIDE = 12


@pytest.fixture
def stored() -> Samples:
    """Two images of different pixels; the second one's mask is missing."""
    masks = torch.ones(2, 1, SIDE, SIDE, dtype=torch.bool)
    masks[0] = False
    masks[0, 0, 5:7, 5:7] = True
    return Samples(
        images=torch.rand(2, 1, SIDE, SIDE, generator=torch.Generator().manual_seed(0)),
        masks=masks,
        has_mask=torch.tensor([True, False]),
        labels=torch.tensor([0, 1]),
        subjects=("a", "b"),
        sites=("", ""),
        names=("images/a.png", "images/b.png"),
    )


def unknown_scale(samples: Samples) -> Samples:
    return replace(samples, native=torch.zeros(len(samples), 2, dtype=torch.int64))


def test_masks_grow_before_the_crop_and_stay_as_they_are_without_dilation(stored):
    view = View(image_size=4, mask_blur=0.5)
    given, dilated = at_network_size(stored, view), as_seen(stored, view)
    assert torch.equal(given.masks, stored.masks[..., 4:8, 4:8])
    assert torch.equal(dilated.masks, dilate(stored.masks, 0.5)[..., 4:8, 4:8])
    assert dilated.masks.all()
    assert not given.masks[0].all()
    for seen in (given, dilated):
        assert torch.equal(seen.images, stored.images[..., 4:8, 4:8])


@pytest.mark.parametrize("image_size", [0, SIDE])
def test_images_of_the_network_s_size_are_the_stored_ones(stored, image_size):
    for evaluate_view in ("whole", "centre"):
        seen = at_network_size(stored, View(image_size=image_size, evaluate_view=evaluate_view))
        assert seen is stored


def test_circles_are_on_every_image_and_never_grow(stored):
    view = View(mask="circle", mask_blur=4.0)
    drawn = with_mask_source(stored, view)
    assert drawn.has_mask.all()
    assert all(torch.equal(mask, circle(SIDE)) for mask in as_seen(drawn, view).masks)
    assert not dilates(view)
    assert not dilates(View(mask_blur=0.1))
    assert dilates(View(mask_blur=0.2))


def test_masks_of_unknown_scale_are_missing_or_refused_but_never_grown(stored):
    old, view = unknown_scale(stored), View(mask_blur=2.0)
    with pytest.raises(DataError, match=r"images/a\.png: mask_blur 2 counts px of the original slice"):
        with_dilated_masks(old, view)
    assert torch.equal(at_network_size(old, view).masks, stored.masks)
    assert torch.equal(as_seen(old, View(mask_blur=0.0)).masks, stored.masks)
    taken = as_seen(with_mask_source(old, view), view)
    assert not taken.has_mask.any()
    assert taken.masks.all()


def test_a_split_follows_the_runs_seed_or_its_own():
    assert split_seed(Source(), 3) == 3
    assert split_seed(Source(split_seed=0), 3) == 0
