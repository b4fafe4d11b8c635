"""Adam for several seeds' weights in one stretch of memory: torch's own numbers, and a seed can stop."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from activmask.kernels.adam import adam, parts_of

SETTINGS = {"lr": 0.01, "betas": (0.9, 0.999), "eps": 1e-8}


def state(sizes: list[int], seeds: int, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    """Weights, gradient, both running means and steps of so many seeds."""
    drawn = torch.Generator().manual_seed(0)
    count = seeds * sum(sizes)
    weights, gradient, first = (torch.randn(count, generator=drawn, dtype=dtype) for _ in range(3))
    second = torch.rand(count, generator=drawn, dtype=dtype)
    return [weights, gradient, first, second, torch.full((len(sizes) * seeds,), 4.0)]


def of_seeds(sizes: list[int], seeds: int) -> list[int]:
    return [size for size in sizes for _ in range(seeds)]


def test_a_first_step_by_hand():
    weights, first, second = torch.tensor([1.0, 2.0]), torch.zeros(2), torch.zeros(2)
    steps, parts = torch.zeros(2), parts_of([1, 1], torch.device("cpu"))
    gradient = torch.tensor([0.5, -3.0])
    adam(weights, gradient, first, second, steps, torch.zeros(2), parts, **SETTINGS)
    # A first step is as long as the rate, whatever the gradient's size.
    assert weights.tolist() == pytest.approx([0.99, 2.01])
    assert first.tolist() == pytest.approx([0.05, -0.3])
    assert second.tolist() == pytest.approx([0.00025, 0.009])
    assert steps.tolist() == [1, 1]


@settings(max_examples=20)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=3), st.integers(1, 3), st.integers(1, 3))
def test_every_part_comes_to_what_torch_comes_to(sizes, seeds, count):
    weights, gradient, first, second, steps = given = state(sizes, seeds)
    chunks = of_seeds(sizes, seeds)
    alone = [torch.nn.Parameter(part.clone()) for part in weights.split(chunks)]
    theirs = torch.optim.Adam(alone, **SETTINGS)
    moments = zip(first.split(chunks), second.split(chunks), strict=True)
    for parameter, (mean, square) in zip(alone, moments, strict=True):
        theirs.state[parameter] = {
            "step": torch.tensor(4.0), "exp_avg": mean.clone(), "exp_avg_sq": square.clone()
        }  # fmt: skip
    for parameter, part in zip(alone, gradient.split(chunks), strict=True):
        parameter.grad = part.clone()
    for _ in range(count):
        adam(*given, torch.zeros(seeds), parts_of(chunks, weights.device), **SETTINGS)
        theirs.step()
    for parameter, part in zip(alone, weights.split(chunks), strict=True):
        torch.testing.assert_close(part, parameter.detach(), rtol=1e-12, atol=1e-12)
    assert steps.tolist() == [4.0 + count] * len(chunks)


@pytest.mark.parametrize("poison", [math.nan, math.inf, 1.0])
def test_a_stopped_seed_stays_to_the_bit_and_the_others_do_not_know_of_it(poison):
    sizes, seeds = [5, 1100], 3
    stopped = torch.tensor([0.0, 1.0, 0.0])
    parts = parts_of(of_seeds(sizes, seeds), torch.device("cpu"))
    before, going, halted = (state(sizes, seeds, torch.float32) for _ in range(3))
    for own in halted[1].split(of_seeds(sizes, seeds))[1::seeds]:
        own.fill_(poison)
    adam(*going, torch.zeros(seeds), parts, **SETTINGS)
    adam(*halted, stopped, parts, **SETTINGS)
    for index in (0, 2, 3):
        three = (each[index].split(of_seeds(sizes, seeds)) for each in (before, going, halted))
        for part, (was, goes, now) in enumerate(zip(*three, strict=True)):
            assert torch.equal(now, was if part % seeds == 1 else goes)
            assert not torch.equal(was, goes)
    assert halted[4].view(-1, seeds).tolist() == [[5, 4, 5]] * 2
    assert going[4].tolist() == [5] * 6


def test_the_blocks_cover_every_number_once_and_never_two_parts():
    sizes = [1, 1024, 1025, 3]
    parts = parts_of(sizes, torch.device("cpu"))
    owner = torch.repeat_interleave(torch.arange(4), torch.tensor(sizes))
    seen = [number for first, end, _ in parts.blocks.tolist() for number in range(first, end)]
    assert seen == list(range(sum(sizes)))
    assert all(set(owner[first:end].tolist()) == {part} for first, end, part in parts.blocks.tolist())
    assert all(0 < end - first <= 1024 for first, end, _ in parts.blocks.tolist())


def test_what_decides_nothing_does_not_move():
    weights, parts = torch.tensor([-0.0, 3.0]), parts_of([2], torch.device("cpu"))
    zeros = [torch.zeros(2) for _ in range(3)]
    adam(weights, *zeros, torch.zeros(1), torch.zeros(1), parts, **SETTINGS)
    assert weights.tolist() == [0.0, 3.0]
    assert math.copysign(1, weights[0].item()) == -1
