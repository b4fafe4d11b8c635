from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn import functional as F

from activmask.ground.errors import UsageError
from activmask.models import MODELS, find_model
from activmask.models.build import build_model, load_plain_weights, plain_weights
from activmask.models.convnet import ConvNet
from activmask.models.taps import Tapped, head_reads_last_tap
from activmask.models.torchvision_models import give_released_head, torchvision_classifier
from activmask.runs.making import make_config


def build(
    model: str, *, size: int = 28, seed: int | None = 0, channels: int = 1, classes: int = 2, **settings: Any
):
    config = make_config(model=model, **settings)
    return build_model(config.network, channels=channels, classes=classes, image_size=size, seed=seed)


def pictures(batch: int = 2, size: int = 28, channels: int = 1) -> Tensor:
    return torch.rand((batch, channels, size, size), generator=torch.Generator().manual_seed(0))


def parameter_count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def small_image_resnet18() -> nn.Module:
    """Torchvision's ResNet-18 with the small-image stem, changed by hand."""
    network = torchvision.models.resnet18(num_classes=2)
    network.conv1 = nn.Conv2d(1, 64, 3, 1, 1, bias=False)
    network.maxpool = nn.Identity()
    return network


def hooks_on(model: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


ENCODER_SHAPES = {
    "encoder.0.0": (2, 16, 28, 28),
    "encoder.0.1": (2, 16, 28, 28),
    "encoder.1.0": (2, 32, 14, 14),
    "encoder.1.1": (2, 32, 14, 14),
    "encoder.2.0": (2, 64, 7, 7),
    "encoder.2.1": (2, 64, 7, 7),
    "encoder.3.0": (2, 128, 3, 3),
    "encoder.3.1": (2, 128, 3, 3),
}


def all_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Weights and buffers, those too that no checkpoint holds."""
    return {**dict(model.named_parameters()), **dict(model.named_buffers())}


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        *((name, {}) for name in MODELS),
        ("unet", {"width": 4}),
        ("resnet18", {"width": 4}),
        ("resnet18", {"head": "released"}),
    ],
)
def test_a_network_of_ours_whose_weights_are_loaded_is_built_without_drawing_any(monkeypatch, name, settings):
    drawn = build(name, seed=3, **settings)
    monkeypatch.setattr(torch.random, "fork_rng", lambda devices: nullcontext())
    torch.default_generator.manual_seed(0)
    expected = torch.get_rng_state()
    loaded = build(name, seed=None, **settings)
    assert torch.equal(torch.get_rng_state(), expected)
    load_plain_weights(loaded, plain_weights(drawn))
    ours, theirs = all_tensors(loaded), all_tensors(drawn)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.parametrize("name", ["googlenet", "swin_t"])
def test_a_network_that_draws_again_until_it_is_content_is_drawn(name):
    loaded, drawn = (build(name, size=64, seed=seed) for seed in (None, 0))
    ours, theirs = all_tensors(loaded), all_tensors(drawn)
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)


@pytest.mark.parametrize("name", ["cnn", "ae", "unet"])
def test_convnets_tap_their_eight_encoder_convolutions(name):
    output = build(name)(pictures())
    assert {tap: tuple(value.shape) for tap, value in output.pre_activations.items()} == ENCODER_SHAPES
    assert output.logits.shape == (2, 2)


@pytest.mark.parametrize(("name", "decodes"), [("cnn", False), ("ae", True), ("unet", True)])
def test_autoencoders_reconstruct_at_the_images_size_when_asked(name, decodes):
    model = build(name, channels=3, classes=4)
    output = model(pictures(channels=3))
    assert output.logits.shape == (2, 4)
    assert (output.reconstruction is not None) == decodes
    if decodes:
        assert output.reconstruction.shape == (2, 3, 28, 28)
    without = model(pictures(channels=3), reconstruct=False)
    assert without.reconstruction is None
    assert torch.equal(without.logits, output.logits)


def unet_by_hand(model: ConvNet, images: Tensor, skips: bool) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Figure 2 written out line by line."""

    def block(convs: nn.ModuleList, x: Tensor) -> Tensor:
        before.append(convs[0](x))
        before.append(convs[1](before[-1].clamp(min=0)))
        return before[-1].clamp(min=0)

    before: list[Tensor] = []
    first = block(model.encoder[0], images)
    second = block(model.encoder[1], F.max_pool2d(first, 2))
    third = block(model.encoder[2], F.max_pool2d(second, 2))
    fourth = block(model.encoder[3], F.max_pool2d(third, 2))
    taps = list(before)
    hidden = fourth
    for convs, skip in zip(model.decoder, (third, second, first), strict=True):
        hidden = nn.UpsamplingBilinear2d(size=skip.shape[-2:])(hidden)
        hidden = block(convs, torch.cat([hidden, skip], dim=1) if skips else hidden)
    return model.head(fourth.flatten(1)), model.project(hidden), taps


@pytest.mark.parametrize(("name", "skips"), [("ae", False), ("unet", True)])
def test_convnets_compute_figure_2(name, skips):
    model = build(name)
    output = model(pictures())
    logits, reconstruction, taps = unet_by_hand(model, pictures(), skips)
    torch.testing.assert_close(output.logits, logits)
    torch.testing.assert_close(output.reconstruction, reconstruction)
    for found, expected in zip(output.pre_activations.values(), taps, strict=True):
        torch.testing.assert_close(found, expected)
        assert bool((found < 0).any())


def conv_parameters(inputs: int, outputs: int, side: int = 3) -> int:
    return side * side * inputs * outputs + outputs


@pytest.mark.parametrize(("name", "expected"), [("cnn", 295_538), ("ae", 440_931), ("unet", 489_315)])
def test_parameter_counts_of_the_papers_networks(name, expected):
    ladder = [1, 16, 32, 64, 128]
    by_hand = sum(
        conv_parameters(ladder[i], ladder[i + 1]) + conv_parameters(ladder[i + 1], ladder[i + 1])
        for i in range(4)
    )
    by_hand += 128 * 3 * 3 * 2 + 2
    if name != "cnn":
        for deep, shallow in ((128, 64), (64, 32), (32, 16)):
            inputs = deep + shallow if name == "unet" else deep
            by_hand += conv_parameters(inputs, shallow) + conv_parameters(shallow, shallow)
        by_hand += conv_parameters(16, 1, side=1)
    assert by_hand == expected
    assert parameter_count(build(name)) == expected


@pytest.mark.parametrize("size", [8, 9, 15, 33])
def test_convnets_take_any_size_from_8_px(size):
    output = build("unet", size=size, width=2)(pictures(size=size))
    assert output.reconstruction.shape == (2, 1, size, size)


@pytest.mark.parametrize("name", ["cnn", "ae", "unet"])
def test_convnets_refuse_images_under_8_px(name):
    with pytest.raises(UsageError, match=rf"images of 7 px are too small for {name}, which needs 8"):
        build(name, size=7)


def test_resnet18_taps_its_17_relus_in_the_order_of_execution():
    taps = build("resnet18")(pictures()).pre_activations
    blocks = [f"layer{stage}.{block}.relu" for stage in (1, 2, 3, 4) for block in (0, 1)]
    assert list(taps) == ["relu", *(name + call for name in blocks for call in ("", ":2"))]
    shapes = [tuple(tap.shape) for tap in taps.values()]
    ladder = [(2, 64, 28, 28), (2, 128, 14, 14), (2, 256, 7, 7), (2, 512, 4, 4)]
    assert shapes == [ladder[0], *(shape for shape in ladder for _ in range(4))]


@pytest.mark.parametrize("training", [False, True])
def test_resnet18_equals_torchvisions_with_its_weights(training):
    model = build("resnet18").train(training)
    network = small_image_resnet18().train(training)
    network.load_state_dict(plain_weights(model), strict=True)
    expected = network(pictures(4))
    found = model(pictures(4)).logits
    assert torch.equal(found, expected)
    assert float(found.detach().abs().max()) > 0


def test_resnet18_taps_are_true_pre_activations():
    model = build("resnet18").eval()
    network = small_image_resnet18().eval()
    network.load_state_dict(plain_weights(model))
    recorded: list[Tensor] = []
    for module in network.modules():
        if isinstance(module, nn.ReLU):
            assert module.inplace
            module.register_forward_pre_hook(lambda _m, inputs: recorded.append(inputs[0].clone()))
    network(pictures())
    taps = model(pictures()).pre_activations
    for found, expected in zip(taps.values(), recorded, strict=True):
        assert torch.equal(found, expected)
        assert bool((found < 0).any())


def test_weights_load_back_into_a_network_of_another_seed():
    source, target = build("resnet18", width=4), build("resnet18", width=4, seed=1)
    assert not torch.equal(source.eval()(pictures()).logits, target.eval()(pictures()).logits)
    load_plain_weights(target, plain_weights(source))
    assert torch.equal(source(pictures()).logits, target(pictures()).logits)
    with pytest.raises(RuntimeError, match=r'Missing key.*"fc\.bias"'):
        load_plain_weights(target, {k: v for k, v in plain_weights(source).items() if k != "fc.bias"})


class Doubling(nn.Module):
    """A network whose last activation's input is changed in place after the activation saw it."""

    def __init__(self, in_place: bool) -> None:
        super().__init__()
        self.first, self.second = nn.ReLU(inplace=True), nn.ReLU()
        self.in_place = in_place

    def forward(self, images: Tensor) -> Tensor:
        hidden = self.first(images.flatten(1) - 0.5) - 0.25
        result = self.second(hidden)
        return result + (hidden.mul_(2) if self.in_place else hidden * 2)


def test_a_tap_overwritten_in_place_is_refused_by_name():
    with pytest.raises(UsageError, match=r"overwrites the input of its activation 'second' in place"):
        Tapped(Doubling(in_place=True))(pictures())
    assert list(Tapped(Doubling(in_place=False))(pictures()).pre_activations) == ["first", "second"]


def test_an_overwritten_tap_is_seen_without_gradients_too():
    with torch.no_grad(), pytest.raises(UsageError, match="in place"):
        Tapped(Doubling(in_place=True))(pictures())


def test_inference_mode_gives_the_same_taps():
    model = build("resnet18", width=2).eval()
    expected = model(pictures())
    with torch.inference_mode():
        found = model(pictures())
    assert torch.equal(found.logits, expected.logits)
    for name, tap in expected.pre_activations.items():
        assert torch.equal(found.pre_activations[name], tap)


def test_in_place_activations_are_put_out_of_place():
    wrapped = Tapped(Doubling(in_place=False))
    assert not wrapped.network.first.inplace
    images = pictures()
    taps = wrapped(images).pre_activations
    assert torch.equal(taps["first"], images.flatten(1) - 0.5)


def test_no_hook_is_left_after_a_pass():
    model = build("resnet18", width=2)
    first = model(pictures()).pre_activations
    assert hooks_on(model) == 0
    second = model(pictures(3)).pre_activations
    assert hooks_on(model) == 0
    assert list(first) == list(second)
    assert all(len(tap) == 2 for tap in first.values())


def test_no_hook_is_left_after_an_error():
    model = build("resnet18", width=2)
    with pytest.raises(RuntimeError):
        model(pictures(channels=3))
    assert hooks_on(model) == 0
    broken = Tapped(Doubling(in_place=True))
    with pytest.raises(UsageError):
        broken(pictures())
    assert hooks_on(broken) == 0


def test_hooks_exist_during_a_pass_so_the_tests_above_can_fail():
    class Counting(Doubling):
        def forward(self, images: Tensor) -> Tensor:
            self.seen = hooks_on(self)
            return super().forward(images)

    model = Tapped(Counting(in_place=False))
    model(pictures())
    # Each of its two activations has one for what it is given, and one for what it gave.
    assert model.network.seen == 4


def test_taps_carry_the_gradient_of_their_own_layer():
    model = build("resnet18", width=2)
    taps = model(pictures()).pre_activations
    taps["relu"].sum().backward()
    # Each of the stem's 2 channels adds its bias at 2 x 28 x 28 positions.
    assert model.network.bn1.bias.grad.tolist() == [2 * 28 * 28] * 2
    assert model.network.fc.weight.grad is None


NARROW = 16


def test_a_narrowed_resnet_has_the_shapes_of_its_width():
    for name, taps in (("resnet18", 17), ("resnet34", 33)):
        output = build(name, width=3).eval()(pictures(size=16))
        assert len(output.pre_activations) == taps
    found = {k: tuple(v.shape) for k, v in plain_weights(build("resnet18", width=NARROW)).items()}
    full = {k: tuple(v.shape) for k, v in plain_weights(build("resnet18")).items()}
    assert list(found) == list(full)
    for key, shape in full.items():
        scaled = tuple(
            side // (64 // NARROW) if side >= 64 and position < 2 else side
            for position, side in enumerate(shape)
        )
        assert found[key] == scaled, key


def test_a_narrowed_resnet_keeps_torchvisions_initialisation():
    network = build("resnet18", width=NARROW).network
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            weight = module.weight.detach()
            fan_out = module.out_channels * module.kernel_size[0] * module.kernel_size[1]
            spread = (2 / fan_out) ** 0.5
            n = weight.numel()
            assert float(weight.mean()) == pytest.approx(0, abs=5 * spread / n**0.5)
            assert float(weight.std()) == pytest.approx(spread, rel=5 / (2 * n) ** 0.5)
            assert module.bias is None
        elif isinstance(module, nn.BatchNorm2d):
            assert bool((module.weight == 1).all())
            assert bool((module.bias == 0).all())
    bound = 1 / (8 * NARROW) ** 0.5
    assert 0.9 * bound < float(network.fc.weight.detach().abs().max()) <= bound


def test_the_small_image_stem_keeps_torchvisions_initialisation():
    weight = build("resnet18").network.conv1.weight.detach()
    assert weight.shape == (64, 1, 3, 3)
    assert float(weight.std()) == pytest.approx((2 / (64 * 9)) ** 0.5, rel=5 / (2 * weight.numel()) ** 0.5)


@pytest.mark.parametrize("settings", [{"model": "unet"}, {"model": "resnet18", "width": 4}], ids=str)
def test_weights_follow_the_seed_alone(settings):
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    first = plain_weights(build(**settings, seed=3))
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(2)
    same, other = plain_weights(build(**settings, seed=3)), plain_weights(build(**settings, seed=4))
    assert all(torch.equal(first[key], same[key]) for key in first)
    drawn = [key for key in first if first[key].ndim == 4]
    assert drawn
    assert not any(torch.equal(first[key], other[key]) for key in drawn)


def test_building_moves_no_running_statistics():
    model = build("resnet18", width=2)
    assert model.training
    assert all(int(m.num_batches_tracked) == 0 for m in model.modules() if isinstance(m, nn.BatchNorm2d))


@pytest.mark.parametrize(
    ("name", "nearest"), [("resnet81", "resnet18"), ("unett", "unet"), ("densenet12", "densenet121")]
)
def test_an_unknown_model_is_refused_with_the_nearest(name, nearest):
    with pytest.raises(
        UsageError, match=rf"no model '{name}'; did you mean '{nearest}'.*Known: cnn, ae, unet"
    ):
        build(name)


def test_a_segmentation_network_is_no_classifier():
    with pytest.raises(UsageError, match="there is no model 'fcn_resnet50'"):
        build("fcn_resnet50")


@pytest.mark.parametrize("name", ["densenet121", "mobilenet_v3_small", "resnet50"])
def test_a_width_is_refused_where_it_is_fixed(name):
    with pytest.raises(UsageError, match=rf"the width of {name} is fixed; leave width at 64"):
        build(name, width=32)


@pytest.mark.parametrize(("name", "size"), [("alexnet", 16), ("inception_v3", 28)])
def test_images_too_small_for_a_torchvision_model_are_refused(name, size):
    with pytest.raises(UsageError, match=rf"{name} cannot take images of {size} px: \w+"):
        build(name, size=size)


@pytest.mark.parametrize(
    ("name", "taps"), [("densenet121", 120), ("mobilenet_v3_small", 33), ("googlenet", 0)]
)
def test_other_torchvision_classifiers_build_and_train(name, taps):
    model = build(name)
    assert model.training
    output = model(pictures())
    assert output.logits.shape == (2, 2)
    assert output.reconstruction is None
    assert len(output.pre_activations) == taps
    F.cross_entropy(output.logits, torch.tensor([0, 1])).backward()
    assert all(p.grad is not None for p in model.parameters())
    assert hooks_on(model) == 0


@pytest.mark.parametrize(
    ("name", "settings", "reads"),
    [
        ("resnet18", {"width": 8}, True),
        ("resnet18", {"width": 8, "head": "released", "size": 100}, True),
        ("mobilenet_v2", {}, True),
        ("densenet121", {}, False),
        ("mobilenet_v3_small", {}, False),
        ("squeezenet1_1", {}, False),
    ],
)
def test_whether_the_head_reads_the_last_tap(name, settings, reads):
    model = build(name, **settings).eval()
    assert head_reads_last_tap(model, pictures(size=settings.get("size", 28))) is reads
    assert hooks_on(model) == 0


def test_densenet_has_the_small_image_stem():
    features = build("densenet121").network.features
    assert features.conv0.stride == (1, 1)
    assert features.conv0.kernel_size == (3, 3)
    assert isinstance(features.pool0, nn.Identity)


def test_a_model_of_three_channels_keeps_its_first_convolution():
    first = build("mobilenet_v3_small", channels=3).network.features[0][0]
    plain = torchvision.models.mobilenet_v3_small(num_classes=2).features[0][0]
    assert first.weight.shape == plain.weight.shape


@pytest.mark.parametrize(("size", "features"), [(28, 512), (32, 512), (100, 4608), (128, 8192)])
def test_the_released_head_has_the_authors_number_of_features(size, features):
    with torch.device("meta"):
        network = torchvision_classifier("resnet18", channels=1, classes=2, width=64)
        give_released_head(network, "resnet18", size)
        assert network.fc.in_features == features
        assert network(torch.zeros(1, 1, size, size)).shape == (1, 2)


def test_the_released_head_comes_with_torchs_own_initial_weights():
    released, pooled = (build("resnet18", width=8, head=head).network for head in ("released", "pooled"))
    for name, conv in released.named_modules():
        if isinstance(conv, nn.Conv2d):
            bound = conv.weight[0].numel() ** -0.5
            assert 0.9 * bound < conv.weight.abs().max() <= bound, name
    assert pooled.layer1[0].conv1.weight.abs().max() > pooled.layer1[0].conv1.weight[0].numel() ** -0.5
    assert set(released.state_dict()) == set(pooled.state_dict())
    again = build("resnet18", width=8, head="released").network
    assert torch.equal(again.layer4[1].conv2.weight, released.layer4[1].conv2.weight)


def test_images_too_small_for_the_released_head_are_refused():
    with pytest.raises(UsageError, match="resnet18 leaves 3 x 3 of images of 24 px"):
        build("resnet18", width=8, head="released", size=24)


@pytest.mark.parametrize(
    ("model", "head"), [(name, head) for name in MODELS for head in find_model(name).heads]
)
def test_weights_are_those_of_torchs_own_generator_whoever_draws_beside(model, head):
    settings = {"head": head, "width": 2}
    before, seeds = torch.default_generator.get_state(), range(3)
    with ThreadPoolExecutor(len(seeds)) as executor:
        found = list(executor.map(lambda seed: build(model, seed=seed, **settings), seeds))
    assert torch.equal(torch.default_generator.get_state(), before)
    for seed, network in enumerate(found):
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)
            wanted = make_config(model=model, **settings).network
            alone = find_model(model).build(wanted, channels=1, classes=2, image_size=28)
        assert all_tensors(alone).keys() == all_tensors(network).keys()
        for name, tensor in all_tensors(alone).items():
            assert torch.equal(tensor, all_tensors(network)[name]), name
