from itertools import product
from typing import get_args

import pytest
import torch

from activmask.runs.seeds import Purpose, derived_generator, derived_seed, network_randomness

CPU = torch.device("cpu")


def test_every_seed_purpose_and_epoch_has_a_seed_of_its_own():
    drawn = [derived_seed(*key) for key in product(range(20), get_args(Purpose), range(20))]
    assert len(set(drawn)) == len(drawn) == 20 * 9 * 20
    assert all(0 <= seed < 2**63 for seed in drawn)
    high_bits = sum(seed >> 62 for seed in drawn) / len(drawn)
    assert high_bits == pytest.approx(0.5, abs=4 * 0.5 / len(drawn) ** 0.5)


def test_generators_repeat_for_one_purpose_and_differ_between_epochs():
    def numbers(*key):
        return torch.rand(5, generator=derived_generator(*key)).tolist()

    assert numbers(3, "step", 2) == numbers(3, "step", 2)
    assert numbers(3, "step", 2) != numbers(3, "step", 3)
    assert numbers(3, "step", 2) != numbers(3, "order", 2)
    assert numbers(3, "step", 2) != numbers(2, "step", 3)


def test_derived_seeds_never_change_so_that_old_runs_can_be_repeated():
    assert derived_seed(0, "weights") == 7_896_617_691_693_857_887
    assert derived_seed(7, "step", 12) == 4_197_081_089_886_096_151


def test_network_randomness_is_a_function_of_seed_and_epoch_and_leaves_no_trace():
    torch.manual_seed(1)
    before = torch.random.get_rng_state()
    drawn = []
    for seed, epoch in ((0, 0), (0, 0), (0, 1), (1, 0)):
        with network_randomness(seed, epoch, CPU):
            drawn.append(torch.rand(4).tolist())
        assert torch.equal(torch.random.get_rng_state(), before)
    assert drawn[0] == drawn[1]
    assert len({tuple(numbers) for numbers in drawn}) == 3


def interrupted() -> None:
    with network_randomness(0, 0, CPU):
        torch.rand(3)
        raise RuntimeError("stop")


def test_network_randomness_leaves_no_trace_after_an_error():
    before = torch.random.get_rng_state()
    with pytest.raises(RuntimeError, match="stop"):
        interrupted()
    assert torch.equal(torch.random.get_rng_state(), before)
