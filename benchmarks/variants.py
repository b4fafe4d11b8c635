"""Which forms of actdiff and gradmask reproduce the paper, and what do their peers do?

    python -m benchmarks variants resnet18 --width 16 --epochs 15 --lr 1e-3 --seeds 3

trains every variant for every seed (each seed draws its own data and weights), skips what is
finished, and gives mean ± standard deviation over seeds. The first two columns of numbers are those
of the last epoch, the others those of the best, the first with the highest validation AUC.
"""

from argparse import ArgumentParser, Namespace
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from activmask.runs.folder import read_history
from activmask.runs.making import make_config
from activmask.training.run import SeedResult, train
from benchmarks.command import Findings
from benchmarks.result import Cell, column, mean_sd

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


def add_options(parser: ArgumentParser) -> None:
    """Declare what is trained, and how long."""
    parser.add_argument("model")
    parser.add_argument(
        "--width", type=int, default=0, help="channels of the first block (default: the model's)"
    )
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--lr", type=float, required=True)
    parser.add_argument("--seeds", type=int, default=3, help="how many, from 0 (default: 3)")
    parser.add_argument("--threads", type=int, default=1, help="of a training (default: 1)")
    parser.add_argument(
        "--variants", nargs="*", choices=VARIANTS, metavar="VARIANT", help=f"of {'; '.join(VARIANTS)}"
    )
    parser.add_argument("--runs", type=Path, default=Path("runs/variants"), help="(default: runs/variants)")


def measure(given: Namespace) -> Iterator[Findings]:
    """Train what is missing, and read what the trainings came to."""
    settings: dict[str, Any] = {"data": "synthetic", "model": given.model, "threads": given.threads}
    settings |= {"epochs": given.epochs, "lr": given.lr}
    if given.width:
        settings["width"] = given.width
    columns = [column("variant"), *(column(name, ".2f") for name in COLUMNS)]
    rows = []
    for name in given.variants or VARIANTS:
        folder = given.runs / f"{given.model}-{name.replace(',', '').replace(' ', '-')}"
        config = make_config(**settings, **VARIANTS[name])
        rows.append(_row(name, train(config, range(given.seeds), folder, resume=True)))
        yield Findings(
            title=f"Variants of actdiff and gradmask, {given.model}, {given.epochs} epochs",
            parts=[{"table": {"columns": columns, "rows": list(rows)}}],
        )


def _row(name: str, results: list[SeedResult]) -> list[Cell]:
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
    return [name, *(mean_sd(own) for own in values)]
