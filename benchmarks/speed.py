"""How fast the package is, as ratios of contestants that take turns in one process.

    python -m benchmarks speed
    python -m benchmarks speed unet-actdiff saliency

The ratios of training have two yardsticks: the released loop, which is the plain way in all that the
authors' published code does, and the same loop without the garbage collection that it makes at every
step.
"""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from time import perf_counter
from traceback import print_exception

import torch

from activmask.ground.errors import UsageError
from activmask.ground.nearest import nearest
from benchmarks.command import Findings
from benchmarks.figure import Effort, Figure
from benchmarks.result import Cell, Table, column
from benchmarks.speed_audit import audit
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

Measurement = Callable[[Effort], list[Figure]]

CPU: dict[str, Measurement] = {
    "unet-actdiff": unet_actdiff,
    "resnet18-actdiff": resnet18_actdiff,
    "resnet18-gradmask": resnet18_gradmask,
    "saliency": saliency,
    "make-synthetic": make_synthetic,
    "audit": audit,
}
GPU: dict[str, Measurement] = {
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

REACHED = {True: "yes", False: "no", None: None}


def add_options(parser: ArgumentParser) -> None:
    """Declare what to measure."""
    known = CPU | GPU
    about = {name: (own.__doc__ or "").partition("\n")[0] for name, own in known.items()}
    parser.epilog = "\n".join(["figures:", *(f"  {name:24} {line}" for name, line in about.items())])
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help="what to measure; all of a set if none")
    parser.add_argument("--gpu", action="store_true", help="the figures of a CUDA device")
    parser.add_argument(
        "--quick", action="store_true", help="tiny sizes, to see that the code runs; the GPU set too"
    )


def measure(given: Namespace) -> Iterator[Findings]:
    """Measure one figure after another; one that fails takes no other with it."""
    chosen = _chosen(given.figures, gpu=given.gpu, quick=given.quick)
    on_gpu = any(name in GPU for name in chosen) and torch.cuda.is_available()
    device = torch.device("cuda" if on_gpu else "cpu")
    figures: dict[str, list[Figure]] = {}
    failed = False
    start = perf_counter()
    for name, own in chosen.items():
        print(f"measuring {name} ({perf_counter() - start:.0f} s so far)", file=sys.stderr)
        effort = Effort(device=device if name in GPU else torch.device("cpu"), quick=given.quick)
        try:
            figures[name] = own(effort)
        except Exception as error:  # noqa: BLE001 - printed whole, and the exit code tells
            print_exception(error, file=sys.stderr)
            failed = True
        if given.quick:
            figures = {key: [replace(one, target=None) for one in some] for key, some in figures.items()}
        yield Findings(
            title="Trial of the code; the numbers mean nothing" if given.quick else "How fast it is",
            parts=[{"table": table_of([figure for some in figures.values() for figure in some])}],
            device=device.type,
            behind=_behind(figures),
            failed=failed,
        )


def _chosen(names: list[str], *, gpu: bool, quick: bool) -> dict[str, Measurement]:
    known = CPU | GPU
    for name in names:
        if name not in known:
            raise UsageError(f"there is no figure '{name}'; {nearest(name, known)}")
    chosen = {name: known[name] for name in names} or (GPU if gpu else CPU)
    if gpu and (strangers := [name for name in chosen if name not in GPU]):
        raise UsageError(f"{strangers[0]} is not one of the GPU set; leave --gpu out or name others")
    needing = [name for name in chosen if name in GPU]
    if needing and not quick and not torch.cuda.is_available():
        raise UsageError(
            f"{needing[0]} needs a CUDA device and there is none here; run it where there is one, or add "
            "--quick to try its code on the CPU"
        )
    return chosen


def table_of(figures: list[Figure]) -> Table:
    """One row a figure: the median over the rounds, its spread, and the aim."""
    return {
        "columns": [
            column("figure"),
            column("precision"),
            column("unit"),
            column("median", "short"),
            column("least to greatest", "short"),
            column("rounds", "d"),
            column("aim", "short"),
            column("reached"),
        ],
        "rows": [_row(figure) for figure in figures],
    }


def _row(figure: Figure) -> list[Cell]:
    bound = "at most" if figure.at_most else "at least"
    return [
        f"{figure.name} ({figure.note})" if figure.note else figure.name,
        figure.precision or None,
        figure.unit,
        figure.median,
        {"least": min(figure.values), "greatest": max(figure.values)},
        len(figure.values),
        None if figure.target is None else {bound: figure.target},
        REACHED[figure.reached],
    ]


def _behind(figures: Mapping[str, list[Figure]]) -> list[dict[str, object]]:
    return [{"measured": name, **one.to_json()} for name, own in figures.items() for one in own]
