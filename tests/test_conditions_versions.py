import dataclasses
import weakref

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_checkpoints import samples_of

from activmask.auditing.conditions import versions as made
from activmask.auditing.conditions.conditions import predicted, taking_part
from activmask.auditing.conditions.lent_outside import filled, lenders
from activmask.auditing.conditions.versions import (
    CONDITIONS,
    batches,
    blank_outside,
    mean_pixel,
    stored_grid,
    versions,
)

OUTSIDE = {one.name for one in CONDITIONS if one.destroyed == "outside"}
INSIDE = {one.name for one in CONDITIONS if one.destroyed == "inside"}


def shown(samples, *, draws=2, seed=0):
    """The images of every version, by condition and draw."""
    part = taking_part(samples, seed)
    return {
        (one.condition.name, one.draw): torch.cat([one.images(few) for few in batches(part, samples)])
        for one in versions(samples, part, draws=draws, seed=seed)
    }


def two_by_two():
    """Two images of 2 x 2 px, the upper row inside; values are sixteenths, which no file of 8 bits holds."""
    images = torch.tensor([[[[0, 4], [8, 16]]], [[[16, 0], [4, 0]]]]) / 16
    masks = torch.tensor([[[[True, True], [False, False]]]]).expand(2, 1, 2, 2).clone()
    return samples_of(images, masks, [0, 1])


def test_means_and_blanks_worked_out_by_hand():
    found = {name: images[0, 0].tolist() for (name, _), images in shown(two_by_two()).items()}
    assert found["full"] == [[0, 0.25], [0.5, 1]]
    assert found["outside mean"] == [[0, 0.25], [0.75, 0.75]]
    assert found["inside mean"] == [[0.125, 0.125], [0.5, 1]]
    # The mean of all eight pixels is 48 / 16 / 8.
    assert found["inside only"] == [[0, 0.25], [0.375, 0.375]]
    assert found["outside only"] == [[0.375, 0.375], [0.5, 1]]


def test_a_blur_is_a_mean_of_its_own_side_by_distance():
    """A row of 4 px, of which the first three are outside."""
    images = torch.tensor([[[[0.0, 1.0, 0.5, 0.75]]]])
    doomed = torch.tensor([[[[True, True, True, False]]]])
    weight = [np.exp(-(k**2) / 2) for k in range(4)]
    expected = [
        (weight[1] * 1 + weight[2] * 0.5) / sum(weight[:3]),
        (weight[0] * 1 + weight[1] * 0.5) / (weight[0] + 2 * weight[1]),
        (weight[1] * 1 + weight[0] * 0.5) / sum(weight[:3]),
        0.75,
    ]
    # Along the other axis there is one pixel only.
    np.testing.assert_allclose(made.blurred(images, doomed, 1.0)[0, 0, 0], expected, rtol=1e-5)


@st.composite
def several(draw):
    """Images of 8 bits with one or two channels, each with a mask that covers a part of it."""
    n, channels, height, width = (
        draw(st.integers(low, high)) for low, high in ((2, 4), (1, 2), (2, 7), (2, 7))
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    images = torch.from_numpy(
        rng.integers(0, 256, (n, channels, height, width)).astype(np.float32) / np.float32(255)
    )
    masks = torch.from_numpy(rng.random((n, 1, height, width)) < 0.5)
    masks[:, 0, 0, 0], masks[:, 0, -1, -1] = True, False
    return samples_of(images, masks, [k % 2 for k in range(n)])


@settings(max_examples=40)
@given(several())
def test_each_condition_touches_one_side_and_makes_it_of_itself(samples):
    inside = samples.masks.expand_as(samples.images)
    other_side = dataclasses.replace(samples, images=samples.images * inside)
    found, with_other_outside = shown(samples), shown(other_side)
    for (name, draw), images in found.items():
        if name == "outline only":
            continue
        kept = torch.ones_like(inside) if name == "full" else inside if name in OUTSIDE else ~inside
        assert torch.equal(images[kept], samples.images[kept]), name
        assert images.min() >= 0, name
        assert images.max() <= 1, name
        if name in INSIDE - {"outside only"}:
            changed = with_other_outside[name, draw]
            assert torch.equal(images[inside], changed[inside]), name


@settings(max_examples=40)
@given(several())
def test_shuffles_keep_whole_pixels_and_differ_between_draws(samples):
    found = shown(samples)
    for name in ("outside shuffled", "inside shuffled"):
        for draw in range(2):
            for before, after in zip(samples.images, found[name, draw], strict=True):
                pixels = [sorted(one.flatten(1).T.tolist()) for one in (before, after)]
                assert pixels[0] == pixels[1]


@settings(max_examples=30)
@given(several(), several())
def test_an_outline_alone_is_a_hole_in_what_another_image_shows(samples, others):
    """Image k is nowhere in its own outline: any other pixels in it change the other pictures alone."""
    found, blank = shown(samples), shown(samples)["outside only", 0]
    inside = samples.masks.expand_as(samples.images)
    pixels = torch.zeros_like(samples.images[0])
    some = others.images[0, :1, : pixels.shape[1], : pixels.shape[2]]
    pixels[:, : some.shape[1], : some.shape[2]] = some
    for draw in range(2):
        assert torch.equal(found["outline only", draw][inside], blank[inside])
    # The mean pixel of all images, which fills every hole, must not move.
    images = torch.stack([pixels, *samples.images[1:]])
    changed = shown(dataclasses.replace(samples, images=images))["outline only", 0]
    assert torch.equal(changed[0][~inside[0]], found["outline only", 0][0][~inside[0]])


def test_a_region_is_filled_with_the_grain_around_it():
    """Noise stays noise: mean and deviation inside are those outside, of a region that was white."""
    generator = torch.Generator().manual_seed(0)
    images = 0.4 + 0.2 * torch.rand(2, 1, 40, 40, generator=generator)
    regions = torch.zeros(2, 1, 40, 40, dtype=torch.bool)
    regions[0, :, 12:26, 8:22] = True
    found = filled(torch.where(regions, torch.ones(()), images), regions, 2.0)
    assert torch.equal(found[~regions], images[~regions])
    assert found[regions].mean() == pytest.approx(0.5, abs=0.01)
    assert found[regions].std() == pytest.approx(0.2 / 12**0.5, rel=0.1)


@given(st.lists(st.sampled_from("abcdefgh"), min_size=2, max_size=30), st.integers(0, 2**32))
def test_everybody_is_shown_on_somebody_else_and_each_outside_once(whose, seed):
    subjects = np.array(whose, dtype=object)
    found = lenders(subjects, np.random.default_rng(seed)).numpy()
    assert sorted(found.tolist()) == list(range(len(whose)))
    assert (found != np.arange(len(whose))).all()
    if max(map(whose.count, whose)) <= len(whose) / 2:
        assert (subjects[found] != subjects).all()


def test_whose_outside_an_image_is_shown_on_says_nothing_of_its_class():
    """Thirty subjects with an image of each class, in that order: half of what is lent is of one class."""
    subjects, classes = np.repeat([f"s{k}" for k in range(30)], 2).astype(object), np.tile([0, 1], 30)
    shares = [
        np.mean(classes[lenders(subjects, np.random.default_rng(seed)).numpy()] == classes)
        for seed in range(100)
    ]
    # Of 60 images half agree, with a standard deviation of about 0.07.
    assert np.mean(shares) == pytest.approx(0.5, abs=0.03)
    assert max(np.abs(np.array(shares) - 0.5)) < 0.3


@settings(max_examples=30)
@given(several(), st.integers(1, 200))
def test_nothing_depends_on_how_images_are_batched(samples, together):
    found = shown(samples)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(made, "VALUES_AT_ONCE", together)
        again = shown(samples)
    assert found.keys() == again.keys()
    for key, images in found.items():
        assert torch.equal(images, again[key]), key


def test_a_seed_gives_the_same_shuffles_whoever_else_takes_part_and_another_seed_others():
    generator = torch.Generator().manual_seed(0)
    samples = samples_of(
        torch.rand(6, 1, 9, 9, generator=generator), torch.zeros(6, 1, 9, 9, dtype=torch.bool), [0, 1] * 3
    )
    samples.masks[:, :, 2:6, 2:6] = True
    found = shown(samples)
    fewer = dataclasses.replace(samples, has_mask=torch.tensor([False, False, True, True, True, True]))
    assert torch.equal(shown(fewer)["outside shuffled", 1], found["outside shuffled", 1][2:])
    assert not torch.equal(found["outside shuffled", 0], found["outside shuffled", 1])
    assert not torch.equal(found["outside shuffled", 0], shown(samples, seed=1)["outside shuffled", 0])


@pytest.mark.parametrize(
    ("values", "grid"),
    [([0, 1], 8), ([0, 128 / 255], 8), ([0, 1 / 65535], 16), ([0.5, 128 / 255], None), ([0.5, 0.5], None)],
)
def test_what_files_hold_the_images(values, grid):
    assert stored_grid(torch.tensor(values, dtype=torch.float32).reshape(1, 1, 1, 2)) == grid


def test_images_of_8_bits_stay_so():
    images = torch.arange(64).reshape(4, 1, 4, 4).float() / 255
    masks = torch.zeros(4, 1, 4, 4, dtype=torch.bool)
    masks[:, :, 1:3, :3] = True
    for key, version in shown(samples_of(images, masks, [0, 1, 0, 1])).items():
        assert stored_grid(version) == 8, key


def test_the_mean_pixel_is_of_those_who_take_part():
    images = torch.stack([torch.zeros(2, 3, 3), torch.ones(2, 3, 3), torch.full((2, 3, 3), 0.5)])
    images[1, 1] = 0
    assert mean_pixel(images, torch.tensor([1, 2])).tolist() == [0.75, 0.25]


def test_a_background_of_one_value_is_blank():
    samples = two_by_two()
    part = taking_part(samples, 0)
    assert not blank_outside(samples, part)
    assert blank_outside(dataclasses.replace(samples, images=samples.images * samples.masks), part)


def test_no_more_than_a_batch_is_kept(monkeypatch):
    samples = samples_of(torch.rand(50, 1, 8, 8), torch.zeros(50, 1, 8, 8, dtype=torch.bool), [0, 1] * 25)
    samples.masks[:, :, :4] = True
    monkeypatch.setattr(made, "VALUES_AT_ONCE", 5 * 64)
    seen: list[weakref.ref[torch.Tensor]] = []

    def predict(images):
        assert len(images) == 5
        assert not any(one() is not None for one in seen)
        seen.append(weakref.ref(images))
        return torch.zeros(len(images), 2)

    predicted(predict, samples, taking_part(samples, 0), draws=2, seed=0)
    assert len(seen) == (len(CONDITIONS) + 3) * 10
