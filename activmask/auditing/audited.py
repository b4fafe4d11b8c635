"""What an audit found.

Shapes: N images that are judged, n of which take part in the conditions, K classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

from activmask.auditing.clinic.clinic import Clinic
from activmask.auditing.conditions.conditions import Conditions
from activmask.auditing.leaks.leaks import Leaks
from activmask.auditing.looks.looks import Looks
from activmask.auditing.material import Material
from activmask.auditing.shortcut import Shortcut
from activmask.evaluation.scores import chance_over_subjects
from activmask.evaluation.sides import Area, too_few
from activmask.predictors.predictor import Predictor
from activmask.training.replicas.mean_auc import MeanAuc


@dataclass(frozen=True, kw_only=True)
class Audited:
    """What a classifier's score is made of, on one set of images."""

    predictor: Predictor
    material: Material
    """The images that were judged."""
    split: str
    """Of the data: train, valid, test or all."""
    seed: int
    """Of everything that is drawn."""
    verdict: tuple[str, ...]
    """The audit in sentences, none of which claims more than its intervals carry."""
    notes: tuple[str, ...]
    """Sentences on what was guessed or could not be had."""
    conditions: Conditions | None = None
    """None where it was left out; so are the others."""
    leaks: Leaks | None = None
    clinic: Clinic | None = None
    looks: Looks | None = None
    shortcut: Shortcut | None = None
    """What was planted in the data; None where nothing was."""
    labels: "tuple[Audited, ...]" = ()
    """An audit of each of several labels, which then has the parts above; empty where classes exclude
    each other."""
    mean: MeanAuc | None = None
    """The mean of the AUCs of several labels; None of classes, and where no label has one."""
    logits: Tensor | None = None
    """(N, K) of the images as they are; None beside `labels`."""
    answers: Mapping[str, Tensor] = field(default_factory=dict)
    """Of each condition logits (draws, n, K) of those who take part, by its name."""

    @property
    def below_chance(self) -> Area | None:
        """The AUC of two classes where it lies surely below 0.5, as where outputs have another order."""
        auc = self._auc
        if self.labels or len(self.material.class_names) != 2 or auc is None or auc.auc >= 0.5:
            return None
        samples = self.material.samples
        if too_few(len(set(samples.subjects))):
            return None
        chance = chance_over_subjects(samples.labels.numpy(), samples.subjects, 2)
        return auc if auc.informs(chance) else None

    @property
    def _auc(self) -> Area | None:
        """Of full images; None where nobody asked."""
        if self.conditions is not None and self.conditions.rows:
            return self.conditions.rows[0].auc.area()
        score = None if self.clinic is None else self.clinic.questions[0].auc
        if score is None or score.value is None:
            return None
        return Area(score.value, score.low, score.high)

    @property
    def as_seen(self) -> str:
        """How the classifier saw the images."""
        how = self.predictor.preprocessing
        return "as its run prepared them" if how is None else how.as_seen()

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers, strings and None, ready for `json.dumps`; no picture and no logit."""
        told = {
            "model": self.predictor.name,
            "data": self.material.source,
            "split": self.split,
            "images": len(self.material),
            "subjects": len(set(self.material.samples.subjects)),
            "classes": list(self.material.class_names),
            "preprocessing": self.as_seen,
            "seed": self.seed,
            "verdict": list(self.verdict),
            "notes": list(self.notes),
        }
        if self.labels:
            return {
                **told,
                "mean_auc": None if self.mean is None else vars(self.mean),
                "labels": {one.material.label: one.to_json() for one in self.labels},
            }
        parts = {
            "conditions": self.conditions,
            "leaks": self.leaks,
            "looks": self.looks,
            "clinic": self.clinic,
            "shortcut": self.shortcut,
        }
        return {**told, **{name: part.to_json() if part else None for name, part in parts.items()}}
