"""From arrays, or a loader of batches, to what a classifier is audited on.

Shapes: N images, C channels, H x W pixels, L labels.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from activmask.auditing.material import SITE, Material, label_by_label
from activmask.data.arrays import (
    as_array,
    classes_in,
    images_in,
    known_texts,
    masks_in,
    splits_in,
    texts_in,
)
from activmask.data.multi_label import UNKNOWN
from activmask.data.samples import Samples
from activmask.data.subjects import refuse_unknown
from activmask.ground.errors import DataError, UsageError

_ENTRIES = ("images", "masks", "labels", "subjects", "sites")
"""What a batch of a loader holds, in this order; the last two may be left out."""


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of images beside their pixels, their masks and their labels."""

    subjects: Sequence[object] | None = None
    """(N,) whom each shows; None where each shows somebody else."""
    sites: Sequence[object] | None = None
    """(N,)"""
    groups: Mapping[str, Sequence[object]] | None = None
    """(N,) by column."""
    splits: Sequence[str] | None = None
    """(N,) train, valid or test."""
    names: Sequence[str] | None = None
    """(N,)"""
    class_names: Sequence[str] | None = None
    """Of the labels 0, 1, ..., or of the columns of (N, L) labels."""


def material_of_arrays(images: Any, masks: Any, labels: Any, facts: Facts) -> tuple[Material, ...]:
    """What arrays are for an audit: one material, or one for each of several labels.

    Args:
        images: NumPy or torch, (N, C, H, W) or (N, H, W); uint8, uint16 or bool, which are divided by
            their type's largest value, or floats in [0, 1]. Or a loader, whose batches hold images, masks,
            labels and, if any, subjects and sites, as a tuple in this order or a dictionary of these names.
        masks: (N, H, W), True or 1 inside; None, or None for single images, where there is none.
        labels: (N,) whole numbers or texts; or (N, L) of 0 and 1 where labels do not exclude each other,
            NaN where one is not known.
        facts: what else is known.

    Raises:
        UsageError: the arguments do not fit each other.
        DataError: values that no image, mask or label can have.
    """
    if masks is None and labels is None and not hasattr(images, "shape"):
        images, masks, labels, facts = _of_loader(images, facts)
    if labels is None:
        raise UsageError("an audit needs labels")
    pixels, notes = images_in(images)
    n, _, height, width = pixels.shape
    regions, has_mask = masks_in(masks, n, (height, width))
    truth = as_array(labels)
    if len(truth) != n:
        raise UsageError(f"there must be a label for each of {n} images", found=len(truth))
    subjects = texts_in("subjects", facts.subjects, n)
    refuse_unknown(subjects)
    sites = texts_in("sites", facts.sites, n)
    columns = {
        str(name): known_texts(texts_in(str(name), one, n)) for name, one in (facts.groups or {}).items()
    }
    splits = splits_in(facts.splits, n, subjects)
    base = Material(
        samples=Samples(
            images=pixels,
            masks=regions,
            has_mask=has_mask,
            labels=torch.zeros(n, dtype=torch.int64),
            subjects=subjects or tuple(str(k) for k in range(n)),
            sites=known_texts(sites) or ("",) * n,
            names=texts_in("names", facts.names, n) or tuple(str(k) for k in range(n)),
        ),
        class_names=(),
        columns={**({SITE: known_texts(sites)} if any(known_texts(sites)) else {}), **columns},
        splits=splits,
        source="arrays",
        notes=tuple(notes),
    )
    if truth.ndim == 2 and truth.shape[1] > 1:
        return _label_by_label(base, truth, facts.class_names)
    numbers, names = classes_in(truth.reshape(n), facts.class_names)
    return (replace(base, samples=replace(base.samples, labels=numbers), class_names=names),)


def _label_by_label(
    base: Material, labels: NDArray[Any], names: Sequence[str] | None
) -> tuple[Material, ...]:
    count = labels.shape[1]
    called = tuple(f"label {k}" for k in range(count)) if names is None else tuple(names)
    if len(called) != count:
        raise UsageError(f"there must be a name for each of {count} labels", found=len(called))
    values = labels.astype(np.float64)
    if not (np.isin(values, (0, 1)) | np.isnan(values)).all():
        raise DataError("labels that do not exclude each other must be 0 or 1, or NaN where unknown")
    if (values.sum(axis=1) == 1).all():
        told = (
            "Every image has one of the labels, as of classes that exclude each other; if they do, give "
            "labels.argmax(1), as each label is audited by itself."
        )
        base = replace(base, notes=(*base.notes, told))
    return label_by_label(base, np.where(np.isnan(values), UNKNOWN, values).astype(np.int64), called)


def _of_loader(loader: Iterable[Any], facts: Facts) -> tuple[Any, Any, Any, Facts]:
    """All batches of a loader together, and the facts with what it says of subjects and sites."""
    gathered: dict[str, list[Any]] = {name: [] for name in _ENTRIES}
    batches = 0
    for batch in loader:
        batches += 1
        entries = batch if isinstance(batch, Mapping) else dict(zip(_ENTRIES, _entries(batch), strict=False))
        missing = [name for name in ("images", "labels") if entries.get(name) is None]
        if missing:
            raise UsageError(
                "a loader's batches must be tuples (images, masks, labels, subjects, sites) or dictionaries "
                "of these names, of which subjects and sites may be left out",
                found=f"one without {missing[0]}",
            )
        for name in _ENTRIES:
            if entries.get(name) is not None:
                gathered[name].extend(entries[name])
    if not batches:
        raise DataError("the loader yields no batch")
    counts = {name: len(values) for name, values in gathered.items() if values}
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{count} {name}" for name, count in counts.items())
        raise DataError("every batch of a loader must hold the same things", found=found)
    return (
        np.stack([as_array(image) for image in gathered["images"]]),
        gathered["masks"] or None,
        np.stack([as_array(label) for label in gathered["labels"]]),
        replace(
            facts,
            subjects=_plain(gathered["subjects"]) or facts.subjects,
            sites=_plain(gathered["sites"]) or facts.sites,
        ),
    )


def _entries(batch: Any) -> Sequence[Any]:
    if not isinstance(batch, tuple | list) or not 3 <= len(batch) <= len(_ENTRIES):
        what = f"{len(batch)} entries" if isinstance(batch, tuple | list) else f"a {type(batch).__name__}"
        raise UsageError(
            "a loader must yield tuples (images, masks, labels, subjects, sites), of which the last two may "
            "be left out",
            found=what,
        )
    return batch


def _plain(values: Sequence[Any]) -> list[object]:
    return [value.item() if isinstance(value, Tensor | np.generic) else value for value in values]
