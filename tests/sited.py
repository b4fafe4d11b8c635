"""A data set whose site tells the class of most images, so that groups are of unequal size."""

import csv
from collections import Counter
from pathlib import Path
from shutil import copytree


def sited(data: Path, folder: Path, *, agree: float = 0.8) -> Path:
    """A copy of a data set, each image at the site of its class's number, but for a share of each split."""
    copytree(data, folder)
    table = folder / "metadata.csv"
    with table.open(newline="") as file:
        rows = list(csv.DictReader(file))
    seen: Counter[tuple[str, str]] = Counter()
    for row in rows:
        number = seen[row["split"], row["label"]]
        seen[row["split"], row["label"]] += 1
        own = int((number + 1) * agree) > int(number * agree)
        row["site"] = row["label"] if own else str(1 - int(row["label"]))
    with table.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    return folder
