"""Activations are kept in training where an objective says that it needs them, and nowhere else."""

from dataclasses import dataclass, replace

import pytest
import torch

from activmask.ground.errors import UsageError
from activmask.ground.settings import setting
from activmask.kernels.batch_norm import batch_norm
from activmask.models.build import build_model
from activmask.models.double_backward import prepare_double_backward
from activmask.models.output import NotKept
from activmask.models.settings import Network
from activmask.models.stacked import batch_norm as normalisation
from activmask.models.stacked.network import forward, gradients, leaves, stack
from activmask.objectives import OBJECTIVES
from activmask.objectives.objective import Needs, Objective
from activmask.objectives.stacked_step import StackedTerms, stacked_step_terms
from activmask.objectives.step import StepTerms, step_terms
from activmask.runs.making import make_config

SEEDS, BATCH, SIDE = 2, 4, 12


@dataclass(frozen=True, kw_only=True)
class QuietSettings:
    quiet: float = setting(0.0, "Weight of quiet activations.", least=0)


QUIET = Objective(
    settings=QuietSettings,
    switches={"quiet": Needs()},
    label=lambda _: "Quiet",
    source="a toy",
    term=lambda _, step: torch.stack(
        [tap.square().mean() for tap in step.output.pre_activations.values()]
    ).sum(),
)
TELLING = replace(QUIET, switches={"quiet": Needs(activations=True)})


def networks(model: str = "resnet18") -> list[torch.nn.Module]:
    wanted = Network(model=model, width=4)
    built = [
        build_model(wanted, channels=1, classes=2, image_size=SIDE, seed=seed).double()
        for seed in range(SEEDS)
    ]
    for network in built:
        prepare_double_backward(network)
    return built


def batch() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    source = torch.Generator().manual_seed(3)
    images = torch.rand(SEEDS, BATCH, 1, SIDE, SIDE, generator=source, dtype=torch.float64)
    masks = torch.rand(SEEDS, BATCH, 1, SIDE, SIDE, generator=source) < 0.3
    return images, masks, torch.randint(2, (SEEDS, BATCH), generator=source)


def alone(**settings) -> StepTerms:
    images, masks, labels = (each[0] for each in batch())
    chosen = make_config(data="synthetic", model="resnet18", width=4, **settings).objectives
    return step_terms(chosen, networks()[0], images, masks, labels, torch.Generator().manual_seed(0))


def together(**settings) -> StackedTerms:
    draws = [torch.Generator().manual_seed(seed) for seed in range(SEEDS)]
    chosen = make_config(data="synthetic", model="resnet18", width=4, **settings).objectives
    return stacked_step_terms(chosen, stack(networks()), *batch(), draws)


@pytest.mark.parametrize(
    ("settings", "passes"),
    [
        ({}, [False]),
        ({"gradmask": 1.0}, [False]),
        ({"expected_gradients": 1.0}, [False, False]),
        ({"actdiff": 1.0}, [True, True]),
        ({"actdiff": 1.0, "gradmask": 1.0}, [True, True]),
    ],
    ids=str,
)
def test_a_stack_keeps_them_where_an_objective_compares_them(settings, passes, monkeypatch):
    kept = []

    def noting(maps, *given, **how):
        kept.append(how["tapped"])
        output, before = batch_norm(maps, *given, **how)
        assert not how["relu"] or before.shape == (maps.shape if how["tapped"] else (0,))
        return output, before

    monkeypatch.setattr(normalisation, "batch_norm", noting)
    together(**settings)
    # Of 20 normalisations three, in shortcuts, have no ReLU after them.
    assert [sum(kept[start : start + 20]) for start in range(0, len(kept), 20)] == [
        17 * one for one in passes
    ]


@pytest.mark.parametrize("model", ["resnet18", "cnn", "unet", "ae"])
def test_a_pass_that_keeps_none_comes_to_the_same_bits(model):
    results = []
    for tapped in (True, False):
        stacked = stack(networks(model))
        [weights] = leaves(stacked)
        output = forward(stacked, weights, batch()[0], tapped=tapped)
        found = gradients(stacked, output.logits.square().sum(), [weights])
        results.append({"logits": output.logits, "statistics": stacked.statistics, **found})
        assert isinstance(output.pre_activations, NotKept) != tapped
    one, other = results
    assert one.keys() == other.keys()
    assert all(torch.equal(tensor, other[name]) for name, tensor in one.items())


@pytest.mark.parametrize("run", [alone, together])
def test_an_objective_that_does_not_say_that_it_reads_them_is_refused(run, monkeypatch):
    monkeypatch.setitem(OBJECTIVES, "quiet", QUIET)
    with pytest.raises(UsageError, match="reads the network's activations, and does not say so") as refused:
        run(quiet=1.0)
    assert "Needs(activations=True)" in refused.value.advice


def test_an_objective_that_says_so_reads_them_alone_and_stacked(monkeypatch):
    monkeypatch.setitem(OBJECTIVES, "quiet", TELLING)
    own, of_all = alone(quiet=1.0).terms["quiet"], together(quiet=1.0).terms["quiet"]
    assert own > 0
    torch.testing.assert_close(of_all[0], own, rtol=1e-9, atol=0)


@pytest.mark.parametrize("look", [len, list, lambda taps: taps["relu"], lambda taps: list(taps.values())])
def test_every_look_at_what_was_not_kept_is_refused(look):
    with pytest.raises(UsageError):
        look(NotKept())
