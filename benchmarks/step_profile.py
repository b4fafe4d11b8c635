"""Where the time of a training epoch goes, operator by operator.

    python -m benchmarks step-profile resnet18-gradmask --device cpu

profiles the second epoch of the package's own training (4 steps and a validation of 32 images):
the operators that take the most time of their own. It is what a figure that misses its aim is
reported with.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator

from torch.profiler import ProfilerActivity, profile

from activmask.ground.errors import UsageError
from activmask.ground.nearest import nearest
from activmask.machine.device import choose_device
from benchmarks.command import Findings
from benchmarks.figure import Effort
from benchmarks.result import Cell, column
from benchmarks.speed_training import A_QUARTER, TRAINED
from benchmarks.training_contestants import Workload, data_of, ours, shrunk

ROWS = 12


def epoch_profile(name: str, effort: Effort, precision: str = "fp32") -> list[tuple[str, int, float, float]]:
    """Operators by their own time: name, calls, milliseconds, share of all operators' time.

    Raises:
        UsageError: there is no such training.
    """
    if name not in TRAINED:
        raise UsageError(f"there is no training '{name}' to profile; {nearest(name, TRAINED)}")
    settings = TRAINED[name] | {"precision": precision}
    task = shrunk(Workload(settings=settings, train=A_QUARTER.train, held_out=A_QUARTER.held_out), effort)
    activities = [ProfilerActivity.CPU]
    activities += [ProfilerActivity.CUDA] if effort.device.type == "cuda" else []
    with data_of(task) as config:
        epoch = ours(config, effort)
        epoch()
        with profile(activities=activities) as profiler:
            epoch()
    return _by_own_time(profiler, on_cuda=effort.device.type == "cuda")


def _by_own_time(profiler: profile, *, on_cuda: bool) -> list[tuple[str, int, float, float]]:
    events = [
        (event.key, event.count, event.self_device_time_total if on_cuda else event.self_cpu_time_total)
        for event in profiler.key_averages()
    ]
    total = sum(microseconds for _, _, microseconds in events)
    rows = [(name, count, own / 1e3, own / total) for name, count, own in events if own]
    return sorted(rows, key=lambda row: row[2], reverse=True)


def add_options(parser: ArgumentParser) -> None:
    """Declare what to profile."""
    parser.add_argument("training", help=", ".join(TRAINED))
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    parser.add_argument("--precision", default="fp32", help="fp32, bf16 or, on cuda, tf32 (default: fp32)")


def measure(given: Namespace) -> Iterator[Findings]:
    """Profile one training."""
    device = choose_device(given.device)
    rows = epoch_profile(given.training, Effort(device=device), given.precision)
    cells: list[list[Cell]] = [[f"`{name}`", calls, ms, share] for name, calls, ms, share in rows[:ROWS]]
    cells.append([f"{max(0, len(rows) - ROWS)} others", None, None, sum(share for *_, share in rows[ROWS:])])
    columns = [column("operator"), column("calls", "d"), column("ms", ".1f"), column("share", ".0%")]
    yield Findings(
        title=f"Where the time of {given.training} goes, in {given.precision}",
        parts=[{"table": {"columns": columns, "rows": cells}}],
        device=device.type,
    )
