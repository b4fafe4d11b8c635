"""Networks of several seeds as one: the numbers of each are those that it has alone, in float64."""

from copy import deepcopy

import pytest
import torch
from objective_settings import OBJECTIVES
from torch import nn
from torch.nn import functional as F
from torchvision.models.densenet import DenseNet
from torchvision.models.mobilenetv2 import MobileNetV2
from torchvision.models.resnet import Bottleneck, ResNet

from activmask.models.build import build_model, plain_weights
from activmask.models.double_backward import prepare_double_backward
from activmask.models.settings import Network
from activmask.models.stacked.network import (
    CannotBeStackedError,
    forward,
    gradients,
    leaves,
    mode,
    side_by_side,
    stack,
)
from activmask.models.stacked.trial import why_not_stacked
from activmask.models.taps import Tapped
from activmask.objectives.chosen import discriminator_of, needs
from activmask.objectives.stacked_step import stacked_step_terms, why_no_stacked_step
from activmask.objectives.step import step_terms
from activmask.runs.making import make_config
from activmask.runs.seeds import derived_generator
from benchmarks.launches import Counting

SEEDS, BATCH, SIDE = 3, 4, 12

STACKED = {
    name: settings
    for name, settings in OBJECTIVES.items()
    # The map of the last activation has one position here: `test_hirescam.py` takes larger images.
    if name not in {"dropout", "practice", "drawn alike", "hirescam"}
    and not {"augment", "masks"} & settings.keys()
    and not {"adversarial", "cdep"} & settings.keys()
}


def networks(
    model: str, width: int = 4, side: int = SIDE, seeds: int = SEEDS, channels: int = 1
) -> list[nn.Module]:
    wanted = Network(model=model, width=width)
    return [
        build_model(wanted, channels=channels, classes=2, image_size=side, seed=seed).double()
        for seed in range(seeds)
    ]


def batch(channels: int = 1) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    source = torch.Generator().manual_seed(3)
    images = torch.rand(SEEDS, BATCH, channels, SIDE, SIDE, generator=source, dtype=torch.float64)
    masks = torch.rand(SEEDS, BATCH, 1, SIDE, SIDE, generator=source) < 0.3
    return images, masks, torch.randint(2, (SEEDS, BATCH), generator=source)


def assert_close(one: torch.Tensor, other: torch.Tensor) -> None:
    torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-12)


CASES = [
    *[(name, settings.get("model", "cnn"), 1) for name, settings in STACKED.items()],
    *[
        (name, "resnet18", 1)
        for name in ("plain", "both", "rrr", "gradmask l1", "actdiff detached", "cutout")
    ],
    *[(name, "unet", 1) for name in ("reconstruct", "both")],
    ("both", "resnet18", 3),
    ("reconstruct masked", "unet", 3),
]


@pytest.mark.parametrize(("name", "model", "channels"), CASES)
def test_terms_gradients_and_statistics_are_those_of_each_network_alone(name, model, channels):
    settings = {"width": 4, **STACKED[name], "model": model}
    chosen = make_config(data="synthetic", **settings).objectives
    alone = networks(model, channels=channels)
    if needs(chosen).second_derivative:
        for network in alone:
            prepare_double_backward(network)
    tied = deepcopy(alone)
    stacked = stack(tied)
    images, masks, labels = batch(channels)
    draws = [derived_generator(seed, "step") for seed in range(SEEDS)]
    step = stacked_step_terms(chosen, stacked, images, masks, labels, draws)
    found = gradients(stacked, step.losses.sum(), step.passes)
    for seed, network in enumerate(alone):
        own = step_terms(
            chosen, network, images[seed], masks[seed], labels[seed], derived_generator(seed, "step")
        )
        own.loss.backward(inputs=list(network.parameters()))
        assert step.terms.keys() == own.terms.keys()
        for term, value in own.terms.items():
            assert_close(step.terms[term][seed], value)
        for parameter, tensor in network.named_parameters():
            assert (parameter in found) == (tensor.grad is not None)
            if tensor.grad is not None:
                assert_close(stacked.layout.of_seed(parameter, found[parameter], seed), tensor.grad)
        for buffer, tensor in network.named_buffers():
            assert_close(tied[seed].get_buffer(buffer), tensor)


@pytest.mark.parametrize("narrow", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("seeds", [2, 3, 10])
@pytest.mark.parametrize("model", ["ae", "unet", "resnet18"])
def test_what_convolutions_take_begins_where_several_numbers_are_read_at_once(model, seeds, narrow):
    stacked = stack([one.float() for one in networks(model, width=16, seeds=seeds)])
    odd = {place.name for place in stacked.layout.places if place.shape.numel() % 8}
    assert odd <= {"head.bias", "network.fc.bias", "fc.bias", "project.bias"}
    with torch.autocast("cpu", narrow, enabled=narrow != torch.float32):
        [weights] = leaves(stacked)
    products = list(weights)[: stacked.layout.count(stacked.products)]
    begins = {name: weights[name].data_ptr() % 16 for name in products if name not in odd}
    assert not any(begins.values()), begins


@pytest.mark.parametrize("model", ["cnn", "unet", "resnet18"])
def test_no_convolution_of_a_stack_is_the_librarys(model):
    alone = networks(model)
    layers = sum(isinstance(module, nn.Conv2d) for module in alone[0].modules())
    stacked = stack(alone)
    [weights] = leaves(stacked)
    with Counting() as counting:
        output = forward(stacked, weights, batch()[0])
        gradients(stacked, output.logits.sum(), [weights])
    assert counting.calls["conv2d"] + counting.calls["conv2d_relu"] == layers
    # The library cuts one of many groups into a launch for each.
    assert not {"convolution", "convolution_backward"} & counting.calls.keys()


def test_every_objective_is_stacked_or_says_why_not():
    for settings in OBJECTIVES.values():
        chosen = make_config(data="synthetic", **{"model": "cnn", "width": 4, **settings}).objectives
        alone = discriminator_of(chosen) is not None or needs(chosen).decomposed
        assert bool(why_no_stacked_step(chosen)) == alone


def dense() -> nn.Module:
    return Tapped(DenseNet(growth_rate=2, block_config=(2, 1), num_init_features=4, num_classes=2))


def mobile() -> nn.Module:
    return Tapped(MobileNetV2(num_classes=2, width_mult=0.1, dropout=0.0))


def grouped() -> nn.Module:
    return Tapped(ResNet(Bottleneck, [1, 1, 1, 1], num_classes=2, groups=2, width_per_group=4))


def plain_vgg() -> nn.Module:
    """As VGG is built: a head of two layers on a flattened map, and dropout that drops nothing."""
    features = [nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.AdaptiveAvgPool2d(3)]
    head = [nn.Flatten(), nn.Linear(36, 8), nn.ReLU(), nn.Dropout(0.0), nn.Linear(8, 2)]
    return Tapped(nn.Sequential(*features, *head))


@pytest.mark.process
@pytest.mark.parametrize("build", [dense, mobile, grouped, plain_vgg])
def test_families_of_torchvision_come_along(build):
    nets = [build(), build()]
    before = [{name: t.clone() for name, t in plain_weights(network).items()} for network in nets]
    assert why_not_stacked(nets, torch.rand(4, 3, 32, 32)) == ""
    for network, kept in zip(nets, before, strict=True):
        assert all(torch.equal(t, kept[name]) for name, t in plain_weights(network).items())


class Odd(nn.Module):
    """A network whose code is a function of its one convolution's output."""

    def __init__(self, code, head=None):
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3, padding=1)
        self.head = head or nn.Linear(4, 2)
        self.code = code

    def forward(self, images):
        return self.head(self.code(self.conv(images)))


def pooled(maps):
    return F.adaptive_avg_pool2d(maps, 1).flatten(1)


FOUR = torch.ones(4, 1, 1)
ODD = {
    "draws random numbers": (lambda maps: F.dropout(pooled(maps)), None),
    "is a LayerNorm": (pooled, nn.Sequential(nn.LayerNorm(4), nn.Linear(4, 2))),
    "calls TensorBase.flip": (lambda maps: pooled(maps.flip(1)), None),
    "calls TensorBase.cumsum": (lambda maps: pooled(maps.cumsum(1)), None),
    "mean over axes 1": (lambda maps: pooled(maps.mean(1, keepdim=True) + maps), None),
    "along axis 0": (lambda maps: pooled(torch.cat([maps, maps])), None),
    "gives a tensor the shape": (
        lambda maps: pooled(maps.view(len(maps), 2, 2, 16, 16).transpose(1, 2).flatten(1, 2)),
        None,
    ),
    "computes something else": (lambda maps: pooled(maps * maps.size(1)), None),
    "fails once its seeds lie side by side": (lambda maps: pooled(maps + FOUR), None),
}


@pytest.mark.parametrize("why", ODD)
def test_what_cannot_be_stacked_is_refused_in_a_sentence(why):
    torch.manual_seed(0)
    nets = [Tapped(Odd(*ODD[why])) for _ in range(2)]
    assert why in why_not_stacked(nets, torch.rand(4, 1, 16, 16))


@pytest.mark.parametrize(
    "code",
    [
        pooled,
        lambda maps: maps.mean((2, 3)),
        lambda maps: torch.flatten(F.avg_pool2d(maps, 16), 1),
        lambda maps: F.max_pool2d(maps, 16).view(maps.size(0), -1),
        lambda maps: F.max_pool2d(maps, 16).reshape(-1, 4),
        lambda maps: pooled(maps.sigmoid() * maps),
    ],
)
def test_codes_that_come_along(code):
    nets = [Tapped(Odd(code)) for _ in range(2)]
    assert why_not_stacked(nets, torch.rand(4, 1, 16, 16)) == ""


def test_networks_that_differ_are_refused():
    pair = [*networks("cnn", 4, seeds=1), *networks("cnn", 8, seeds=1)]
    assert "other layers or sizes" in why_not_stacked(pair, torch.rand(4, 1, SIDE, SIDE))


def test_layers_that_share_a_weight_are_refused():
    def tied():
        network = Odd(pooled, nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 4)))
        network.head[1].weight = network.head[0].weight
        return Tapped(network)

    assert "share one weight" in why_not_stacked([tied(), tied()], torch.rand(4, 1, 16, 16))


@pytest.mark.parametrize("channels", [1, 3])
def test_maps_of_all_seeds_have_their_channels_last_in_memory(channels):
    images = torch.rand(SEEDS, BATCH, channels, SIDE, SIDE)
    maps = side_by_side(images)
    assert maps.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(maps, torch.cat(list(images), dim=1))


def test_a_network_lives_on_as_a_view_of_the_stack():
    nets = networks("resnet18")
    expected = [{name: t.clone() for name, t in plain_weights(network).items()} for network in nets]
    stacked = stack(nets)
    for network, kept in zip(nets, expected, strict=True):
        weights = plain_weights(network)
        assert weights.keys() == kept.keys()
        assert all(torch.equal(weights[name], tensor) for name, tensor in kept.items())
    with torch.no_grad():
        stacked.weights.zero_()
    assert all(not parameter.any() for network in nets for parameter in network.parameters())
    images = torch.rand(SEEDS, BATCH, 1, SIDE, SIDE, dtype=torch.float64)
    forward(stacked, *leaves(stacked), images)
    counts = [t for name, t in plain_weights(nets[1]).items() if name.endswith("num_batches_tracked")]
    assert len(counts) == 20
    assert all(count == 1 for count in counts)


def test_evaluation_is_that_of_each_network_and_changes_nothing():
    nets = networks("resnet18")
    alone = deepcopy(nets)
    stacked = stack(nets)
    images = torch.rand(SEEDS, BATCH, 1, SIDE, SIDE, dtype=torch.float64)
    before = stacked.statistics.clone()
    with mode(stacked, training=False), torch.no_grad():
        logits = forward(stacked, *leaves(stacked), images, reconstruct=False).logits
    assert stacked.template.training
    assert torch.equal(stacked.statistics, before)
    for network, own, ours in zip(alone, images, logits, strict=True):
        assert_close(ours, network.eval()(own).logits)


def test_a_seed_that_is_not_finite_does_not_touch_the_others():
    nets = networks("resnet18")
    stacked = stack(nets)
    chosen = make_config(data="synthetic", actdiff=1.0, gradmask=1.0).objectives

    def learnt(images):
        _, masks, labels = batch()
        draws = [derived_generator(seed, "step") for seed in range(SEEDS)]
        step = stacked_step_terms(chosen, stacked, images, masks, labels, draws)
        return step.terms, gradients(stacked, step.losses.sum(), step.passes)

    images = batch()[0]
    terms, expected = learnt(images)
    images[1] = torch.nan
    poisoned, found = learnt(images)
    for seed in (0, 2):
        assert all(torch.equal(poisoned[name][seed], value[seed]) for name, value in terms.items())
        for name, tensor in expected.items():
            pair = [stacked.layout.of_seed(name, each, seed) for each in (found[name], tensor)]
            assert torch.equal(*pair)
    assert not any(value[1].isfinite() for value in poisoned.values())


def test_a_refusal_is_raised_where_nobody_asked_before():
    with pytest.raises(CannotBeStackedError, match="LayerNorm"):
        stack([Tapped(Odd(*ODD["is a LayerNorm"]))])
