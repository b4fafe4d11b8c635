"""The parts of an audit, one after the other, on images and a classifier that are there."""

from collections.abc import Callable, Sequence
from functools import partial

from torch import Tensor

from activmask.auditing.asked import Asked
from activmask.auditing.audited import Audited
from activmask.auditing.clinic.clinic import Clinic, clinic
from activmask.auditing.conditions.conditions import Conditions, scored
from activmask.auditing.leaks.leaks import Leaks, find_leaks
from activmask.auditing.leaks.of_pictures import OfPictures
from activmask.auditing.looks.looks import Looks, find_looks
from activmask.auditing.material import Material
from activmask.auditing.one_class import one_class_labels, one_class_notes
from activmask.auditing.passes import Passes, Shown, passes, same_pictures, shown
from activmask.auditing.shortcut import Shortcut, find_shortcut
from activmask.predictors.labels import label_predictor
from activmask.predictors.predictor import Predictor
from activmask.training.replicas.mean_auc import LabelScores, mean_auc

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
    found: list[Audited] = []
    known: list[tuple[Shown, Passes]] = []
    before: list[OfPictures] = []
    doubted: list[str] = []
    for k, material in enumerate(materials):
        what = shown(material, asked)
        said = next((one for seen, one in known if same_pictures(seen, what)), None)
        if said is None:
            said = passes(predictor, what, asked, told)
            known.append((what, said))
        tell = partial(_told_of, told, material.label)
        own, of_label = label_predictor(predictor, k), said.of_label(k)
        found.append(_audited(own, what, of_label, asked, (), tell, before))
        if one_class_notes(own, what.judged, of_label.full, seed=asked.seed):
            doubted.append(material.label)
    first = found[0]
    return Audited(
        predictor=predictor,
        material=first.material,
        split=first.split,
        seed=asked.seed,
        verdict=tuple(f"{one.material.label}: {' '.join(one.verdict)}" for one in found),
        notes=(*notes, *one_class_labels(predictor, doubted, len(found))),
        labels=tuple(found),
        mean=mean_auc([_scores(one) for one in found], seed=asked.seed),
    )


def _scores(one: Audited) -> LabelScores:
    assert one.logits is not None  # of a label there are logits
    samples, logits = one.material.samples, one.logits.double()
    return LabelScores(
        label=one.material.label,
        scores=(logits[:, 1] - logits[:, 0]).numpy(),
        truth=samples.labels.numpy(),
        subjects=samples.subjects,
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
    what = shown(material, asked)
    return _audited(predictor, what, passes(predictor, what, asked, told), asked, notes, told)


def _audited(
    predictor: Predictor,
    what: Shown,
    said: Passes,
    asked: Asked,
    notes: Sequence[str],
    told: Told,
    before: list[OfPictures] | None = None,
) -> Audited:
    scores = _conditions(predictor, what, said, asked)
    leaks = _leaks(predictor, what.material, asked, told, before)
    planted = _shortcut(predictor, what.judged, said.full, asked, told)
    answered = _clinic(predictor, what, said, asked, told)
    return Audited(
        predictor=predictor,
        material=what.judged,
        split=what.split,
        seed=asked.seed,
        verdict=(*_verdict(scores), *(planted.sentences if planted else ())),
        notes=(
            *notes,
            *what.material.notes,
            *(answered.notes if answered else ()),
            *one_class_notes(predictor, what.judged, said.full, seed=asked.seed),
        ),
        conditions=scores,
        leaks=leaks,
        clinic=answered,
        looks=_looks(predictor, what.judged, asked, told),
        shortcut=planted,
        logits=said.full,
        answers=said.conditions,
    )


def _conditions(predictor: Predictor, what: Shown, said: Passes, asked: Asked) -> Conditions | None:
    if not asked.wants("conditions"):
        return None
    return scored(
        said.conditions,
        what.judged.samples,
        what.part,
        classes=len(what.judged.class_names),
        draws=asked.draws,
        seed=asked.seed,
        probabilities=predictor.probabilities,
    )


def _leaks(
    predictor: Predictor, material: Material, asked: Asked, told: Told, before: list[OfPictures] | None
) -> Leaks | None:
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
        before=before,
        done=lambda n, of: told(f"looking for leaks: {n} of {of} questions answered"),
    )


def _looks(predictor: Predictor, judged: Material, asked: Asked, told: Told) -> Looks | None:
    if not asked.wants("looks"):
        return None
    told("looking where it looks")
    return find_looks(
        judged.samples,
        predictor,
        methods=asked.methods or None,
        sign=asked.sign,
        seed=asked.seed,
        told=lambda now: told(f"looking where it looks: {now}"),
    )


def _shortcut(
    predictor: Predictor, judged: Material, logits: Tensor, asked: Asked, told: Told
) -> Shortcut | None:
    if judged.pairs_of is None:
        return None
    told("taking away what was planted")
    pairs = judged.pairs_of(judged.samples)
    return None if pairs is None else find_shortcut(predictor, judged.samples, pairs, logits, asked)


def _clinic(predictor: Predictor, what: Shown, said: Passes, asked: Asked, told: Told) -> Clinic | None:
    if not asked.wants("clinic"):
        return None
    told("scoring")
    judged = what.judged
    valid = None if what.valid is None or said.valid is None else (said.valid, what.valid.samples.labels)
    return clinic(
        said.full,
        judged.samples.labels,
        judged.samples.subjects,
        class_names=judged.class_names,
        columns=judged.columns,
        valid=valid,
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
