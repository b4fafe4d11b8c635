"""What runs on the digits came to, as a Markdown table and a picture.

    python docs/examples/digits_report.py runs/digits-baseline runs/digits-actdiff --picture digits.png

evaluates the best and the last epoch of every seed on validation and test, and prints a row for
each, mean ± standard deviation over seeds; --json writes the same numbers. The picture shows each
run's first seed, after its last epoch, looking at the first three test images.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from activmask.evaluation.batch import evaluate_checkpoint
from activmask.evaluation.evaluated import Evaluated
from activmask.evaluation.spread import Spread, spread
from activmask.report.charts.side_by_side import side_by_side
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


Row = dict[str, str | Spread | None]
"""The cells of a row by column."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the table, and write the numbers and the picture."""
    parser = argparse.ArgumentParser(prog="python docs/examples/digits_report.py", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--json", type=Path, help="write the numbers to this file, too")
    args = parser.parse_args(arguments)
    rows = [_row(run, kind) for run in args.runs for kind in KINDS]
    print(f"| {' | '.join(rows[0])} |\n| --- |{' ---: |' * (len(rows[0]) - 1)}")
    for row in rows:
        print(f"| {' | '.join(_text(cell) for cell in row.values())} |")
    if args.json is not None:
        args.json.write_text(json.dumps(rows, default=asdict, indent=2) + "\n", encoding="utf-8")
    if args.picture is not None:
        _draw(args.runs, args.picture)


def _row(run: Path, kind: str) -> Row:
    checkpoints = [best.with_stem(kind) for best in find_checkpoints(run)]
    valid = [evaluate_checkpoint(path, split="valid") for path in checkpoints]
    test = [evaluate_checkpoint(path, split="test") for path in checkpoints]
    epochs = ", ".join(str(one.epoch) for one in test)
    row: Row = {"run, epoch": f"{run.name}, {kind} ({epochs})", "valid AUC": _spread(valid, MEASURED["AUC"])}
    return row | {f"test {name}": _spread(test, measure) for name, measure in MEASURED.items()}


def _spread(evaluated: Sequence[Evaluated], measure: Callable[[Evaluated], float | None]) -> Spread | None:
    return spread([measure(one) for one in evaluated])


def _text(cell: str | Spread | None) -> str:
    if cell is None or isinstance(cell, str):
        return cell or "-"
    return f"{cell.mean:.2f}" if cell.sd is None else f"{cell.mean:.2f} ± {cell.sd:.2f}"


def _audited(one: Evaluated, images: str) -> float | None:
    return next((row.auc for row in one.evaluation.audit.rows if row.images == images), None)


def _draw(runs: Sequence[Path], picture: Path) -> None:
    checkpoints = [load_checkpoint(find_checkpoints(run)[0].with_stem("last")) for run in runs]
    shown = own_split_as_seen(of_checkpoint(checkpoints[0]), "test")[0].subset(range(SHOWN))
    picture.parent.mkdir(parents=True, exist_ok=True)
    side_by_side(checkpoints, [run.name for run in runs], shown).savefig(picture, dpi=DPI)


if __name__ == "__main__":
    main()
