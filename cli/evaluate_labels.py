"""What `activmask evaluate` prints of networks whose labels do not exclude each other."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from activmask.ground.listed import listed

from .console import out
from .evaluation_tables import between, print_tables
from .score_cells import checkpoint_name, number
from .tables import print_table, result_table

if TYPE_CHECKING:
    from activmask.evaluation.all_labels import AllLabels
    from activmask.evaluation.of_labels import OfLabels
    from activmask.runs.seed_folders import Unreadable
    from activmask.training.replicas.mean_auc import MeanAuc


def print_labels(
    found: "OfLabels",
    together: "Mapping[Path, AllLabels]",
    lost: "Sequence[Unreadable]",
    *,
    alone: bool = False,
) -> None:
    """Print a row for each label, the means over labels, then of each label all that one of classes has.

    Args:
        found: by label.
        together: what each checkpoint says of its labels together.
        lost: checkpoints that could not be evaluated.
        alone: whether a single label was asked for, so that there is no mean.
    """
    by_label = {(path, one.label): one for path, of_path in together.items() for one in of_path.points}
    table = result_table(
        "Labels, which do not exclude each other; thresholds by Youden on validation",
        "label",
        "checkpoint",
        "n",
        "ROC AUC",
        "95 %",
        "threshold",
        "sensitivity",
        "specificity",
        names=2,
    )
    for label, of_label in found.items():
        for one in of_label:
            scores = one.evaluation.scores
            cells = [label, checkpoint_name(one), str(scores.n), scores.reason or number(scores.auc)]
            point = by_label.get((one.path, label))
            at = (None,) * 3 if point is None else (point.threshold, point.sensitivity, point.specificity)
            table.add_row(*cells, between(scores.interval), *map(number, at))
    names = {one.path: checkpoint_name(one) for of_label in found.values() for one in of_label}
    means = [(names[path], one.mean) for path, one in together.items() if one.mean and not alone]
    for name, mean in means:
        ends = "-" if mean.low is None else f"{number(mean.low)} to {number(mean.high)}"
        table.add_row(f"mean of {mean.labels} labels", name, "", number(mean.auc), ends)
    print_table(table)
    for sentence, names_of in _on_intervals(means).items():
        out.print(f"{sentence} ({listed(names_of)})" if len(means) > 1 else sentence)
    out.print("An AUC of 0.5 is chance. One mask an image stands for all of its labels.")
    for label, of_label in found.items():
        out.print()
        out.print(label, style="bold")
        print_tables(of_label, lost)


def _on_intervals(means: "Sequence[tuple[str, MeanAuc]]") -> dict[str, list[str]]:
    """What the intervals of means are, a sentence each, with the checkpoints of which it holds."""
    found: dict[str, list[str]] = {}
    for name, mean in means:
        found.setdefault(mean.of_interval, []).append(name)
    return found
