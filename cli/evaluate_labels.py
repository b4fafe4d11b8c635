"""What `activmask evaluate` prints of networks whose labels do not exclude each other."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from .console import out
from .evaluation_tables import between, print_tables
from .score_cells import checkpoint_name, number
from .tables import print_table, result_table

if TYPE_CHECKING:
    from activmask.evaluation.label_points import LabelPoint
    from activmask.evaluation.of_labels import OfLabels
    from activmask.runs.seed_folders import Unreadable


def print_labels(
    found: "OfLabels",
    points: "Mapping[Path, Sequence[LabelPoint]]",
    lost: "Sequence[Unreadable]",
    *,
    alone: bool = False,
) -> None:
    """Print a row for each label, the means over labels, then of each label all that one of classes has.

    Args:
        found: by label.
        points: by checkpoint, in the order of its labels.
        lost: checkpoints that could not be evaluated.
        alone: whether a single label was asked for, so that there is no mean.
    """
    from activmask.evaluation.of_labels import mean_aucs

    by_label = {(path, one.label): one for path, of_path in points.items() for one in of_path}
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
    )
    for label, of_label in found.items():
        for one in of_label:
            scores = one.evaluation.scores
            cells = [label, checkpoint_name(one), str(scores.n), scores.reason or number(scores.auc)]
            point = by_label.get((one.path, label))
            at = (None,) * 3 if point is None else (point.threshold, point.sensitivity, point.specificity)
            table.add_row(*cells, between(scores.interval), *map(number, at))
    names = {one.path: checkpoint_name(one) for of_label in found.values() for one in of_label}
    for mean in () if alone else mean_aucs(found):
        table.add_row(f"mean of {mean.labels} labels", names[mean.path], "", number(mean.auc))
    print_table(table)
    out.print("An AUC of 0.5 is chance. One mask an image stands for all of its labels.")
    for label, of_label in found.items():
        out.print()
        out.print(label, style="bold")
        print_tables(of_label, lost)
