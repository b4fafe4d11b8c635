"""Images, masks and labels from arrays, NumPy's or torch's, with all that is known of them checked.

Shapes: N images, C channels, H x W pixels.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from activmask.data.files.likeness import is_missing
from activmask.data.multi_label import UNKNOWN, one_value_only
from activmask.data.samples import Samples
from activmask.data.splits import SPLITS
from activmask.data.subjects import find_straddler, refuse_unknown
from activmask.ground.errors import DataError, UsageError

_LARGEST = {np.dtype(np.bool_): 1, np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}
_TWELVE_BITS = 4095
_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class HeldImages:
    """A data set in memory."""

    samples: Samples
    """All images."""
    splits: tuple[str, ...] | None
    """(N,) train, valid or test, where that is told."""
    class_names: tuple[str, ...]
    """Of classes 0, 1, ..., or of labels that do not exclude each other; empty where classes are numbers."""
    notes: tuple[str, ...]
    """Sentences on what was done to their values."""


def held_images(data: Sequence[Any]) -> HeldImages:
    """A data set of arrays.

    Args:
        data: images, masks, labels, subjects and, if they are told, splits, NumPy or torch. Images
            (N, C, H, W) or (N, H, W), uint8, uint16 or bool, which are divided by their type's largest value,
            or floats in [0, 1]; masks (N, H, W) of True or 1 inside, None where there is none;
            labels (N,) whole numbers or texts; or, of labels that do not exclude each other, (N, L) of 0
            and 1, NaN where unknown, or such (N,) by name; subjects (N,), whom each image shows; splits (N,)
            train, valid or test.

    Raises:
        UsageError: they do not fit each other.
        DataError: values that no image, mask or label can have.
    """
    if not isinstance(data, tuple | list) or not 4 <= len(data) <= 5:
        found = f"{len(data)} of them" if isinstance(data, tuple | list) else f"a {type(data).__name__}"
        raise UsageError("data must be (images, masks, labels, subjects), perhaps with splits", found=found)
    images, masks, labels, subjects, *told = data
    pixels, notes = images_in(images)
    n, _, height, width = pixels.shape
    regions, has_mask = masks_in(masks, n, (height, width))
    numbers, names = _labels_in(labels, n)
    if subjects is None:
        raise UsageError(
            "data must say whom each image shows, so that nobody's images fall in two splits",
            advice="give subjects; range(len(images)) where each image shows somebody else",
        )
    people = texts_in("subjects", subjects, n)
    refuse_unknown(people)
    samples = Samples(
        images=pixels,
        masks=regions,
        has_mask=has_mask,
        labels=numbers,
        subjects=people,
        sites=("",) * n,
        names=tuple(f"{k:0{len(str(n))}d}" for k in range(n)),
    )
    return HeldImages(
        samples=samples,
        splits=splits_in(told[0] if told else None, n, people),
        class_names=names,
        notes=tuple(notes),
    )


def _labels_in(labels: Any, n: int) -> tuple[Tensor, tuple[str, ...]]:
    """Labels as `Samples` has them, and names of classes, if they have any, or of several labels.

    Raises:
        UsageError, DataError: they are not as many as the images, or no labels.
    """
    if isinstance(labels, Mapping):
        called = tuple(map(str, labels))
        columns = [as_array(one) for one in labels.values()]
        if any(one.shape != (n,) for one in columns):
            raise UsageError(f"there must be a value of each label for each of {n} images")
        return several_in(np.stack(columns, axis=1) if columns else np.empty((n, 0)), called)
    truth = as_array(labels)
    if truth.ndim == 2 and len(truth) == n and truth.shape[1] > 1:
        return several_in(truth, tuple(f"label {k}" for k in range(truth.shape[1])))
    if truth.shape != (n,):
        raise UsageError(f"there must be a label for each of {n} images", found=tuple(truth.shape))
    numbers, names = classes_in(truth, None)
    _refuse_gaps(numbers)
    return numbers, () if truth.dtype.kind in "biuf" else names


def several_in(labels: NDArray[Any], names: tuple[str, ...]) -> tuple[Tensor, tuple[str, ...]]:
    """Labels that do not exclude each other, int64 (N, L), -1 where unknown, and what they are called.

    Args:
        labels: (N, L) of 0 and 1, NaN where unknown.
        names: of the L labels.

    Raises:
        UsageError: there is one label or none, or one is the same for all images.
        DataError: another value.
    """
    if len(names) < 2 or len(set(names)) != len(names):
        raise UsageError(
            "labels that do not exclude each other must be two or more of different names", found=list(names)
        )
    values = labels.astype(np.float64) if labels.dtype.kind in "biuf" else np.full(labels.shape, 2.0)
    if not (np.isin(values, (0, 1)) | np.isnan(values)).all():
        raise DataError("labels that do not exclude each other must be 0 or 1, or NaN where unknown")
    numbers = np.where(np.isnan(values), UNKNOWN, values).astype(np.int64)
    if constant := one_value_only(numbers, names):
        raise UsageError(constant, advice="leave that label out")
    return torch.from_numpy(numbers), names


def _refuse_gaps(labels: Tensor) -> None:
    """Refuse class numbers that no image has; labels (N,) as from `classes_in`."""
    counts = torch.bincount(labels, minlength=1)
    missing = (counts == 0).nonzero().flatten().tolist()
    if missing:
        found = (counts > 0).nonzero().flatten().tolist()
        raise UsageError(
            f"labels must be 0, 1, ... without a gap, but no image has {missing[0]}",
            found=", ".join(map(str, found[:_SHOWN])) + ", ..." * (len(found) > _SHOWN),
            advice="number the classes anew, or give their names as texts",
        )


def as_array(values: Any) -> NDArray[Any]:
    """NumPy's form of an array, a tensor, or a list of them.

    Raises:
        UsageError: the list is of unequal shapes, or entries of a masked array are masked.
    """
    if isinstance(values, Tensor):
        held = values.detach().cpu()
        # NumPy has no bfloat16.
        return (held.float() if held.dtype == torch.bfloat16 else held).numpy()
    if isinstance(values, tuple | list) and any(
        isinstance(one, Tensor | np.ma.MaskedArray) for one in values
    ):
        values = [as_array(one) for one in values]
    if isinstance(values, np.ma.MaskedArray):
        return _unmasked(values)
    try:
        return np.asarray(values)
    except ValueError as error:
        raise UsageError("what is given as a list must have entries of one shape") from error


def _unmasked(values: "np.ma.MaskedArray[Any, Any]") -> NDArray[Any]:
    """The values of a masked array that masks none of them."""
    hidden = int(np.ma.count_masked(values))  # type: ignore[no-untyped-call]
    if hidden:
        entries = "1 masked entry" if hidden == 1 else f"{hidden} masked entries"
        raise UsageError(
            f"a masked array has {entries}, and what is meant there is not known",
            advice="put values there with its filled(), or leave those images out",
        )
    return np.asarray(values.data)


def images_in(images: Any) -> tuple[Tensor, list[str]]:
    """Images float32 (N, C, H, W) in [0, 1], and what was done to their values.

    Raises:
        UsageError: they have another shape.
        DataError: they have values that no image can have.
    """
    values = as_array(images)
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


def masks_in(masks: Any, n: int, sides: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Masks bool (N, 1, H, W), all True where there is none, and which images have one, bool (N,).

    Raises:
        UsageError: they are not as many or as large as the images.
        DataError: they hold other values than 0 and 1.
    """
    regions, has_mask = torch.ones(n, 1, *sides, dtype=torch.bool), torch.zeros(n, dtype=torch.bool)
    if masks is None:
        return regions, has_mask
    count = len(masks) if hasattr(masks, "__len__") else f"a {type(masks).__name__}"
    if count != n:
        raise UsageError(f"there must be a mask, or None, for each of {n} images", found=count)
    for k, mask in enumerate(masks):
        if mask is None:
            continue
        values = as_array(mask)
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


def texts_in(what: str, values: Sequence[object] | None, n: int) -> tuple[str, ...]:
    """(N,) as texts; empty without values (raises UsageError where they are not so many)."""
    if values is None:
        return ()
    found = values.tolist() if isinstance(values, Tensor | np.ndarray) else values
    if not isinstance(found, Iterable):
        raise UsageError(f"there must be one value of {what} for each of {n} images", found=repr(found))
    found = list(found)
    if len(found) != n:
        raise UsageError(f"there must be one value of {what} for each of {n} images", found=len(found))
    return tuple("" if value is None else str(value) for value in found)


def known_texts(texts: tuple[str, ...]) -> tuple[str, ...]:
    """Texts, those empty that stand for what is not known."""
    return tuple("" if is_missing(text) else text for text in texts)


def splits_in(values: Sequence[str] | None, n: int, subjects: tuple[str, ...]) -> tuple[str, ...] | None:
    """The split of each image, if they are told.

    Raises:
        UsageError: one is none.
        DataError: somebody's images fall in two.
    """
    splits = texts_in("splits", values, n)
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


def classes_in(labels: NDArray[Any], names: Sequence[str] | None) -> tuple[Tensor, tuple[str, ...]]:
    """Class numbers, int64 (N,), and what they are called (raises UsageError or DataError)."""
    if labels.dtype.kind == "f":
        if not (np.isfinite(labels) & (labels == np.round(labels))).all():
            raise DataError("labels must be whole numbers or texts", found=str(labels.dtype))
        labels = labels.astype(np.int64)
    if labels.dtype.kind in "biu":
        return _numbered(labels.astype(np.int64), names)
    texts = ["" if label is None else str(label) for label in labels.tolist()]
    unknown = [k for k, text in enumerate(texts) if is_missing(text) and text not in (names or ())]
    if unknown:
        raise DataError(
            f"{len(unknown)} of {len(texts)} labels are missing values, the first that of image {unknown[0]}",
            found=repr(texts[unknown[0]]),
            advice="leave those images out, or call their class otherwise",
        )
    known = list(names) if names is not None else _in_order(set(texts))
    foreign = sorted(set(texts) - set(known))
    if foreign:
        raise UsageError(
            f"the label {foreign[0]!r} is none of the classes", expected=", ".join(map(repr, known))
        )
    number = {name: k for k, name in enumerate(known)}
    return torch.tensor([number[text] for text in texts]), tuple(known)


def _in_order(texts: set[str]) -> list[str]:
    """Names of classes in the order of their letters, where that of the numbers in them is no other."""
    by_letter, by_number = sorted(texts), sorted(texts, key=_numbers_as_such)
    if by_letter != by_number:
        letter, number = next(pair for pair in zip(by_letter, by_number, strict=True) if len(set(pair)) > 1)
        raise UsageError(
            f"labels are texts with numbers in them, whose order is not sure: {letter!r} comes first by its "
            f"letters, {number!r} by its number",
            advice="give whole numbers, or say the names of classes in the order of the outputs",
        )
    return by_letter


def _numbers_as_such(text: str) -> list[tuple[int, int, str]]:
    parts = re.split(r"([0-9]+)", text)
    return [(0, int(part), "") if part.isdecimal() and part.isascii() else (1, 0, part) for part in parts]


def _numbered(labels: NDArray[np.int64], names: Sequence[str] | None) -> tuple[Tensor, tuple[str, ...]]:
    classes = int(labels.max()) + 1 if names is None else len(names)
    if labels.min() < 0 or labels.max() >= classes:
        raise UsageError(
            f"labels must be 0 to {max(classes, 1) - 1}", found=f"{labels.min()} to {labels.max()}"
        )
    known = tuple(str(k) for k in range(max(classes, 2))) if names is None else tuple(names)
    return torch.from_numpy(labels), known
