"""How many kernels a training step launches, counted without a device: one seed after another, and stacked.

    python -m benchmarks launches

takes one step of every cell of Table 1 on tensors that have shapes but no numbers, which go the way of
CUDA tensors, and counts calls of operators below autograd. A call counts if it computes: views, shapes,
fresh memory and numbers on the host launch nothing and do not. A call may be several kernels; the
columns "kernels at least" count those that are known to be: a library's gradient of a convolution is
two, for example, and one seed's step of its optimizer one for each 36 tensors. An H200 launched 712 a
seed for ResNet + actdiff in tf32, where these columns said 525. Gathering the batch, all passes,
gradients and the optimizers are in it; the judging of an epoch is not.
"""

from argparse import ArgumentParser, Namespace
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from activmask.data.samples import Samples
from activmask.data.sources.synthetic.prepare import make_synthetic
from activmask.data.sources.synthetic.spec import SyntheticSpec
from activmask.experiments.cells import grid_cells
from activmask.experiments.grid import read_grid
from activmask.models.double_backward import prepare_double_backward
from activmask.objectives.chosen import needs
from activmask.objectives.step import step_terms
from activmask.runs.description import RunConfig, changed
from activmask.training.graphs.device_epoch import new_health, new_segment, take_steps
from activmask.training.replicas.replica import Replica, new_replica
from activmask.training.stacks.device_step import take_step
from activmask.training.stacks.group import new_group
from benchmarks.command import Findings
from benchmarks.result import Cell, column

META = torch.device("meta")
GRID = "table1"
WIDTH = 2
"""Of the first layer: the number of launches does not depend on it."""

FREE = {"empty", "empty_like", "new_empty", "empty_strided", "new_empty_strided", "detach", "alias"}
FREE |= {
    "_record_function_enter_new",
    "_record_function_exit",
    "_unsafe_view",
    "is_same_size",
    "as_strided_",
    "lift_fresh",
    "_efficientzerotensor",
}
"""Calls that are no views in name, and launch nothing either."""

SEVERAL = {
    **dict.fromkeys(("batch_norm", "batch_norm_backward", "batch_norm_twice_backward", "seed_distances"), 2),
    **dict.fromkeys(
        ("convolution_backward", "conv2d_weight_gradient", "conv2d_bias_gradient", "distances"), 2
    ),
}
"""Kernels of a call that is known to be more than one."""

_TENSORS_A_LAUNCH = 36
"""Of an operation over a list of tensors that reads and writes four of each."""


class Counting(TorchDispatchMode):
    """Counts the calls that compute, by name."""

    def __init__(self) -> None:
        """From nothing on."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: Counter[str] = Counter()
        self.kernels = 0

    def __torch_dispatch__(
        self,
        func: Any,
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Count a call, and make it."""
        found = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        if not func.is_view and name not in FREE and not _of_host(found):
            self.calls[name] += 1
            self.kernels += _kernels(name, args)
        return _as_libraries_lay(found) if name.startswith("convolution") else found


def _of_host(found: Any) -> bool:
    """Whether what a call gives is a number on the host: the device has no part in that."""
    return isinstance(found, Tensor) and found.device.type == "cpu" and not found.ndim


def _kernels(name: str, args: tuple[Any, ...]) -> int:
    if name.startswith(("_foreach", "_fused")):
        return -(-len(args[0]) // _TENSORS_A_LAUNCH)
    if name == "convolution_backward":
        # The gradients in images, weight and bias that are asked for.
        return sum(args[-1])
    if name == "rectified_gradient":
        # Sums, if they are asked for, are added up by another.
        return 1 + int(args[-1])
    return SEVERAL.get(name, 1)


def _as_libraries_lay(found: Any) -> Any:
    """Channels-last, as convolutions of such tensors are; tensors without numbers do not know of it."""
    if isinstance(found, Tensor):
        return found.contiguous(memory_format=torch.channels_last) if found.ndim == 4 else found
    return tuple(_as_libraries_lay(one) for one in found) if isinstance(found, tuple) else found


def counted(step: Callable[[], None]) -> Counting:
    """What a step calls."""
    counting = Counting()
    with counting:
        step()
    return counting


def on_meta(replica: Replica, seed: int) -> Replica:
    """A replica as it is on CUDA, without numbers."""
    model = deepcopy(replica.model).to(META).to(memory_format=torch.channels_last)
    if needs(replica.config.objectives).second_derivative:
        prepare_double_backward(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
    for parameter in model.parameters():
        zeros = [torch.zeros_like(parameter, requires_grad=False) for _ in range(2)]
        step = torch.zeros((), device=META)
        optimizer.state[parameter] = {"step": step, "exp_avg": zeros[0], "exp_avg_sq": zeros[1]}
    train = replica.train
    assert isinstance(train, Samples)
    parts = {name: getattr(train, name).to(META) for name in ("images", "masks", "labels")}

    return replace(
        replica,
        seed=seed,
        device=META,
        model=model,
        objective=partial(step_terms, replica.config.objectives, model),
        optimizer=optimizer,
        train=replace(train, **parts),
    )


def launches(config: RunConfig, seeds: int) -> tuple[Counting, Counting]:
    """The calls of a step of one seed, and of one of so many seeds as one network."""
    built = new_replica(config, 0, Path("unused"), torch.device("cpu"))
    replicas = [on_meta(built, seed) for seed in range(seeds)]
    size = built.batch_sizes[0]
    alone = replicas[0]
    segment, health, generator = new_segment(alone, (size,)), new_health(alone), torch.Generator()
    single = counted(lambda: take_steps(alone, segment, health, generator))
    group = new_group(replicas)
    return single, counted(lambda: take_step(group, size))


def add_options(parser: ArgumentParser) -> None:
    """Declare how many seeds there are."""
    parser.add_argument("--seeds", type=int, default=10, help="that train together (default: 10)")


def measure(given: Namespace) -> Iterator[Findings]:
    """Count every cell of Table 1."""
    columns = [
        column("experiment"),
        *(column(name, ",d") for name in ("calls, each seed", "calls, stacked")),
        column("fewer", ".1f"),
        *(column(name, ",d") for name in ("kernels at least, each seed", "kernels at least, stacked")),
    ]
    rows: list[list[Cell]] = []
    behind: list[dict[str, Any]] = []
    with TemporaryDirectory() as folder:
        data = Path(folder) / "crosses"
        make_synthetic(SyntheticSpec(n=64, valid=16, test=16), data)
        for cell in grid_cells(read_grid(GRID), settings={"data": str(data), "device": "cpu"}):
            narrow = changed(cell.config, width=WIDTH)
            single, stacked = launches(narrow, given.seeds)
            each = given.seeds * single.calls.total()
            all_calls = stacked.calls.total()
            kernels = given.seeds * single.kernels, stacked.kernels
            rows.append([cell.title, each, all_calls, each / all_calls, *kernels])
            behind.append(
                {"experiment": cell.title, "one seed": dict(single.calls), "stacked": dict(stacked.calls)}
            )
            yield Findings(
                title=f"Launches of a step of {given.seeds} seeds, Table 1, counted without a device",
                parts=[{"table": {"columns": columns, "rows": list(rows)}}],
                behind=behind,
            )
