"""Contextual decomposition, and the penalty on what lies outside the mask."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from finite_differences import slopes
from torch import nn
from torch.nn import functional as F

from activmask.ground.errors import UsageError
from activmask.models.build import build_model
from activmask.models.decomposed import Parts, decomposed
from activmask.models.double_backward import prepare_double_backward
from activmask.models.settings import Network
from activmask.models.taps import Tapped
from activmask.objectives.cdep import CDEP, contribution
from activmask.objectives.objective import Trial
from activmask.objectives.stacked_step import why_no_stacked_step
from activmask.objectives.step import step_terms
from activmask.runs.making import make_config

CHOSEN = make_config(cdep=1.0).objectives


def source() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def batch(side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images, and the left half of each; of the last, all of it."""
    images = torch.rand(4, 1, side, side, generator=source(), dtype=torch.float64)
    left = torch.zeros(4, 1, side, side, dtype=torch.bool)
    left[..., : side // 2] = True
    left[3] = True
    return images, left


def every_layer() -> nn.Module:
    layers = [
        *(nn.Conv2d(1, 4, 3, stride=2, padding=1, groups=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True)),
        *(
            nn.MaxPool2d(3, 2, padding=1),
            nn.Conv2d(4, 4, 3, padding=1, groups=2, bias=False),
            nn.Dropout(0.0),
        ),
        *(nn.AvgPool2d(2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)),
    ]
    torch.manual_seed(0)
    return Tapped(nn.Sequential(*layers)).double()


def of_ours(name: str) -> nn.Module:
    return build_model(Network(model=name, width=4), channels=1, classes=2, image_size=16, seed=0).double()


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("build", [every_layer, lambda: of_ours("cnn"), lambda: of_ours("resnet18")])
def test_both_parts_add_up_to_the_scores_and_leave_the_network_as_it_was(build, training):
    net = build().train(training)
    images, left = batch(16)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    first, second = decomposed(net, images, left)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert first.abs().max() > 0
    assert second[:3].abs().max() > 0
    torch.testing.assert_close(first + second, net(images, reconstruct=False).logits, rtol=1e-10, atol=1e-12)


def test_the_other_form_of_a_convolution_gives_the_same():
    net = of_ours("cnn")
    images, left = batch(16)
    plain = decomposed(net, images, left)
    prepare_double_backward(net)
    for one, other in zip(decomposed(net, images, left), plain, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)


def test_each_rule_on_numbers_worked_out_by_hand():
    def parts(first, second):
        return Parts(torch.tensor([first]).double(), torch.tensor([second]).double())

    # (3, -1) times 1, bias 2: shared out 3 to 1. Where both are 0 the second part has it.
    got = F.linear(parts([3.0], [-1.0]), torch.ones(1, 1).double(), torch.tensor([2.0]).double())
    assert (got.relevant.item(), got.irrelevant.item()) == (4.5, -0.5)
    got = F.linear(parts([0.0], [0.0]), torch.ones(1, 1).double(), torch.tensor([2.0]).double())
    assert (got.relevant.item(), got.irrelevant.item()) == (0, 2)
    # relu(3) = 3, relu(3 - 5) - 3 = -3; relu(-1) = 0, relu(-1 + 4) = 3.
    got = F.relu(parts([3.0, -1.0], [-5.0, 4.0]))
    assert (got.relevant.tolist(), got.irrelevant.tolist()) == ([[3, 0]], [[-3, 3]])
    # The sums are 1, 4, so the second place.
    got = F.max_pool2d(parts([[[3.0, 1.0]]], [[[-2.0, 3.0]]]), (1, 2))
    assert (got.relevant.item(), got.irrelevant.item()) == (1, 3)


def test_without_biases_and_rectifiers_parts_are_what_each_half_gives_alone():
    torch.manual_seed(0)
    net = Tapped(nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.Flatten(), nn.Linear(392, 2, bias=False)))
    net = net.double()
    images, left = batch(16)
    first, second = decomposed(net, images, left)
    torch.testing.assert_close(first, net(images * left).logits)
    torch.testing.assert_close(second, net(images * ~left).logits)


def test_the_penalty_is_the_outsides_share_of_a_softmax_over_both():
    outside = torch.tensor([[1.0, -2.0], [5.0, 5.0]]).double()
    inside = torch.tensor([[0.0, 0.5], [1.0, 1.0]]).double()
    share = np.exp([1.0, -2.0]) / (np.exp([1.0, -2.0]) + np.exp([0.0, 0.5]))
    found = contribution(outside, inside, torch.tensor([True, False]))
    assert found.item() == pytest.approx(share.mean() / 2, rel=1e-12)


@pytest.mark.parametrize("name", ["cnn", "resnet18"])
def test_its_gradient_is_that_of_finite_differences(name):
    net = of_ours(name)
    images, masks = batch(16)

    def loss() -> torch.Tensor:
        labels = torch.tensor([0, 1, 1, 0])
        return step_terms(CHOSEN, net, images, masks, labels, source()).terms["cdep"]

    measured, slope, _ = slopes(loss, list(net.parameters()), source(), 1e-7)
    assert measured == pytest.approx(slope, rel=1e-3)


def trial(*layers: nn.Module) -> Trial:
    net = Tapped(nn.Sequential(*layers))
    return Trial(model=net, name="net", taps={}, features=None, image=(1, 8, 8))


@pytest.mark.parametrize(
    ("odd", "why"),
    [
        (nn.GELU(), "it calls gelu"),
        (nn.GroupNorm(2, 2), "it calls group_norm"),
        (nn.Sigmoid(), "sigmoid"),
    ],
)
def test_what_has_no_decomposition_is_refused_in_a_sentence(odd, why):
    common = nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2)
    CDEP.fits(None, trial(*common))
    with pytest.raises(UsageError, match=f"cdep needs a network of convolutions.*net is not: .*{why}"):
        CDEP.fits(None, trial(common[0], odd, *common[1:]))


def test_dropout_is_refused_before_training_as_it_draws_in_training_alone():
    layers = nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    CDEP.fits(None, trial(*layers, nn.Dropout(0.0), nn.Linear(2, 2)))
    with pytest.raises(UsageError, match="it draws random numbers itself, as dropout does"):
        CDEP.fits(None, trial(*layers, nn.Dropout(0.5), nn.Linear(2, 2)))


def test_parts_that_do_not_add_up_are_refused():
    sound = trial(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2))

    class Halved(nn.Module):
        def forward(self, maps):
            return Parts(maps.relevant / 2, maps.irrelevant) if isinstance(maps, Parts) else maps

    CDEP.fits(None, sound)
    with pytest.raises(UsageError, match="its parts do not add up to its scores"):
        CDEP.fits(None, replace(sound, model=trial(Halved(), *sound.model.network).model))


def test_it_says_why_seeds_train_by_themselves_and_what_it_cannot_go_with():
    assert why_no_stacked_step(CHOSEN) == "each seed's network is decomposed by itself"
    with pytest.raises(UsageError, match="cdep needs the network's own layers, which compile replaces"):
        make_config(cdep=1.0, compile=True)
    with pytest.raises(UsageError, match="which sync_batchnorm replaces"):
        make_config(cdep=1.0, sync_batchnorm=True)
