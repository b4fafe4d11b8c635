"""Evaluations of each label that networks tell, together: mean AUC, one table of predictions, JSON.

Shapes: N images, L labels.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from activmask.data.files.tables import format_sheet
from activmask.evaluation.across_seeds import to_json
from activmask.evaluation.all_labels import AllLabels
from activmask.evaluation.evaluated import Evaluated
from activmask.evaluation.predictions_table import COLUMNS, value_of
from activmask.ground.errors import UsageError
from activmask.ground.listed import listed
from activmask.ground.shown import shown
from activmask.runs.label_checkpoint import label_names
from activmask.runs.seed_folders import Unreadable

OfLabels = Mapping[str, Sequence[Evaluated]]
"""By label, the checkpoints asked about it."""


def labels_of(paths: Sequence[Path], label: str | None) -> tuple[str, ...]:
    """The labels that checkpoints are to be asked about; none where their networks know classes alone.

    Args:
        paths: of the checkpoints; those that cannot be read do not count.
        label: the one that is asked for; None for all.

    Raises:
        UsageError: they do not tell the same labels, or no such one.
    """
    known = [label_names(path) for path in paths]
    found = dict.fromkeys(names for names in known if names is not None)
    if len(found) > 1:
        named = "; ".join(listed(names) or "classes that exclude each other" for names in found)
        raise UsageError(
            "these networks do not tell the same labels", found=named, advice="evaluate them one by one"
        )
    names = next(iter(found), ())
    if label is None:
        return names
    if not names:
        raise UsageError("a label has no effect: these networks tell classes that exclude each other")
    if label not in names:
        raise UsageError(f"there is no label {label!r}", expected=listed(names, "or"))
    return (label,)


def labels_sheet(found: OfLabels) -> bytes:
    """What each checkpoint said of each image, as the bytes of a CSV file.

    One row per checkpoint, image, condition of the audit and draw, with the truth and the score (the
    probability) of each label in columns of its own, empty where the label is not known of the image or its
    audit left it out. Each label's audit draws its own shuffles.
    """
    rows: dict[tuple[object, ...], dict[str, tuple[int, float]]] = {}
    known = [one.predictions for several in found.values() for one in several if one.predictions is not None]
    columns = list(dict.fromkeys(one.grouped_by for one in known if one.grouped_by))
    for label, of_label in found.items():
        for one in of_label:
            if one.predictions is None:
                continue
            for said in one.predictions.conditions:
                scores = said.logits.double().softmax(dim=1)[:, 1].tolist()
                for row, score in zip(said.rows.tolist(), scores, strict=True):
                    whose = one.predictions.names[row], one.predictions.subjects[row]
                    groups = (value_of(column, one.predictions, whose[0]) for column in columns)
                    key = (str(one.path), *whose, one.split, said.condition, said.draw, *groups)
                    rows.setdefault(key, {})[label] = one.predictions.labels[row], score
    header = [*(f"label {shown(label)}" for label in found), *(f"score {shown(label)}" for label in found)]
    nothing = ("", "")
    return format_sheet(
        [
            "checkpoint",
            *(name for name in COLUMNS if name != "label"),
            *(f"group {shown(column)}" for column in columns),
            *header,
        ],
        (
            [*key, *(said.get(label, nothing)[at] for at in (0, 1) for label in found)]
            for key, said in rows.items()
        ),
    )


def labels_to_json(
    found: OfLabels, together: Mapping[Path, AllLabels], unreadable: Sequence[Unreadable] = ()
) -> dict[str, Any]:
    """Everything as plain dicts, lists, numbers, strings and None: of each label what one of classes has."""
    return {
        "labels": {label: to_json(of_label, unreadable) for label, of_label in found.items()},
        "mean_auc": [
            {"checkpoint": str(path), **vars(one.mean)}
            for path, one in together.items()
            if one.mean is not None
        ],
        "thresholds": [
            {"checkpoint": str(path), **vars(point)} for path, one in together.items() for point in one.points
        ],
    }
