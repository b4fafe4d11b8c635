import math

import pytest
import torch

from activmask.objectives.reconstruction import reconstruction_image, reconstruction_loss


def example() -> tuple[torch.Tensor, torch.Tensor]:
    source = torch.Generator().manual_seed(0)
    output = 3 * torch.randn((2, 2, 3, 4), dtype=torch.float64, generator=source)
    return output, torch.rand((2, 2, 3, 4), dtype=torch.float64, generator=source)


def test_bce_by_hand():
    # A sigmoid of 0 is 1/2: log 2 for either target. A sigmoid of log 3 is 3/4: log 4 against 0.
    output = torch.tensor([0.0, 0.0, math.log(3)], dtype=torch.float64).view(1, 1, 1, 3)
    target = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64).view(1, 1, 1, 3)
    expected = (2 * math.log(2) + math.log(4)) / 3
    assert float(reconstruction_loss(output, target, "bce")) == pytest.approx(expected)


def test_mse_by_hand_applies_no_sigmoid():
    output = torch.tensor([0.0, 3.0]).view(1, 1, 1, 2)
    target = torch.tensor([1.0, 1.0]).view(1, 1, 1, 2)
    assert float(reconstruction_loss(output, target, "mse")) == 2.5


def test_bce_equals_its_formula_pixel_by_pixel():
    output, target = example()
    total = 0.0
    for o, t in zip(output.flatten().tolist(), target.flatten().tolist(), strict=True):
        p = 1 / (1 + math.exp(-o))
        total -= t * math.log(p) + (1 - t) * math.log(1 - p)
    assert float(reconstruction_loss(output, target, "bce")) == pytest.approx(total / output.numel())


def test_mse_equals_its_formula_pixel_by_pixel():
    output, target = example()
    total = sum(
        (o - t) ** 2 for o, t in zip(output.flatten().tolist(), target.flatten().tolist(), strict=True)
    )
    assert float(reconstruction_loss(output, target, "mse")) == pytest.approx(total / output.numel())


@pytest.mark.parametrize("loss", ["bce", "mse"])
def test_the_target_is_reached_by_its_own_image(loss):
    target = torch.tensor([0.0, 1.0, 1.0, 0.0]).view(1, 1, 2, 2)
    output = (target - 0.5) * 200 if loss == "bce" else target
    assert float(reconstruction_loss(output, target, loss)) == pytest.approx(0, abs=1e-12)
    torch.testing.assert_close(reconstruction_image(output, loss), target)


def test_extreme_outputs_stay_finite():
    output = torch.tensor([1e4, -1e4]).view(1, 1, 1, 2)
    target = torch.tensor([0.0, 1.0]).view(1, 1, 1, 2)
    assert float(reconstruction_loss(output, target, "bce")) == pytest.approx(1e4)


def test_images_are_the_sigmoid_or_the_clipped_output():
    output = torch.tensor([-2.0, 0.0, 0.5, 2.0]).view(1, 1, 2, 2)
    expected = [1 / (1 + math.exp(-o)) for o in output.flatten().tolist()]
    assert reconstruction_image(output, "bce").flatten().tolist() == pytest.approx(expected)
    assert reconstruction_image(output, "mse").flatten().tolist() == [0.0, 0.0, 0.5, 1.0]
