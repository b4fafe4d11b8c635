"""Kernels are compiled before they are needed, each once, and launched as ever afterwards."""

from contextlib import nullcontext
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from recorded_runs import small

from activmask.kernels import ahead
from activmask.kernels.ahead import compiled_ahead, compiles_ahead, launch, prepare
from activmask.kernels.convolution import forms, reference
from activmask.models.double_backward import prepare_double_backward
from activmask.training.replicas.replica import new_replica
from activmask.training.stacks.device_step import take_step
from activmask.training.stacks.first_step import compile_kernels, why_another_step
from activmask.training.stacks.group import new_group
from activmask.training.stacks.judging import judge

CPU = torch.device("cpu")


class Kernel:
    """As Triton's are called."""

    def __init__(self, constants: tuple[str, ...] = (), names: str = "tensor size") -> None:
        self.params = [
            SimpleNamespace(is_constexpr=name in constants, do_not_specialize=False) for name in names.split()
        ]
        self.compiled, self.launched, self.loaded = [], [], []

    def warmup(self, *arguments, grid, **options):
        self.compiled.append((arguments, grid, options))
        return self

    @property
    def run(self):
        self.loaded.append(self.compiled[-1])

    def __getitem__(self, grid):
        return lambda *arguments, **options: self.launched.append((arguments, grid, options))


def test_what_is_compiled_ahead_is_compiled_once_and_not_launched():
    kernel, tensor = Kernel(), torch.zeros(4)
    with compiled_ahead(2):
        assert compiles_ahead()
        for size in (32, 48, 7, 9, 1):
            launch(kernel, [3], tensor, size, num_warps=4)
        launch(kernel, [3], tensor, 16, num_warps=8)
        launch(kernel, [3], tensor.double(), 16, num_warps=8)
    assert not compiles_ahead()
    # Sizes that are divisible by 16, those that are not, and 1; other options and types.
    sizes = sorted((size, options["num_warps"]) for (_, size), _, options in kernel.compiled)
    assert sizes == [(1, 4), (7, 4), (16, 8), (16, 8), (32, 4)]
    assert {type(given) for (given, _), _, _ in kernel.compiled} == {torch.dtype}
    assert len(kernel.loaded) == 5
    assert not kernel.launched


def test_sizes_that_are_given_together_count_each():
    kernel, tensor = Kernel(), torch.zeros(4)
    with compiled_ahead(2):
        for sizes in ((32, 1), (48, 1), (32, 7), (7, 32)):
            launch(kernel, [3], tensor, sizes)
    assert sorted(sizes for (_, sizes), _, _ in kernel.compiled) == [(7, 32), (32, 1), (32, 7)]


def test_a_constant_is_compiled_for_each_of_its_values():
    kernel = Kernel(constants=("size",))
    with compiled_ahead(2):
        for size in (32, 48):
            launch(kernel, (1,), torch.zeros(4), size)
    assert len(kernel.compiled) == 2


def test_afterwards_kernels_are_launched():
    kernel, tensor = Kernel(), torch.zeros(4)
    launch(kernel, [3, 2], tensor, 32, num_warps=4)
    assert kernel.launched == [((tensor, 32), (3, 2), {"num_warps": 4})]
    assert not kernel.compiled


def test_what_cannot_be_compiled_is_told_by_its_launch_alone():
    class Refused(Kernel):
        def warmup(self, *_arguments, **_options):
            raise RuntimeError("no such instruction")

    with compiled_ahead(1):
        launch(Refused(), (1,), torch.zeros(4), 1)
        prepare(lambda: 1 / 0)


LAUNCHING = (
    *("activation_distance.triton", "adam.triton", "batch_norm.triton", "convolution.triton"),
    *("convolution.triton_sums", "masked_shuffle.triton", "max_pool.triton"),
)


def test_all_that_launches_is_known_here():
    found = [path for path in Path(ahead.__file__).parent.glob("*/*.py") if "launch(" in path.read_text()]
    assert sorted(f"{path.parent.name}.{path.stem}" for path in found) == sorted(LAUNCHING)


@pytest.mark.process
@pytest.mark.parametrize("settings", [{"actdiff": 1.0, "width": 8}, {"gradmask": 1.0, "actdiff": 1.0}])
def test_what_stacked_seeds_launch_was_compiled_ahead(crosses, monkeypatch, settings):
    """As on CUDA, with launches that are only noted; the numbers are whatever lies in memory."""
    pytest.importorskip("triton")
    noted: list[object] = []

    def note(kernel, _grid, *arguments, **options):
        kinds = map(ahead._kind, kernel.params, arguments)
        noted.append((kernel.__name__, tuple(options.items()), *kinds))

    for module in LAUNCHING:
        monkeypatch.setattr(import_module(f"activmask.kernels.{module}"), "launch", note)
    replicas = [new_replica(small(crosses, **settings), seed, Path("unused"), CPU) for seed in (0, 1)]
    for replica in replicas:
        replica.model.to(memory_format=torch.channels_last)
        if "gradmask" in settings:
            prepare_double_backward(replica.model)
    group = new_group(replicas)
    monkeypatch.setattr(torch.Tensor, "is_cuda", True, raising=False)
    monkeypatch.setattr(torch.cuda, "device_of", lambda _tensor: nullcontext())
    monkeypatch.setattr(torch.cuda, "is_current_stream_capturing", lambda: False)
    compile_kernels(group)
    compiled = set(noted)
    assert {name for name, *_ in compiled} >= {
        "_shuffle_image",
        "_measure",
        "_spread",
        "_product",
        "_max_pool",
        "_step",
    }
    # One form serves all sizes of batch, and a seed alone as several.
    assert len([name for name, *_ in compiled if name == "_shuffle_image"]) == ("actdiff" in settings)
    noted.clear()
    # The forms that need no compiling compute once more, as nothing here can launch.
    with compiled_ahead(1):
        why_another_step(group)
        for size in sorted(set(group.replicas[0].batch_sizes)):
            take_step(group, size)
        judge(group)
    assert {name for name, *_ in noted} >= {"_product", "_step"}
    assert compiled.issuperset(noted)


def test_a_convolution_is_computed_by_the_library_meanwhile(monkeypatch):
    asked = []
    monkeypatch.setattr(forms, "prepare", asked.append)
    monkeypatch.setattr(forms, "HAS_TRITON", True)
    monkeypatch.setattr(torch.Tensor, "is_cuda", True, raising=False)
    images = torch.rand(2, 4, 5, 5).to(memory_format=torch.channels_last)
    weight = torch.rand(6, 2, 3, 3)
    how = (1, 1), (1, 1), (1, 1), 2
    with compiled_ahead(1):
        found = forms.conv2d(images, weight, None, *how)
    assert torch.equal(found, reference.conv2d(images, weight, None, *how))
    assert len(asked) == 1
