import math

import pytest
import torch
from torch import Tensor, nn

from activmask.models.output import ModelOutput
from activmask.objectives.adversarial import adversarial, discriminator, discriminator_loss, told_apart
from activmask.objectives.pooled_features import pooled


class FirstNumber(nn.Module):
    """A discriminator whose logit is a vector's first entry times a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, vectors: Tensor) -> Tensor:
        return self.weight * vectors[:, :1]


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


FULL, SHUFFLED = [2.0, -1.0], [0.5, 3.0]


def vectors(logits: list[float]) -> Tensor:
    return torch.tensor([[logit, 7.0] for logit in logits]).requires_grad_()


def test_discriminator_loss_by_hand_calls_full_1_and_shuffled_0():
    loss = discriminator_loss(FirstNumber(), vectors(FULL), vectors(SHUFFLED))
    expected = sum(softplus(-f) for f in FULL) / 4 + sum(softplus(s) for s in SHUFFLED) / 4
    assert loss.item() == pytest.approx(expected)


def test_the_network_is_paid_for_the_opposite_answers():
    loss = adversarial(FirstNumber(), vectors(FULL), vectors(SHUFFLED))
    expected = sum(softplus(f) for f in FULL) / 4 + sum(softplus(-s) for s in SHUFFLED) / 4
    assert loss.item() == pytest.approx(expected)


def test_an_undecided_discriminator_costs_log_2_either_way():
    undecided = vectors([0.0, 0.0])
    for loss in (discriminator_loss, adversarial):
        assert loss(FirstNumber(), undecided, undecided).item() == pytest.approx(math.log(2))


def test_the_discriminators_loss_trains_the_discriminator_alone():
    judge, full, shuffled = FirstNumber(), vectors(FULL), vectors(SHUFFLED)
    discriminator_loss(judge, full, shuffled).backward()
    assert full.grad is None
    assert shuffled.grad is None
    assert float(judge.weight.grad) != 0


def test_the_networks_loss_moves_features_toward_the_other_side():
    full, shuffled = vectors(FULL), vectors(SHUFFLED)
    adversarial(FirstNumber(), full, shuffled).backward()
    assert (full.grad[:, 0] > 0).all()
    assert (shuffled.grad[:, 0] < 0).all()
    assert torch.equal(full.grad[:, 1], torch.zeros(2))


def test_features_are_means_over_positions():
    tap = torch.tensor([[[[1.0, 2.0], [3.0, 6.0]], [[0.0, 0.0], [0.0, 4.0]]]])
    assert pooled(tap).tolist() == [[3.0, 1.0]]
    assert torch.equal(pooled(tap.flatten(2)), pooled(tap))


def test_features_of_a_vector_are_the_vector():
    vector = torch.tensor([[1.0, -2.0, 3.0]])
    assert torch.equal(pooled(vector), vector)


def test_a_discriminator_is_drawn_from_its_seed_alone():
    before = torch.random.get_rng_state()
    one, same, other = discriminator(5, 1), discriminator(5, 1), discriminator(5, 2)
    assert torch.equal(torch.random.get_rng_state(), before)
    example = torch.rand((4, 5), generator=torch.Generator().manual_seed(0))
    assert one(example).shape == (4, 1)
    assert torch.equal(one(example), same(example))
    assert not torch.equal(one(example), other(example))


def test_a_discriminator_learns_to_tell_two_kinds_of_features_apart():
    source = torch.Generator().manual_seed(0)
    full = torch.randn((64, 6), generator=source) + 1
    shuffled = torch.randn((64, 6), generator=source) - 1
    judge = discriminator(6, seed=0)
    optimizer = torch.optim.Adam(judge.parameters(), lr=1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        discriminator_loss(judge, full, shuffled).backward()
        optimizer.step()
    assert discriminator_loss(judge, full, shuffled).item() < 0.1
    assert adversarial(judge, full, shuffled).item() > 1
    assert bool((judge(full) > 0).float().mean() > 0.95)


def test_half_precision_features_are_judged_in_single_precision():
    full, shuffled = vectors(FULL), vectors(SHUFFLED)
    loss = adversarial(discriminator(2, 0), full.bfloat16(), shuffled.bfloat16())
    assert loss.dtype == torch.float32


def test_the_follow_ups_losses_are_summed():
    full, shuffled = vectors(FULL), vectors(SHUFFLED)
    for loss in (discriminator_loss, adversarial):
        ours = loss(FirstNumber(), full, shuffled, "ours").item()
        assert loss(FirstNumber(), full, shuffled, "followup").item() == pytest.approx(2 * ours)


def test_the_follow_up_judges_features_after_the_relu():
    tap = torch.tensor([[[[-1.0, 2.0], [3.0, -6.0]]]])
    assert told_apart(ModelOutput(tap, None, {"last": tap}), "followup").tolist() == [[1.25]]
    assert told_apart(ModelOutput(tap, None, {"last": tap}), "ours").tolist() == [[-0.5]]


def test_the_follow_ups_discriminator_has_three_bounded_layers_of_1024():
    judge = discriminator(6, 0, "followup")
    layers = [module for module in judge if isinstance(module, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in layers] == [
        (6, 1024),
        (1024, 1024),
        (1024, 1024),
        (1024, 1),
    ]
    with torch.no_grad():
        for _ in range(30):
            judge(torch.rand(2, 6))
        for layer in layers[:3]:
            largest = torch.linalg.matrix_norm(layer.weight, ord=2).item()
            assert largest == pytest.approx(1, abs=0.05)


def test_the_follow_ups_discriminator_is_drawn_from_its_seed_alone():
    before = torch.random.get_rng_state()
    one, same = discriminator(5, 1, "followup"), discriminator(5, 1, "followup")
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(value, same.state_dict()[name]) for name, value in one.state_dict().items())
