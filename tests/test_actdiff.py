import pytest
import torch
from torch import Tensor, nn

from activmask.ground.errors import UsageError
from activmask.models.build import build_model
from activmask.objectives.actdiff import actdiff, choose_layers
from activmask.runs.making import make_config

NAMES = ["stem", "middle", "deep"]


def taps(seed: int) -> dict[str, Tensor]:
    source = torch.Generator().manual_seed(seed)
    shapes = {"stem": (2, 3, 4, 4), "middle": (2, 5, 2, 2), "deep": (2, 6)}
    return {
        name: torch.randn(shape, dtype=torch.float64, generator=source).requires_grad_()
        for name, shape in shapes.items()
    }


def eq_1(full: list[Tensor], shuffled: list[Tensor]) -> float:
    """Paper Eq. 1 for each sample, averaged over samples."""
    total = 0.0
    for a, b in zip(full, shuffled, strict=True):
        for one, other in zip(a, b, strict=True):
            total += sum(d**2 for d in (one - other).flatten().tolist()) ** 0.5 / len(a)
    return total / len(full)


def test_layers_are_all_the_last_or_those_named():
    assert choose_layers(NAMES, "all") == NAMES
    assert choose_layers(NAMES, "last") == ["deep"]
    assert choose_layers(NAMES, "middle") == ["middle"]
    assert choose_layers(NAMES, "deep, stem") == ["deep", "stem"]


def test_a_model_without_activations_is_refused():
    for layers in ("all", "last", "stem"):
        with pytest.raises(UsageError, match=r"no activation modules.*choose another model"):
            choose_layers([], layers)


@pytest.mark.parametrize(
    ("layers", "found", "hint"),
    [
        ("midle", "'midle'", "did you mean 'middle'"),
        ("stem,x", "'x'", "Known: stem, middle, deep"),
        ("", "''", "Known"),
    ],
)
def test_an_unknown_layer_is_refused_with_the_known_ones(layers, found, hint):
    with pytest.raises(UsageError, match=rf"actdiff_layers: there is no activation {found}.*{hint}"):
        choose_layers(NAMES, layers)


@pytest.mark.parametrize(
    ("layers", "chosen"), [("all", NAMES), ("last", ["deep"]), ("stem,deep", ["stem", "deep"])]
)
def test_chosen_layers_alone_are_compared_as_eq_1_says(layers, chosen):
    full, shuffled = taps(1), taps(2)
    penalty = actdiff(full, shuffled, norm="layer", layers=layers)
    assert penalty.item() == pytest.approx(eq_1([full[n] for n in chosen], [shuffled[n] for n in chosen]))
    penalty.backward()
    for name in NAMES:
        assert (full[name].grad is not None) == (name in chosen)
        assert (shuffled[name].grad is not None) == (name in chosen)


def test_taps_are_matched_by_name_not_by_order():
    full, shuffled = taps(1), taps(2)
    backwards = dict(reversed(shuffled.items()))
    assert torch.equal(actdiff(full, backwards, norm="row"), actdiff(full, shuffled, norm="row"))


def test_post_compares_after_the_relu_and_pre_before_it():
    full = {"tap": torch.tensor([[-1.0, 3.0]])}
    shuffled = {"tap": torch.tensor([[-5.0, 0.0]])}
    assert float(actdiff(full, shuffled, norm="layer", at="pre")) == 5.0
    assert float(actdiff(full, shuffled, norm="layer", at="post")) == 3.0


def test_post_leaves_the_taps_as_they_were():
    full, shuffled = taps(1), taps(2)
    before = {name: tap.detach().clone() for name, tap in full.items()}
    actdiff(full, shuffled, norm="row", at="post")
    for name, tap in full.items():
        assert torch.equal(tap, before[name])


@pytest.mark.parametrize("at", ["pre", "post"])
def test_detach_keeps_the_value_and_sends_no_gradient_through_the_shuffled_pass(at):
    full, shuffled = taps(1), taps(2)
    both = actdiff(full, shuffled, norm="row", at=at)
    both.backward()
    expected = {name: tap.grad.clone() for name, tap in full.items()}
    assert all(tap.grad is not None for tap in shuffled.values())
    for tap in (*full.values(), *shuffled.values()):
        tap.grad = None
    one = actdiff(full, shuffled, norm="row", at=at, detach=True)
    one.backward()
    assert torch.equal(one, both)
    for name in NAMES:
        assert torch.equal(full[name].grad, expected[name])
        assert shuffled[name].grad is None


def test_the_gradient_of_a_network_through_both_passes_equals_finite_differences():
    source = torch.Generator().manual_seed(3)
    first, second = nn.Linear(4, 3).double(), nn.Linear(3, 2).double()
    images, copies = torch.randn((2, 5, 4), dtype=torch.float64, generator=source)
    with torch.no_grad():
        for parameter in (*first.parameters(), *second.parameters()):
            parameter.normal_(generator=source)

    def penalty() -> Tensor:
        def run(x: Tensor) -> dict[str, Tensor]:
            hidden = first(x)
            return {"first": hidden, "second": second(hidden.relu())}

        return actdiff(run(images), run(copies), norm="layer")

    penalty().backward()
    for parameter in (first.weight, second.weight):
        for index in range(parameter.numel()):
            values = []
            for step in (1e-6, -1e-6):
                with torch.no_grad():
                    parameter.view(-1)[index] += step
                    values.append(penalty().item())
                    parameter.view(-1)[index] -= step
            slope = (values[0] - values[1]) / 2e-6
            assert float(parameter.grad.view(-1)[index]) == pytest.approx(slope, abs=1e-7)


def test_a_layer_named_twice_is_refused():
    with pytest.raises(UsageError, match="twice"):
        choose_layers(["a", "b"], "a, a")


def test_pooled_compares_what_the_head_of_a_resnet_reads():
    config = make_config(model="resnet18", width=8)
    model = build_model(config.network, channels=1, classes=2, image_size=16, seed=0).double().eval()
    read: list[Tensor] = []
    hook = model.network.fc.register_forward_pre_hook(lambda _module, inputs: read.append(inputs[0]))
    images, copies = torch.rand((2, 3, 1, 16, 16), dtype=torch.float64)
    full, shuffled = (model(each).pre_activations for each in (images, copies))
    hook.remove()
    expected = torch.linalg.vector_norm(read[0] - read[1], dim=1).mean()
    for settings in ({"norm": "row"}, {"norm": "channel", "at": "post"}):
        torch.testing.assert_close(actdiff(full, shuffled, layers="pooled", **settings), expected)
    assert choose_layers(NAMES, "pooled") == ["deep"]
