"""What one column of the metadata has to do with the label and with the pictures.

That a picture tells a site is one thing, that the site goes with the label another: where both hold, a
classifier may read the one to answer the other. So each is measured by itself, and the column also among
the images of one class, where the label cannot stand for it.

Shapes: n images.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from activmask.auditing.leaks.columns import Kinds
from activmask.auditing.leaks.probe import Features, Question, answered, one_hot, question
from activmask.auditing.leaks.told import Told
from activmask.data.samples import Samples
from activmask.ground.listed import listed
from activmask.ground.shown import shown

LABEL = "label"


@dataclass(frozen=True, kw_only=True)
class ColumnLeaks:
    """One column of the metadata: what it tells of the label, and what tells it."""

    name: str
    """Foreign text."""
    terciles: bool
    """Whether its values are thirds of a column of numbers."""
    label: Told
    """The label from the column alone."""
    encoded: tuple[Told, ...]
    """The column from pictures and from features, over all classes."""
    within: tuple[Told, ...]
    """The same among the images of each class, where the label cannot stand for the column."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "name": self.name,
            "terciles": self.terciles,
            "label": self.label.to_json(),
            "encoded": [one.to_json() for one in self.encoded],
            "within": [one.to_json() for one in self.within],
        }

    def sentences(self) -> tuple[str, ...]:
        """What was found, in words."""
        name = shown(self.name)
        found = [_encoded_sentence(name, one, self._inside(one.source)) for one in self.encoded if one.tells]
        found += [
            f"Whether the {one.source} tells {name} is not known: {one.reason}."
            for one in self.encoded
            if one.reason
        ]
        if self.label.tells:
            found.append(f"The column {name} alone tells the label: {self.label.numbers}.")
        if self.label.tells and any(one.tells for one in self.within):
            found.append(f"So {name} is a shortcut to the label that can be read from the pictures.")
        return tuple(found)

    def _inside(self, source: str) -> tuple[Told, ...]:
        return tuple(one for one in self.within if one.source == source)


def leaks_of_column(
    column: Kinds,
    on_label: Question | str,
    by_class: Sequence[str],
    seen: Samples,
    sources: Mapping[str, Features | str],
    encoded: tuple[Told, ...],
    *,
    seed: int,
) -> ColumnLeaks:
    """Ask of a column of n images what it tells, and what tells it.

    Args:
        column: with n values.
        on_label: the question which label an image has.
        by_class: (n,) the name of each image's class.
        seen: the n images.
        sources: features (n, D) that may tell the column, or why there are none, by name.
        encoded: how well each of them tells it over all classes.
        seed: of folds and resamples.
    """
    classes = np.asarray(by_class, dtype=object)
    inside = {
        name: question(column.values, seen.subjects, np.flatnonzero(classes == name), seed=seed)
        for name in dict.fromkeys(classes[np.argsort(seen.labels.numpy(), kind="stable")])
    }
    return ColumnLeaks(
        name=column.name,
        terciles=column.terciles,
        label=answered(on_label, one_hot(column.values), what=LABEL, source=column.name, seed=seed),
        encoded=encoded,
        within=tuple(
            answered(asked, found, what=column.name, source=source, within=name, seed=seed)
            for name, asked in inside.items()
            for source, found in sources.items()
        ),
    )


def _encoded_sentence(name: str, overall: Told, inside: Sequence[Told]) -> str:
    """What something tells of a column, and whether the label may stand for it."""
    start = f"The {overall.source} tell" + ("" if overall.source.endswith("s") else "s")
    start += f" {name}: {overall.numbers}"
    telling = [shown(one.within) for one in inside if one.tells]
    if telling:
        return f"{start}, and also among images of the one class {listed(telling, 'or')}."
    if all(one.reason for one in inside):
        return f"{start}; whether it would do so among images of one class is not known: {inside[0].reason}."
    return f"{start}, but not among images of one class: no more is shown than what {name} and label share."
