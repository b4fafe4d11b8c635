"""A network that was a view of a stack lies by itself again: the same objects, numbers and layout."""

from copy import deepcopy

import pytest
import torch
from torch import nn

from activmask.models.stacked.alone import alone, live_alone
from activmask.models.stacked.network import stack


def networks(seeds):
    layers = nn.Conv2d(2, 3, 3).to(memory_format=torch.channels_last), nn.BatchNorm2d(3)
    return [deepcopy(nn.Sequential(*layers, nn.Flatten(), nn.Linear(12, 2))) for _ in seeds]


def owns(tensor):
    return tensor.storage_offset() == 0 and tensor.untyped_storage().nbytes() == 4 * tensor.numel()


@pytest.fixture
def stacked():
    made = networks(range(3))
    return made, stack(made)


def test_it_leaves_the_stack_with_its_numbers(stacked):
    made, whole = stacked
    network = made[1]
    before = {name: (own, own.clone(), own.stride()) for name, own in network.named_parameters()}
    assert not owns(network[3].bias)
    live_alone(network)
    for name, own in network.named_parameters():
        was, numbers, strides = before[name]
        assert own is was
        assert owns(own)
        assert own.stride() == strides
        assert own.equal(numbers)
    weights = whole.weights.clone()
    nn.init.zeros_(network[3].bias)
    assert whole.weights.equal(weights)


def test_what_it_changes_meanwhile_comes_back_to_the_stack(stacked):
    made, whole = stacked
    network = made[2].train()
    others, statistics = made[1][1].running_mean.clone(), whole.statistics.clone()
    with alone(network):
        assert all(map(owns, network.parameters()))
        network(torch.ones(4, 2, 4, 4)).sum().backward()
        assert whole.statistics.equal(statistics)
    assert not owns(network[3].bias)
    assert not whole.statistics.equal(statistics)
    assert made[1][1].running_mean.equal(others)
    whole.statistics.zero_()
    assert not network[1].running_mean.any()


def test_it_comes_back_when_something_goes_wrong(stacked):
    made, _ = stacked
    with pytest.raises(ZeroDivisionError), alone(made[0]):
        raise ZeroDivisionError
    assert not owns(made[0][0].weight)
