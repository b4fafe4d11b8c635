"""What runs on the digits came to, as a Markdown table and a picture.

    python -m benchmarks.digits_report runs/digits-baseline runs/digits-actdiff --picture digits.png

evaluates the best and the last epoch of every seed on validation and test, and prints a row for
each, mean ± standard deviation over seeds. The picture shows each run's first seed, after its last
epoch, looking at the first three test images.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from activmask.evaluation.batch import Evaluated, evaluate_checkpoint
from activmask.evaluation.spread import spread
from activmask.report.charts.comparison import comparison
from activmask.runs.checkpoint import load_checkpoint
from activmask.runs.checkpoint_paths import find_checkpoints
from activmask.training.feed.trained_data import of_checkpoint, own_split_as_seen

KINDS = ("best", "last")
SHOWN = 3
"""Test images in the picture."""
DPI = 72

MEASURED: dict[str, Callable[[Evaluated], float | None]] = {
    "AUC": lambda one: one.evaluation.scores.auc,
    "accuracy": lambda one: one.evaluation.scores.accuracy,
    "AUC, background shuffled": lambda one: _audited(one, "background shuffled"),
    "AUC, ROI shuffled": lambda one: _audited(one, "ROI shuffled"),
    "attribution inside": lambda one: one.evaluation.localisation.rows[0].mean,
    "by chance": lambda one: one.evaluation.localisation.rows[0].chance,
}
"""The columns of the test split; the first localisation metric is the share of attribution mass."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table and write the picture."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.digits_report", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--picture", type=Path)
    args = parser.parse_args(arguments)
    print("\n".join(_table(args.runs)))
    if args.picture is not None:
        _draw(args.runs, args.picture)


def _table(runs: Sequence[Path]) -> list[str]:
    columns = ("valid AUC", *(f"test {name}" for name in MEASURED))
    lines = ["| run, epoch | " + " | ".join(columns) + " |", "| --- |" + " ---: |" * len(columns)]
    return lines + [_row(run, kind) for run in runs for kind in KINDS]


def _row(run: Path, kind: str) -> str:
    checkpoints = [best.with_stem(kind) for best in find_checkpoints(run)]
    valid = [evaluate_checkpoint(path, split="valid") for path in checkpoints]
    test = [evaluate_checkpoint(path, split="test") for path in checkpoints]
    cells = [_cell(valid, MEASURED["AUC"]), *(_cell(test, measure) for measure in MEASURED.values())]
    epochs = ", ".join(str(one.epoch) for one in test)
    return f"| {run.name}, {kind} ({epochs}) | " + " | ".join(cells) + " |"


def _cell(evaluated: Sequence[Evaluated], measure: Callable[[Evaluated], float | None]) -> str:
    found = spread([measure(one) for one in evaluated])
    if found is None:
        return "-"
    return f"{found.mean:.2f}" if found.sd is None else f"{found.mean:.2f} ± {found.sd:.2f}"


def _audited(one: Evaluated, images: str) -> float | None:
    return next((row.auc for row in one.evaluation.audit.rows if row.images == images), None)


def _draw(runs: Sequence[Path], picture: Path) -> None:
    checkpoints = [load_checkpoint(find_checkpoints(run)[0].with_stem("last")) for run in runs]
    shown = own_split_as_seen(of_checkpoint(checkpoints[0]), "test")[0].subset(range(SHOWN))
    picture.parent.mkdir(parents=True, exist_ok=True)
    comparison(checkpoints, [run.name for run in runs], shown).savefig(picture, dpi=DPI)


if __name__ == "__main__":
    main()
