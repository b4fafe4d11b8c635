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

from activmask.auditing.material import SITE, Material
from activmask.data.files.likeness import is_missing
from activmask.data.samples import Samples
from activmask.data.splits import SPLITS
from activmask.data.subjects import find_straddler
from activmask.ground.errors import DataError, UsageError

_LARGEST = {np.dtype(np.bool_): 1, np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}
_TWELVE_BITS = 4095
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
    pixels, notes = _images(images)
    n, _, height, width = pixels.shape
    regions, has_mask = _masks(masks, n, (height, width))
    truth = _as_array(labels)
    if len(truth) != n:
        raise UsageError(f"there must be a label for each of {n} images", found=len(truth))
    subjects = _texts("subjects", facts.subjects, n)
    sites = _texts("sites", facts.sites, n)
    columns = {str(name): _known(_texts(str(name), one, n)) for name, one in (facts.groups or {}).items()}
    splits = _splits(facts.splits, n, subjects)
    base = Material(
        samples=Samples(
            images=pixels,
            masks=regions,
            has_mask=has_mask,
            labels=torch.zeros(n, dtype=torch.int64),
            subjects=subjects or tuple(str(k) for k in range(n)),
            sites=_known(sites) or ("",) * n,
            names=_texts("names", facts.names, n) or tuple(str(k) for k in range(n)),
        ),
        class_names=(),
        columns={**({SITE: _known(sites)} if any(_known(sites)) else {}), **columns},
        splits=splits,
        source="arrays",
        notes=tuple(notes),
    )
    if truth.ndim == 2 and truth.shape[1] > 1:
        return _label_by_label(base, truth, facts.class_names)
    numbers, names = _classes(truth.reshape(n), facts.class_names)
    return (replace(base, samples=replace(base.samples, labels=numbers), class_names=names),)


def _as_array(values: Any) -> NDArray[Any]:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def _images(images: Any) -> tuple[Tensor, list[str]]:
    """Images float32 (N, C, H, W) in [0, 1], and what was done to their values."""
    values = _as_array(images)
    if values.ndim == 3:
        values = values[:, None]
    if values.ndim != 4 or 0 in values.shape:
        last = " (channels come second)" if values.ndim == 4 else ""
        raise UsageError(
            f"images must be (N, C, H, W) or (N, H, W){last}", found=f"an array {tuple(values.shape)}"
        )
    if values.shape[-1] in {1, 3} and values.shape[1] not in {1, 3}:
        raise UsageError(
            "images must have their channels second, (N, C, H, W)",
            found=tuple(values.shape),
            advice="transpose them: images.transpose(0, 3, 1, 2)",
        )
    if values.dtype.kind == "f":
        return _unit(values), []
    if values.dtype not in _LARGEST:
        raise DataError(
            "images must be uint8, uint16, bool or floats in [0, 1]",
            found=str(values.dtype),
            advice="divide them by the largest value that they can have",
        )
    largest, top = _LARGEST[values.dtype], int(values.max())
    notes = []
    if values.dtype != np.bool_:
        notes.append(f"Images of {values.dtype} were divided by {largest:,}; their largest value is {top:,}.")
    if values.dtype == np.uint16 and top <= _TWELVE_BITS:
        notes.append("Their values would fit 12 bits: if they are of 12 bits, give images / 4095.")
    return torch.from_numpy((values / np.float32(largest)).astype(np.float32)), notes


def _unit(values: NDArray[Any]) -> Tensor:
    low, high = float(values.min()), float(values.max())
    if not (low >= 0 and high <= 1):
        raise DataError(
            "images of floats must lie in [0, 1]",
            found=f"{low:g} to {high:g}",
            advice="divide them by the largest value that they can have, and let preprocess do the rest",
        )
    return torch.from_numpy(np.ascontiguousarray(values, np.float32))


def _masks(masks: Any, n: int, sides: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Masks bool (N, 1, H, W), all True where there is none, and which images have one, bool (N,)."""
    regions, has_mask = torch.ones(n, 1, *sides, dtype=torch.bool), torch.zeros(n, dtype=torch.bool)
    if masks is None:
        return regions, has_mask
    if len(masks) != n:
        raise UsageError(f"there must be a mask, or None, for each of {n} images", found=len(masks))
    for k, mask in enumerate(masks):
        if mask is None:
            continue
        values = _as_array(mask)
        values = values[0] if values.ndim == 3 and len(values) == 1 else values
        if values.shape != sides:
            raise UsageError(
                f"the mask of image {k} must be as large as its image", expected=sides, found=values.shape
            )
        if not np.isin(values, (0, 1)).all():
            raise DataError(
                f"the mask of image {k} must hold True or 1 inside and False or 0 outside, and nothing else"
            )
        regions[k, 0], has_mask[k] = torch.from_numpy(values.astype(np.bool_)), True
    return regions, has_mask


def _texts(what: str, values: Sequence[object] | None, n: int) -> tuple[str, ...]:
    """(N,) as texts; empty without values."""
    if values is None:
        return ()
    found = values.tolist() if isinstance(values, Tensor | np.ndarray) else list(values)
    if len(found) != n:
        raise UsageError(f"there must be one value of {what} for each of {n} images", found=len(found))
    return tuple("" if value is None else str(value) for value in found)


def _known(texts: tuple[str, ...]) -> tuple[str, ...]:
    return tuple("" if is_missing(text) else text for text in texts)


def _splits(values: Sequence[str] | None, n: int, subjects: tuple[str, ...]) -> tuple[str, ...] | None:
    splits = _texts("splits", values, n)
    if not splits:
        return None
    wrong = sorted(set(splits) - set(SPLITS))
    if wrong:
        raise UsageError("a split must be train, valid or test", found=repr(wrong[0]))
    pair = find_straddler(subjects, splits) if subjects else None
    if pair is not None:
        i, j = pair
        raise DataError(
            f"subject {subjects[j]!r} is in {splits[j]} and in {splits[i]}; nobody's images may fall in two "
            "splits"
        )
    return splits


def _classes(labels: NDArray[Any], names: Sequence[str] | None) -> tuple[Tensor, tuple[str, ...]]:
    """Class numbers, int64 (N,), and what they are called."""
    if labels.dtype.kind == "f":
        if not (labels == np.round(labels)).all():
            raise DataError("labels must be whole numbers or texts", found=str(labels.dtype))
        labels = labels.astype(np.int64)
    if labels.dtype.kind in "biu":
        return _numbered(labels.astype(np.int64), names)
    texts = [str(label) for label in labels.tolist()]
    known = list(names) if names is not None else sorted(set(texts))
    foreign = sorted(set(texts) - set(known))
    if foreign:
        raise UsageError(
            f"the label {foreign[0]!r} is none of the classes", expected=", ".join(map(repr, known))
        )
    number = {name: k for k, name in enumerate(known)}
    return torch.tensor([number[text] for text in texts]), tuple(known)


def _numbered(labels: NDArray[np.int64], names: Sequence[str] | None) -> tuple[Tensor, tuple[str, ...]]:
    classes = int(labels.max()) + 1 if names is None else len(names)
    if labels.min() < 0 or labels.max() >= classes:
        raise UsageError(
            f"labels must be 0 to {max(classes, 1) - 1}", found=f"{labels.min()} to {labels.max()}"
        )
    known = tuple(str(k) for k in range(max(classes, 2))) if names is None else tuple(names)
    return torch.from_numpy(labels), known


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
    return tuple(_one_label(base, name, values[:, k]) for k, name in enumerate(called))


def _one_label(base: Material, name: str, values: NDArray[np.float64]) -> Material:
    rows = np.flatnonzero(~np.isnan(values))
    known = base.at(rows.tolist()) if len(rows) < len(values) else base
    lost = len(values) - len(rows)
    notes = (f"{lost} images are left out, of which this label is not known.",) if lost else ()
    return replace(
        known,
        samples=replace(known.samples, labels=torch.from_numpy(values[rows].astype(np.int64))),
        class_names=(f"no {name}", name),
        label=name,
        notes=(*base.notes, *notes),
    )


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
        np.stack([_as_array(image) for image in gathered["images"]]),
        gathered["masks"] or None,
        np.stack([_as_array(label) for label in gathered["labels"]]),
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
