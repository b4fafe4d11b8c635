from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from activmask.ground.errors import UsageError
from activmask.objectives.gradmask import decision, gradmask
from activmask.objectives.rrr import rrr

Penalty = Callable[[Tensor, Tensor, Tensor], Tensor]

PENALTIES: dict[str, Penalty] = {
    "l2 contrast": partial(gradmask, norm="l2", target="contrast"),
    "l1 contrast": partial(gradmask, norm="l1", target="contrast"),
    "l2 positive": partial(gradmask, norm="l2", target="positive"),
    "l1 positive": partial(gradmask, norm="l1", target="positive"),
    "rrr": rrr,
}
BATCH, SIDE = 3, 4


class Smooth(nn.Module):
    """A small network without kinks, so that finite differences hold everywhere."""

    def __init__(self, classes: int = 2) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 2, 3, padding=1)
        self.head = nn.Linear(2 * SIDE * SIDE, classes)
        source = torch.Generator().manual_seed(0)
        self.double()
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.normal_(0, 0.5, generator=source)

    def forward(self, images: Tensor) -> Tensor:
        return self.head(torch.tanh(self.conv(images)).flatten(1))


def batch() -> tuple[Tensor, Tensor]:
    source = torch.Generator().manual_seed(1)
    images = torch.rand((BATCH, 1, SIDE, SIDE), dtype=torch.float64, generator=source)
    return images, torch.rand((BATCH, 1, SIDE, SIDE), generator=source) < 0.4


def penalty_of(name: str, network: nn.Module, images: Tensor, masks: Tensor) -> Tensor:
    seen = images.clone().requires_grad_()
    return PENALTIES[name](network(seen), seen, masks)


def score(name: str, logits: Tensor) -> float:
    """What the penalty of that name differentiates, for one image's logits (K,)."""
    if name == "rrr":
        return float(F.log_softmax(logits, dim=0).sum())
    return abs(float(logits[1] - logits[0])) if "contrast" in name else abs(float(logits[1]))


def outside_slopes(name: str, network: nn.Module, images: Tensor, masks: Tensor) -> list[list[float]]:
    """For each image, the central differences of its score in its pixels outside the mask."""
    step, slopes = 1e-5, []
    for image, mask in zip(images, masks, strict=True):
        own = []
        for row in range(SIDE):
            for column in range(SIDE):
                if mask[0, row, column]:
                    continue
                values = []
                for sign in (1, -1):
                    moved = image.clone()
                    moved[0, row, column] += sign * step
                    with torch.no_grad():
                        values.append(score(name, network(moved[None])[0]))
                own.append((values[0] - values[1]) / (2 * step))
        slopes.append(own)
    return slopes


def aggregate(name: str, slopes: list[list[float]]) -> float:
    if name == "rrr":
        return sum(s * s for own in slopes for s in own) / BATCH
    if name.startswith("l1"):
        return sum(abs(s) for own in slopes for s in own)
    return sum(sum(s * s for s in own) ** 0.5 for own in slopes) / BATCH


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("l2 contrast", (1 + 5) / 2),
        ("l1 contrast", 1 + 3 + 4),
        ("l2 positive", (2 + 29**0.5) / 2),
        ("l1 positive", 2 + 2 + 5),
    ],
)
def test_a_linear_network_by_hand(name, expected):
    # The contrast has the gradient (1, 3, 4), the positive logit (2, 2, 5).
    weight = torch.tensor([[1.0, -1.0, 1.0], [2.0, 2.0, 5.0]], dtype=torch.float64)
    images = torch.ones(2, 1, 1, 3, dtype=torch.float64, requires_grad=True)
    masks = torch.tensor([[[[False, True, True]]], [[[True, False, False]]]])
    logits = images.flatten(1) @ weight.T
    assert PENALTIES[name](logits, images, masks).item() == pytest.approx(expected)


def test_rrr_by_hand():
    # With logits (0, x), the summed log-probabilities are x - 2 log(1 + e^x), of slope 1 - 2 sigmoid(x).
    images = torch.tensor([0.0, 2.0], dtype=torch.float64).view(2, 1, 1, 1).requires_grad_()
    logits = torch.cat([torch.zeros(2, 1, dtype=torch.float64), images.flatten(1)], dim=1)
    slope = 1 - 2 / (1 + torch.tensor(-2.0, dtype=torch.float64).exp())
    outside = torch.zeros(2, 1, 1, 1, dtype=torch.bool)
    assert rrr(logits, images, outside).item() == pytest.approx(float(slope**2) / 2)


@pytest.mark.parametrize("name", PENALTIES)
def test_value_equals_finite_differences_of_the_forward_pass(name):
    network, (images, masks) = Smooth(), batch()
    expected = aggregate(name, outside_slopes(name, network, images, masks))
    assert expected > 0.01
    assert penalty_of(name, network, images, masks).item() == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("name", PENALTIES)
def test_parameter_gradient_equals_finite_differences_of_the_value(name):
    network, (images, masks) = Smooth(), batch()
    penalty_of(name, network, images, masks).backward()
    gradients = {key: p.grad.clone() for key, p in network.named_parameters() if p.grad is not None}
    step = 1e-5
    for key, parameter in network.named_parameters():
        flat = parameter.data.view(-1)
        for index in range(0, parameter.numel(), 3):
            original, values = float(flat[index]), []
            for sign in (1, -1):
                flat[index] = original + sign * step
                values.append(penalty_of(name, network, images, masks).item())
            flat[index] = original
            slope = (values[0] - values[1]) / (2 * step)
            found = float(gradients[key].view(-1)[index]) if key in gradients else 0.0
            assert found == pytest.approx(slope, rel=1e-5, abs=1e-8), f"{key}[{index}]"


@pytest.mark.parametrize("name", PENALTIES)
def test_a_mask_of_ones_gives_zero_and_zero_gradients(name):
    network, (images, _) = Smooth(), batch()
    everywhere = torch.ones(BATCH, 1, SIDE, SIDE, dtype=torch.bool)
    penalty = penalty_of(name, network, images, everywhere)
    assert penalty.item() == 0
    penalty.backward()
    assert any(parameter.grad is not None for parameter in network.parameters())
    for parameter in network.parameters():
        if parameter.grad is not None:
            assert torch.equal(parameter.grad, torch.zeros_like(parameter))


@pytest.mark.parametrize("name", PENALTIES)
def test_an_image_without_a_mask_does_not_disturb_the_gradients_of_the_others(name):
    network, (images, masks) = Smooth(), batch()
    masks[1] = True
    penalty_of(name, network, images, masks).backward()
    together = [p.grad.clone() for p in network.parameters() if p.grad is not None]
    network.zero_grad()
    others = torch.tensor([0, 2])
    share = 1.0 if name.startswith("l1") else 2 / 3
    (penalty_of(name, network, images[others], masks[others]) * share).backward()
    alone = [p.grad for p in network.parameters() if p.grad is not None]
    for one, other in zip(together, alone, strict=True):
        assert torch.isfinite(one).all()
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("name", PENALTIES)
def test_pixels_inside_the_mask_may_matter_at_no_cost(name):
    images = torch.rand(BATCH, 1, SIDE, SIDE, dtype=torch.float64, requires_grad=True)
    inside = torch.zeros(BATCH, 1, SIDE, SIDE, dtype=torch.bool)
    inside[:, :, :2] = True
    attended = images[:, :, :2].flatten(1).sum(dim=1)
    ignored = torch.stack([attended, -3 * attended], dim=1) + 0 * images.flatten(1).sum(dim=1)[:, None]
    assert PENALTIES[name](ignored, images, inside).item() == 0


def test_each_images_contrast_is_taken_absolute_before_the_batch_is_summed():
    # Batch statistics couple images. Here the contrasts are x0 - x1 and 2 (x1 - x0): |.| sums to
    # 3 |x0 - x1|, of slope 3 in each pixel, where the plain sum would have slope 1.
    images = torch.tensor([3.0, 1.0]).view(2, 1, 1, 1).requires_grad_()
    difference = images[0] - images[1]
    contrasts = torch.stack([difference, -2 * difference]).view(2, 1)
    logits = torch.cat([torch.zeros(2, 1), contrasts], dim=1)
    outside = torch.zeros(2, 1, 1, 1, dtype=torch.bool)
    for target in ("contrast", "positive"):
        assert gradmask(logits, images, outside, norm="l2", target=target).item() == 3
        assert gradmask(logits, images, outside, norm="l1", target=target).item() == 6


def test_equal_logits_have_a_finite_gradient():
    images = torch.zeros(1, 1, 1, 2, dtype=torch.float64, requires_grad=True)
    weight = torch.eye(2, dtype=torch.float64, requires_grad=True)
    outside = torch.zeros(1, 1, 1, 2, dtype=torch.bool)
    for norm in ("l2", "l1"):
        penalty = gradmask(images.flatten(1) @ weight, images, outside, norm=norm)
        (gradient,) = torch.autograd.grad(penalty, weight)
        assert torch.isfinite(gradient).all()


def test_contrast_of_three_classes_needs_labels_and_positive_does_not():
    network, (images, masks) = Smooth(classes=3), batch()
    for name in ("l2 contrast", "l1 contrast"):
        with pytest.raises(UsageError, match="or more and the labels; found 3"):
            penalty_of(name, network, images, masks)
    for name in ("l2 positive", "rrr"):
        expected = aggregate(name, outside_slopes(name, network, images, masks))
        assert penalty_of(name, network, images, masks).item() == pytest.approx(expected, rel=1e-7)


THREE = torch.tensor([0, 2, 1])


def test_the_contrast_of_three_classes_by_hand():
    # Logits (6, 8, 4) of class 0: |6 - 8| has the slope 0 - row 0 + row 1; of class 1: |8 - 6|, the same.
    weight = torch.tensor([[1.0, 2.0, 3.0], [1.0, 0.0, 7.0], [4.0, 0.0, 0.0]], dtype=torch.float64)
    images = torch.ones(3, 1, 1, 3, dtype=torch.float64, requires_grad=True)
    masks = torch.tensor([[[[False, True, True]]], [[[True, False, True]]], [[[True, True, False]]]])
    logits = images.flatten(1) @ weight.T
    assert logits[0].tolist() == [6, 8, 4]
    # Outside, class 0 has no slope against 1 in pixel 0, class 2 none against 1 in 1, class 1 one of 4 in 2.
    assert gradmask(logits, images, masks, norm="l1", labels=THREE).item() == 0 + 0 + 4
    free = torch.zeros_like(masks)
    lengths = [(0 + 4 + 16) ** 0.5, (9 + 0 + 49) ** 0.5, (0 + 4 + 16) ** 0.5]
    value = gradmask(logits, images, free, norm="l2", labels=THREE).item()
    assert value == pytest.approx(sum(lengths) / 3)


@pytest.mark.parametrize("norm", ["l2", "l1"])
def test_the_contrast_of_three_classes_has_the_second_derivatives_of_finite_differences(norm):
    network, (images, masks) = Smooth(3), batch()

    def penalty(*weights: Tensor) -> Tensor:
        seen = images.clone().requires_grad_()
        named = dict(zip(dict(network.named_parameters()), weights, strict=True))
        logits = torch.func.functional_call(network, named, (seen,))
        return gradmask(logits, seen, masks, norm=norm, labels=THREE)

    assert torch.autograd.gradcheck(penalty, tuple(network.parameters()), eps=1e-6, atol=1e-6)


def test_the_contrast_of_two_classes_is_that_of_more_where_the_others_are_out_of_reach():
    images, _ = batch()
    logits = Smooth()(images)
    more = torch.cat([logits, torch.full((BATCH, 1), -1e3, dtype=torch.float64)], dim=1)
    labels = torch.tensor([0, 1, 0])
    assert torch.equal(decision(more, "contrast", labels), decision(logits))


def test_the_contrast_of_more_classes_is_the_same_for_several_seeds_at_once():
    logits = torch.randn(2, BATCH, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    labels = torch.stack([THREE, THREE.flip(0)])
    together = torch.vmap(lambda own, its: decision(own, "contrast", its))
    expected = torch.stack([decision(own, "contrast", its) for own, its in zip(logits, labels, strict=True)])
    assert torch.equal(together(logits, labels), expected)
