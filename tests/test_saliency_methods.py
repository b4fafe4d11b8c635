import numpy as np
import pytest
import torch
from tiny_checkpoints import tiny_config
from torch import nn

from activmask.ground.errors import UsageError
from activmask.models.build import build_model
from activmask.models.inference import images_per_pass
from activmask.models.output import ModelOutput
from activmask.saliency.attribution import attribute
from activmask.saliency.methods import METHODS

SIDE = 8


class Linear(nn.Module):
    """Logits that are linear in the pixels, so that every gradient is known."""

    def __init__(self, classes: int = 2, channels: int = 1) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        shape = (classes, channels, SIDE, SIDE)
        self.weight = nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64))

    def forward(self, images, reconstruct=True):
        return ModelOutput(torch.einsum("bchw,kchw->bk", images, self.weight))


class OneConvolution(nn.Module):
    """Convolution, ReLU, mean over positions, linear head."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 3, 3, padding=1, stride=2).double()
        self.head = nn.Linear(3, 2).double()
        with torch.no_grad():
            for k, parameter in enumerate(self.parameters()):
                parameter.copy_(torch.linspace(-1, 1, parameter.numel()).view_as(parameter) + 0.1 * k)

    def forward(self, images, reconstruct=True):
        return ModelOutput(self.head(self.conv(images).relu().mean(dim=(2, 3))))


def images(n=3, channels=1, side=SIDE):
    return torch.rand(
        n, channels, side, side, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )


def resnet():
    config = tiny_config(model="resnet18", width=8)
    return build_model(config.network, channels=1, classes=2, image_size=16, seed=0).eval()


def test_input_gradient_of_a_linear_model_is_its_weight():
    model = Linear(channels=2)
    maps = attribute(model, images(channels=2), method="input-gradient", target=1)
    torch.testing.assert_close(maps, model.weight[1].detach().abs().mean(dim=0).expand(3, SIDE, SIDE))


def test_without_a_target_each_image_explains_its_predicted_class():
    model, batch = Linear(), images(16) - 0.5
    predicted = model(batch).logits.argmax(dim=1)
    assert len(predicted.unique()) == 2
    maps = attribute(model, batch, method="input-gradient")
    torch.testing.assert_close(maps, model.weight.detach().abs()[predicted, 0])


def test_contrast_of_two_classes_is_the_difference_of_weights():
    model = Linear()
    expected = (model.weight[1, 0] - model.weight[0, 0]).detach().abs()
    torch.testing.assert_close(attribute(model, images(), method="contrast"), expected.expand(3, -1, -1))


def test_contrast_of_three_classes_is_the_margin_over_the_strongest_other():
    model, batch = Linear(classes=3), images(5)
    logits = model(batch).logits.detach().clone()
    logits[:, 2] = -torch.inf
    other = logits.argmax(dim=1)
    expected = (model.weight[2, 0] - model.weight[other, 0]).detach().abs()
    torch.testing.assert_close(attribute(model, batch, method="contrast", target=2), expected)


def test_integrated_gradients_of_a_linear_model_is_weight_times_image():
    model, batch = Linear(), images()
    expected = (model.weight[0, 0] * batch[:, 0]).detach().abs()
    torch.testing.assert_close(attribute(model, batch, method="integrated-gradients", target=0), expected)


def test_smoothgrad_of_a_linear_model_is_its_gradient():
    model = Linear()
    expected = model.weight[1, 0].detach().abs().expand(3, SIDE, SIDE)
    torch.testing.assert_close(attribute(model, images(), method="smoothgrad", target=1), expected)


def test_smoothgrad_averages_signed_gradients_of_noisy_copies():
    model, image = OneConvolution(), images(1)
    with torch.random.fork_rng():
        torch.manual_seed(5)
        noise = torch.normal(0, torch.full((25, 1, SIDE, SIDE), 0.15))
    noisy = (image + noise).requires_grad_()
    (gradient,) = torch.autograd.grad(model(noisy).logits[:, 0].sum(), noisy)
    maps = attribute(model, image, method="smoothgrad", target=0, seed=5)
    torch.testing.assert_close(maps[0], gradient.mean(dim=0)[0].abs())


def test_gradcam_by_its_definition():
    model, batch = OneConvolution(), images()
    activation = model.conv(batch)
    (gradient,) = torch.autograd.grad(model.head(activation.relu().mean(dim=(2, 3)))[:, 1].sum(), activation)
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    coarse = (weights * activation).sum(dim=1, keepdim=True).relu()
    expected = nn.functional.interpolate(coarse, (SIDE, SIDE), mode="bilinear")[:, 0]
    maps = attribute(model, batch, method="gradcam", target=1)
    assert maps.max() > 0
    torch.testing.assert_close(maps, expected.detach())


def test_occlusion_of_single_pixels_is_weight_times_pixel():
    # An eighth of 8 px is one pixel, which black replaces.
    model, batch = Linear(), images()
    expected = (model.weight[1, 0] * batch[:, 0]).detach().abs()
    torch.testing.assert_close(attribute(model, batch, method="occlusion", target=1), expected.float())


@pytest.mark.parametrize("method", METHODS)
def test_maps_are_positive_repeatable_and_independent_of_their_neighbours(method):
    model, batch = resnet(), images(3, side=16).float()
    maps = attribute(model, batch, method=method)
    assert maps.shape == (3, 16, 16)
    assert torch.isfinite(maps).all()
    assert (maps >= 0).all()
    alone = torch.cat([attribute(model, image, method=method) for image in batch.split(1)])
    torch.testing.assert_close(alone, maps, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_left_behind(method):
    model, batch = resnet(), images(2, side=16).float()
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    state = torch.get_rng_state()
    attribute(model, batch, method=method)
    assert torch.equal(torch.get_rng_state(), state)
    assert not batch.requires_grad
    assert not model.training
    assert all(parameter.grad is None for parameter in model.parameters())
    for module in model.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks
        assert not module._backward_hooks
    for name, value in model.state_dict().items():
        assert torch.equal(value, weights[name])


def test_images_are_worked_through_in_passes_of_bounded_memory(monkeypatch):
    monkeypatch.setattr("activmask.models.inference.CPU_PIXELS_PER_PASS", 2 * 16 * 16)
    model, batch = (
        build_model(tiny_config().network, channels=1, classes=2, image_size=16, seed=0),
        images(3, side=16),
    )
    sizes: list[int] = []
    hook = model.register_forward_pre_hook(lambda _module, inputs: sizes.append(len(inputs[0])))
    told: dict[str, list[tuple[int, int]]] = {method: [] for method in METHODS}
    for method, counts in told.items():
        attribute(
            model, batch.float(), method=method, done=lambda n, of, counts=counts: counts.append((n, of))
        )
    hook.remove()
    assert max(sizes) == 2
    assert all(counts == [(2, 3), (3, 3)] for counts in told.values())


def test_a_processor_takes_smaller_passes():
    device, batch = torch.device("cpu"), torch.zeros(1, 1, 28, 28)
    assert images_per_pass(batch, device) < images_per_pass(batch, torch.device("cuda"))
    assert images_per_pass(torch.zeros(1, 1, 1024, 1024), device) == 1


@pytest.mark.process
@pytest.mark.parametrize("method", METHODS)
def test_maps_are_those_of_the_network_as_it_is(method, monkeypatch):
    model, batch = resnet().double(), images(2, side=16)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.copy_(torch.linspace(-0.3, 0.3, len(module.weight)))
            module.running_var.copy_(torch.linspace(0.5, 2, len(module.weight)))
    quick = attribute(model, batch, method=method, target=1 if method != "contrast" else None)
    monkeypatch.setattr(
        "activmask.saliency.attribution.classifier",
        lambda model, _images: lambda images: model(images, reconstruct=False).logits,
    )
    plain = attribute(model, batch, method=method, target=1 if method != "contrast" else None)
    assert plain.max() > 0
    torch.testing.assert_close(quick, plain)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "grad-cam"}, "no attribution method 'grad-cam'; did you mean 'gradcam'"),
        ({"method": "input-gradient", "target": 2}, "no class 2: the network knows the classes 0 to 1"),
        ({"method": "input-gradient", "target": -1}, "no class -1"),
        ({"method": "contrast", "target": 1}, "a target has no effect"),
        ({"method": "contrast", "layer": "conv"}, "a layer has no effect on the method contrast"),
    ],
)
def test_wrong_requests_are_refused(options, message):
    with pytest.raises(UsageError, match=message):
        attribute(Linear(), images(), **options)


def test_integrated_gradients_are_complete():
    model, batch = OneConvolution(), images(1)
    with torch.no_grad():
        gain = (model(batch).logits - model(torch.zeros_like(batch)).logits)[0, 1].item()
    # With one channel and positive or negative parts alone, the sum of absolute values bounds the gain.
    total = attribute(model, batch, method="integrated-gradients", target=1).sum().item()
    assert total >= abs(gain) - 1e-2
    assert np.isfinite(total)
