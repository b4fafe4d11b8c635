"""What a classifier said of each image, under each condition, as one table.

Shapes: N images, n of which are shown under a condition, K classes.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from activmask.data.samples import Samples
from activmask.ground.shown import shown

COLUMNS = ("file", "subject", "split", "label", "condition", "draw")
"""Before one of each class, `score` and its name."""

Line = list[object]


@dataclass(frozen=True, kw_only=True)
class Predicted:
    """Of the images of one condition."""

    condition: str
    """`full`, or what was done to the images."""
    draw: int
    """Counted from 1."""
    rows: Tensor
    """int64 (n,), the places of the images among all."""
    logits: Tensor
    """(n, K)."""


@dataclass(frozen=True, kw_only=True)
class Predictions:
    """Of a set of images."""

    names: tuple[str, ...]
    """(N,) their files."""
    subjects: tuple[str, ...]
    """(N,), whom each shows."""
    labels: tuple[int, ...]
    """(N,), the class of each."""
    class_names: tuple[str, ...]
    """Of the classes 0, 1, ..."""
    conditions: tuple[Predicted, ...]
    probabilities: bool = True
    """Whether the softmax of logits is a probability; else scores are the logits themselves."""
    grouped_by: str = ""
    """The column by which images of a class are grouped; empty where they are not. Foreign text."""
    groups: Mapping[str, str] = field(default_factory=dict)
    """By file, its value."""


def predictions_of(
    samples: Samples,
    class_names: Sequence[str],
    conditions: Sequence[Predicted],
    *,
    probabilities: bool = True,
) -> Predictions:
    """What was said of N images, which themselves are not kept."""
    return Predictions(
        names=samples.names,
        subjects=samples.subjects,
        labels=tuple(samples.labels.tolist()),
        class_names=tuple(class_names),
        conditions=tuple(conditions),
        probabilities=probabilities,
    )


def value_of(column: str, predictions: Predictions, file: str) -> str:
    """What a column that groups images says of one; empty where these are grouped by another."""
    return predictions.groups.get(file, "") if predictions.grouped_by == column else ""


def predictions_header(class_names: Sequence[str]) -> list[str]:
    """The names of the columns; those of classes hold characters that are seen alone."""
    return [*COLUMNS, *(f"score {shown(name)}" for name in class_names)]


def predictions_lines(predictions: Predictions, splits: Sequence[str]) -> Iterator[Line]:
    """One line per image, condition and draw.

    Args:
        predictions: of N images.
        splits: (N,) of each; empty where unknown.
    """
    for one in predictions.conditions:
        wide = one.logits.double()
        scores = wide.softmax(dim=1) if predictions.probabilities else wide
        for row, of_image in zip(one.rows.tolist(), scores.tolist(), strict=True):
            whose = [predictions.names[row], predictions.subjects[row], splits[row], predictions.labels[row]]
            yield [*whose, one.condition, one.draw, *of_image]
