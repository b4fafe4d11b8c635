"""Where a classifier looks, by several methods, and whether each can be believed.

Shapes: N images, n that are drawn of them, C channels, H x W pixels, K classes or labels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch

from activmask.auditing.looks.method_looks import MethodLooks, asked_of, looks_of
from activmask.data.balanced_draw import balanced_draw
from activmask.data.samples import Samples
from activmask.evaluation.participants import partial_masks
from activmask.ground.errors import UsageError
from activmask.ground.listed import listed
from activmask.ground.nearest import nearest
from activmask.predictors.predictor import Predictor
from activmask.saliency.maps import Sign
from activmask.saliency.methods import METHODS, USUAL_METHOD

MOST_EXPLAINED = 100
"""Images that are explained; insertion and deletion alone take four passes a step of each."""

STEPS = 10
"""Of insertion and deletion."""


@dataclass(frozen=True, kw_only=True)
class Looks:
    """Where a classifier looks."""

    images: int
    """N."""
    explained: int
    """n, drawn with classes as equal as they can be."""
    steps: int
    """Of insertion and deletion."""
    methods: tuple[MethodLooks, ...]
    notes: tuple[str, ...]
    """Sentences on what was and was not asked."""

    def sentences(self) -> tuple[str, ...]:
        """The notes, then what is to be said of each method."""
        return (*self.notes, *(sentence for one in self.methods for sentence in one.sentences))

    def to_json(self) -> dict[str, Any]:
        """Plain dicts, lists, numbers, strings and None, ready for `json.dumps`."""
        return {
            "images": self.images,
            "explained": self.explained,
            "steps": self.steps,
            "methods": [one.to_json() for one in self.methods],
            "notes": list(self.notes),
        }


def find_looks(
    samples: Samples,
    predictor: Predictor,
    *,
    methods: Sequence[str] | None = None,
    sign: Sign = "absolute",
    target: int | None = None,
    images: int = MOST_EXPLAINED,
    steps: int = STEPS,
    seed: int = 0,
    told: Callable[[str], None] | None = None,
) -> Looks:
    """Ask by several methods where a classifier looks, and test whether each can be believed.

    Some images are drawn: of those whose mask has an inside and an outside, where there are any, and for
    outputs that are labels of those that have the label. All methods explain the same ones.

    Args:
        samples: N images with their masks, dilated as they are to count.
        predictor: the classifier.
        methods: names in `METHODS`; None takes the usual one, or occlusion where only predictions can
            be had.
        sign: which values of maps count.
        target: the output that is explained; None explains each image's predicted class.
        images: most that are drawn.
        steps: of insertion and deletion.
        seed: of all draws.
        told: is told what is done now, and how much of it.

    Raises:
        UsageError: an unknown method or output, none for labels that do not exclude each other, or fewer
            than one image or two steps.
    """
    wanted = _wanted(methods, predictor)
    _check(predictor, target, images=images, steps=steps)
    partial = partial_masks(samples.masks) & samples.has_mask
    pool = partial if bool(partial.any()) else torch.ones(len(samples), dtype=torch.bool)
    if predictor.multi_label:
        pool = pool & (samples.labels == 1)
    rows = torch.nonzero(pool).flatten().numpy()
    rows = rows[balanced_draw(samples.labels.numpy()[rows], images, seed=seed)]
    notes = _notes(len(rows), len(samples), masks=bool(partial.any()), predictor=predictor)
    if not len(rows):
        return Looks(images=len(samples), explained=0, steps=steps, methods=(), notes=notes)
    asked = asked_of(samples.subset(rows.tolist()), predictor, target, steps=steps, seed=seed)
    found = tuple(looks_of(method, sign, predictor, asked, told) for method in wanted)
    return Looks(images=len(samples), explained=len(rows), steps=steps, methods=found, notes=notes)


def _wanted(methods: Sequence[str] | None, predictor: Predictor) -> tuple[str, ...]:
    usual = (USUAL_METHOD,) if predictor.module is not None else _by_predictions()
    wanted = usual if methods is None else tuple(dict.fromkeys(methods))
    unknown = next((one for one in wanted if one not in METHODS), None)
    if unknown is not None:
        raise UsageError(f"there is no attribution method '{unknown}'; {nearest(unknown, METHODS)}")
    return wanted


def _by_predictions() -> tuple[str, ...]:
    return tuple(name for name, one in METHODS.items() if one.predictions_only)


def _check(predictor: Predictor, target: int | None, *, images: int, steps: int) -> None:
    if images < 1 or steps < 2:
        raise UsageError(
            "maps need an image, and insertion and deletion two steps", found=f"{images} and {steps}"
        )
    if target is None and predictor.multi_label:
        raise UsageError("of labels that do not exclude each other, say which is to be explained")
    if target is not None and not 0 <= target < predictor.outputs:
        raise UsageError(f"there is no output {target}: the classifier has 0 to {predictor.outputs - 1}")


def _notes(n: int, of: int, *, masks: bool, predictor: Predictor) -> tuple[str, ...]:
    notes = []
    if not n:
        return ("Nothing could be explained: no image has the label.",)
    if n < of:
        whose = "images whose mask has an inside and an outside" if masks else "all images"
        label = " and that have the label" if predictor.multi_label else ""
        notes.append(f"{n} of {of} images are explained, drawn from {whose}{label}.")
    if not masks:
        notes.append(
            "No image has a mask with an outside, so where the maps lie has nothing to be compared with."
        )
    if predictor.module is None:
        notes.append(
            f"Only predictions can be had of this classifier, so {listed(_by_predictions())} alone can "
            "explain it, and whether a map depends on what was learned cannot be asked."
        )
    return tuple(notes)
