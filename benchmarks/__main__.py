"""`python -m benchmarks`: how fast the package is, as ratios measured side by side."""

import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from traceback import print_exception
from typing import Annotated

import torch
import typer
from rich.console import Console
from rich.markup import escape

from activmask.ground.errors import ActivmaskError, UsageError
from activmask.ground.nearest import nearest
from benchmarks.figure import Effort, Figure
from benchmarks.machine import describe_machine
from benchmarks.results_table import print_figures, write_figures
from benchmarks.speed_kernels import gpu_activation_distance, gpu_masked_shuffle
from benchmarks.speed_precision import gpu_bf16_scores
from benchmarks.speed_saliency import saliency
from benchmarks.speed_synthetic import make_synthetic
from benchmarks.speed_table1 import gpu_table1
from benchmarks.speed_training import (
    gpu_floor_128,
    gpu_floor_tf32,
    gpu_resnet18_actdiff,
    gpu_resnet18_gradmask,
    gpu_unet_actdiff,
    resnet18_actdiff,
    resnet18_gradmask,
    unet_actdiff,
)

Benchmark = Callable[[Effort], list[Figure]]

CPU: dict[str, Benchmark] = {
    "unet-actdiff": unet_actdiff,
    "resnet18-actdiff": resnet18_actdiff,
    "resnet18-gradmask": resnet18_gradmask,
    "saliency": saliency,
    "make-synthetic": make_synthetic,
}
GPU: dict[str, Benchmark] = {
    "gpu-masked-shuffle": gpu_masked_shuffle,
    "gpu-activation-distance": gpu_activation_distance,
    "gpu-unet-actdiff": gpu_unet_actdiff,
    "gpu-resnet18-actdiff": gpu_resnet18_actdiff,
    "gpu-resnet18-gradmask": gpu_resnet18_gradmask,
    "gpu-floor-tf32": gpu_floor_tf32,
    "gpu-floor-128": gpu_floor_128,
    "gpu-bf16-scores": gpu_bf16_scores,
    "gpu-table1": gpu_table1,
}
ALL = CPU | GPU

err = Console(stderr=True, highlight=False, soft_wrap=True)


def main(
    names: Annotated[list[str] | None, typer.Argument(help="What to measure; all of a set if none.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write the figures to this file too.")] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Tiny sizes, to see that the code runs; the GPU set too.")
    ] = False,
    gpu: Annotated[bool, typer.Option("--gpu", help="The figures of a CUDA device.")] = False,
    listing: Annotated[bool, typer.Option("--list", help="Say what there is to measure.")] = False,
) -> None:
    """Measure the package against the plain way, side by side, and print a table of ratios.

    Example: python -m benchmarks unet-actdiff saliency --json figures.json
    """
    if listing:
        for name, benchmark in ALL.items():
            print(f"{name:24} {(benchmark.__doc__ or '').splitlines()[0]}")
        return
    try:
        if json is not None and not json.parent.is_dir():
            raise UsageError(f"the folder {json.parent} for the figures does not exist; make it first")
        failed = _measure(_chosen(names or [], gpu=gpu, quick=quick), json, quick=quick)
    except ActivmaskError as error:
        err.print(f"[bold red]error:[/] {escape(str(error))}")
        raise typer.Exit(2) from None
    raise typer.Exit(1 if failed else 0)


def _chosen(names: list[str], *, gpu: bool, quick: bool) -> dict[str, Benchmark]:
    for name in names:
        if name not in ALL:
            raise UsageError(f"there is no benchmark '{name}'; {nearest(name, ALL)}")
    chosen = {name: ALL[name] for name in names} or (GPU if gpu else CPU)
    if gpu and names and (strangers := [name for name in names if name not in GPU]):
        raise UsageError(f"{strangers[0]} is not one of the GPU set; leave --gpu out or name others")
    needing = [name for name in chosen if name in GPU]
    if needing and not quick and not torch.cuda.is_available():
        raise UsageError(
            f"{needing[0]} needs a CUDA device and there is none here; run it where there is one, or add "
            "--quick to try its code on the CPU"
        )
    return chosen


def _measure(chosen: dict[str, Benchmark], path: Path | None, *, quick: bool) -> bool:
    """Run the benchmarks and print what they came to; whether one of them failed.

    The file is written after each, so that what was measured outlives a failure of the next.
    """
    figures: dict[str, list[Figure]] = {}
    failed = False
    start = perf_counter()
    device = torch.device("cpu")
    if any(name in GPU for name in chosen) and torch.cuda.is_available():
        device = torch.device("cuda")
    machine = describe_machine(device)
    for name, benchmark in chosen.items():
        err.print(f"measuring {name} ({perf_counter() - start:.0f} s so far)")
        effort = Effort(device=device if name in GPU else torch.device("cpu"), quick=quick)
        try:
            own = benchmark(effort)
            figures[name] = [replace(figure, target=None) for figure in own] if quick else own
        except Exception as error:  # noqa: BLE001 - printed whole, and the exit code tells
            print_exception(error, file=sys.stderr)
            failed = True
        if path is not None:
            write_figures(path, figures, machine, quick=quick, seconds=perf_counter() - start)
    print_figures([figure for own in figures.values() for figure in own], machine, quick=quick)
    return failed


if __name__ == "__main__":
    typer.run(main)
