"""The arithmetic floors against a count of what torch really executes."""

import pytest
import torch
from objective_settings import OBJECTIVES
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from activmask.models.build import build_model
from activmask.objectives.step import step_terms
from activmask.runs.making import make_config
from benchmarks.floors import (
    Layer,
    Network,
    copy_work,
    distance_bytes,
    epoch_flops,
    matrix_work,
    network,
    shuffle_bytes,
    training_flops,
)

BATCH = 2


class Counting(TorchDispatchMode):
    """Adds up torch's own FLOP formulas; unlike its FlopCounterMode it bears autograd.grad."""

    flops = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        formula = flop_registry.get(func._overloadpacket)
        if formula is not None:
            self.flops += formula(*args, **(kwargs or {}), out_val=out)
        return out


@pytest.mark.parametrize("side", [20, 28])
@pytest.mark.parametrize("model", ["cnn", "ae", "unet", "resnet18"])
def test_a_pass_to_the_logits(model, side):
    config = make_config(model=model, width=4)
    net = build_model(config.network, channels=3, classes=2, image_size=side, seed=0)
    with Counting() as counted, torch.no_grad():
        net(torch.rand(BATCH, 3, side, side), reconstruct=False)
    assert counted.flops == BATCH * network(config, side, channels=3).encoder_flops


@pytest.mark.parametrize("objective", ["plain", "actdiff", "gradmask", "both"])
@pytest.mark.parametrize("model", ["cnn", "ae", "unet", "resnet18"])
def test_a_training_step(model, objective):
    config = make_config(model=model, width=2, **OBJECTIVES[objective])
    net = build_model(config.network, channels=1, classes=2, image_size=28, seed=0)
    images, masks = torch.rand(BATCH, 1, 28, 28), torch.rand(BATCH, 1, 28, 28) < 0.2
    with Counting() as counted:
        loss = step_terms(config.objectives, net, images, masks, torch.tensor([0, 1]), torch.Generator()).loss
        loss.backward(inputs=list(net.parameters()))
    floor = BATCH * training_flops(config, network(config, 28))
    if model == "resnet18" and config["gradmask"]:
        # torch forms the weights' share of a strided 1 x 1 convolution's double backward with a
        # kernel the size of the feature map, which does more than is needed.
        assert floor < counted.flops < 1.03 * floor
    else:
        assert counted.flops == floor


def test_a_full_resnet18_is_as_large_as_is_known():
    flops = network(make_config(model="resnet18"), 32, channels=3, classes=10).encoder_flops
    assert flops == pytest.approx(2 * 0.556e9, rel=0.01)


def test_by_hand():
    layer = Layer(inputs=2, outputs=4, side=5)
    assert layer.flops == 2 * 2 * 4 * 9 * 25
    head = Layer(inputs=100, outputs=2, side=1, kernel=1)
    assert head.flops == 400
    plain, actdiff = make_config(model="cnn", width=4), make_config(model="cnn", width=4, actdiff=1.0)
    two = Network((layer, head))
    assert training_flops(plain, two) == 3 * 4000 - 3600
    assert training_flops(actdiff, two) == 2 * (3 * 4000 - 3600) - 800
    assert epoch_flops(plain, two, train=10, valid=3) == 10 * 8400 + 3 * 4000


def test_bytes_by_hand():
    images, masks = torch.zeros(2, 3, 4, 4), torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    assert shuffle_bytes(images, masks) == 2 * 3 * 16 * 4 * 2 + 32
    assert shuffle_bytes(images.bfloat16(), masks) == 2 * 3 * 16 * 2 * 2 + 32
    assert distance_bytes([images, images[:1]]) == 6 * (384 + 192)


def test_the_machine_work_says_how_much_it_did():
    device = torch.device("cpu")
    assert matrix_work(device, torch.float32, side=8, repeats=3)() == 2 * 512 * 3
    assert copy_work(device, elements=10, repeats=2)() == 2 * 40 * 2
