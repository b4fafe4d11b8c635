"""Networks and functions of others as predictors: what is the same for all, and how failures are told."""

import copy

import numpy as np
import pytest
import torch
from foreign_networks import CLASSES, Brightness, Returning, pictures, small
from hypothesis import given
from hypothesis import strategies as st
from sklearn.ensemble import RandomForestClassifier
from tiny_checkpoints import tiny_checkpoint, write_checkpoint
from torch import nn

import activmask as am
from activmask.auditing.looks.randomised import untrained
from activmask.ground.errors import CheckpointError, DataError, UsageError
from activmask.models.output import ModelOutput
from activmask.predictors.find import find_predictor
from activmask.predictors.labels import label_predictor
from activmask.predictors.preprocessing import Preprocessing
from activmask.saliency.methods import METHODS

IMAGES = pictures()
HOW = Preprocessing(channels=3, size=(12, 20), scale=2.0, mean=(1.0, 0.9, 0.8), std=(0.5,))


def found(what, images=IMAGES, **said):
    return find_predictor(what, images, **{"class_names": CLASSES, **said})


def by_hand(network, images):
    """What the network says of images that `HOW` prepares."""
    resized = nn.functional.interpolate(images, (12, 20), mode="bilinear", antialias=True)
    mean = torch.tensor([1.0, 0.9, 0.8]).view(1, 3, 1, 1)
    with torch.no_grad():
        return copy.deepcopy(network).eval()((2 * resized.repeat(1, 3, 1, 1) - mean) / 0.5)


def test_a_network_says_what_it_says_by_hand_and_stays_as_it_was():
    network = small(channels=3)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    one = found(network, preprocessing=HOW).predictor
    torch.testing.assert_close(one.predict(IMAGES), by_hand(network, IMAGES), rtol=1e-4, atol=1e-4)
    assert (one.outputs, one.multi_label, one.probabilities) == (2, False, True)
    assert all(module.training for module in network.modules())
    assert all(module.inplace for module in network if isinstance(module, nn.ReLU))
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_its_module_gives_the_same_with_taps_and_gradients_at_the_size_of_the_images():
    one = found(small(channels=3), preprocessing=HOW).predictor
    output = one.module(IMAGES, reconstruct=False)
    assert isinstance(output, ModelOutput)
    torch.testing.assert_close(output.logits, one.predict(IMAGES), rtol=1e-4, atol=1e-4)
    assert [tap.shape[2:] for tap in output.pre_activations.values()] == [(10, 18), (8, 16)]
    for method in METHODS:
        assert am.attribute(one.module, IMAGES[:2], method=method).shape == (2, 16, 16)


def test_gradients_are_those_of_finite_differences_through_all_steps():
    module = found(small(channels=3, outputs=1).double(), preprocessing=HOW).predictor.module
    image = pictures(1, height=5, width=6).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: module(x, reconstruct=False).logits[:, 1], (image,))


@given(st.lists(st.integers(0, 11), min_size=1, max_size=9))
def test_each_image_is_judged_by_itself(drawn):
    one = found(small()).predictor
    whole = one.predict(IMAGES)
    torch.testing.assert_close(one.predict(IMAGES[drawn]), whole[drawn], rtol=1e-4, atol=1e-4)


def test_one_logit_means_class_1():
    one = found(Brightness())
    assert one.predictor.outputs == 2
    expected = IMAGES.mean((1, 2, 3)) - 0.5
    torch.testing.assert_close(
        one.predictor.predict(IMAGES), torch.stack([-expected / 2, expected / 2], dim=1)
    )
    assert any("class 1, 'with'" in note for note in one.notes)


@pytest.mark.parametrize("answer", [lambda z: {"logits": z}, lambda z: (z,), lambda z: z.squeeze()])
def test_networks_that_return_other_things_than_a_tensor(answer):
    network = small(outputs=1)
    plain, other = found(network).predictor, found(Returning(network, answer)).predictor
    assert torch.equal(plain.predict(IMAGES), other.predict(IMAGES))
    torch.testing.assert_close(
        am.attribute(other.module, IMAGES[:1], method="contrast"),
        am.attribute(plain.module, IMAGES[:1], method="contrast"),
    )


def test_probabilities_become_logits_of_the_same_probabilities_with_their_gradients():
    network = small()
    plain = found(network).predictor
    soft = found(Returning(network, lambda z: z.softmax(dim=1)))
    assert "taken as probabilities" in soft.notes[0]
    torch.testing.assert_close(soft.predictor.predict(IMAGES).softmax(1), plain.predict(IMAGES).softmax(1))
    torch.testing.assert_close(
        am.attribute(soft.predictor.module, IMAGES[:2], method="contrast"),
        am.attribute(plain.module, IMAGES[:2], method="contrast"),
        rtol=1e-3,
        atol=1e-4,
    )


def test_several_labels_and_one_of_them_as_a_question_of_two_classes():
    network = small(outputs=3)
    one = found(network, class_names=("a", "b", "c"), multi_label=True).predictor
    assert one.outputs == 3
    assert one.multi_label
    second = label_predictor(one, 1)
    z = one.predict(IMAGES)[:, 1]
    assert torch.equal(second.predict(IMAGES), torch.stack([-z / 2, z / 2], dim=1))
    torch.testing.assert_close(second.module(IMAGES).logits[:, 1], z / 2, rtol=1e-4, atol=1e-4)
    assert am.attribute(second.module, IMAGES[:2], method="gradcam").shape == (2, 16, 16)
    assert (second.outputs, second.multi_label) == (2, False)


def test_scores_rank_images_and_are_no_probabilities():
    one = found(small(), outputs="scores").predictor
    assert not one.probabilities
    assert torch.equal(one.predict(IMAGES), found(small()).predictor.predict(IMAGES))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_networks_of_other_numbers_are_given_such_images(dtype):
    one = found(small().to(dtype)).predictor
    torch.testing.assert_close(
        one.predict(IMAGES), found(small()).predictor.predict(IMAGES), rtol=0.1, atol=0.1
    )
    assert am.attribute(one.module, IMAGES[:1], method="contrast").shape == (1, 16, 16)


class Overwriting(nn.Module):
    def forward(self, images):
        return images.sub_(0.5).mul_(3).mean((1, 2, 3))


def test_a_network_that_overwrites_its_input_overwrites_a_copy():
    images = IMAGES.clone()
    one = found(Overwriting(), images).predictor
    one.predict(images)
    assert torch.equal(images, IMAGES)
    assert am.attribute(one.module, images[:1], method="contrast").unique().numel() == 1


def test_a_network_without_weights_can_be_explained_and_one_logit_for_either_class():
    heat = am.attribute(found(Brightness()).predictor.module, IMAGES[:2], method="input-gradient")
    torch.testing.assert_close(heat, torch.full((2, 16, 16), 0.5 / 256))


def test_a_network_without_gradients_is_a_predictor_all_the_same():
    one = found(Returning(small(), torch.Tensor.detach))
    assert one.predictor.module is None
    assert any("gives no gradients by the image (RuntimeError" in note for note in one.notes)


def test_a_network_that_cannot_be_copied_is_put_into_evaluation_mode_and_this_is_told():
    network = small()
    network.position = (number for number in range(3))
    one = found(network)
    assert any("cannot be copied (TypeError" in note for note in one.notes)
    assert not network.training


class Remembering(nn.Module):
    """Classifies by what a hook kept, which knows the network that it was made for and no copy of it."""

    def __init__(self) -> None:
        super().__init__()
        self.network, self.kept = small(), torch.zeros(1, 4)
        self.network[6].register_forward_hook(lambda _module, _inputs, out: setattr(self, "kept", out))

    def forward(self, images):
        self.network(images)
        return self.network[7](self.kept.expand(len(images), -1))


def handed_on() -> nn.Module:
    """A network whose forward is a function, which any copy of it shares."""
    network, inner = small(), small()
    network.inner = nn.Sequential(inner, nn.Dropout(0.5))
    network.forward = lambda images: network.inner(1 * images)
    return network


@pytest.mark.parametrize("make", [Remembering, handed_on])
def test_a_network_whose_copy_answers_otherwise_is_asked_itself(make):
    network = make()
    with torch.no_grad():
        network.eval()(IMAGES[:1])
        expected = torch.cat([network(image[None]) for image in IMAGES])
    one = found(network.train(), outputs="logits")
    torch.testing.assert_close(one.predictor.predict(IMAGES), expected, rtol=1e-3, atol=1e-3)
    assert any("a copy of it answers otherwise" in note for note in one.notes), one.notes
    assert "otherwise" in untrained(nn.Sequential(one.predictor.module), seed=0)


@pytest.mark.parametrize("method", ["contrast", "hirescam"])
def test_maps_are_the_same_where_the_caller_asks_for_no_gradients(method):
    module = found(small()).predictor.module
    expected = am.attribute(module, IMAGES[:2], method=method)
    with torch.no_grad():
        heat = am.attribute(found(small()).predictor.module, IMAGES[:2], method=method)
    with torch.inference_mode():
        inside = am.attribute(module, IMAGES[:2].clone(), method=method)
    assert torch.equal(heat, expected)
    assert torch.equal(inside, expected)


class Counting(nn.Module):
    """Counts its passes in a buffer, in place or in another."""

    def __init__(self, *, in_place: bool) -> None:
        super().__init__()
        self.network, self.in_place = small(), in_place
        self.register_buffer("passes", torch.zeros(1))

    def forward(self, images):
        if self.in_place:
            self.passes += 1
        else:
            self.passes = self.passes + 1
        return self.network(images)


@pytest.mark.parametrize("in_place", [True, False])
def test_a_network_that_counts_its_passes_is_left_as_it_was(in_place):
    network = Counting(in_place=in_place)
    found(network).predictor.predict(IMAGES)
    assert network.passes == 0


def test_lazy_layers_have_no_weights_to_be_judged_by():
    lazy = nn.Sequential(
        nn.LazyConv2d(4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
    )
    with pytest.raises(CheckpointError, match="Sequential has lazy layers, which have no weights yet"):
        found(lazy, outputs="logits")


@pytest.mark.filterwarnings("ignore")
def test_a_compiled_script_holds_its_weights():
    script = torch.jit.trace(small().eval(), IMAGES[:2])
    assert not any("does not hold" in note for note in found(script).notes)


def test_answers_that_are_drawn_or_depend_on_the_batch_are_told():
    drawn = found(Returning(small(), lambda z: z + torch.randn_like(z)))
    assert any("answers the same images otherwise a second time, by up to" in note for note in drawn.notes)
    centred = found(Returning(small(), lambda z: z - z.mean(dim=0)))
    assert any("otherwise among few than among many" in note for note in centred.notes)


def test_the_same_answer_to_everything_is_refused_or_told():
    blank = Returning(small(), lambda z: 0 * z - 1)
    with pytest.raises(CheckpointError, match="answers all 12 sample images alike; found -1, -1; check its"):
        found(blank)
    assert any("answers all 3 sample images alike" in note for note in found(blank, IMAGES[:3]).notes)
    assert not any("alike" in note for note in found(blank, IMAGES[:1].repeat(9, 1, 1, 1)).notes)


class Picky(nn.Module):
    """NaN for bright images."""

    def forward(self, images):
        z = images.mean((1, 2, 3)) * 4 - 2
        return torch.where(z > 1, torch.nan, z)


def test_images_whose_answer_is_nan_are_counted_and_named():
    one = found(Picky()).predictor
    bright = IMAGES.clone()
    bright[[2, 7]] = 0.9
    with pytest.raises(
        CheckpointError,
        match=r"Picky answers NaN or infinity for 2 of 12 images \(number 2, 7, counted from 0\)",
    ):
        one.predict(bright)
    with pytest.raises(CheckpointError, match=r"for 8 of 12 images .* and 3 more, counted from 0"):
        one.predict(torch.cat([IMAGES[:4], torch.ones(8, 1, 16, 16)]))


def on_meta():
    with torch.device("meta"):
        return nn.Linear(3, 2)


@pytest.mark.parametrize(
    ("network", "said", "sentence"),
    [
        (
            small(channels=2),
            {},
            "fails on images of 16 x 16 px with 1 channel; found RuntimeError: .*; say how",
        ),
        (nn.Sequential(nn.Flatten(), nn.Linear(9, 2)), {}, "mat1 and mat2 .*; say how images are prepared"),
        (nn.Conv2d(1, 2, 3), {}, r"wrong shape; expected \(12,\) or .*, found \(12, 2, 14, 14\)"),
        (Returning(small(), lambda z: z.argmax(1)), {}, "found int64, as class numbers are"),
        (Returning(small(), lambda z: z.to(torch.complex64)), {}, "found complex64; return the scores"),
        (Returning(small(), lambda z: {"a": z, "b": z}), {}, "found a dictionary of a, b"),
        (Returning(small(), lambda z: z[:5]), {}, r"found \(5, 2\)"),
        (
            Returning(small(), lambda z: 1 / 0),
            {},
            "ZeroDivisionError: division by zero .*test_find_predictor.py",
        ),
        (Returning(small(), lambda z: z / 0), {}, "answers NaN or infinity for 12 of 12 images"),
        (on_meta(), {}, "Linear fails to be moved to cpu; found NotImplementedError"),
        (small(outputs=5), {}, "Sequential has 5 outputs and the data have 2 classes"),
        (small(), {"outputs": "probabilities"}, "the outputs are no probabilities"),
        (small(), {"preprocessing": Preprocessing(function=lambda x: x[0])}, "has to return images"),
    ],
)
def test_what_is_no_classifier_of_these_images_is_told_in_one_sentence(network, said, sentence):
    with pytest.raises(CheckpointError, match=sentence) as raised:
        found(network, **said)
    assert "\n" not in str(raised.value)


def test_weights_that_a_network_does_not_hold_are_told():
    def noted(network):
        return [note for note in found(network).notes if "does not hold" in note]

    outside = nn.Linear(2, 2)
    assert ["2 tensors" in note for note in noted(Returning(small(), lambda z: 9 * outside(z)))] == [True]
    assert noted(nn.Sequential(small(), outside)) == noted(small()) == []


def test_channels_follow_from_the_first_convolution_and_are_told():
    one = found(small(channels=3))
    assert "Grey images are repeated to the 3 channels that its first convolution takes." in one.notes
    colour = pictures(channels=3)
    one = found(small(), colour)
    assert "Colours become the one grey channel that its first convolution takes." in one.notes
    grey = (colour * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    torch.testing.assert_close(one.predictor.predict(colour), found(small(), grey).predictor.predict(grey))


@pytest.mark.parametrize(
    ("images", "sentence"),
    [
        (IMAGES[0], r"found float32 \(1, 16, 16\)"),
        ((255 * IMAGES).byte(), "found uint8"),
        (2 * IMAGES, r"must lie in \[0, 1\]"),
        (IMAGES / 0, "must lie in"),
        (IMAGES[:0], "there are no images"),
    ],
)
def test_images_that_are_none_are_refused(images, sentence):
    with pytest.raises(DataError, match=sentence):
        found(small(), images)


def forest():
    labels = np.arange(12) % 2
    return RandomForestClassifier(10, random_state=0).fit(IMAGES.numpy().reshape(12, -1), labels)


def test_a_forest_is_a_function_of_arrays():
    trees = forest()
    one = found(lambda x: trees.predict_proba(x.reshape(len(x), -1)))
    expected = trees.predict_proba(IMAGES.numpy().reshape(12, -1))
    np.testing.assert_allclose(one.predictor.predict(IMAGES).softmax(dim=1), expected, atol=1e-6)
    assert one.predictor.module is None
    assert one.notes[0] == "The outputs of every image add up to 1: they are taken as probabilities."


def test_probabilities_of_nought_in_double_precision_are_the_same_a_second_time():
    def sure(x):
        one = (x.mean(axis=(1, 2, 3)) > float(IMAGES.mean())).astype(np.float64)
        return np.stack([1 - one, one], axis=1)

    assert not any("second time" in note or "among few" in note for note in found(sure).notes)


def test_a_function_is_given_what_it_takes_and_never_the_images_themselves():
    network = small(channels=3).eval()
    tensors = found(lambda x: network(x).detach(), preprocessing=HOW).predictor
    torch.testing.assert_close(tensors.predict(IMAGES), by_hand(network, IMAGES), rtol=1e-4, atol=1e-4)
    kept = IMAGES.clone()

    def overwriting(x):
        x -= 0.5
        return x.mean((1, 2, 3)).tolist()

    assert not found(overwriting, kept).predictor.probabilities
    assert torch.equal(kept, IMAGES)


@pytest.mark.parametrize(
    ("what", "kind", "sentence"),
    [
        (lambda x: forest().predict(x.reshape(12, -1)), CheckpointError, "as class numbers are"),
        (lambda x: [str(one) for one in x], CheckpointError, "the outputs are no numbers"),
        (
            lambda x: x.nothing(),
            CheckpointError,
            "the function fails .*'Tensor' object has no attribute 'nothing'",
        ),
        (lambda x: np.zeros(7), CheckpointError, r"expected \(12,\) or .* found \(7,\)"),
        (forest(), UsageError, "found a RandomForestClassifier; .*predict_proba"),
        (Brightness, UsageError, "found the class Brightness"),
        (3, UsageError, "this is no classifier of images; found a int"),
    ],
)
def test_what_is_no_function_of_images_is_told(what, kind, sentence):
    with pytest.raises(kind, match=sentence):
        found(what)


def test_a_checkpoint_predicts_as_it_does_everywhere(tmp_path):
    checkpoint = tiny_checkpoint(tmp_path, model="resnet18", width=8)
    images = pictures(height=28, width=28)
    with torch.no_grad():
        expected = checkpoint.model(images, reconstruct=False).logits
    for what in (checkpoint, checkpoint.path, str(tmp_path)):
        one = found(what, images)
        torch.testing.assert_close(one.predictor.predict(images), expected, rtol=1e-4, atol=1e-4)
        assert one.checkpoint.seed == 0
        assert one.predictor.module is not None


def test_a_checkpoint_tells_itself_what_others_have_to_be_told(tmp_path):
    checkpoint = tiny_checkpoint(tmp_path)
    images = pictures(height=28, width=28)
    with pytest.raises(UsageError, match=r"leave out 'mean 0\.5, std 0\.5'"):
        found(checkpoint, images, preprocessing=Preprocessing(mean=(0.5,), std=(0.5,)))
    with pytest.raises(UsageError, match="leave out multi-label"):
        found(checkpoint, images, outputs="scores")
    with pytest.raises(DataError, match="expected 28 x 28 px with 1 channel, found 16 x 16 px"):
        found(checkpoint)
    with pytest.raises(
        CheckpointError, match=r"knows other classes .*expected a, b, c, found 2 without names"
    ):
        found(checkpoint, images, class_names=("a", "b", "c"))
    with pytest.raises(UsageError, match="weights are for a network that is given by a name"):
        found(checkpoint, images, weights="imagenet")


def test_class_names_of_a_checkpoint_have_to_be_those_of_the_data_in_their_order(tmp_path):
    described = {"class_names": ("with", "without")}
    one = tiny_checkpoint(tmp_path, described=described)
    with pytest.raises(CheckpointError, match="expected without, with, found with, without"):
        found(one, pictures(height=28, width=28))
    assert found(one, pictures(height=28, width=28), class_names=("0", "1")).predictor.outputs == 2


def test_one_of_several_seeds_has_to_be_named(tmp_path):
    for seed in (0, 1):
        write_checkpoint(tmp_path / f"seed-{seed}" / "best.safetensors", seed=seed)
    with pytest.raises(CheckpointError, match=r"holds 2 checkpoints, .* such as .*seed-0/best\.safetensors"):
        found(tmp_path, pictures(height=28, width=28))


def test_a_network_that_is_not_wrapped_is_told_how_to_be():
    with pytest.raises(
        UsageError, match=r"a Sequential does not say .*am\.find_predictor\(network, images\)"
    ):
        am.attribute(small(), IMAGES, method="contrast")


def test_a_function_without_weights_is_judged_as_it_makes_it_and_that_is_said(tmp_path):
    file = tmp_path / "bare.py"
    file.write_text(
        "from torch import nn\n\n\ndef make():\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 2))\n"
    )
    found = find_predictor(f"{file}:make", torch.rand(4, 1, 8, 8))
    assert any(note.startswith("no weights were given") for note in found.notes)
