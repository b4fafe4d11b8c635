"""What an audited classifier said of each image under each condition, as one table."""

from collections.abc import Iterator

import torch

from activmask.auditing.audited import Audited
from activmask.auditing.conditions.conditions import taking_part
from activmask.auditing.conditions.versions import FULL
from activmask.data.files.tables import format_sheet
from activmask.evaluation.predictions_table import (
    Line,
    Predicted,
    predictions_header,
    predictions_lines,
    predictions_of,
)

_OF_LABELS = ("without", "with")
"""What the two classes of every label are called where there are several."""


def predictions_sheet(audited: Audited) -> bytes:
    """A line per image, condition and draw, as the bytes of a CSV file.

    Of several labels a first column says which a line is about.
    """
    if not audited.labels:
        return format_sheet(predictions_header(audited.material.class_names), _lines(audited))
    return format_sheet(
        ["about", *predictions_header(_OF_LABELS)],
        ([one.material.label, *line] for one in audited.labels for line in _lines(one)),
    )


def _lines(audited: Audited) -> Iterator[Line]:
    material = audited.material
    assert audited.logits is not None, "an audit of classes has predicted"
    part = taking_part(material.samples, audited.seed)
    said = [
        Predicted(condition=FULL, draw=1, rows=torch.arange(len(material)), logits=audited.logits),
        *(
            Predicted(condition=name, draw=draw, rows=part.rows, logits=logits)
            for name, drawn in audited.answers.items()
            if name != FULL
            for draw, logits in enumerate(drawn, 1)
        ),
    ]
    found = predictions_of(
        material.samples, material.class_names, said, probabilities=audited.predictor.probabilities
    )
    splits = material.splits or ("",) * len(material)
    return predictions_lines(found, splits)
