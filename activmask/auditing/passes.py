"""What a classifier says of all images that an audit shows it, apart from what is made of it.

Labels that do not exclude each other are answered together: one pass serves all of them.

Shapes: N images that are judged, V of the valid split, n taking part in the conditions, K classes or labels.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from activmask.auditing.asked import Asked
from activmask.auditing.conditions.conditions import predicted, taking_part
from activmask.auditing.material import Material, check_judged, judged_split
from activmask.evaluation.participants import Participants, why_no_audit
from activmask.models.one_label import logits_of_label
from activmask.predictors.predictor import Predictor


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What an audit shows a classifier."""

    material: Material
    """All images that are known."""
    split: str
    judged: Material
    """The N images of the split."""
    valid: Material | None
    """That thresholds are chosen on; None where there is none, or none is needed."""
    part: Participants
    """Those among the N who take part in the conditions."""
    with_conditions: bool
    """Whether the conditions are asked for, and can be scored."""


@dataclass(frozen=True, kw_only=True)
class Passes:
    """What it said."""

    full: Tensor
    """(N, K) of the images as they are."""
    valid: Tensor | None
    """(V, K)"""
    conditions: dict[str, Tensor]
    """(draws, n, K) by name; empty without conditions."""

    def of_label(self, label: int) -> "Passes":
        """Of one of K labels, as of two classes."""
        return Passes(
            full=logits_of_label(self.full, label),
            valid=None if self.valid is None else logits_of_label(self.valid, label),
            conditions={
                name: torch.stack([logits_of_label(one, label) for one in drawn])
                for name, drawn in self.conditions.items()
            },
        )


def shown(material: Material, asked: Asked) -> Shown:
    """What of a material an audit shows.

    Raises:
        UsageError: there is no such split.
        DataError: the images to judge are none, or of one class.
    """
    split = judged_split(material, asked.split)
    judged = material if split == "all" else material.of_split(split)
    assert judged is not None, "judged_split saw one"
    check_judged(judged)
    part = taking_part(judged.samples, asked.seed)
    without = why_no_audit(judged.samples, part, len(judged.class_names))
    needs_valid = asked.wants("clinic") and split not in {"valid", "all"}
    return Shown(
        material=material,
        split=split,
        judged=judged,
        valid=material.of_split("valid") if needs_valid else None,
        part=part,
        with_conditions=asked.wants("conditions") and without is None,
    )


def same_pictures(one: Shown, other: Shown) -> bool:
    """Whether what a classifier says of one is what it says of the other, whatever their labels."""
    return (
        one.with_conditions == other.with_conditions
        and one.material.samples.images is other.material.samples.images
        and torch.equal(one.part.rows, other.part.rows)
        and torch.equal(one.part.masks, other.part.masks)
    )


def passes(predictor: Predictor, what: Shown, asked: Asked, told: Callable[[str], None]) -> Passes:
    """Predict everything that is shown (raises CheckpointError where the classifier fails)."""

    def done(count: int, total: int) -> None:
        told(f"destroying one side of the masks: {count} of {total} images")

    told("predicting")
    samples = what.judged.samples
    full = predictor.predict(samples.images)
    conditions: dict[str, Tensor] = {}
    if what.with_conditions:
        conditions = predicted(
            predictor.predict, samples, what.part, draws=asked.draws, seed=asked.seed, full=full, done=done
        )
    return Passes(
        full=full,
        valid=None if what.valid is None else predictor.predict(what.valid.samples.images),
        conditions=conditions,
    )
