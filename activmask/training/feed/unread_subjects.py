"""A column of a data set's table that may say whom images show, where the column subject says otherwise."""

from collections import defaultdict
from collections.abc import Mapping

import numpy as np

from activmask.data.dataset import TABLE_FILE, Dataset
from activmask.data.sources.folder.roles import suggests

_SUBJECT = "subject"


def unread_subjects(dataset: Dataset, rows: Mapping[str, np.ndarray]) -> str:
    """Whom such a column would have in two splits, as a sentence; empty where nobody is, or it has no such.

    Tables that others wrote call the column patient_id and the like: without one called subject each image
    is a subject of its own, and one patient's images fall where they may.

    Args:
        dataset: on disk.
        rows: of each split, int64 (n,).
    """
    told = (_straddling(name, values, rows) for name, values in dataset.columns.items())
    return "; ".join(filter(None, told))


def _straddling(name: str, values: tuple[str, ...], rows: Mapping[str, np.ndarray]) -> str:
    if not suggests(_SUBJECT, name):
        return ""
    splits: dict[str, set[str]] = defaultdict(set)
    for split, own in rows.items():
        for row in own.tolist():
            splits[values[row]].add(split)
    splits.pop("", None)
    apart = sum(len(of_one) > 1 for of_one in splits.values())
    if not apart:
        return ""
    return (
        f"{apart} of the {len(splits)} values of the column {name!r} have images in two splits or more; if "
        f"it says whom images show, make it the column {_SUBJECT} of {TABLE_FILE}, or name it as that when "
        "the folder is prepared, so that nobody is in train and test"
    )
