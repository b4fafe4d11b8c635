import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from activmask.kernels.activation_distance import activation_distance

NORMS = ("layer", "channel", "row")


def activations(shapes: list[tuple[int, ...]], seed: int) -> list[Tensor]:
    source = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, dtype=torch.float64, generator=source) for shape in shapes]


def length(values: list[float]) -> float:
    return math.sqrt(sum(value * value for value in values))


def by_loops(full: list[Tensor], shuffled: list[Tensor], norm: str) -> float:
    """The distance entry by entry: what each of the three readings says, with no tensor arithmetic."""
    layers = [(a - b).reshape(*a.shape, *[1] * (4 - a.ndim)) for a, b in zip(full, shuffled, strict=True)]
    if norm == "layer":
        means = [sum(length(sample.flatten().tolist()) for sample in d) / len(d) for d in layers]
        return sum(means) / len(means)
    pooled = []
    for original, d in zip(full, layers, strict=True):
        batch, channels, height, width = d.shape
        for b in range(batch):
            if norm == "channel" or original.ndim == 2:
                pooled += [
                    length([float(d[b, c, y, x]) for c in range(channels)])
                    for y in range(height)
                    for x in range(width)
                ]
            else:
                pooled += [
                    length([float(d[b, c, y, x]) for x in range(width)])
                    for c in range(channels)
                    for y in range(height)
                ]
    return sum(pooled) / len(pooled)


# One sample of two channels on 2 x 2 pixels; the differences are 3 4 / 0 0 and 0 0 / 0 12.
BY_HAND = torch.tensor([[[[3.0, 4.0], [0.0, 0.0]], [[0.0, 0.0], [0.0, 12.0]]]], dtype=torch.float64)


@pytest.mark.parametrize(
    ("norm", "expected"),
    [("layer", 13.0), ("channel", (3 + 4 + 0 + 12) / 4), ("row", (5 + 0 + 0 + 12) / 4)],
)
def test_one_layer_by_hand(norm, expected):
    assert float(activation_distance([BY_HAND + 1], [torch.ones_like(BY_HAND)], norm)) == expected


@pytest.mark.parametrize(
    ("norm", "expected"), [("layer", (13 + 2) / 2), ("channel", 21 / 5), ("row", 19 / 5)]
)
def test_layers_weigh_alike_under_layer_and_by_their_size_otherwise(norm, expected):
    small = torch.full((1, 1, 1, 1), 2.0, dtype=torch.float64)
    zeros = [torch.zeros_like(BY_HAND), torch.zeros_like(small)]
    assert float(activation_distance([BY_HAND, small], zeros, norm)) == pytest.approx(expected)


@pytest.mark.parametrize("norm", NORMS)
def test_distance_equals_the_loops(norm):
    shapes = [(3, 2, 5, 4), (3, 4, 2, 2), (3, 1, 1, 6), (3, 7)]
    full, shuffled = activations(shapes, 1), activations(shapes, 2)
    assert float(activation_distance(full, shuffled, norm)) == pytest.approx(by_loops(full, shuffled, norm))


@settings(max_examples=40)
@given(
    norm=st.sampled_from(NORMS),
    batch=st.integers(1, 3),
    layers=st.lists(
        st.one_of(
            st.tuples(st.integers(1, 3)),
            st.tuples(st.integers(1, 3), st.integers(1, 4), st.integers(1, 4)),
        ),
        min_size=1,
        max_size=3,
    ),
    scale=st.floats(0.01, 100),
    seed=st.integers(0, 1000),
)
def test_distance_is_a_seminorm_of_the_difference(norm, batch, layers, scale, seed):
    shapes = [(batch, *layer) for layer in layers]
    a, b, c = (activations(shapes, seed + k) for k in range(3))
    distance = float(activation_distance(a, b, norm))
    assert distance == pytest.approx(by_loops(a, b, norm))
    assert float(activation_distance(b, a, norm)) == distance
    assert float(activation_distance(a, a, norm)) == 0
    scaled = activation_distance([scale * t for t in a], [scale * t for t in b], norm)
    assert float(scaled) == pytest.approx(scale * distance)
    detour = activation_distance(a, c, norm) + activation_distance(c, b, norm)
    assert distance <= float(detour) * (1 + 1e-12)


def test_row_is_what_torch_calls_pairwise_distance():
    # PairwiseDistance adds its eps to every difference, so each row's norm moves by at most eps * sqrt(W).
    a, b = activations([(4, 3, 6, 5)], 1)[0], activations([(4, 3, 6, 5)], 2)[0]
    theirs = torch.nn.PairwiseDistance()(a, b).mean()
    assert float(activation_distance([a], [b], "row")) == pytest.approx(float(theirs), abs=1e-6 * 5**0.5)
    without_eps = torch.nn.PairwiseDistance(eps=0.0)(a, b).mean()
    assert float(activation_distance([a], [b], "row")) == pytest.approx(float(without_eps), rel=1e-14)


def test_channel_is_pairwise_distance_with_the_channels_last():
    a, b = activations([(4, 3, 6, 5)], 1)[0], activations([(4, 3, 6, 5)], 2)[0]
    theirs = torch.nn.PairwiseDistance(eps=0.0)(a.movedim(1, -1), b.movedim(1, -1)).mean()
    assert float(activation_distance([a], [b], "channel")) == pytest.approx(float(theirs), rel=1e-14)


@pytest.mark.parametrize("norm", NORMS)
def test_gradient_is_exactly_zero_where_nothing_differs(norm):
    full = [tap.requires_grad_() for tap in activations([(2, 3, 4, 4), (2, 5)], 1)]
    shuffled = [tap.detach().clone().requires_grad_() for tap in full]
    activation_distance(full, shuffled, norm).backward()
    for tap in (*full, *shuffled):
        assert torch.equal(tap.grad, torch.zeros_like(tap))


def test_gradient_by_hand_is_zero_in_the_equal_rows_and_a_unit_vector_in_the_others():
    full = BY_HAND.clone().requires_grad_()
    activation_distance([full], [torch.zeros_like(BY_HAND)], "row").backward()
    expected = torch.tensor([[[[0.6, 0.8], [0.0, 0.0]], [[0.0, 0.0], [0.0, 1.0]]]], dtype=torch.float64) / 4
    torch.testing.assert_close(full.grad, expected)


@pytest.mark.parametrize("norm", NORMS)
def test_gradient_equals_finite_differences(norm):
    shapes = [(2, 2, 3, 2), (2, 1, 1, 2), (2, 3)]
    full, shuffled = activations(shapes, 1), activations(shapes, 2)
    for tap in (*full, *shuffled):
        tap.requires_grad_()
    activation_distance(full, shuffled, norm).backward()
    step = 1e-6
    for tap in (*full, *shuffled):
        for index in range(tap.numel()):
            values = []
            for sign in (1, -1):
                with torch.no_grad():
                    tap.view(-1)[index] += sign * step
                    values.append(by_loops([t.detach() for t in full], [t.detach() for t in shuffled], norm))
                    tap.view(-1)[index] -= sign * step
            slope = (values[0] - values[1]) / (2 * step)
            assert float(tap.grad.view(-1)[index]) == pytest.approx(slope, abs=1e-8)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_accumulated_in_single_precision(norm, dtype):
    # A bf16 sum of equal addends stalls at 256 of them and an fp16 sum overflows at 65,504.
    full = torch.zeros(1, 30, 300, 300, dtype=dtype)
    distance = activation_distance([full + 0.75], [full], norm)
    axis = {"layer": 30 * 300 * 300, "channel": 30, "row": 300}[norm]
    assert distance.dtype == torch.float32
    assert float(distance) == pytest.approx(0.75 * axis**0.5, rel=1e-5)


def test_double_precision_stays_double():
    assert activation_distance([BY_HAND], [BY_HAND * 0], "row").dtype == torch.float64


def test_lists_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="shorter"):
        activation_distance([BY_HAND, BY_HAND], [BY_HAND], "row")
