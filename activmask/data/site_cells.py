"""How many images of each class came from each of two sites, in words.

Shapes: N images.
"""

import numpy as np

from activmask.ground.errors import DataError
from activmask.ground.listed import listed


def too_few_in_a_cell(split: str, labels: np.ndarray, sites: np.ndarray, subjects: np.ndarray) -> DataError:
    """Why a split by sites and classes came out empty: it names the rarest class of a site, and all counts.

    Args:
        split: that is empty.
        labels: int64 (N,) of 0 and 1.
        sites: (N,) names of two sites.
        subjects: (N,) whom each image shows.
    """
    names, classes = sorted(set(sites)), np.unique(labels).tolist()
    cells = {(site, c): (sites == site) & (labels == c) for site in names for c in classes}
    people = {cell: len(set(subjects[inside])) for cell, inside in cells.items()}
    site, c = min(cells, key=lambda cell: (people[cell], cells[cell].sum()))
    counts = listed(f"{listed(str(cells[name, c].sum()) for c in classes)} from {name!r}" for name in names)
    of_them = f" of {people[site, c]} subject{'s' * (people[site, c] != 1)}" if people[site, c] else ""
    number = int(cells[site, c].sum())
    return DataError(
        f"the split {split} would be empty: site-correlated splits take both classes from both sites, but of "
        f"class {c} the site {site!r} has {number or 'no'} image{'s' * (number != 1)}{of_them} (of classes "
        f"{listed(map(str, classes))} there are {counts})",
        advice="add such images or choose the split policy 'subject'",
        ways=("split_policy",),
    )
