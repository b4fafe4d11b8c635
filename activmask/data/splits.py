"""Who goes to train, valid and test: pure functions of a table and a seed.

Shapes: N images. Nobody's images fall in two splits, and the order of the rows decides nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from activmask.data.held_out import held_out
from activmask.data.multi_label import is_multi_label, label_sets, one_value_only
from activmask.data.settings import IID, Source, correlations, parse_ratio
from activmask.data.site_cells import too_few_in_a_cell
from activmask.data.subjects import find_straddler, kind_counts, strata, whole_sizes
from activmask.ground.errors import DataError, UsageError
from activmask.ground.nearest import nearest

SPLITS = ("train", "valid", "test")

EVERY_SPLIT = (*SPLITS, IID)
"""Those that every run has, and what some have besides."""


@dataclass(frozen=True)
class _Table:
    """The columns that a split is drawn from, in the order of the names."""

    labels: np.ndarray
    subjects: np.ndarray
    sites: np.ndarray
    splits: np.ndarray


def split_indices(
    source: Source,
    *,
    names: Sequence[str],
    labels: np.ndarray,
    subjects: Sequence[str],
    sites: Sequence[str],
    splits: Sequence[str],
    seed: int,
    label_names: Sequence[str] = (),
) -> dict[str, np.ndarray]:
    """Share the images out by `source.split_policy`.

    `given` takes the split column. `subject` shuffles the subjects, stratified by the class most
    of their images have, and shares them out by `source.split_ratio`. `site-correlated` does the
    same within the four combinations of class and site, then takes as many images as the data
    allow with the site-label correlation of the paper's X-ray experiment (sec. 6): of the two
    sites, sorted by name, label 1 comes mostly from the second in train and mostly from the first
    in valid and test, or as `source.valid_correlation` and `test_correlation` say. A number in
    `source.train_images`, `valid_images` or `test_images` then draws that many, class-balanced.

    Where `source.valid_iid` is positive, that share of the training subjects is then held out, see
    `held_out`; valid and test are those that the same seed draws without it.

    Args:
        source: The run's description.
        names: (N,) distinct names of the images, which identify them whatever their order.
        labels: int64 (N,) classes 0, 1, ...; or (N, L) of labels that do not exclude each other, of which
            the images that agree in all are one kind, in place of a class.
        subjects: (N,) whom each image shows.
        sites: (N,) where each image was made.
        splits: (N,) the data set's own split column; read by `given` only.
        seed: Decides everything random.
        label_names: (L,), for messages.

    Returns:
        Sorted int64 row indices for train, valid and test, and for `valid_iid` where there is one. Rows may
        be left out.

    Raises:
        DataError: the table cannot give what the policy promises.
        UsageError: the request makes no sense.
    """
    draw = _POLICIES.get(source.split_policy)
    if draw is None:
        raise UsageError(
            f"there is no split policy '{source.split_policy}'; {nearest(source.split_policy, _POLICIES)}"
        )
    if seed < 0:
        raise UsageError("the seed of a split must be at least 0", found=seed)
    order = np.argsort(np.asarray(names, dtype=object), kind="stable")
    labels = np.asarray(labels)
    several = is_multi_label(labels)
    if several:
        _check_fits_labels(source)
    table = _Table(
        (label_sets(labels) if several else labels)[order],
        *(np.asarray(column, dtype=object)[order] for column in (subjects, sites, splits)),
    )
    _check_classes(table)
    drawn = draw(source, table, np.random.default_rng(seed))
    if several:
        _check_split_labels(source, labels[order], drawn, label_names)
    else:
        _check_split_classes(source, table, drawn)
    rows = {split: np.sort(order[drawn[split]]) for split in SPLITS}
    if source.valid_iid:
        rows = _with_iid(source, rows, names, labels, subjects, sites, seed)
    return rows


def _with_iid(
    source: Source,
    rows: dict[str, np.ndarray],
    names: Sequence[str],
    labels: np.ndarray,
    subjects: Sequence[str],
    sites: Sequence[str],
    seed: int,
) -> dict[str, np.ndarray]:
    train = rows["train"]
    held = held_out(
        names=[names[i] for i in train],
        labels=np.asarray(labels)[train],
        subjects=[subjects[i] for i in train],
        sites=[sites[i] for i in train],
        share=source.valid_iid,
        seed=seed,
    )
    return {**rows, "train": train[~held], IID: train[held]}


def _given(source: Source, table: _Table, rng: np.random.Generator) -> dict[str, np.ndarray]:
    unknown = sorted({str(split) for split in table.splits} - set(SPLITS))
    if unknown:
        raise DataError(
            "the split policy 'given' needs train, valid or test in every row",
            found=repr(unknown[0]),
            advice="fill the column or choose the split policy 'subject'",
            ways=("split_policy",),
        )
    pair = find_straddler(list(table.subjects), list(table.splits))
    if pair is not None:
        raise DataError(
            f"subject {table.subjects[pair[0]]!r} has images in {table.splits[pair[0]]} and in "
            f"{table.splits[pair[1]]}; nobody's images may fall in two splits"
        )
    return _balanced(source, table, {split: np.flatnonzero(table.splits == split) for split in SPLITS}, rng)


def _by_subject(source: Source, table: _Table, rng: np.random.Generator) -> dict[str, np.ndarray]:
    shares = np.array(parse_ratio(source.split_ratio))
    home: dict[str, int] = {}
    owed = np.zeros(3)
    for stratum in strata(table.subjects, table.labels):
        shuffled = [stratum[i] for i in rng.permutation(len(stratum))]
        owed += shares * len(shuffled)
        sizes = whole_sizes(owed, len(shuffled))
        owed -= sizes
        home.update(zip(shuffled, np.repeat(range(3), sizes).tolist(), strict=True))
    return _balanced(source, table, _rows_by_home(table, home), rng)


def _rows_by_home(table: _Table, home: dict[str, int]) -> dict[str, np.ndarray]:
    homes = np.array([home[subject] for subject in table.subjects])
    return {split: np.flatnonzero(homes == k) for k, split in enumerate(SPLITS)}


def _balanced(
    source: Source, table: _Table, rows: dict[str, np.ndarray], rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """Draw the requested number of each class in each split; 0 keeps the split as it is."""
    classes = np.unique(table.labels)
    for split, wanted in _wanted(source).items():
        if wanted:
            each = _per_class(split, wanted, len(classes))
            rows[split] = np.concatenate(
                [
                    _draw(
                        source,
                        rng,
                        rows[split][table.labels[rows[split]] == c],
                        each,
                        split,
                        f"images of class {c}",
                    )
                    for c in classes
                ]
            )
    return rows


def _wanted(source: Source) -> dict[str, int]:
    return {
        "train": source.train_images,
        "valid": source.valid_images,
        "test": source.test_images,
    }


def _per_class(split: str, wanted: int, classes: int) -> int:
    if wanted < classes or wanted % classes:
        raise UsageError(
            f"{split}_images must be a multiple of the {classes} classes to be balanced", found=wanted
        )
    return wanted // classes


def _draw(
    source: Source, rng: np.random.Generator, rows: np.ndarray, number: int, split: str, kind: str
) -> np.ndarray:
    if number > len(rows):
        raise DataError(
            f"{number} {split} {kind} are wanted, but only {len(rows)} available",
            **_settled("ask for fewer", source, f"{split}_images"),
        )
    return np.asarray(rng.choice(rows, number, replace=False))


def _site_correlated(source: Source, table: _Table, rng: np.random.Generator) -> dict[str, np.ndarray]:
    kinds = _kinds(table)
    aligned = np.array(correlations(source))
    home = _share_kinds(table, kinds, np.array(parse_ratio(source.split_ratio)), aligned, rng)
    rows = _rows_by_home(table, home)
    pairs = {
        split: np.bincount(kinds[rows[split]], minlength=4).reshape(2, 2).min(axis=0) for split in SPLITS
    }
    sizes = _correlated_sizes(source, pairs, aligned)
    if empty := [split for split in SPLITS if not sizes[split]]:
        raise too_few_in_a_cell(empty[0], table.labels, table.sites, table.subjects)
    words = _kinds_in_words(table)
    drawn = {}
    for split, share in zip(SPLITS, aligned, strict=True):
        agreeing = _agreeing(share, sizes[split])
        numbers = (sizes[split] - agreeing, agreeing)
        drawn[split] = np.concatenate(
            [
                _draw(
                    source,
                    rng,
                    rows[split][kinds[rows[split]] == kind],
                    numbers[kind % 2],
                    split,
                    words[kind],
                )
                for kind in range(4)
            ]
        )
    return drawn


def _kinds_in_words(table: _Table) -> list[str]:
    first, second = sorted(set(table.sites))
    sites = ((0, second), (0, first), (1, first), (1, second))
    return [f"images of class {label} from the site {site!r}" for label, site in sites]


def _kinds(table: _Table) -> np.ndarray:
    """(N,) 2 * label + whether site and label agree: class 1 with the second site, 0 with the first."""
    if not np.array_equal(np.unique(table.labels), [0, 1]):
        raise DataError("site-correlated splits need exactly the classes 0 and 1")
    sites = sorted(set(table.sites))
    if len(sites) != 2 or "" in sites:
        found = ", ".join(repr(site) for site in sites[:5])
        raise DataError(
            "site-correlated splits need exactly two named sites in the site column",
            found=found,
            advice="fill it or choose the split policy 'subject'",
            ways=("split_policy",),
        )
    agrees = (table.sites == sites[1]) == (table.labels == 1)
    return np.asarray(2 * table.labels + agrees.astype(np.int64))


def _share_kinds(
    table: _Table, kinds: np.ndarray, shares: np.ndarray, aligned: np.ndarray, rng: np.random.Generator
) -> dict[str, int]:
    """Give each subject, whole, to the split that still lacks most images of the subject's main kind."""
    demand = np.stack([shares * (1 - aligned), shares * aligned, shares * (1 - aligned), shares * aligned])
    lacking = (
        demand / demand.sum(axis=1, keepdims=True).clip(1e-12) * np.bincount(kinds, minlength=4)[:, None]
    )
    counts = kind_counts(table.subjects, kinds)
    home: dict[str, int] = {}
    for stratum in strata(table.subjects, kinds):
        for i in rng.permutation(len(stratum)):
            own = np.array([counts[stratum[i]].get(kind, 0) for kind in range(4)])
            split = int(np.argmax(lacking[np.argmax(own)]))
            lacking[:, split] -= own
            home[stratum[i]] = split
    return home


def _correlated_sizes(source: Source, pairs: dict[str, np.ndarray], aligned: np.ndarray) -> dict[str, int]:
    """Images per class in each split: what is asked for, else the most that keeps the split ratio."""
    shares = np.array(parse_ratio(source.split_ratio))
    wanted = _wanted(source)
    free = [k for k, split in enumerate(SPLITS) if not wanted[split]]
    limit = min((_most(pairs[SPLITS[k]], aligned[k]) / shares[k] for k in free), default=0.0)
    sizes = {split: _per_class(split, wanted[split], 2) for split in SPLITS if wanted[split]}
    for k in free:
        # The tolerance keeps 0.3 * 10 images from becoming 2.
        size = int(limit * shares[k] + 1e-9)
        while size and not _fits(pairs[SPLITS[k]], aligned[k], size):
            size -= 1
        sizes[SPLITS[k]] = size
    return sizes


def _most(pair: np.ndarray, share: float) -> int:
    """The greatest number per class of which `share` can agree with the site and the rest not."""
    return max((n for n in range(int(pair.sum()) + 1) if _fits(pair, share, n)), default=0)


def _fits(pair: np.ndarray, share: float, size: int) -> bool:
    agreeing = _agreeing(share, size)
    return bool(agreeing <= pair[1] and size - agreeing <= pair[0])


def _agreeing(share: float, size: int) -> int:
    return int(np.floor(share * size + 0.5))


def _check_classes(table: _Table) -> None:
    if len(np.unique(table.labels)) < 2:
        raise DataError("a split needs images of at least two classes", found=len(np.unique(table.labels)))


def _settled(first: str, source: Source, *ways: str) -> dict[str, Any]:
    """What settles splits that lack images, as advice: something, or that images be shared out otherwise."""
    if source.split_policy == "given":
        return {"advice": f"{first} or choose the split policy 'subject'", "ways": (*ways, "split_policy")}
    return {"advice": f"{first} or change split_ratio", "ways": (*ways, "split_ratio")}


def _check_split_classes(source: Source, table: _Table, drawn: dict[str, np.ndarray]) -> None:
    classes = np.unique(table.labels)
    for split in SPLITS:
        missing = np.setdiff1d(classes, table.labels[drawn[split]])
        if len(missing):
            raise DataError(
                f"the split {split} has no image of class {missing[0]}",
                **_settled("add images", source),
            )


def _check_fits_labels(source: Source) -> None:
    """Refuse ways to split that know classes alone (raises UsageError)."""
    asked = [f"{split}_images" for split, wanted in _wanted(source).items() if wanted]
    if source.split_policy == "site-correlated":
        asked.append("the split policy 'site-correlated'")
    if source.valid_iid:
        asked.append("valid_iid")
    if asked:
        raise UsageError(
            f"{asked[0]} balances classes, and these images have labels that do not exclude each other",
            advice="leave it out",
        )


def _check_split_labels(
    source: Source, labels: np.ndarray, drawn: dict[str, np.ndarray], label_names: Sequence[str]
) -> None:
    names = label_names or [str(k) for k in range(labels.shape[1])]
    for split in SPLITS:
        if constant := one_value_only(labels[drawn[split]], names):
            raise DataError(f"in the split {split} {constant}", **_settled("add images", source))


_Draw = Callable[[Source, _Table, np.random.Generator], dict[str, np.ndarray]]
_POLICIES: dict[str, _Draw] = {"given": _given, "subject": _by_subject, "site-correlated": _site_correlated}
