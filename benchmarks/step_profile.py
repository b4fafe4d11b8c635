"""Where the time of a training epoch goes, operator by operator.

    python -m benchmarks.step_profile resnet18-gradmask --device cpu

profiles the second epoch of the package's own training (4 steps and a validation of 32 images)
and prints a Markdown table of the operators that take the most time of their own. It is what a
figure that misses its aim is reported with.
"""

from typing import Annotated

import typer
from torch.profiler import ProfilerActivity, profile

from activmask.ground.errors import UsageError
from activmask.ground.nearest import nearest
from activmask.machine.device import choose_device
from benchmarks.figure import Effort
from benchmarks.machine import describe_machine
from benchmarks.results_table import machine_line
from benchmarks.speed_training import A_QUARTER, TRAINED
from benchmarks.training_contestants import Task, data_of, ours, shrunk

ROWS = 12


def epoch_profile(name: str, effort: Effort, precision: str = "fp32") -> list[tuple[str, int, float, float]]:
    """Operators by their own time: name, calls, milliseconds, share of all operators' time.

    Raises:
        UsageError: there is no such training.
    """
    if name not in TRAINED:
        raise UsageError(f"there is no training '{name}' to profile; {nearest(name, TRAINED)}")
    settings = TRAINED[name] | {"precision": precision}
    task = shrunk(Task(settings=settings, train=A_QUARTER.train, held_out=A_QUARTER.held_out), effort)
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


def main(
    name: Annotated[str, typer.Argument(help="unet-actdiff, resnet18-actdiff or resnet18-gradmask.")],
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    precision: Annotated[str, typer.Option(help="fp32, bf16 or, on cuda, tf32.")] = "fp32",
) -> None:
    """Print the operators that take the most time of their own."""
    effort = Effort(device=choose_device(device))
    rows = epoch_profile(name, effort, precision)
    print(f"{name}, {precision}, {machine_line(describe_machine(effort.device))}\n")
    print("| operator | calls | ms | share |\n| --- | ---: | ---: | ---: |")
    for operator, calls, milliseconds, share in rows[:ROWS]:
        print(f"| `{operator}` | {calls} | {milliseconds:.1f} | {share:.0%} |")
    rest = sum(row[3] for row in rows[ROWS:])
    print(f"| {max(0, len(rows) - ROWS)} others | | | {rest:.0%} |")


if __name__ == "__main__":
    typer.run(main)
