"""Controls that tell where from how much: noise as strong as the shuffle, and places that are no mask's."""

import pytest
import torch
from test_step_terms import IMAGES, LABELS, MASKS, Recorder

from activmask.ground.errors import UsageError
from activmask.kernels.masked_shuffle import masked_shuffle
from activmask.objectives.actdiff import actdiff
from activmask.objectives.cutout import cutout, cutout_within
from activmask.objectives.gradmask import gradmask
from activmask.objectives.noise import matched_noise, noisy_copy
from activmask.objectives.rrr import rrr
from activmask.objectives.step import step_terms
from activmask.runs.description import changed
from activmask.runs.making import make_config
from activmask.runs.names import baseline, method_name, run_name
from activmask.training.replicas.epoch import training_steps
from activmask.training.replicas.replica import new_replica


def source() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def energy(change: torch.Tensor) -> torch.Tensor:
    return change.square().sum(dim=(1, 2, 3))


def change(channels: int = 2) -> torch.Tensor:
    return torch.randn(4, channels, 6, 5, generator=source(), dtype=torch.float64)


PLACE = torch.zeros(4, 1, 6, 5, dtype=torch.bool)
PLACE[:, :, 1:4, 2:4] = True
PLACE[3] = False


@pytest.mark.parametrize("place", [None, PLACE, ~PLACE])
def test_noise_has_the_energy_of_the_change_in_every_image_and_nothing_elsewhere(place):
    noise = matched_noise(change(), place, source())
    somewhere = torch.ones(4, dtype=torch.bool) if place is None else place.flatten(1).any(dim=1)
    torch.testing.assert_close(energy(noise)[somewhere], energy(change())[somewhere], rtol=1e-12, atol=0)
    assert not noise[~somewhere].any()
    if place is not None:
        assert not (noise * ~place).any()
        assert ((noise != 0) == (place & somewhere[:, None, None, None]).expand_as(noise)).all()


def test_no_change_is_no_noise():
    assert not matched_noise(torch.zeros(2, 1, 3, 3), None, source()).any()


def test_noise_is_gaussian_and_alike_everywhere():
    many = torch.ones(2, 1, 200, 200, dtype=torch.float64)
    noise = matched_noise(many, None, source())
    inside = noise[:, :, :100]
    assert abs(noise.mean()) < 0.01
    # Of the same sum of squares as ones: variance 1 in every part, and a normal's fourth moment, 3.
    assert inside.square().mean().item() == pytest.approx(1, abs=0.03)
    assert noise.pow(4).mean().item() == pytest.approx(3, abs=0.1)
    assert not torch.equal(noise[0], noise[1])


@pytest.mark.parametrize("where", ["anywhere", "inside", "outside"])
def test_training_images_get_the_noise_of_a_shuffle_drawn_for_them(where):
    images, draws = IMAGES.double(), source()
    model = Recorder(decoder=False).double()
    step_terms(make_config(noise=where).objectives, model, images, MASKS, LABELS, source())
    shuffled = masked_shuffle(images, MASKS, draws)
    place = {"anywhere": None, "inside": MASKS, "outside": ~MASKS}[where]
    [seen] = [one.images for one in model.passes]
    assert torch.equal(seen, images + matched_noise(shuffled - images, place, draws))
    torch.testing.assert_close(energy(seen - images), energy(shuffled - images), rtol=1e-12, atol=0)


def test_actdiff_compares_with_a_copy_that_is_as_far_away_but_by_noise_anywhere():
    images, draws = IMAGES.double(), source()
    model = Recorder(decoder=False).double()
    chosen = make_config(actdiff=2.0, actdiff_copy="noise").objectives
    result = step_terms(chosen, model, images, MASKS, LABELS, source())
    shuffled = masked_shuffle(images, MASKS, draws)
    copy, full = model.passes
    assert torch.equal(copy.images, noisy_copy(images, shuffled, draws))
    assert torch.equal(full.images, images)
    assert ((copy.images != images) & MASKS).any(), "noise falls inside the mask too"
    torch.testing.assert_close(energy(copy.images - images), energy(shuffled - images), rtol=1e-12, atol=0)
    expected = actdiff(full.output.pre_activations, copy.output.pre_activations, norm="row")
    torch.testing.assert_close(result.terms["actdiff"], 2 * expected, rtol=1e-12, atol=0)


@pytest.mark.parametrize("hidden", [{"cutout": 3}, {"cutout_inside": 3}, {"cutout_outside": 3}])
@pytest.mark.parametrize("name", ["actdiff", "gradmask", "rrr"])
def test_cutout_goes_with_every_penalty(name, hidden):
    """Squares are cut first; what is penalised is of the images that are left."""
    images, draws = IMAGES.double(), source()
    model = Recorder(decoder=False).double()
    result = step_terms(
        make_config(**{name: 1.0}, **hidden).objectives, model, images, MASKS, LABELS, source()
    )
    region = {"cutout_inside": MASKS, "cutout_outside": ~MASKS}.get(next(iter(hidden)))
    cut = cutout(images, 3, draws) if region is None else cutout_within(images, 3, region, draws)
    assert not torch.equal(cut, images)
    assert torch.equal(model.passes[-1].images, cut)
    seen = cut.clone().requires_grad_()
    again = Recorder(decoder=False).double()
    if name == "actdiff":
        shuffled = again(masked_shuffle(cut, MASKS, draws)).pre_activations
        expected = actdiff(again(cut).pre_activations, shuffled, norm="row")
    elif name == "gradmask":
        expected = gradmask(again(seen).logits, seen, MASKS, norm="l2")
    else:
        expected = rrr(again(seen).logits, seen, MASKS)
    torch.testing.assert_close(result.terms[name], expected, rtol=1e-10, atol=0)


def test_controls_are_methods_of_their_own():
    noisy, copied = make_config(noise="inside"), make_config(actdiff=1.0, actdiff_copy="noise")
    assert (run_name(noisy), method_name(noisy)) == ("synthetic-resnet18-noise-inside", "Noise inside")
    assert run_name(copied) == "synthetic-resnet18-actdiff1-noisy-copy"
    assert method_name(copied) == "Actdiff, against noise"
    assert baseline(noisy) == baseline(copied) == make_config()
    assert make_config(noise="anywhere", train_masks="random").view.train_masks == "random"


def test_what_could_not_act_is_refused():
    with pytest.raises(UsageError, match="actdiff_copy has no effect while actdiff is 0"):
        make_config(actdiff_copy="noise")
    with pytest.raises(UsageError, match="actdiff and adversarial look at one copy"):
        make_config(actdiff=1.0, adversarial=1.0, actdiff_copy="noise")
    with pytest.raises(UsageError, match="cannot go with them"):
        make_config(noise="inside", classify_masked="train")


@pytest.mark.parametrize("name", ["gradmask", "rrr", "hirescam", "noise"])
def test_random_masks_of_equal_area_go_with_every_penalty(crosses, tmp_path, name):
    common = {"data": str(crosses), "model": "cnn", "width": 2, "lr": 1e-3, "batch_size": 8}
    config = make_config(**common, **{name: "anywhere" if name == "noise" else 1.0}, train_masks="random")
    replica, own = (
        new_replica(one, 0, tmp_path, torch.device("cpu"))
        for one in (config, changed(config, train_masks="own"))
    )
    assert torch.equal(replica.train.masks.sum(dim=(2, 3)), own.train.masks.sum(dim=(2, 3)))
    assert not torch.equal(replica.train.masks, own.train.masks)
    ours, theirs = (next(training_steps(one))[0] for one in (replica, own))
    assert torch.isfinite(ours).all()
    assert not torch.equal(ours, theirs), "the step looks at the masks"
