"""What a shortcut that was planted in the data adds to a classifier's scores, and whether it looks there.

Shapes: N images, K classes.
"""

import dataclasses
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from activmask.auditing.asked import Asked
from activmask.auditing.conditions.verdict import FEWEST
from activmask.auditing.looks.looks import Looks, find_looks
from activmask.data.samples import Samples
from activmask.evaluation.planted import Pairs
from activmask.evaluation.removal import Change, changes, of_twins, on_shortcut
from activmask.predictors.predictor import Predictor


@dataclass(frozen=True, kw_only=True)
class Shortcut:
    """A classifier on images with a planted shortcut, against the same images without it."""

    shortcut: str
    """What was planted: `tag`, `blur`, ..."""
    of_class: str
    """Name of the class that it was planted in. Foreign text."""
    n: int
    """N."""
    carried: int
    """Those among them that carry it."""
    changes: tuple[Change, ...]
    """AUC and accuracy of all images, then the probability of its class over those that carry it."""
    looks: Looks | None
    """How much of the maps of those that carry it lies on it; None where it has no mask, or maps were
    left out."""
    sentences: tuple[str, ...]
    """The same in words, which claim no more than the intervals carry."""

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers, strings and None."""
        return {
            "shortcut": self.shortcut,
            "of_class": self.of_class,
            "n": self.n,
            "carried": self.carried,
            "changes": [dataclasses.asdict(row) for row in self.changes],
            "looks": self.looks.to_json() if self.looks else None,
            "sentences": list(self.sentences),
        }


def find_shortcut(
    predictor: Predictor, samples: Samples, pairs: Pairs, logits: Tensor, asked: Asked
) -> Shortcut:
    """Ask what a planted shortcut adds to the scores, and how much of the maps lies on it.

    Args:
        predictor: of classes that exclude each other.
        samples: N images that are judged.
        pairs: of these images.
        logits: of them, float (N, K).
        asked: what is to be found out.

    Raises:
        CheckpointError: the classifier fails.
    """
    twins = of_twins(predictor.predict, logits, pairs)
    found = changes(logits, twins, samples, pairs, seed=asked.seed, probabilities=predictor.probabilities)
    return Shortcut(
        shortcut=pairs.shortcut,
        of_class=pairs.name,
        n=len(samples),
        carried=int(pairs.carries.sum()),
        changes=found,
        looks=_looks(predictor, samples, pairs, asked),
        sentences=_sentences(found, pairs),
    )


def _looks(predictor: Predictor, samples: Samples, pairs: Pairs, asked: Asked) -> Looks | None:
    shown = on_shortcut(samples, pairs)
    if not asked.wants("looks") or not shown.has_mask.any():
        return None
    rows = shown.has_mask.nonzero().flatten().tolist()
    return find_looks(
        shown.subset(rows), predictor, methods=asked.methods or None, sign=asked.sign, seed=asked.seed
    )


def _sentences(found: tuple[Change, ...], pairs: Pairs) -> tuple[str, ...]:
    if not pairs.carries.any():
        return (f"None of the judged images carries the {pairs.shortcut}, so what it adds cannot be told.",)
    return tuple(_sentence(row, pairs) for row in found if row.score == "AUC" or _of_all_carriers(row))


def _of_all_carriers(row: Change) -> bool:
    return row.score.startswith("probability") and row.label is None


def _sentence(row: Change, pairs: Pairs) -> str:
    whose = "" if row.score == "AUC" else f" over the {row.n} images that carry it"
    told = f"{row.score}{whose}, {row.planted:.2f} with the {pairs.shortcut} and {row.twins:.2f} without it"
    if row.subjects < FEWEST or row.low is None or row.high is None:
        few = f"{row.subjects} subject{'s' * (row.subjects != 1)}"
        return f"Planted: {told}; of {few}, too few to tell that from chance."
    between = f"{row.change:+.2f}, 95 % {row.low:+.2f} to {row.high:+.2f}"
    if row.low <= 0 <= row.high:
        return f"Planted: {told} ({between}): whether it is read cannot be told by this."
    return f"Planted: {told} ({between}): the {pairs.shortcut} is read."
