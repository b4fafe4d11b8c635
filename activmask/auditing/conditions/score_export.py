"""The conditions of an export, scored by what any system said of its pictures.

Shapes: n images that take part, K classes.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from activmask.auditing.conditions.conditions import Conditions, judged
from activmask.auditing.conditions.exported import Export, read_export
from activmask.auditing.conditions.given_scores import answers_of, read_scores


@dataclass(frozen=True, kw_only=True)
class ScoredExport:
    """What a system's predictions come to."""

    variants: Path
    predictions: Path
    classes: tuple[str, ...]
    """Names of the classes 0, 1, ..."""
    conditions: Conditions
    notes: tuple[str, ...]
    """Sentences on how the predictions were read."""

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers, strings and None, ready for `json.dumps`."""
        return {
            "variants": str(self.variants),
            "predictions": str(self.predictions),
            "classes": list(self.classes),
            "conditions": self.conditions.to_json(),
            "notes": list(self.notes),
        }


def score_export(variants: Path, predictions: Path, *, threshold: float | None = None) -> ScoredExport:
    """Score what a system said of the pictures of an export.

    Args:
        variants: the folder that `export` wrote.
        predictions: a CSV file with a column `file`, named as in the manifest, and one score, the higher
            the likelier class 1, or one score per class: probabilities or logits.
        threshold: of one score, above which it decides for class 1; left out, 0.5 where all scores lie in
            [0, 1], else there is no accuracy.

    Raises:
        UsageError: a threshold of scores that need none.
        DataError: the export or the table is broken, or pictures have no score or several.
    """
    export = read_export(variants)
    given = read_scores(predictions, _pictures(export), export.classes)
    answers, notes = answers_of(given, export.files, export.classes, threshold)
    return ScoredExport(
        variants=variants,
        predictions=predictions,
        classes=export.classes,
        conditions=judged(answers, export.those, classes=len(export.classes)),
        notes=(*given.notes, *notes),
    )


def _pictures(export: Export) -> list[str]:
    return [file for drawn in export.files.values() for files in drawn for file in files]
