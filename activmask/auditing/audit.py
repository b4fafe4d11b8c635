"""Audit a classifier, whoever made it: what is its score made of?

Shapes: N images, C channels, H x W pixels, K classes, L labels, B images of a batch.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from activmask.auditing.arrays import Facts, material_of_arrays
from activmask.auditing.asked import Asked, Part
from activmask.auditing.audited import Audited
from activmask.auditing.clinic.threshold import Wish
from activmask.auditing.conditions.conditions import DRAWS
from activmask.auditing.material import Material
from activmask.auditing.parts import Told, audit_labels, audit_material
from activmask.auditing.stored import material_of_checkpoint, material_of_folder
from activmask.ground.errors import PATH, ActivmaskError, CheckpointError, UsageError
from activmask.predictors.find import find_predictor
from activmask.predictors.preprocessing import Preprocessing
from activmask.predictors.reading import Kind
from activmask.runs.checkpoint import Checkpoint, load_checkpoint
from activmask.runs.checkpoint_paths import search_checkpoints
from activmask.runs.tensor_file import has_header
from activmask.saliency.maps import Sign


@torch.inference_mode(mode=False)
def audit(
    model: Any,
    images: Any = None,
    masks: Any = None,
    labels: Any = None,
    *,
    subjects: Sequence[object] | None = None,
    sites: Sequence[object] | None = None,
    groups: Mapping[str, Sequence[object]] | None = None,
    splits: Sequence[str] | None = None,
    names: Sequence[str] | None = None,
    class_names: Sequence[str] | None = None,
    preprocess: Preprocessing | Callable[[Tensor], Tensor] | None = None,
    weights: str | Path | None = None,
    outputs: Kind | None = None,
    class_outputs: Sequence[int] | None = None,
    split: str | None = None,
    accept_recipe: bool = False,
    threshold: float | None = None,
    sensitivity: float | None = None,
    without: Sequence[Part] = (),
    draws: int = DRAWS,
    methods: Sequence[str] = (),
    sign: Sign = "absolute",
    device: str = "cpu",
    seed: int = 0,
    code: Sequence[str | Path] = (),
    told: Told | None = None,
) -> Audited:
    """Ask of a classifier what its score is made of.

    Args:
        model: any `nn.Module`; a function from images (B, C, H, W) to scores (B,) or (B, K); a checkpoint
            of this package, or its path; or what `activmask audit --model` takes.
        images: NumPy or torch, (N, C, H, W) or (N, H, W), bytes, 16 bits, or floats in [0, 1]. Or a loader,
            whose batches hold images, masks, labels and, if any, subjects and sites, as tuples in this order
            or as dictionaries of these names. Or the folder of a data set, which then says all that follows
            to `names`; None is the data that a checkpoint was trained on.
        masks: (N, H, W), True or 1 inside the region of interest; None, or None for single images, without.
        labels: (N,) class numbers or names; or (N, L) of 0 and 1, NaN where unknown, where labels do not
            exclude each other: then each is audited by itself.
        subjects: (N,) whom each image shows; intervals are bootstraps over them.
        sites: (N,) where each was made.
        groups: further facts, (N,) by name, such as sex or scanner: whom does the model fail, and what do
            the images give away?
        splits: (N,) train, valid or test. Test is judged, thresholds are chosen on valid.
        names: (N,) what the images are called.
        class_names: of the classes 0, 1, ... or of the L labels.
        preprocess: from images in [0, 1] to what the model takes: a function, or `Preprocessing`.
        weights: a safetensors file, or `imagenet`, for models that are named.
        outputs: `logits`, `probabilities` or `scores`; seen from the outputs where that is sure.
        class_outputs: which outputs stand for the labels 0, 1, ...
        split: that is judged; None is test, or everything where there are no splits.
        accept_recipe: judge a checkpoint of this package on images that were prepared otherwise.
        threshold: the probability from which on an image counts as positive.
        sensitivity: in place of it: the sensitivity that the threshold has to reach on the valid split.
        without: parts to leave out: conditions, leaks, clinic, looks.
        draws: of each condition that is random.
        methods: of attribution; none takes the usual one, or occlusion where there are no gradients.
        sign: which values of maps count.
        device: `auto`, `cpu`, `cuda` or `mps`.
        seed: of everything that is drawn.
        code: Python files that may run for a checkpoint of this package, as in `load_checkpoint`.
        told: is told what is done now.

    Raises:
        UsageError: arguments that do not fit each other.
        DataError: images, masks or labels that cannot be audited.
        CheckpointError: the classifier cannot be read, or fails.
    """
    asked = Asked(
        split=split,
        without=tuple(without),
        draws=draws,
        methods=tuple(methods),
        sign=sign,
        wish=Wish(threshold=threshold, sensitivity=sensitivity),
        seed=seed,
    )
    say = told or (lambda _: None)
    say("reading images")
    known = own_checkpoint(model, code)
    facts = Facts(
        subjects=subjects, sites=sites, groups=groups, splits=splits, names=names, class_names=class_names
    )
    if isinstance(images, str | Path) or images is None:
        _check_alone(masks, labels, facts)
        materials = _stored(model, known, images, split, accept_recipe=accept_recipe)
    else:
        if known is not None and class_names is None:
            facts = replace(facts, class_names=known.class_names or None)
        materials = material_of_arrays(images, masks, labels, facts)
    several = bool(materials[0].label)
    say("trying the model")
    found = find_predictor(
        known or model,
        materials[0].samples.images,
        class_names=[one.label for one in materials] if several else materials[0].class_names,
        weights=weights,
        preprocessing=_preprocessing(preprocess),
        outputs=outputs,
        multi_label=several,
        class_outputs=class_outputs,
        device=device,
    )
    if several:
        return audit_labels(found.predictor, materials, asked, found.notes, say)
    return audit_material(found.predictor, materials[0], asked, found.notes, say)


def own_checkpoint(model: Any, code: Sequence[str | Path] = ()) -> Checkpoint | None:
    """The checkpoint of this package that a model is, or the one that its path leads to; None of others."""
    if isinstance(model, Checkpoint):
        return model
    if not isinstance(model, str | Path) or not _may_be_own(Path(model)):
        return None
    paths = search_checkpoints(Path(model)).paths
    if len(paths) > 1:
        raise UsageError(
            f"{model} holds {len(paths)} checkpoints, and an audit is of one",
            advice=f"name one of them, such as {paths[0]}",
        )
    return load_checkpoint(paths[0], code=code, multi_label=True)


def _may_be_own(path: Path) -> bool:
    return path.is_dir() or (path.suffix == ".safetensors" and path.is_file() and has_header(path))


def _stored(
    model: Any, known: Checkpoint | None, data: str | Path | None, split: str | None, *, accept_recipe: bool
) -> tuple[Material, ...]:
    if known is not None:
        place = None if data is None else str(data)
        return material_of_checkpoint(known, place, split, accept_recipe=accept_recipe)
    if accept_recipe:
        raise UsageError("accept_recipe has no effect: only checkpoints of activmask know a recipe")
    if data is None:
        raise _nothing_to_judge_on(model)
    return material_of_folder(Path(data))


def _nothing_to_judge_on(model: Any) -> ActivmaskError:
    """Why a model that knows no images of its own cannot be audited without any."""
    if isinstance(model, str | Path) and ":" not in str(model) and not Path(model).exists():
        return CheckpointError(f"{PATH} does not exist", path=model)
    return UsageError(
        "an audit needs images, masks and labels, or the folder of a data set, which only a checkpoint of "
        "activmask knows by itself",
        ways=("data",),
    )


def _check_alone(masks: Any, labels: Any, facts: Facts) -> None:
    said = [name for name, value in vars(facts).items() if value is not None]
    said += [name for name, value in (("masks", masks), ("labels", labels)) if value is not None]
    if said:
        raise UsageError(f"a data set says for itself what its images are; leave out {', '.join(said)}")


def _preprocessing(preprocess: Preprocessing | Callable[[Tensor], Tensor] | None) -> Preprocessing | None:
    if preprocess is None or isinstance(preprocess, Preprocessing):
        return preprocess
    return replace(Preprocessing(), function=preprocess)
