"""A random forest that has heard of a tag: the audit of any function from arrays to scores.

    python docs/examples/audit_forest.py

trains forests of scikit-learn on scanned threes and eights of which 9 in 10 eights carry a bright
square in a bottom corner, and 1 in 10 threes, in training and test alike, as images of one hospital
would. The test score alone looks well. Then each forest is audited by `am.audit`, and so are forests
that never saw a tag. The masks are the square that all digits lie in; with the ink for masks the same
is done again, as a mask's outline can tell the class by itself.

Shapes: N images of 32 x 32 px.
"""

import argparse
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from digits import CLASSES, FRAME, PER_CLASS, TAG, TAG_GREY, Digits, draw_digits
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier

import activmask as am
from activmask.auditing.audited import Audited

SHARE = 0.9
"""Of the eights that carry the tag; of the threes it is the rest."""

TREES = 100

CONDITIONS = ("full", "outside shuffled", "outside mean", "inside only", "inside mean", "outside only")


def with_tags(digits: Digits, share: float, seed: int) -> Digits:
    """The digits with a tag in the left bottom corner of exactly a share of the eights of every split.

    Args:
        digits: whose own tags are taken away.
        share: of the eights; 1 - share of the threes.
        seed: of who gets one.
    """
    rng = np.random.default_rng(seed)
    images = digits.images.copy()
    images[:, -TAG:, :TAG] = images[:, -TAG:, -TAG:] = 0
    splits = np.array(digits.splits)
    for split in PER_CLASS:
        for digit, part in zip(CLASSES, (1 - share, share), strict=True):
            own = rng.permutation(np.flatnonzero((splits == split) & (digits.labels == digit)))
            images[own[: round(part * len(own))], -TAG:, :TAG] = TAG_GREY
    return replace(digits, images=images, tag_right=np.zeros(len(images), bool))


def without_tags(digits: Digits) -> Digits:
    """The digits alone."""
    images = digits.images.copy()
    images[:, -TAG:] = 0
    return replace(digits, images=images)


def with_squares(digits: Digits) -> Digits:
    """The digits with the same mask for all, the square of 16 px that the frame leaves."""
    masks = np.zeros_like(digits.masks)
    masks[:, FRAME:-FRAME, FRAME:-FRAME] = True
    return replace(digits, masks=masks)


def grow_forest(digits: Digits, seed: int, trees: int = TREES) -> RandomForestClassifier:
    """A forest on the pixels of the training split."""
    own = np.array(digits.splits) == "train"
    forest = RandomForestClassifier(trees, random_state=seed)
    return forest.fit(_flat(digits.images[own] / 255), digits.labels[own])


def audit_forest(digits: Digits, forest: RandomForestClassifier, **options: Any) -> Audited:
    """What a stranger would write: the function, images, masks, labels, and which split is which."""
    return am.audit(
        lambda images: forest.predict_proba(_flat(images)),
        digits.images,
        digits.masks,
        (digits.labels == CLASSES[1]).astype(int),
        splits=digits.splits,
        class_names=[str(digit) for digit in CLASSES],
        **options,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the verdict on the first forest, and a table of them all."""
    parser = argparse.ArgumentParser(prog="python docs/examples/audit_forest.py", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--seeds", type=int, default=3, help="forests of each kind (default: 3)")
    parser.add_argument("--trees", type=int, default=TREES, help=f"of a forest (default: {TREES})")
    args = parser.parse_args(arguments)
    tables = {}
    for title, drawn in kinds().items():
        found = [
            audit_forest(drawn, grow_forest(drawn, seed, args.trees), without=["looks"], seed=seed)
            for seed in range(args.seeds)
        ]
        print(f"{title}, seed 0:", *found[0].verdict, *found[0].notes, "", sep="\n")
        tables[title] = [rows_of(one) for one in found]
    print_table(tables)


def kinds() -> dict[str, Digits]:
    """The images and masks that are compared."""
    tagged, plain = with_tags(draw_digits(), SHARE, 0), without_tags(draw_digits())
    return {
        "tag, square masks": with_squares(tagged),
        "no tag, square masks": with_squares(plain),
        "tag, ink masks": tagged,
        "no tag, ink masks": plain,
    }


def print_table(tables: Mapping[str, Sequence[Mapping[str, float]]]) -> None:
    """Mean and SD of the AUC over seeds, a row a condition, a column a kind of images."""
    print(f"| AUC | {' | '.join(tables)} |\n| --- |{' ---: |' * len(tables)}")
    for name in CONDITIONS:
        cells = [[one[name] for one in of_seeds] for of_seeds in tables.values()]
        print(f"| {name} | {' | '.join(f'{np.mean(c):.2f} ± {np.std(c, ddof=1):.2f}' for c in cells)} |")


def rows_of(found: Audited) -> dict[str, float]:
    """The AUC of each condition that the table has."""
    assert found.conditions is not None
    return {name: found.conditions.row(name).auc.value for name in CONDITIONS}


def _flat(images: NDArray[np.floating]) -> NDArray[np.floating]:
    return images.reshape(len(images), -1)


if __name__ == "__main__":
    main()
