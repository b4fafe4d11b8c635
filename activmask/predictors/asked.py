"""What the user says of a classifier, and what follows from that for its outputs.

Shapes: B images, K outputs.
"""

from dataclasses import dataclass, field

from torch import Tensor

from activmask.ground.errors import CheckpointError, UsageError
from activmask.models.returned import sum_to_one
from activmask.predictors.predictor import Predictor
from activmask.predictors.preprocessing import Preprocessing
from activmask.predictors.reading import Kind, Reading, check_kind
from activmask.runs.checkpoint import Checkpoint

_NAMES_SHOWN = 5

_WITHIN = (
    "All outputs lie in [0, 1], as those of a sigmoid do; they are taken as logits, as was said. If they are "
    "probabilities, say so (outputs: probabilities): rankings stay, calibration and thresholds do not."
)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is said of a classifier, and of the data that it is to judge."""

    class_names: tuple[str, ...]
    """Of the data's labels 0, 1, ...; empty where they are not known."""
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    outputs: Kind | None = None
    """None lets it be seen from the outputs, where that is sure."""
    multi_label: bool = False
    class_outputs: tuple[int, ...] | None = None
    """Which outputs stand for the labels 0, 1, ...; None for all in their order."""

    def __post_init__(self) -> None:
        """Refuse what contradicts itself (raises UsageError)."""
        check_kind(self.outputs)
        chosen = self.class_outputs
        if chosen is None:
            return
        if len(set(chosen)) != len(chosen) or any(column < 0 for column in chosen):
            raise UsageError(
                "class outputs are different numbers, from 0 on", found=", ".join(map(str, chosen))
            )
        if self.class_names and len(chosen) != len(self.class_names):
            raise UsageError(
                f"class outputs name one output of each of the {len(self.class_names)} classes",
                found=len(chosen),
            )


@dataclass(frozen=True, kw_only=True)
class FoundPredictor:
    """A classifier that was looked for, and what is to be told of it."""

    predictor: Predictor
    notes: tuple[str, ...] = ()
    """Sentences on what was guessed, on how images are prepared, and on what cannot be had of it."""
    checkpoint: Checkpoint | None = None
    """Of one of this package's: its run, view, split and data set."""


def read_as(name: str, scores: Tensor, asked: Asked, *, of_network: bool) -> tuple[Reading, list[str]]:
    """How a classifier's scores (B, K) are read, and what is to be told of it.

    Args:
        name: of the classifier.
        scores: of sample images, finite.
        asked: what was said.
        of_network: whether numbers outside [0, 1] are surely logits; they are scores otherwise.

    Raises:
        CheckpointError: K does not fit the classes.
        UsageError: what the outputs are is not said and cannot be seen, or class outputs are not there.
    """
    outputs, classes = scores.shape[1], len(asked.class_names)
    _check_number(name, outputs, asked)
    kind, notes = _kind(name, scores, asked, of_network)
    chosen = asked.class_outputs
    if classes and outputs > 1:
        columns = range(outputs) if chosen is None else chosen
        pairs = ", ".join(f"{at} is '{one}'" for at, one in zip(columns, asked.class_names, strict=True))
        notes.append(f"Outputs are matched with the data's classes by their number alone: {pairs}.")
    if outputs == 1 and classes == 2 and not asked.multi_label:
        spoken = 1 if chosen is None else chosen.index(1)
        notes.append(
            f"Its one output speaks for class {spoken}, '{asked.class_names[spoken]}', where it is high."
        )
    if chosen is not None and not asked.multi_label and 1 < len(chosen) < outputs:
        notes.append(
            f"Probabilities are those among the {len(chosen)} outputs that were chosen of {outputs}, the "
            "others left aside."
        )
    return Reading(kind=kind, multi_label=asked.multi_label, columns=chosen), notes


def _check_number(name: str, outputs: int, asked: Asked) -> None:
    classes, chosen = len(asked.class_names), asked.class_outputs
    if chosen is not None:
        there = 2 if outputs == 1 and classes == 2 and not asked.multi_label else outputs
        if max(chosen) >= there:
            raise UsageError(
                f"{name} has the outputs 0 to {outputs - 1}", found=f"class output {max(chosen)}"
            )
        return
    fits = outputs == classes or (outputs == 1 and classes == 2 and not asked.multi_label)
    if outputs == 1 and not asked.multi_label and classes not in {0, 2}:
        raise CheckpointError(
            f"{name} has one output, which tells two classes apart, and the data have {classes}",
            advice="give a classifier of as many outputs as there are classes",
        )
    if classes and not fits:
        what = "labels" if asked.multi_label else "classes"
        raise CheckpointError(
            f"{name} has {outputs} outputs and the data have {classes} {what}"
            f" ({', '.join(asked.class_names[:_NAMES_SHOWN])}{', ...' * (classes > _NAMES_SHOWN)})",
            advice="say which outputs stand for them (class outputs)"
            if outputs > classes
            else "give a classifier that knows all of them",
        )


def _kind(name: str, scores: Tensor, asked: Asked, of_network: bool) -> tuple[Kind, list[str]]:
    rows = not asked.multi_label and sum_to_one(scores)
    if asked.outputs is not None:
        doubtful = rows and asked.outputs != "probabilities"
        told = (
            f"The outputs of every image add up to 1, as probabilities do; they are taken as {asked.outputs}."
        )
        if doubtful:
            return asked.outputs, [told]
        within = asked.outputs == "logits" and bool(((scores >= 0) & (scores <= 1)).all())
        return asked.outputs, [_WITHIN] if within else []
    if rows:
        return "probabilities", ["The outputs of every image add up to 1: they are taken as probabilities."]
    if bool(((scores < 0) | (scores > 1)).any()):
        if of_network:
            return "logits", [
                "Outputs lie outside [0, 1]: they are taken as logits, before the "
                f"{'sigmoid' if asked.multi_label or scores.shape[1] == 1 else 'softmax'}."
            ]
        return "scores", [
            "Outputs lie outside [0, 1]: they are taken as scores, which rank images and are "
            "no probabilities."
        ]
    raise UsageError(
        f"the outputs of {name} lie between {float(scores.min()):.3g} and {float(scores.max()):.3g}, which "
        "logits and probabilities do alike",
        advice="say which they are (outputs: logits, probabilities or scores)",
    )
