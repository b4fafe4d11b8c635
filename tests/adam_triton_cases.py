"""What the Triton form of Adam must do; `test_adam_triton.py` runs this file."""

import math

import pytest
import torch
from torch import Tensor

from activmask.kernels.adam import parts_of, reference
from activmask.kernels.adam import triton as form
from activmask.kernels.adam.forms import check_agreement

pytestmark = pytest.mark.process  # Triton compiles by other programs.

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
SIZES, SEEDS = [3, 1030, 1024], 2
"""Of each seed's parameters: less than a block, a little more than one, and one."""
CHUNKS = [size for size in SIZES for _ in range(SEEDS)]
SETTINGS = 0.01, 0.9, 0.999, 1e-8


def state(taken: float) -> list[Tensor]:
    """Weights, gradient, both running means and steps, within memory that holds NaN."""
    drawn = torch.Generator().manual_seed(1)
    count = sum(CHUNKS)
    found = []
    for power in (1, 1, 1, 2):
        memory = torch.full((count + 64,), math.nan)
        memory[32:-32] = torch.randn(count, generator=drawn) ** power
        found.append(memory.to(DEVICE)[32:-32])
    steps = torch.full((len(CHUNKS),), taken, device=DEVICE)
    steps[1] += 1
    return [*found, steps]


def stepped(given: list[Tensor], stopped: list[float]) -> list[Tensor]:
    parts = parts_of(CHUNKS, torch.device(DEVICE))
    form.adam(*given, torch.tensor(stopped, device=DEVICE), parts.blocks, *SETTINGS)
    return given


@pytest.mark.parametrize("taken", [0.0, 1.0, 999.0, 100_000.0])
def test_a_step_is_that_of_the_reference_in_double_precision(taken):
    found, exact = stepped(state(taken), [0.0, 0.0]), [own.double() for own in state(taken)]
    parts = parts_of(CHUNKS, torch.device(DEVICE))
    reference.adam(*exact, torch.zeros(SEEDS, device=DEVICE), parts.sizes, *SETTINGS)
    for ours, theirs in zip(found, exact, strict=True):
        torch.testing.assert_close(ours.double(), theirs, rtol=1e-6, atol=1e-7)
    assert not torch.equal(found[0], state(taken)[0])


@pytest.mark.parametrize("poison", [math.nan, math.inf, 1.0])
def test_a_stopped_seed_stays_to_the_bit_and_the_others_do_not_know_of_it(poison):
    before, going, given = state(3.0), stepped(state(3.0), [0.0, 0.0]), state(3.0)
    for own in given[1].split(CHUNKS)[1::SEEDS]:
        own.fill_(poison)
    halted = stepped(given, [0.0, 1.0])
    for index in (0, 2, 3):
        three = (each[index].split(CHUNKS) for each in (before, going, halted))
        for part, (was, goes, now) in enumerate(zip(*three, strict=True)):
            assert torch.equal(now, was if part % SEEDS == 1 else goes)


def test_compared_with_the_reference_it_agrees_and_a_wrong_form_does_not():
    device = torch.device(DEVICE)
    check_agreement(form.adam, device)

    def wrong(weights: Tensor, *rest) -> None:
        form.adam(weights, *rest)
        weights[-1] += 1e-3

    with pytest.raises(ArithmeticError, match="differ"):
        check_agreement(wrong, device)
