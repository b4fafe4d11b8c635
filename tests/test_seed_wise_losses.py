"""Losses of several seeds at once: the values and gradients of torch's own, of which each is one seed's."""

import pytest
import torch
from torch.nn import functional as F

from activmask.objectives.seed_wise_losses import SeedWiseLosses

SEEDS, IMAGES = 3, 7


def drawn(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    """Values of every size, and what lies far out on either side."""
    values = 5 * torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=dtype)
    values.view(-1)[:6] = torch.tensor([-700.0, -50.0, 0.0, 39.0, 50.0, 700.0])
    return values.requires_grad_()


def labels() -> torch.Tensor:
    return torch.randint(4, (SEEDS, IMAGES), generator=torch.Generator().manual_seed(1))


def targets(like: torch.Tensor) -> torch.Tensor:
    values = torch.rand(like.shape, generator=torch.Generator().manual_seed(2), dtype=like.dtype)
    values[1], values[2] = 0, 1
    return values


@pytest.mark.parametrize(("dtype", "close"), [(torch.float64, 1e-12), (torch.float32, 2e-6)])
@pytest.mark.parametrize("loss", [F.cross_entropy, F.binary_cross_entropy_with_logits])
def test_each_seed_has_the_value_and_gradient_of_torchs_own_loss(loss, dtype, close):
    crossed = loss is F.cross_entropy
    outputs = drawn(SEEDS, IMAGES, 4, dtype=dtype) if crossed else drawn(SEEDS, IMAGES, 1, 5, 5, dtype=dtype)
    aims = labels() if crossed else targets(outputs)
    with SeedWiseLosses():
        ours = torch.vmap(loss)(outputs, aims)
    weights = torch.arange(1.0, 1 + SEEDS, dtype=dtype)
    (slope,) = torch.autograd.grad((weights * ours).sum(), outputs)
    for seed in range(SEEDS):
        wide = outputs[seed].detach().double().requires_grad_()
        expected = loss(wide, aims[seed] if crossed else aims[seed].double())
        (exact,) = torch.autograd.grad(weights[seed].item() * expected, wide)
        torch.testing.assert_close(ours[seed].double(), expected, rtol=close, atol=close)
        torch.testing.assert_close(slope[seed].double(), exact, rtol=1e-5, atol=close)


def test_what_is_no_number_stays_so_and_touches_no_other_seed():
    outputs = drawn(SEEDS, IMAGES, 4).detach()
    outputs[1, 0, 0] = torch.nan
    with SeedWiseLosses():
        values = torch.vmap(F.cross_entropy)(outputs, labels())
        others = torch.vmap(F.binary_cross_entropy_with_logits)(outputs, targets(outputs))
    assert values.isnan().tolist() == others.isnan().tolist() == [False, True, False]


def test_a_loss_with_settings_of_its_own_is_torchs():
    outputs, aims = drawn(IMAGES, 4).detach(), labels()[0]
    for settings in ({"reduction": "sum"}, {"label_smoothing": 0.1}, {"weight": torch.arange(4.0).double()}):
        with SeedWiseLosses():
            ours = F.cross_entropy(outputs, aims, **settings)
        assert torch.equal(ours, F.cross_entropy(outputs, aims, **settings))
    soft = targets(outputs)
    with SeedWiseLosses():
        ours = F.cross_entropy(outputs, soft)
    assert torch.equal(ours, F.cross_entropy(outputs, soft))
