from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from activmask.kernels.masked_shuffle import masked_shuffle
from activmask.models.output import ModelOutput
from activmask.objectives.actdiff import actdiff
from activmask.objectives.adversarial import adversarial, discriminator
from activmask.objectives.classification import cross_entropy
from activmask.objectives.cutout import cutout
from activmask.objectives.gradmask import gradmask
from activmask.objectives.pooled_features import pooled
from activmask.objectives.reconstruction import reconstruction_loss
from activmask.objectives.rrr import rrr
from activmask.objectives.step import StepTerms, loss_names, step_terms
from activmask.runs.description import RunConfig
from activmask.runs.making import make_config

BATCH, SIDE = 4, 6


@dataclass
class Pass:
    images: Tensor
    reconstruct: bool
    output: ModelOutput


class Recorder(nn.Module):
    """A tiny stand-in for a network that writes down each pass."""

    def __init__(self, decoder: bool) -> None:
        super().__init__()
        source = torch.Generator().manual_seed(0)
        self.conv = nn.Conv2d(1, 3, 3, padding=1)
        self.head = nn.Linear(3, 2)
        self.norm = nn.BatchNorm2d(1)
        self.decoder = nn.Conv2d(3, 1, 1) if decoder else None
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.normal_(generator=source)
        self.passes: list[Pass] = []

    def forward(self, images: Tensor, reconstruct: bool = True) -> ModelOutput:
        hidden = self.conv(self.norm(images))
        deep = torch.tanh(hidden)
        logits = self.head(deep.flatten(2).mean(dim=2))
        drawn = self.decoder(deep) if self.decoder is not None and reconstruct else None
        output = ModelOutput(logits, drawn, {"hidden": hidden, "deep": 2 * deep})
        self.passes.append(Pass(images.detach().clone(), reconstruct, output))
        return output


@dataclass
class Step:
    config: RunConfig
    model: Recorder
    result: StepTerms

    @property
    def seen(self) -> list[Tensor]:
        return [one.images for one in self.model.passes]


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def batch() -> tuple[Tensor, Tensor, Tensor]:
    source = torch.Generator().manual_seed(1)
    images = 0.1 + 0.9 * torch.rand((BATCH, 1, SIDE, SIDE), generator=source)
    masks = torch.rand((BATCH, 1, SIDE, SIDE), generator=source) < 0.4
    return images, masks, torch.tensor([0, 1, 1, 0])


IMAGES, MASKS, LABELS = batch()
SHUFFLED = masked_shuffle(IMAGES, MASKS, generator())
JUDGE = discriminator(3, seed=0)


def step(**settings: Any) -> Step:
    config = make_config(**settings)
    model = Recorder(decoder=config.network.model in {"ae", "unet"})
    judge = JUDGE if config["adversarial"] else None
    return Step(
        config, model, step_terms(config.objectives, model, IMAGES, MASKS, LABELS, generator(), judge)
    )


def same(passes: list[Tensor], expected: list[Tensor]) -> bool:
    return len(passes) == len(expected) and all(map(torch.equal, passes, expected))


@pytest.mark.parametrize(
    ("settings", "names", "passes"),
    [
        ({}, ["classify"], [IMAGES]),
        ({"actdiff": 1.0}, ["classify", "actdiff"], [SHUFFLED, IMAGES]),
        ({"gradmask": 1.0}, ["classify", "gradmask"], [IMAGES]),
        ({"rrr": 1.0}, ["classify", "rrr"], [IMAGES]),
        ({"adversarial": 1.0}, ["classify", "adversarial"], [SHUFFLED, IMAGES]),
        ({"actdiff": 1.0, "adversarial": 1.0}, ["classify", "actdiff", "adversarial"], [SHUFFLED, IMAGES]),
        ({"actdiff": 1.0, "gradmask": 2.0}, ["classify", "actdiff", "gradmask"], [SHUFFLED, IMAGES]),
        ({"classify_masked": "train"}, ["classify"], [IMAGES * MASKS]),
        ({"classify_shuffled": True}, ["classify"], [SHUFFLED]),
        ({"model": "cnn"}, ["classify"], [IMAGES]),
        ({"model": "ae"}, ["classify", "recon"], [IMAGES]),
        ({"model": "ae", "recon": 0.0}, ["classify"], [IMAGES]),
        ({"model": "unet", "recon_masked": True}, ["classify", "recon"], [IMAGES]),
        ({"model": "unet", "actdiff": 1.0}, ["classify", "actdiff", "recon"], [SHUFFLED, IMAGES]),
        (
            {"model": "unet", "actdiff": 1.0, "gradmask": 1.0, "rrr": 1.0, "adversarial": 1.0},
            ["classify", "actdiff", "gradmask", "rrr", "recon", "adversarial"],
            [SHUFFLED, IMAGES],
        ),
    ],
    ids=str,
)
def test_each_description_makes_its_passes_and_its_terms(settings, names, passes):
    taken = step(**settings)
    assert list(taken.result.terms) == names
    assert loss_names(taken.config.objectives) == names
    assert same(taken.seen, passes)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"actdiff": 3.0},
        {"gradmask": 0.5, "rrr": 2.0},
        {"model": "unet", "actdiff": 10.0, "gradmask": 10.0, "recon_masked": True, "adversarial": 0.1},
    ],
    ids=str,
)
def test_the_loss_is_the_sum_of_the_terms(settings):
    result = step(**settings).result
    total = sum(term.item() for term in result.terms.values())
    assert result.loss.item() == pytest.approx(total, rel=1e-6)
    assert result.loss.shape == ()
    result.loss.backward()


@pytest.mark.parametrize("weight", [0.25, 10.0])
@pytest.mark.parametrize("name", ["actdiff", "gradmask", "rrr", "recon", "adversarial"])
def test_each_weight_multiplies_its_own_term_and_no_other(name, weight):
    every = {"actdiff": 1.0, "gradmask": 1.0, "rrr": 1.0, "recon": 1.0, "adversarial": 1.0}
    unit = step(model="unet", **every).result.terms
    scaled = step(model="unet", **{**every, name: weight}).result.terms
    for term in unit:
        factor = weight if term == name else 1.0
        assert scaled[term].item() == pytest.approx(factor * unit[term].item(), rel=1e-6)
        assert unit[term].item() > 0


def test_every_term_is_its_objective_of_the_recorded_passes():
    taken = step(model="unet", actdiff=2.0, gradmask=3.0, rrr=4.0, recon=5.0, adversarial=6.0)
    other, full = (one.output for one in taken.model.passes)
    images = IMAGES.clone().requires_grad_()
    logits = Recorder(decoder=True)(images).logits
    pair = pooled(full.pre_activations["deep"]), pooled(other.pre_activations["deep"])
    assert full.reconstruction is not None
    expected = {
        "classify": cross_entropy(full.logits, LABELS),
        "actdiff": 2 * actdiff(full.pre_activations, other.pre_activations, norm="channel", at="post"),
        "gradmask": 3 * gradmask(logits, images, MASKS, norm="l2", target="contrast"),
        "rrr": 4 * rrr(logits, images, MASKS),
        "recon": 5 * reconstruction_loss(full.reconstruction, IMAGES, "bce"),
        "adversarial": 6 * adversarial(JUDGE, *pair),
    }
    assert list(taken.result.terms) == list(expected)
    for name, value in expected.items():
        torch.testing.assert_close(taken.result.terms[name], value)
    assert taken.result.pair is not None
    assert same(list(taken.result.pair), list(pair))


@pytest.mark.parametrize(
    "options",
    [
        {"actdiff_norm": "layer"},
        {"actdiff_norm": "channel"},
        {"actdiff_at": "post"},
        {"actdiff_layers": "last"},
        {"actdiff_layers": "hidden"},
    ],
    ids=str,
)
def test_the_forms_of_actdiff_reach_it(options):
    taken = step(actdiff=1.0, **options)
    other, full = (one.output.pre_activations for one in taken.model.passes)
    short = {name.removeprefix("actdiff_"): value for name, value in options.items()}
    expected = actdiff(full, other, **{"norm": "row", **short})
    torch.testing.assert_close(taken.result.terms["actdiff"], expected)
    assert taken.result.terms["actdiff"].item() != pytest.approx(
        step(actdiff=1.0).result.terms["actdiff"].item()
    )


@pytest.mark.parametrize(("options"), [{"gradmask_norm": "l1"}, {"gradmask_target": "positive"}], ids=str)
def test_the_forms_of_gradmask_reach_it(options):
    images = IMAGES.clone().requires_grad_()
    logits = Recorder(decoder=False)(images).logits
    short = {name.removeprefix("gradmask_"): value for name, value in options.items()}
    expected = gradmask(logits, images, MASKS, **{"norm": "l2", "target": "contrast", **short})
    torch.testing.assert_close(step(gradmask=1.0, **options).result.terms["gradmask"], expected)


@pytest.mark.parametrize("detach", [False, True])
def test_actdiff_trains_through_the_shuffled_pass_unless_detached(detach):
    taken = step(actdiff=1.0, actdiff_detach=detach)
    other, full = (one.output.pre_activations["deep"] for one in taken.model.passes)
    gradients = torch.autograd.grad(taken.result.terms["actdiff"], [full, other], allow_unused=True)
    assert gradients[0] is not None
    assert (gradients[1] is None) == detach


def test_the_shuffled_pass_never_reconstructs_and_the_full_one_only_for_a_weight():
    assert [one.reconstruct for one in step(model="unet", actdiff=1.0).model.passes] == [False, True]
    assert [one.reconstruct for one in step(model="unet", actdiff=1.0, recon=0.0).model.passes] == [
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("settings", "target"),
    [
        ({}, IMAGES),
        ({"recon_masked": True}, SHUFFLED),
        ({"recon_masked": True, "actdiff": 1.0}, SHUFFLED),
        ({"gradmask": 1.0}, IMAGES),
        ({"classify_masked": "train"}, IMAGES * MASKS),
        ({"classify_shuffled": True}, SHUFFLED),
    ],
    ids=str,
)
@pytest.mark.parametrize("loss", ["bce", "mse"])
def test_what_is_reconstructed(settings, target, loss):
    taken = step(model="unet", recon=1.0, recon_loss=loss, **settings)
    drawn = taken.model.passes[-1].output.reconstruction
    assert drawn is not None
    expected = reconstruction_loss(drawn, target, loss)
    torch.testing.assert_close(taken.result.terms["recon"], expected)


def test_classify_masked_sees_zeros_outside_and_the_image_inside():
    [seen] = step(classify_masked="train").seen
    assert bool((seen[~MASKS] == 0).all())
    assert torch.equal(seen[MASKS], IMAGES[MASKS])


def test_the_classified_images_are_the_full_ones_whatever_the_penalty():
    taken = step(model="unet", actdiff=1.0, adversarial=1.0, recon_masked=True)
    torch.testing.assert_close(
        taken.result.terms["classify"], cross_entropy(taken.model.passes[-1].output.logits, LABELS)
    )
    assert torch.equal(taken.seen[-1], IMAGES)


def test_cutout_comes_before_the_shuffle_so_that_both_passes_see_it():
    source = generator()
    cut = cutout(IMAGES, 3, source)
    assert int((cut == 0).sum()) > 0
    assert same(step(cutout=3, actdiff=1.0).seen, [masked_shuffle(cut, MASKS, source), cut])


def test_no_penalty_draws_from_the_generator():
    source = generator()
    before = source.get_state()
    step_terms(make_config(gradmask=1.0).objectives, Recorder(decoder=False), IMAGES, MASKS, LABELS, source)
    assert torch.equal(source.get_state(), before)
    step_terms(make_config(actdiff=1.0).objectives, Recorder(decoder=False), IMAGES, MASKS, LABELS, source)
    assert not torch.equal(source.get_state(), before)


def test_the_callers_images_are_left_alone():
    before = IMAGES.clone()
    step(gradmask=1.0, cutout=3)
    assert torch.equal(IMAGES, before)
    assert not IMAGES.requires_grad


def test_running_statistics_see_the_shuffled_pass_and_then_the_full_one():
    model = step(actdiff=1.0, cutout=3).model
    shuffled, full = (one.images for one in model.passes)
    expected = 0.0
    for seen in (shuffled, full):
        expected = 0.9 * expected + 0.1 * float(seen.mean())
    assert int(model.norm.num_batches_tracked) == 2
    assert float(model.norm.running_mean) == pytest.approx(expected, rel=1e-5)


class NormAfterConvolution(Recorder):
    """Zero padding makes the mean of a convolution depend on where the pixels lie."""

    def __init__(self) -> None:
        super().__init__(decoder=False)
        self.norm = nn.BatchNorm2d(3, momentum=1.0)

    def forward(self, images: Tensor, reconstruct: bool = True) -> ModelOutput:
        hidden = self.norm(self.conv(images))
        return ModelOutput(self.head(hidden.flatten(2).mean(dim=2)), None, {"hidden": hidden})


def test_running_statistics_end_on_the_full_pass():
    model = NormAfterConvolution()
    step_terms(make_config(actdiff=1.0).objectives, model, IMAGES, MASKS, LABELS, generator())
    with torch.no_grad():
        shuffled, full = (model.conv(seen).mean(dim=(0, 2, 3)) for seen in (SHUFFLED, IMAGES))
    assert not torch.allclose(shuffled, full, rtol=1e-3)
    torch.testing.assert_close(model.norm.running_mean, full)


def test_no_features_are_returned_without_a_discriminator():
    assert step(actdiff=1.0).result.pair is None
