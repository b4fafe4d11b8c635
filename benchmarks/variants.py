"""Which forms of actdiff and gradmask reproduce the paper, and what do their peers do?

    python -m benchmarks.variants resnet18 --width 16 --epochs 15 --lr 1e-3 --seeds 3

trains every variant below for every seed (each seed draws its own data and weights), skips what
is finished, and writes a Markdown table of mean ± standard deviation over seeds to --out.
"""

import argparse
import statistics
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from activmask.runs.folder import read_history
from activmask.runs.making import make_config
from activmask.training.run import SeedResult, train

VARIANTS: dict[str, dict[str, Any]] = {
    "no penalty": {},
    "actdiff 10, row": {"actdiff": 10.0, "actdiff_norm": "row", "actdiff_at": "pre"},
    "actdiff 10, channel": {"actdiff": 10.0, "actdiff_norm": "channel", "actdiff_at": "pre"},
    "actdiff 10, layer": {"actdiff": 10.0, "actdiff_norm": "layer", "actdiff_at": "pre"},
    "actdiff 10, row, after ReLU": {"actdiff": 10.0, "actdiff_norm": "row", "actdiff_at": "post"},
    "actdiff 10, channel, after ReLU": {"actdiff": 10.0, "actdiff_norm": "channel", "actdiff_at": "post"},
    "gradmask 10, l2": {"gradmask": 10.0, "gradmask_norm": "l2"},
    "gradmask 10, l1": {"gradmask": 10.0, "gradmask_norm": "l1"},
    "actdiff 10 and gradmask 10": {"actdiff": 10.0, "gradmask": 10.0},
    "actdiff 10, last layer": {"actdiff": 10.0, "actdiff_layers": "last"},
    "classify masked": {"classify_masked": "train"},
    "classify shuffled": {"classify_shuffled": True},
    "rrr 10": {"rrr": 10.0},
    "adversarial 10": {"adversarial": 10.0},
    "cutout 8": {"cutout": 8},
}

COLUMNS = (
    "last valid AUC",
    "last valid accuracy",
    "valid AUC",
    "valid accuracy",
    "test AUC",
    "test accuracy",
    "train AUC",
    "best epoch",
)


def main(arguments: Sequence[str] | None = None) -> str:
    """Train what is missing and return the table."""
    args = _parser().parse_args(arguments)
    settings: dict[str, Any] = {"data": "synthetic", "model": args.model, "threads": args.threads}
    settings |= {"epochs": args.epochs, "lr": args.lr}
    if args.width:
        settings["width"] = args.width
    lines = _header(args)
    for name in args.variants or VARIANTS:
        folder = args.runs / f"{args.model}-{name.replace(',', '').replace(' ', '-')}"
        config = make_config(**settings, **VARIANTS[name])
        results = train(config, range(args.seeds), folder, resume=True)
        lines.append(_row(name, results))
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.variants", description=__doc__)
    parser.add_argument("model")
    parser.add_argument("--width", type=int, default=0)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--lr", type=float, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--variants", nargs="*", choices=VARIANTS, metavar="VARIANT")
    parser.add_argument("--runs", type=Path, default=Path("runs/variants"))
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results/variants.md"))
    return parser


def _header(args: argparse.Namespace) -> list[str]:
    command = " ".join(f'"{a}"' if " " in a else a for a in sys.argv[1:])
    return [
        f"Command: `python -m benchmarks.variants {command}` "
        f"(torch {torch.__version__}, CPU, {args.threads} thread, seeds 0 to {args.seeds - 1}, "
        f"each with its own data and weights).",
        "",
        "Mean ± SD over seeds; the columns after the first two are those of the best epoch, the first with "
        "the highest validation AUC.",
        "",
        "| variant | " + " | ".join(COLUMNS) + " |",
        "| --- |" + " ---: |" * len(COLUMNS),
    ]


def _row(name: str, results: list[SeedResult]) -> str:
    histories = [read_history(result.folder)[-1] for result in results]
    values = [[row[key] for row in histories] for key in ("valid_auc", "valid_accuracy")]
    values += [
        [result.metrics[split][key] for result in results]
        for split, key in (
            ("valid", "auc"),
            ("valid", "accuracy"),
            ("test", "auc"),
            ("test", "accuracy"),
            ("train", "auc"),
        )
    ]
    values.append([result.metrics["best_epoch"] for result in results])
    return f"| {name} | " + " | ".join(_spread(column) for column in values) + " |"


def _spread(values: list[float]) -> str:
    if len(values) == 1:
        return f"{values[0]:.2f}"
    return f"{statistics.fmean(values):.2f} ± {statistics.stdev(values):.2f}"


if __name__ == "__main__":
    print(main())
