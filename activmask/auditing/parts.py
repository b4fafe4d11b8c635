"""The parts of an audit, one after the other, on images and a classifier that are there."""

from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor

from activmask.auditing.asked import Asked
from activmask.auditing.audited import Audited
from activmask.auditing.clinic.clinic import Clinic, clinic
from activmask.auditing.conditions.conditions import Conditions, conditions
from activmask.auditing.leaks.leaks import Leaks, find_leaks
from activmask.auditing.looks.looks import Looks, find_looks
from activmask.auditing.material import Material, check_judged, judged_split
from activmask.auditing.shortcut import Shortcut, find_shortcut
from activmask.predictors.labels import label_predictor
from activmask.predictors.predictor import Predictor

Told = Callable[[str], None]
"""Is told what is done now."""


def audit_labels(
    predictor: Predictor, materials: Sequence[Material], asked: Asked, notes: Sequence[str], told: Told
) -> Audited:
    """The audit of each of several labels that do not exclude each other.

    Args:
        predictor: of as many labels as there are materials.
        materials: the same images by each label.
        asked: what is to be found out.
        notes: on the predictor.
        told: is told what is done.
    """
    found = [
        audit_material(
            label_predictor(predictor, k), material, asked, (), partial(_told_of, told, material.label)
        )
        for k, material in enumerate(materials)
    ]
    first = found[0]
    return Audited(
        predictor=predictor,
        material=first.material,
        split=first.split,
        seed=asked.seed,
        verdict=tuple(f"{one.material.label}: {' '.join(one.verdict)}" for one in found),
        notes=tuple(notes),
        labels=tuple(found),
    )


def _told_of(told: Told, label: str, now: str) -> None:
    told(f"{label}: {now}")


def audit_material(
    predictor: Predictor, material: Material, asked: Asked, notes: Sequence[str], told: Told
) -> Audited:
    """The audit of a classifier of classes that exclude each other.

    Args:
        predictor: of the classes of the material.
        material: images of all splits that are known.
        asked: what is to be found out.
        notes: on the predictor.
        told: is told what is done.

    Raises:
        UsageError: the split or the threshold that is asked for makes no sense.
        DataError: the images to judge are none, or of one class.
        CheckpointError: the classifier fails.
    """
    split = judged_split(material, asked.split)
    judged = material if split == "all" else material.of_split(split)
    assert judged is not None, "judged_split saw one"
    check_judged(judged)
    told("predicting")
    logits = predictor.predict(judged.samples.images)
    scores, answers = _conditions(predictor, judged, logits, asked, told)
    leaks = _leaks(predictor, material, asked, told)
    planted = _shortcut(predictor, judged, logits, asked, told)
    answered = _clinic(predictor, material, judged, split, logits, asked, told)
    return Audited(
        predictor=predictor,
        material=judged,
        split=split,
        seed=asked.seed,
        verdict=(*_verdict(scores), *(planted.sentences if planted else ())),
        notes=(*notes, *material.notes, *(answered.notes if answered else ())),
        conditions=scores,
        leaks=leaks,
        clinic=answered,
        looks=_looks(predictor, judged, asked, told),
        shortcut=planted,
        logits=logits,
        answers=answers,
    )


def _conditions(
    predictor: Predictor, judged: Material, logits: Tensor, asked: Asked, told: Told
) -> tuple[Conditions | None, dict[str, Tensor]]:
    if not asked.wants("conditions"):
        return None, {}

    def done(count: int, total: int) -> None:
        told(f"destroying one side of the masks: {count} of {total} images")

    return conditions(
        predictor.predict,
        judged.samples,
        classes=len(judged.class_names),
        draws=asked.draws,
        seed=asked.seed,
        probabilities=predictor.probabilities,
        full=logits,
        done=done,
    )


def _leaks(predictor: Predictor, material: Material, asked: Asked, told: Told) -> Leaks | None:
    if not asked.wants("leaks"):
        return None
    told("looking for leaks")
    return find_leaks(
        material.samples,
        material.columns,
        splits=material.splits,
        predictor=predictor,
        class_names=material.class_names,
        seed=asked.seed,
    )


def _looks(predictor: Predictor, judged: Material, asked: Asked, told: Told) -> Looks | None:
    if not asked.wants("looks"):
        return None
    told("looking where it looks")
    return find_looks(
        judged.samples, predictor, methods=asked.methods or None, sign=asked.sign, seed=asked.seed
    )


def _shortcut(
    predictor: Predictor, judged: Material, logits: Tensor, asked: Asked, told: Told
) -> Shortcut | None:
    if judged.pairs_of is None:
        return None
    told("taking away what was planted")
    pairs = judged.pairs_of(judged.samples)
    return None if pairs is None else find_shortcut(predictor, judged.samples, pairs, logits, asked)


def _clinic(
    predictor: Predictor,
    material: Material,
    judged: Material,
    split: str,
    logits: Tensor,
    asked: Asked,
    told: Told,
) -> Clinic | None:
    if not asked.wants("clinic"):
        return None
    valid = None if split in {"valid", "all"} else material.of_split("valid")
    told("scoring")
    return clinic(
        logits,
        judged.samples.labels,
        judged.samples.subjects,
        class_names=judged.class_names,
        columns=judged.columns,
        valid=None if valid is None else (predictor.predict(valid.samples.images), valid.samples.labels),
        wish=asked.wish,
        probabilities=predictor.probabilities,
        seed=asked.seed,
    )


def _verdict(scores: Conditions | None) -> tuple[str, ...]:
    if scores is None:
        return ()
    if scores.verdict is not None:
        return scores.verdict.sentences
    return (f"What the score is made of cannot be told: {scores.reason}.",)
