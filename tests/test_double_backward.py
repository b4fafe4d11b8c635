from pathlib import Path

import pytest
import torch
import torchvision
from torch import Tensor, nn

from activmask.models.build import build_model, load_plain_weights, plain_weights
from activmask.models.double_backward import TwiceDifferentiableConv2d, prepare_double_backward
from activmask.objectives.step import step_terms
from activmask.runs.description import RunConfig
from activmask.runs.making import make_config
from activmask.training.replicas.replica import new_replica

SIZE = 16
MODELS = {
    "cnn": {"width": 3},
    "unet": {"width": 3, "recon": 1.0},
    "resnet18": {"width": 4},
    "shufflenet_v2_x0_5": {},
    "mobilenet_v2": {},
}
"""Of plain, grouped and depthwise convolutions, with and without biases."""


def described(name: str, **settings: float) -> RunConfig:
    return make_config(model=name, **{**MODELS[name], **settings})


def built(config: RunConfig, dtype: torch.dtype = torch.float64) -> nn.Module:
    return build_model(config.network, channels=1, classes=2, image_size=SIZE, seed=0).to(dtype)


def batch(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor, Tensor]:
    source = torch.Generator().manual_seed(0)
    images = torch.rand((4, 1, SIZE, SIZE), dtype=torch.float64, generator=source).to(dtype)
    return images, torch.rand((4, 1, SIZE, SIZE), generator=source) < 0.4, torch.tensor([0, 1, 1, 0])


def convolutions(model: nn.Module) -> list[nn.Module]:
    return [module for module in model.modules() if isinstance(module, nn.Conv2d)]


def step_gradients(config: RunConfig, model: nn.Module, dtype: torch.dtype) -> list[Tensor]:
    """The gradients of one step's loss in all parameters that it reaches."""
    # Dropout would draw other units in each of two models.
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    terms = step_terms(config.objectives, model, *batch(dtype), torch.Generator().manual_seed(0))
    terms.loss.backward(inputs=list(model.parameters()))
    return [parameter.grad for parameter in model.parameters() if parameter.grad is not None]


@pytest.mark.process
@pytest.mark.parametrize("term", ["gradmask", "rrr"])
@pytest.mark.parametrize("name", MODELS)
def test_a_prepared_models_step_equals_the_plain_ones(name, term):
    config = described(name, **{term: 1.0})
    plain, prepared = built(config), built(config)
    prepare_double_backward(prepared)
    expected = step_gradients(config, plain, torch.float64)
    found = step_gradients(config, prepared, torch.float64)
    assert len(found) == len(expected) > 0
    # Against the largest, since a convolution before batch normalisation may have a gradient of zero.
    largest = max(float(gradient.abs().max()) for gradient in expected)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-10 * largest)


@pytest.mark.parametrize("name", MODELS)
def test_a_prepared_model_is_the_same_network(name):
    config = described(name)
    plain, prepared = built(config, torch.float32), built(config, torch.float32)
    prepare_double_backward(prepared)
    assert convolutions(prepared)
    assert all(type(module) is TwiceDifferentiableConv2d for module in convolutions(prepared))
    images = batch(torch.float32)[0]
    expected, found = (model.eval()(images) for model in (plain, prepared))
    assert torch.equal(found.logits, expected.logits)
    assert list(found.pre_activations) == list(expected.pre_activations)
    weights = plain_weights(prepared)
    assert list(weights) == list(plain_weights(plain))
    load_plain_weights(plain, weights)


def test_a_prepared_resnets_weights_load_into_torchvisions():
    prepared = build_model(
        make_config(model="resnet18").network, channels=3, classes=2, image_size=SIZE, seed=0
    )
    prepare_double_backward(prepared)
    network = torchvision.models.resnet18(num_classes=2)
    network.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
    network.load_state_dict(plain_weights(prepared), strict=True)
    assert not any(isinstance(module, TwiceDifferentiableConv2d) for module in network.modules())


def test_parameters_and_hooks_stay_where_they_were():
    model = built(described("cnn"))
    before = list(model.parameters())
    seen = []
    convolutions(model)[0].register_forward_hook(lambda *_: seen.append(True))
    prepare_double_backward(model)
    prepare_double_backward(model)
    assert all(one is other for one, other in zip(model.parameters(), before, strict=True))
    model(batch()[0])
    assert seen == [True]


class Own(nn.Conv2d):
    """Somebody's convolution with a forward pass of its own."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) + 1


@pytest.mark.parametrize(
    "convolution",
    [
        nn.Conv2d(1, 2, 3, padding="same"),
        nn.Conv2d(1, 2, 3, padding=1, padding_mode="reflect"),
        Own(1, 2, 3),
        nn.ConvTranspose2d(1, 2, 3),
        nn.Conv1d(SIZE, 2, 3),
    ],
    ids=["same", "reflect", "subclass", "transposed", "one axis"],
)
def test_other_convolutions_keep_their_own_form(convolution):
    kind = type(convolution)
    images = batch(torch.float32)[0]
    images = images[:, 0] if kind is nn.Conv1d else images
    expected = convolution(images)
    prepare_double_backward(convolution)
    assert type(convolution) is kind
    assert torch.equal(convolution(images), expected)


CUDA = pytest.param(
    "cuda",
    marks=[pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA here")],
)


@pytest.mark.parametrize("device", ["cpu", CUDA])
@pytest.mark.parametrize("term", ["gradmask", "rrr", "actdiff"])
def test_training_prepares_the_model_where_that_is_faster(crosses, device, term):
    config = make_config(data=str(crosses), model="cnn", width=2, **{term: 1.0})
    model = new_replica(config, 0, Path("nowhere"), torch.device(device)).model
    kinds = {type(module) for module in convolutions(model)}
    prepared = device == "cuda" and term != "actdiff"
    assert kinds == {TwiceDifferentiableConv2d if prepared else nn.Conv2d}
