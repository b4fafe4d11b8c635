"""HiResCAM, as a map and as a loss, against scores, finite differences and each seed's own network."""

from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from finite_differences import slopes
from in_process import told
from torch import nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from activmask.ground.errors import DataError, UsageError
from activmask.models.build import build_model
from activmask.models.settings import Network
from activmask.models.stacked.network import gradients, stack
from activmask.models.taps import Tapped
from activmask.objectives.evidence import evidence, hirescam, wholly_outside
from activmask.objectives.hirescam import HIRESCAM, mask_loss
from activmask.objectives.objective import Trial
from activmask.objectives.stacked_step import stacked_step_terms
from activmask.objectives.step import step_terms
from activmask.runs.making import make_config
from activmask.runs.seeds import derived_generator
from activmask.saliency.feature_map import FeatureMap
from activmask.saliency.methods import METHODS
from activmask.saliency.request import Request
from activmask.training.replicas.outline import outlined
from activmask.training.replicas.replica import new_replica, tried_out

SIDES = {"cnn": 24, "unet": 24, "resnet18": 16}
"""In px, so that the last map has several positions."""
CHOSEN = make_config(hirescam=1.0).objectives


def network(model: str, seed: int = 0, classes: int = 2) -> nn.Module:
    wanted = Network(model=model, width=4)
    return build_model(wanted, channels=1, classes=classes, image_size=SIDES[model], seed=seed).double()


def batch(side: int, seeds: int = 1) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Images of some seeds, masks of their upper left quarter, and labels."""
    source = torch.Generator().manual_seed(3)
    images = torch.rand(seeds, 3, 1, side, side, generator=source, dtype=torch.float64)
    masks = torch.zeros(seeds, 3, 1, side, side, dtype=torch.bool)
    masks[..., : side // 2, : side // 2] = True
    return images, masks, torch.randint(2, (seeds, 3), generator=source)


def test_a_position_counts_by_the_product_of_what_it_holds_and_what_that_is_worth():
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, 0.0]]]])
    gradient = torch.tensor([[[[10.0, -1.0]], [[0.5, 9.0]]]])
    assert hirescam(features, gradient).tolist() == [[[11.5, -2.0]]]
    assert hirescam(features.bfloat16(), gradient.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize(("model", "classes"), [("cnn", 3), ("resnet18", 2)])
def test_evidence_and_bias_are_the_score(model, classes):
    net = network(model, classes=classes).eval()
    output = net(batch(SIDES[model])[0][0])
    bias = (net.head if model == "cnn" else net.network.fc).bias
    total = evidence(output.logits, output.features).sum(dim=(2, 3)) + bias
    torch.testing.assert_close(total, output.logits, rtol=1e-12, atol=1e-14)


def test_the_loss_is_the_cross_entropy_of_no_evidence_where_all_is_outside():
    # Class 1 leads by 4 in one position and is behind by 2 in the other.
    found = torch.tensor([[[[1.0, 3.0]], [[5.0, 1.0]]], [[[1.0, 3.0]], [[5.0, 1.0]]]]).double()
    both = torch.tensor([[[True, True]], [[True, False]]])
    first = np.log1p(np.exp([2.0, -2.0])).mean()
    second = np.log1p(np.exp([1.0, -1.0])).mean()
    assert mask_loss(found, both).item() == pytest.approx((first + (first + second) / 2) / 2, rel=1e-12)
    none = torch.zeros(2, 1, 2, dtype=torch.bool)
    assert mask_loss(found, none).item() == 0
    assert mask_loss(torch.zeros_like(found), both).item() == pytest.approx(np.log(2))
    # What all classes gain alike decides nothing.
    assert mask_loss(found + 7, both).item() == pytest.approx(mask_loss(found, both).item(), rel=1e-12)


def test_a_cell_is_outside_where_no_pixel_of_it_is_inside():
    masks = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    masks[0, 0, 1, 1] = True
    assert wholly_outside(masks, (2, 2)).tolist() == [[[False, True], [True, True]]]


@pytest.mark.parametrize("model", ["cnn", "resnet18"])
def test_the_terms_gradient_is_that_of_finite_differences(model):
    net = network(model)
    images, masks, labels = (part[0] for part in batch(SIDES[model]))

    def loss() -> torch.Tensor:
        source = derived_generator(0, "step")
        return step_terms(CHOSEN, net, images, masks, labels, source).terms["hirescam"]

    measured, slope, found = slopes(loss, list(net.parameters()), torch.Generator().manual_seed(1), 1e-6)
    assert measured == pytest.approx(slope, rel=1e-4)
    assert all(g.any() for g in found[:1]), "the first layer learns"


@pytest.mark.parametrize("model", ["cnn", "unet", "resnet18"])
def test_several_seeds_at_once_come_to_what_each_comes_to(model):
    alone = [network(model, seed) for seed in range(2)]
    stacked = stack(deepcopy(alone))
    images, masks, labels = batch(SIDES[model], 2)
    chosen = make_config(model=model, hirescam=1.0, actdiff=0.5).objectives
    step = stacked_step_terms(
        chosen, stacked, images, masks, labels, [derived_generator(k, "step") for k in range(2)]
    )
    found = gradients(stacked, step.losses.sum(), step.passes)
    for seed, net in enumerate(alone):
        own = step_terms(
            chosen, net, images[seed], masks[seed], labels[seed], derived_generator(seed, "step")
        )
        own.loss.backward(inputs=list(net.parameters()))
        torch.testing.assert_close(step.terms["hirescam"][seed], own.terms["hirescam"], rtol=1e-12, atol=0)
        for name, parameter in net.named_parameters():
            if parameter.grad is not None:
                ours = stacked.layout.of_seed(name, found[name], seed)
                torch.testing.assert_close(ours, parameter.grad, rtol=1e-9, atol=1e-12)


class _Once(Function):
    """A square that cannot be differentiated twice."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient):
        return 2 * ctx.saved_tensors[0] * gradient


class OnceDifferentiable(nn.Module):
    def __init__(self, head: nn.Module) -> None:
        super().__init__()
        self.conv, self.act, self.head = nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), head

    def forward(self, images):
        return self.head(F.adaptive_avg_pool2d(self.act(_Once.apply(self.conv(images))), 2).flatten(1))


def test_nothing_before_the_head_is_differentiated_twice():
    torch.manual_seed(0)
    net = Tapped(OnceDifferentiable(nn.Linear(12, 2)))
    images, masks, labels = (part[0] for part in batch(8))
    parts = net, images.float(), masks, labels, derived_generator(0, "step")
    step_terms(CHOSEN, *parts).loss.backward()
    assert net.network.conv.weight.grad.any()
    with pytest.raises(RuntimeError, match="once_differentiable"):
        step_terms(make_config(gradmask=1.0).objectives, *parts).loss.backward()


def trial(net: nn.Module, side: int = 8) -> Trial:
    with torch.no_grad():
        blank = net.eval()(torch.zeros(1, 1, side, side))
    return Trial(
        model=net, name="net", taps=blank.pre_activations, features=blank.features, image=(1, side, side)
    )


class Squared(nn.Module):
    """A head whose scores are no sum over positions, without an activation module to see it by."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(12, 2)

    def forward(self, vectors):
        return self.last(vectors).square()


def test_a_network_whose_scores_are_no_sum_over_positions_is_refused():
    HIRESCAM.fits(None, trial(Tapped(OnceDifferentiable(nn.Linear(12, 2)))))
    deep = nn.Sequential(nn.Linear(12, 4), nn.ReLU(), nn.Linear(4, 2))
    for head in (Squared(), deep):
        with pytest.raises(UsageError, match="sums over the positions of its last activation"):
            HIRESCAM.fits(None, trial(Tapped(OnceDifferentiable(head))))


def test_a_single_position_is_refused_before_training():
    config = make_config(data="synthetic", hirescam=1.0, model="resnet18", width=4)
    with pytest.raises(UsageError, match="the last feature map of resnet18 has a single position"):
        tried_out(config, 0, channels=1, classes=2, size=8)


def test_a_dry_run_tries_it_with_numbers_where_shapes_are_enough_for_others(caplog):
    plain, config = (
        make_config(data="synthetic", model="cnn", width=2, hirescam=weight) for weight in (0.0, 1.0)
    )
    shape = {"channels": 1, "classes": 2, "size": 24}
    assert next(outlined(plain, 0, **shape)[0].model.parameters()).is_meta
    assert not next(outlined(config, 0, **shape)[0].model.parameters()).is_meta
    assert "on the CPU, because hirescam looks at what it computes" in caplog.text


def test_compile_is_refused():
    with pytest.raises(UsageError, match="hirescam differentiates the scores; leave compile off"):
        make_config(hirescam=1.0, compile=True)


def test_masks_that_leave_no_cell_outside_are_refused_or_counted(crosses, tmp_path):
    common = {"data": str(crosses), "model": "cnn", "width": 2, "hirescam": 1.0}
    replica = new_replica(make_config(**common), 0, tmp_path, torch.device("cpu"))
    assert "hirescam does nothing" not in replica.note
    # A map of 3 x 3 cells, of which a mask as large as this meets all.
    with pytest.raises(
        DataError, match="hirescam does nothing on 48 of the 48 training images, where no position"
    ):
        new_replica(make_config(**common, mask="circle"), 0, tmp_path, torch.device("cpu"))


def test_a_map_is_the_classs_evidence_scaled_up():
    net = network("resnet18").eval()
    images = batch(SIDES["resnet18"])[0][0].requires_grad_()
    output = net(images)
    coarse = evidence(output.logits, output.features)[:, 1]
    where = FeatureMap(name="layer4", module=net.network.layer4, channels=32, height=2, width=2)
    asked = Request(net, lambda seen: net(seen).logits, images, torch.ones(3, dtype=torch.int64), 0, where)
    expected = F.interpolate(coarse[:, None], (16, 16), mode="bilinear")
    assert expected.min() < 0 < expected.max()
    torch.testing.assert_close(METHODS["hirescam"].attribute(asked), expected, rtol=1e-10, atol=1e-14)
    other = replace(asked, target=torch.zeros(3, dtype=torch.int64))
    assert not torch.allclose(METHODS["hirescam"].attribute(other), expected)


@pytest.mark.process
def test_priors_and_noise_train_and_a_map_is_drawn_from_the_command_line(crosses, tmp_path):
    flags = ("--model", "cnn", "--width", 2, "--epochs", 1, "--lr", 1e-3, "--device", "cpu", "--threads", 1)
    chosen = ("--hirescam", 2, "--expected-gradients", 1e4, "--noise", "inside")
    told("train", "--data", crosses, *flags, *chosen, "--out", "run", cwd=tmp_path)
    names, values = (tmp_path / "run/seed-0/history.csv").read_text().splitlines()
    row = dict(zip(names.split(","), values.split(","), strict=True))
    assert float(row["loss_hirescam"]) == pytest.approx(2 * np.log(2), rel=0.05)
    assert float(row["loss_expected_gradients"]) > 0
    picture = min((crosses / "images").glob("*.png"))
    best = tmp_path / "run/seed-0/best.safetensors"
    shown = told("saliency", best, picture, "--method", "hirescam", "--raw", "raw.npy", cwd=tmp_path)
    assert "hirescam at encoder.3.1 (16 channels" in shown.stdout
    assert np.load(tmp_path / "raw.npy", allow_pickle=False).max() > 0
