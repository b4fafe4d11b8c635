import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tiny_checkpoints import tiny_config
from torch import nn

from activmask.models.build import build_model
from activmask.models.double_backward import prepare_double_backward
from activmask.models.inference import classifier, images_per_pass
from activmask.models.synced_batch_norm import sync_batch_norm
from activmask.models.taps import Tapped, device_of

NORMALISED = ["resnet18", "densenet121", "mobilenet_v3_small", "efficientnet_b0", "shufflenet_v2_x0_5"]
PLAIN = ["cnn", "unet", "squeezenet1_1", "swin_t"]
SIDE = 32


def numbers(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def as_if_trained(model):
    """In evaluation mode and float64, with batch normalisations that do something."""
    for seed, module in enumerate(model.modules()):
        if isinstance(module, nn.BatchNorm2d):
            (channels,) = module.weight.shape
            module.running_mean.copy_(numbers(channels, seed=seed) - 0.5)
            module.running_var.copy_(numbers(channels, seed=seed + 1) + 0.5)
            with torch.no_grad():
                module.weight.copy_(numbers(channels, seed=seed + 2) + 0.5)
                module.bias.copy_(numbers(channels, seed=seed + 3) - 0.5)
    return model.double().eval()


def built(name, side=SIDE):
    settings = {"width": 8} if name in ("resnet18", "cnn", "unet") else {"width": 64}
    config = tiny_config(model=name, **settings)
    return as_if_trained(build_model(config.network, channels=1, classes=3, image_size=side, seed=0))


def answer(function, images):
    """Logits, and the input gradient of one of them."""
    images = images.clone().requires_grad_()
    logits = function(images)
    return logits.detach(), torch.autograd.grad(logits[:, 1].sum(), images)[0]


def plain(model):
    return lambda images: model(images, reconstruct=False).logits


def normalisations(module):
    return sum(isinstance(part, nn.BatchNorm2d) for part in module.modules())


@pytest.mark.process
@pytest.mark.parametrize("name", NORMALISED + PLAIN)
def test_every_kind_of_network_answers_as_before(name):
    model, images = built(name), numbers(2, 1, SIDE, SIDE)
    torch.testing.assert_close(answer(classifier(model, images), images), answer(plain(model), images))
    expected, slope = answer(plain(model), images)
    single = copy.deepcopy(model).float()
    logits, gradient = answer(classifier(single, images.float()), images.float())
    torch.testing.assert_close(logits.double(), expected, rtol=1e-3, atol=1e-4 * expected.abs().max().item())
    torch.testing.assert_close(gradient.double(), slope, rtol=1e-2, atol=1e-3 * slope.abs().max().item())


def test_all_of_a_resnets_normalisations_are_folded_and_a_densenets_where_convolutions_precede():
    images = numbers(1, 1, SIDE, SIDE)
    assert normalisations(classifier(built("resnet18"), images)) == 0
    dense = built("densenet121")
    # In a dense layer the first reads what was concatenated and the second a convolution.
    assert 0 < normalisations(classifier(dense, images)) < normalisations(dense)


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small"])
def test_the_model_stays_as_it_was(name):
    model = built(name)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    names = [key for key, _ in model.named_modules()]
    quick = classifier(model, numbers(1, 1, SIDE, SIDE))
    answer(quick, numbers(1, 1, SIDE, SIDE))
    assert [key for key, _ in model.named_modules()] == names
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())
    assert all(parameter.grad is None and parameter.requires_grad for parameter in model.parameters())
    for module in [*model.modules(), *quick.modules()]:
        assert not module._forward_hooks
    assert normalisations(model) > 0


def test_what_is_not_folded_takes_no_memory_of_its_own():
    model = built("resnet18")
    quick = classifier(model, numbers(1, 1, SIDE, SIDE))
    assert quick.fc.weight.data_ptr() == model.network.fc.weight.data_ptr()


def test_networks_prepared_for_gradmask_and_for_torchrun_are_folded_too():
    model, images = built("resnet18"), numbers(2, 1, SIDE, SIDE)
    expected = answer(plain(model), images)
    prepare_double_backward(model)
    sync_batch_norm(model)
    quick = classifier(model, images)
    assert normalisations(quick) == 0
    torch.testing.assert_close(answer(quick, images), expected)


def test_in_training_mode_nothing_is_folded():
    model = built("resnet18").train()
    assert normalisations(classifier(model, numbers(2, 1, SIDE, SIDE))) == normalisations(model)


class Program(nn.Module):
    """Runs its few modules in any order, as often as it is told, with side ways between them."""

    def __init__(self, steps: list[str]) -> None:
        super().__init__()
        self.steps = steps
        self.parts = nn.ModuleDict({f"conv{k}": nn.Conv2d(2, 2, 3, padding=1, bias=k == 0) for k in range(2)})
        self.parts.update({f"norm{k}": nn.BatchNorm2d(2) for k in range(2)})
        # A second name for the same module.
        self.parts["conv2"] = self.parts["conv1"]

    def forward(self, images):
        hidden = kept = images
        for step in self.steps:
            if step in self.parts:
                hidden = self.parts[step](hidden)
            elif step == "keep":
                kept = hidden
            else:
                hidden = hidden.tanh() if step == "bend" else hidden + kept
        return hidden.flatten(1)


@given(
    st.lists(
        st.sampled_from(["conv0", "conv1", "conv2", "norm0", "norm1", "keep", "add", "bend"]), max_size=9
    )
)
def test_whatever_reads_what_the_answer_is_the_same(steps):
    model, images = as_if_trained(Tapped(Program(steps))), numbers(2, 2, 4, 4)
    torch.testing.assert_close(answer(classifier(model, images), images), answer(plain(model), images))


@pytest.mark.parametrize(
    ("steps", "left"),
    [
        (["conv0", "norm0"], 1),
        (["conv2", "norm0", "bend", "conv0", "norm1"], 0),
        (["conv0", "keep", "norm0", "add"], 2),
        (["conv0", "norm0", "conv0", "norm1"], 2),
        (["conv0", "norm0", "conv1", "norm0"], 2),
        (["conv0", "bend", "norm0"], 2),
    ],
)
def test_only_what_a_convolution_alone_feeds_is_folded(steps, left):
    network = classifier(as_if_trained(Tapped(Program(steps))), numbers(1, 2, 4, 4))
    assert normalisations(network) == left


class Reweighed(nn.Module):
    """A weight that is made anew from another before each pass, as weight normalisation by hooks does."""

    def __init__(self):
        super().__init__()
        self.convolution = nn.Conv2d(1, 3, 3, bias=False)
        self.normalisation = nn.BatchNorm2d(3)
        # No parameter: what is made of one that is trained cannot be copied, and is found out by that.
        self.register_buffer("source", numbers(3, 1, 3, 3))
        self.convolution.register_forward_pre_hook(lambda module, _: self.reweigh(module))

    def reweigh(self, module):
        module._parameters.pop("weight", None)
        module.weight = self.source * 1.0

    def forward(self, images):
        return self.normalisation(self.convolution(images)).mean((2, 3))


def test_a_weight_that_is_made_anew_before_each_pass_is_not_folded():
    network, images = Reweighed(), numbers(2, 1, SIDE, SIDE)
    network.convolution.weight = nn.Parameter(network.source.clone())
    model = as_if_trained(Tapped(network))
    torch.testing.assert_close(answer(classifier(model, images), images), answer(plain(model), images))


class Peeking(nn.Module):
    """Reads a part of a normalisation that no folded copy has."""

    def __init__(self):
        super().__init__()
        self.convolution, self.normalisation = nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3)

    def forward(self, images):
        return self.normalisation(self.convolution(images)).mean((2, 3)) + self.normalisation.running_mean


def test_a_network_that_reads_its_normalisation_otherwise_is_not_folded():
    model, images = as_if_trained(Tapped(Peeking())), numbers(2, 1, SIDE, SIDE)
    torch.testing.assert_close(answer(classifier(model, images), images), answer(plain(model), images))


def test_what_stands_around_a_network_stays_around_its_folded_form():
    network, images = nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3)), numbers(2, 1, SIDE, SIDE)
    model = as_if_trained(
        Tapped(network, before=nn.Sigmoid(), after=lambda maps, count: maps.sum((2, 3)) * count)
    )
    quick = classifier(model, images)
    torch.testing.assert_close(answer(quick, images), answer(plain(model), images))
    torch.testing.assert_close(model(images).logits, 2 * network(images.sigmoid()).sum((2, 3)))


def test_a_model_computes_where_its_weights_or_buffers_lie():
    empty = nn.BatchNorm2d(1, affine=False).to("meta")
    assert device_of(nn.Linear(1, 1, device="meta")).type == "meta"
    assert device_of(empty).type == "meta"
    assert device_of(nn.ReLU()).type == "cpu"


def test_passes_are_bounded_by_the_size_at_which_a_network_sees_images():
    images, cpu = numbers(3, 1, 16, 16).float(), torch.device("cpu")
    whole = Tapped(nn.Flatten())
    grown = Tapped(nn.Flatten(), before=nn.Upsample(size=(64, 128)))
    assert images_per_pass(images, cpu) == images_per_pass(images, cpu, whole) == 256
    assert images_per_pass(images, cpu, grown) == 8
    assert (
        images_per_pass(images.expand(3, 1, 16, 16), cpu, Tapped(nn.Flatten(), before=nn.Upsample(size=999)))
        == 1
    )
