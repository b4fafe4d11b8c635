"""Augmentation by words: image and mask move together, from the run's own draws, and X-rays stay upright."""

import csv
import json
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from recorded_runs import small
from torch import Tensor
from torchvision.transforms import v2

from activmask.data.settings import AUGMENTATIONS, View, augmentations, takes_crops
from activmask.data.transforms import stays_upright, transformed
from activmask.ground.errors import UsageError
from activmask.runs.description import changed as changed_run
from activmask.runs.making import make_config
from activmask.training.graphs import capture
from activmask.training.replicas.epoch import forward_step
from activmask.training.replicas.replica import new_replica
from activmask.training.run import train

SIDE = 48


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def squares(batch: int = 12) -> tuple[Tensor, Tensor]:
    """Black images with a bright rectangle off the middle, and masks of just that rectangle."""
    masks = torch.zeros(batch, 1, SIDE, SIDE, dtype=torch.bool)
    for number in range(batch):
        masks[number, :, 10 : 26 + number % 4, 12:30] = True
    return masks.float() * 0.8, masks


def changed(names: str, seed: int = 0, *, size: int = SIDE, upright: bool = False) -> tuple[Tensor, Tensor]:
    words = augmentations(View(augment=names))
    return transformed(*squares(), words, size, generator(seed), upright=upright)


@given(st.lists(st.sampled_from(AUGMENTATIONS), min_size=1, unique=True), st.integers(0, 99))
def test_the_mask_goes_where_the_image_goes_and_stays_a_mask(names, seed):
    images, masks = changed(",".join(names), seed)
    assert images.shape == masks.shape == (12, 1, SIDE, SIDE)
    assert images.dtype == torch.float32
    assert masks.dtype == torch.bool
    assert float(images.min()) >= 0
    assert float(images.max()) <= 1
    # One is interpolated twice and the other rounded twice, which shifts their rims by up to 2 px.
    low, high = (
        part.values[:, None, None, None] for part in (images.flatten(1).min(1), images.flatten(1).max(1))
    )
    bright = images > (low + high) / 2
    shares = (bright & masks).flatten(1).sum(dim=1) / (bright | masks).flatten(1).sum(dim=1)
    assert float(shares.min()) > 0.7


def test_they_are_drawn_from_the_generator_alone_and_the_global_one_is_left_as_it_was():
    before = torch.get_rng_state()
    one, again, other = (changed("flips,rotate,crop,intensity", seed) for seed in (1, 1, 2))
    torch.manual_seed(5)
    after = changed("flips,rotate,crop,intensity", 1)
    assert all(map(torch.equal, one, again))
    assert all(map(torch.equal, one, after))
    assert not torch.equal(one[0], other[0])
    torch.set_rng_state(before)
    changed("rotate")
    assert torch.equal(before, torch.get_rng_state())


def test_flips_are_exact_and_upright_images_are_never_upside_down():
    images, masks = squares()
    stack = torch.cat([images, masks.float()], dim=1)
    kinds = {(): stack, (2,): stack.flip(2), (3,): stack.flip(3), (2, 3): stack.flip((2, 3))}
    for upright, allowed in ((False, set(kinds)), (True, {(), (3,)})):
        met = set()
        for seed in range(8):
            flipped, moved = changed("flips", seed, upright=upright)
            found = torch.cat([flipped, moved.float()], dim=1)
            for number in range(len(found)):
                [kind] = [dims for dims, own in kinds.items() if torch.equal(own[number], found[number])]
                met.add(kind)
        assert met == allowed


def test_a_word_alone_changes_what_it_says():
    images, masks = squares()
    brighter, same = changed("intensity")
    assert torch.equal(same, masks)
    assert not torch.equal(brighter, images)
    turned, _ = changed("rotate")
    angles = {float(own.sum()) for own in turned}
    assert len(angles) > 6
    cut, its = changed("crop", size=32)
    assert cut.shape == its.shape == (12, 1, 32, 32)
    shares = its.float().flatten(1).mean(dim=1) / masks.float().flatten(1).mean(dim=1)
    # A crop keeps 70 to 100 % of the area, so what it holds whole grows by at most 1 / 0.7.
    assert float(shares.max()) < 1 / 0.7 * 1.2
    assert float(shares.max()) > 1


def test_a_mask_that_covers_everything_still_does():
    images = torch.rand(4, 3, SIDE, SIDE)
    whole = torch.ones(4, 1, SIDE, SIDE, dtype=torch.bool)
    moved, masks = transformed(images, whole, ("crop", "rotate"), SIDE, generator(), upright=False)
    assert masks.all()
    assert moved.shape == images.shape


def test_words_are_checked_and_old_ones_keep_their_meaning():
    assert augmentations(View(augment="rotate, flips")) == ("flips", "rotate")
    for plain in ("none", "crop-flip"):
        assert augmentations(View(augment=plain)) == ()
    assert [takes_crops(View(augment=one)) for one in ("none", "crop-flip", "flips", "flips,crop")] == [
        *(False, True, False, True)
    ]
    for wrong in ("flip", "flips,flips", "none,flips", "crop-flip,rotate", ""):
        with pytest.raises(UsageError, match="augment must be none, crop-flip, or crop, flips, rotate or"):
            make_config(augment=wrong)
    with pytest.raises(UsageError, match="crop-flip needs image_size"):
        make_config(augment="crop-flip")


def test_x_rays_are_known_by_their_card():
    assert stays_upright({"source": "xray"})
    assert not any(stays_upright(recipe) for recipe in ({}, {"source": "msd"}, {"source": "folder"}))


def test_a_run_sees_its_size_says_that_x_rays_stay_upright_and_is_not_recorded(crosses, tmp_path):
    config = small(crosses, augment="flips,crop", image_size=20, actdiff=1.0)
    replica = new_replica(config, 0, tmp_path, torch.device("cpu"))
    assert replica.note == ""
    assert capture._unrecordable(replica) == "augment flips,crop is drawn on the host"
    train_set, shapes = replica.train, []
    assert train_set.images.shape[-1] > 20

    def objective(images, masks, *_, **__):
        shapes.append((images.shape, masks.shape))
        raise StopIteration

    replica.objective = objective
    with pytest.raises(StopIteration):
        forward_step(replica, train_set.images[:4], train_set.masks[:4], train_set.labels[:4], generator())
    assert shapes == [((4, 1, 20, 20), (4, 1, 20, 20))]
    rays = Path(shutil.copytree(crosses, tmp_path / "rays"))
    card = json.loads((rays / "card.json").read_text()) if (rays / "card.json").exists() else {}
    (rays / "card.json").write_text(json.dumps({**card, "source": "xray"}))
    told = new_replica(changed_run(config, data=str(rays)), 0, tmp_path, torch.device("cpu")).note
    assert told == "augment flips mirrors left and right alone: the data set's chest X-rays stay upright"


@pytest.mark.process
def test_an_augmented_run_gives_the_same_bits_twice_and_others_than_without(crosses, tmp_path):
    def losses(out: Path, **settings) -> list[str]:
        [result] = train(small(crosses, epochs=2, actdiff=1.0, **settings), (0,), out)
        with (result.folder / "history.csv").open(newline="") as file:
            return [row["loss"] for row in csv.DictReader(file)]

    words = "flips,rotate,crop,intensity"
    first = losses(tmp_path / "one", augment=words)
    assert first == losses(tmp_path / "two", augment=words)
    assert first != losses(tmp_path / "three")


def test_torchvision_draws_from_the_global_generator_as_we_take_it_to():
    state = torch.get_rng_state()
    v2.RandomRotation(10)(torch.zeros(1, 4, 4))
    assert not torch.equal(state, torch.get_rng_state())
