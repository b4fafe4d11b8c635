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


def audit_predictions(audited: Audited) -> bytes:
    """The bytes of a CSV file: one line per image, condition and draw, of each label where there are several.

    The images as they are have a line each; under conditions those who take part.
    """
    if audited.labels:
        return format_sheet(
            ["of label", *predictions_header(("0", "1"))],
            ([one.material.label, *line] for one in audited.labels for line in _lines(one)),
        )
    return format_sheet(predictions_header(audited.material.class_names), _lines(audited))


def _lines(audited: Audited) -> Iterator[Line]:
    material, logits = audited.material, audited.logits
    assert logits is not None, "an audit of one set of classes keeps its logits"
    said = [Predicted(condition=FULL, draw=1, rows=torch.arange(len(material)), logits=logits)]
    if audited.answers:
        rows = taking_part(material.samples, audited.seed).rows
        said += [
            Predicted(condition=name, draw=draw, rows=rows, logits=one)
            for name, drawn in audited.answers.items()
            if name != FULL
            for draw, one in enumerate(drawn, 1)
        ]
    predictions = predictions_of(
        material.samples, material.class_names, said, probabilities=audited.predictor.probabilities
    )
    return predictions_lines(predictions, material.splits or ("",) * len(material))
