"""What the Triton form of the activation distance must do, run by `test_activation_distance_triton.py`."""

import pytest
import torch
from torch import Tensor, nn

from activmask.kernels.activation_distance import reference, tiling
from activmask.kernels.activation_distance import triton as form

pytestmark = pytest.mark.process  # Triton compiles by other programs.

CUDA = torch.cuda.is_available()
DEVICE = "cuda" if CUDA else "cpu"
NORMS = ("layer", "channel", "row")
SHAPES = [(2, 7), (3, 5, 6), (1, 1, 1, 1), (3, 4, 5, 6), (2, 70, 7, 7), (2, 3, 33, 31), (1, 16, 28, 28)]
# What one rounding to the type of the gradient leaves.
TOLERANCE = {torch.float64: 1e-13, torch.float32: 1e-6, torch.bfloat16: 2**-7, torch.float16: 2**-10}


def activations(
    shape: tuple[int, ...], seed: int, dtype=torch.float32, channels_last: bool = False
) -> Tensor:
    source = torch.Generator().manual_seed(seed)
    values = torch.randn(shape, generator=source, dtype=torch.float64).to(DEVICE, dtype)
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return values.contiguous(memory_format=layout).requires_grad_()


def distance(
    full: list[Tensor], shuffled: list[Tensor], norm: str, *, relu: bool = False
) -> tuple[Tensor, list[Tensor]]:
    """The distance and all gradients, on memory that holds NaN before it is written."""
    torch.use_deterministic_algorithms(True)
    try:
        value = form.activation_distance(full, shuffled, norm, relu=relu)
        return value.detach(), list(torch.autograd.grad(3 * value, [*full, *shuffled]))
    finally:
        torch.use_deterministic_algorithms(False)


def check_against_float64(
    full: list[Tensor], shuffled: list[Tensor], norm: str, *, relu: bool = False
) -> None:
    wide = [[tap.detach().double().requires_grad_() for tap in taps] for taps in (full, shuffled)]
    expected = reference.activation_distance(*wide, norm, relu=relu)
    slopes = torch.autograd.grad(3 * expected, [*wide[0], *wide[1]])
    value, gradients = distance(full, shuffled, norm, relu=relu)
    widest = torch.float64 if full[0].dtype == torch.float64 else torch.float32
    assert value.dtype == widest
    torch.testing.assert_close(value.double(), expected.detach(), rtol=TOLERANCE[widest], atol=0)
    for gradient, slope, tap in zip(gradients, slopes, (*full, *shuffled), strict=True):
        assert gradient.dtype == tap.dtype
        assert gradient.shape == tap.shape
        close = TOLERANCE[tap.dtype]
        torch.testing.assert_close(
            gradient.double(), slope, rtol=close, atol=close * float(slope.abs().max())
        )


@pytest.fixture
def small_tiles(monkeypatch):
    monkeypatch.setattr(tiling, "_ELEMENTS_PER_PROGRAM", 64)
    monkeypatch.setattr(tiling, "_ELEMENTS_PER_TILE", 32)
    monkeypatch.setattr(tiling, "_STRIDED_STEPS_PER_TILE", 4)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_value_and_gradients_equal_float64(shape, channels_last, norm):
    if channels_last and len(shape) != 4:
        shape = (*shape, *[2] * (4 - len(shape)))
    full, shuffled = (activations(shape, seed, channels_last=channels_last) for seed in (1, 2))
    check_against_float64([full], [shuffled], norm)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("channels_last", [False, True])
def test_many_tiles_and_parts_change_nothing(channels_last, norm, small_tiles):
    full, shuffled = (activations((2, 5, 9, 7), seed, channels_last=channels_last) for seed in (1, 2))
    assert tiling.tiling(full.shape, channels_last, "layer").parts > 2
    check_against_float64([full], [shuffled], norm)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_after_a_relu_value_and_gradients_equal_float64(dtype, norm, small_tiles):
    full, shuffled = (activations((2, 5, 9, 7), seed, dtype, channels_last=True) for seed in (1, 2))
    with torch.no_grad():
        # Neither a zero nor what lies below it has a gradient.
        full[0, :, 0], shuffled[1, :, 2] = 0, 0
    check_against_float64([full], [shuffled], norm, relu=True)


def test_after_a_relu_what_is_no_number_stays_so():
    full, shuffled = activations((2, 3, 4, 4), 1), activations((2, 3, 4, 4), 2)
    with torch.no_grad():
        full[1, 2, 3, 0] = float("nan")
    value, (to_full, _) = distance([full], [shuffled], "layer", relu=True)
    assert value.isnan()
    assert to_full[1, 2, 3, 0].isnan()
    assert not to_full[0].isnan().any()


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64])
def test_every_float_type_equals_float64(dtype, norm):
    full, shuffled = (activations((2, 6, 5, 9), seed, dtype) for seed in (1, 2))
    check_against_float64([full], [shuffled], norm)


@pytest.mark.parametrize("norm", NORMS)
def test_layers_of_different_types_sizes_and_layouts_add_up_as_the_reference_says(norm):
    full = [activations((2, 3, 4, 6), 1, channels_last=True), activations((2, 5), 2)]
    shuffled = [activations((2, 3, 4, 6), 3, torch.bfloat16), activations((2, 5), 4)]
    check_against_float64(full, shuffled, norm)


@pytest.mark.parametrize("count", [1, 35, 48, 4096, 6272])
def test_lengths_of_each_seed_are_added_up_in_parts_as_at_once(count):
    lengths = activations((count, 3, 2), 1).detach().double()
    torch.testing.assert_close(form._sum_of_each(lengths), lengths.sum((0, 2)), rtol=1e-12, atol=0)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("shape", [(3, 2, 5, 4, 6), (3, 2, 1, 7, 3), (3, 2, 7), (1, 2, 3, 4, 5)])
@pytest.mark.parametrize(
    ("dtype", "relu"), [(torch.float32, False), (torch.bfloat16, False), (torch.float32, True)]
)
def test_several_seeds_at_once_are_each_alone(shape, norm, dtype, relu):
    """As views of channels that lie side by side, and each with a gradient of its own."""

    def stacked(seed):
        last = (1, 3, 4, 0, 2) if len(shape) == 5 else (1, 0, 2)
        back = (3, 0, 4, 1, 2) if len(shape) == 5 else (1, 0, 2)
        values = activations(shape, seed, dtype).detach()
        return values.permute(last).contiguous().permute(back).requires_grad_()

    full, shuffled = stacked(1), stacked(2)
    weights = torch.arange(1.0, 1 + shape[0], device=DEVICE)
    torch.use_deterministic_algorithms(True)
    try:
        values = torch.vmap(lambda a, b: form.activation_distance([a], [b], norm, relu=relu))(full, shuffled)
        slopes = torch.autograd.grad((weights * values).sum(), [full, shuffled])
    finally:
        torch.use_deterministic_algorithms(False)
    for seed, weight in enumerate(weights):
        pair = [tap[seed].detach().double().requires_grad_() for tap in (full, shuffled)]
        value = reference.activation_distance(pair[:1], pair[1:], norm, relu=relu)
        torch.testing.assert_close(values[seed].double(), value.detach(), rtol=1e-5, atol=0)
        for slope, wide in zip(slopes, torch.autograd.grad(weight * value, pair), strict=True):
            close = TOLERANCE[dtype]
            torch.testing.assert_close(slope[seed].double(), wide, rtol=close, atol=close)


@pytest.mark.parametrize("norm", NORMS)
def test_gradient_is_exactly_zero_where_nothing_differs(norm):
    full, shuffled = activations((2, 3, 4, 4), 1), activations((2, 3, 4, 4), 1)
    value, gradients = distance([full], [shuffled], norm)
    assert float(value) == 0
    for gradient in gradients:
        assert torch.equal(gradient, torch.zeros_like(full))


def test_gradient_is_zero_in_equal_rows_beside_others():
    full = torch.tensor([[[[3.0, 4.0], [1.0, 2.0]]]], device=DEVICE, requires_grad=True)
    shuffled = torch.tensor([[[[0.0, 0.0], [1.0, 2.0]]]], device=DEVICE, requires_grad=True)
    value, (to_full, to_shuffled) = distance([full], [shuffled], "row")
    assert float(value) == 2.5
    torch.testing.assert_close(to_full.flatten().tolist(), [0.9, 1.2, 0.0, 0.0])
    assert torch.equal(to_shuffled, -to_full)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_accumulated_in_single_precision(dtype):
    # A bf16 sum of equal addends stalls at 256 of them and an fp16 sum overflows at 65,504.
    full = torch.full((1, 2, 32, 64), 8.0, dtype=dtype, device=DEVICE)
    value = form.activation_distance([full], [torch.zeros_like(full)], "layer")
    assert value.dtype == torch.float32
    assert float(value) == 8 * 64


def test_not_a_number_stays_visible():
    full, shuffled = activations((2, 3, 4, 4), 1), activations((2, 3, 4, 4), 2)
    with torch.no_grad():
        full[1, 2, 3, 0] = float("nan")
    value, (to_full, _) = distance([full], [shuffled], "layer")
    assert value.isnan()
    assert to_full[1].isnan().all()
    assert not to_full[0].isnan().any()


def test_a_detached_side_gets_no_gradient():
    full, shuffled = activations((2, 3, 4, 4), 1), activations((2, 3, 4, 4), 2)
    _, (expected, other) = distance([full], [shuffled], "channel")
    (3 * form.activation_distance([full], [shuffled.detach()], "channel")).backward()
    assert torch.equal(full.grad, expected)
    (3 * form.activation_distance([full.detach()], [shuffled], "channel")).backward()
    assert torch.equal(shuffled.grad, other)


def test_gradients_have_the_layout_of_the_activations():
    full, shuffled = (activations((2, 3, 4, 5), seed, channels_last=True) for seed in (1, 2))
    for gradient in distance([full], [shuffled], "row")[1]:
        assert gradient.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("norm", NORMS)
def test_under_autocast_the_result_is_single_precision(norm):
    full, shuffled = (activations((2, 3, 4, 5), seed, torch.bfloat16) for seed in (1, 2))
    outside, _ = distance([full], [shuffled], norm)
    with torch.autocast(DEVICE, torch.bfloat16):
        inside, _ = distance([full], [shuffled], norm)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, outside)


def test_different_shapes_and_lists_are_refused():
    tap = activations((2, 3, 4, 4), 1)
    with pytest.raises(ValueError, match=r"differ in shape: \(2, 3, 4, 4\) and \(2, 3, 4, 2\)"):
        form.activation_distance([tap], [tap[..., :2]], "row")
    with pytest.raises(ValueError, match="shorter"):
        form.activation_distance([tap, tap], [tap], "row")


def test_a_second_derivative_is_refused():
    full, shuffled = activations((2, 3, 4, 4), 1), activations((2, 3, 4, 4), 2)
    value = form.activation_distance([full], [shuffled], "layer")
    (slope,) = torch.autograd.grad(value, full, create_graph=True)
    with pytest.raises(NotImplementedError, match="differentiated once"):
        slope.square().sum().backward()


def with_input_gradient(
    activation_distance, network: nn.Module, images: Tensor, copies: Tensor
) -> list[Tensor]:
    """The parameters' gradients of a loss with a penalty on the input gradient and one on a tap."""
    images = images.requires_grad_()
    tap, other = network[0](images), network[0](copies)
    (towards,) = torch.autograd.grad(network[1:](tap).sum(), images, create_graph=True)
    loss = towards.square().sum() + activation_distance([tap], [other], "row")
    return list(torch.autograd.grad(loss, list(network.parameters())))


def test_it_stands_beside_a_penalty_on_the_input_gradient():
    network = (
        nn.Sequential(nn.Conv2d(1, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(48, 2, bias=False))
        .to(DEVICE)
        .double()
    )
    images, copies = (activations((2, 1, 6, 6), seed, torch.float64).detach() for seed in (1, 2))
    expected = with_input_gradient(reference.activation_distance, network, images, copies)
    for ours, theirs in zip(
        with_input_gradient(form.activation_distance, network, images, copies), expected, strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_compiled_gradients_equal_eager_ones():
    full, shuffled = activations((2, 3, 4, 5), 1), activations((2, 3, 4, 5), 2)
    _, expected = distance([full], [shuffled], "layer")
    compiled = torch.compile(
        lambda a, b: 3 * form.activation_distance([a.tanh().atanh()], [b], "layer"),
        backend="aot_eager",
        fullgraph=True,
    )
    for ours, theirs in zip(
        torch.autograd.grad(compiled(full, shuffled), (full, shuffled)), expected, strict=True
    ):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("norm", NORMS)
def test_torch_accepts_the_operators(norm, channels_last):
    full, shuffled = (activations((2, 3, 4, 5), seed, channels_last=channels_last) for seed in (1, 2))
    torch.library.opcheck(form.distances, (full, shuffled, norm, True))
    pair = full.detach(), shuffled.detach()
    total, lengths = form.distances(*pair, norm, True)
    torch.library.opcheck(
        form.distances_backward, (torch.ones_like(total), *pair, lengths, norm, True, True, False)
    )


@pytest.mark.cuda
@pytest.mark.skipif(not CUDA, reason="needs CUDA's memory counters")
@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("channels_last", [False, True])
def test_no_temporary_of_full_size(norm, channels_last):
    full, shuffled = (activations((4, 64, 64, 64), seed, channels_last=channels_last) for seed in (1, 2))
    size = full.numel() * full.element_size()
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    value = form.activation_distance([full], [shuffled], norm)
    assert torch.cuda.max_memory_allocated() - before < size / 4
    torch.autograd.grad(value, (full, shuffled))
    assert torch.cuda.max_memory_allocated() - before < 2.25 * size
