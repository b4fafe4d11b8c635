"""The kernels compiled for a Hopper GPU, here, as `python -m benchmarks compiled` does."""

import pytest

pytest.importorskip("triton")

from benchmarks import compiled as benchmark
from benchmarks.command import run
from benchmarks.compiled import LAYERS, Layer, convolution_launches, normalisation_launches
from benchmarks.hopper import Launch, compiled

STEM, COMMON = Layer(3, 64, 28, kernel=7, stride=2), Layer(64, 64, 28)


@pytest.fixture(autouse=True)
def compiling():
    import triton

    if triton.knobs.runtime.interpret:
        pytest.skip("Triton compiles nothing where TRITON_INTERPRET is set")


@pytest.mark.process
@pytest.mark.parametrize(
    ("layer", "precision", "products"),
    [
        (COMMON, "bf16", "wgmma"),
        (COMMON, "tf32", "wgmma"),
        (STEM, "bf16", "wgmma"),
        (STEM, "tf32", "wgmma"),
        (STEM, "ieee", "fma"),
    ],
)
def test_convolutions_multiply_on_tensor_cores_and_spill_nothing(layer, precision, products):
    for name, launch in convolution_launches(layer, precision):
        found = compiled(launch)
        assert found.spilled == 0, name
        adds = name.endswith(("adding up", "turning the weight")) or name.startswith(("bias", "ReLU"))
        # What lies across the positions is taken by older instructions: the newer would take it one by one.
        across = precision == "tf32" and name == "weight gradient"
        assert found.products == ("fma" if adds else "mma" if across else products), name
        assert found.registers <= 255
        assert found.shared <= 227 * 1024
        # Where a layer's sizes are no constants, more than half of a step finds out what lies where.
        if not adds and layer == COMMON:
            assert found.step is not None, name
            assert found.step <= (300 if across else 225), name


@pytest.mark.process
def test_normalisation_spills_nothing():
    for name, launch in normalisation_launches(64, 28, "bf16"):
        assert compiled(launch).spilled == 0, name


def test_each_operator_launches_one_kernel_and_one_more_where_positions_are_split():
    names = [name for name, _ in convolution_launches(COMMON, "bf16")]
    weight, *sums = (
        (name, f"{name}, adding up")
        for name in ("weight gradient", "bias gradient", "ReLU's and bias gradient")
    )
    activated = "conv2d and ReLU", "conv2d, kept, and ReLU"
    assert names == ["conv2d", "data gradient", *weight, *activated, *sums[0], *sums[1]]
    assert len(convolution_launches(Layer(512, 512, 4), "bf16")) == 9
    names = [name for name, _ in normalisation_launches(64, 28, "bf16")]
    assert names == ["measure", "normalise", "backward sums", "backward", "twice sums", "twice", "follow"]


@pytest.mark.process
def test_a_kernel_that_spills_is_seen():
    launch = convolution_launches(STEM, "bf16")[0][1]
    large = {"depth_per_tile": 64}
    assert compiled(Launch(launch.kernel, launch.arguments | large, launch.options)).spilled > 0


@pytest.mark.process
def test_the_benchmark_prints_a_table_and_fails_where_something_spills(monkeypatch, capsys):
    monkeypatch.setattr(benchmark, "LAYERS", LAYERS[1:2])
    monkeypatch.setattr(benchmark, "NORMALISED", ())
    assert run({"compiled": "about"}, ["compiled", "--precisions", "bf16"]) == 0
    assert "| bf16 | 64 -> 64, 3 x 3, 28 px | conv2d | 128 x 64 x 64 | 4 | wgmma |" in capsys.readouterr().out
    monkeypatch.setattr(benchmark, "compiled", lambda launch: benchmark.Compiled(255, 8, 0, "wgmma"))
    assert run({"compiled": "about"}, ["compiled", "--precisions", "bf16"]) == 1
