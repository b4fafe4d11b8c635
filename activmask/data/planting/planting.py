"""What to plant, on whom and by which shares, and what a planted data set says of it."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

from activmask.data.planting.limits import SEEDS, SHARES, SIZES, STRENGTHS, USUAL, Kind, Place
from activmask.data.planting.shares import opposite
from activmask.data.splits import SPLITS
from activmask.ground.errors import UsageError
from activmask.ground.nearest import nearest

CARD_ENTRY = "planted"
"""Of `card.json`: what was planted, in which class, by which shares and seed, on which data set."""


_DOSE = ("shares", "other_shares", "counts")
"""Of a card's entry, what differs between data sets that are the same set planted at other shares."""


@dataclass(frozen=True, kw_only=True)
class ToldDose:
    """By which share a shortcut lies on training images, and which other shares stand beside it."""

    share: float
    """Of the training images of its class, in [0, 1]."""
    other_share: float
    """Of those of each other class."""
    family: str
    """The same of data sets that are one set planted with one shortcut and the same test images."""
    valid_share: float | None = None
    """Of the validation images of its class; None where that is not told."""


@dataclass(frozen=True, kw_only=True)
class Planting:
    """What to plant, and where."""

    shortcut: Kind
    of_class: str
    """Of which class it becomes a sign: its name, or its number."""
    share: float
    """Of that class's training images, in [0, 1]."""
    valid_share: float | None = None
    """Of its validation images; None is 1 - share, so that the sign is turned round there."""
    test_share: float | None = None
    """The same of its test images."""
    other_share: float | None = None
    """Of each other class's images, in every split; None is 1 - the chosen class's share of the split."""
    strength: float | None = None
    """In (0, 1]; None is what `USUAL` has."""
    size: float | None = None
    """Of what is drawn, as a share of the shorter side; None is what `USUAL` has."""
    place: Place = "auto"
    """Of what lies in a corner."""
    seed: int = 0
    """Draws who carries it, the noise, and the splits where they are drawn."""
    split_policy: Literal["given", "subject"] = "given"
    """The data set's own column of splits, or splits drawn by subject, 50/25/25."""


def check_settings(planting: Planting) -> None:
    """Refuse what is out of range or without effect (raises UsageError)."""
    if planting.shortcut not in USUAL:
        raise UsageError(f"there is no shortcut '{planting.shortcut}'; {nearest(planting.shortcut, USUAL)}")
    if planting.place not in get_args(Place):
        raise UsageError(f"there is no place '{planting.place}'; {nearest(planting.place, get_args(Place))}")
    for name in ("share", "valid_share", "test_share", "other_share"):
        if (value := getattr(planting, name)) is not None:
            SHARES.check(name, value)
    SEEDS.check("seed", planting.seed)
    usual = USUAL[planting.shortcut]
    if planting.strength is not None:
        STRENGTHS.check("strength", planting.strength)
    if planting.size is not None:
        SIZES.check("size", planting.size)
        if usual.size is None:
            raise UsageError(f"size has no effect on {planting.shortcut}, which changes the whole image")
    if planting.place != "auto" and not usual.corner:
        raise UsageError(f"place has no effect on {planting.shortcut}, which lies in no corner")


def class_number(asked: str, classes: Sequence[str]) -> int:
    """A class by its name, else by its number (raises UsageError)."""
    if asked in classes:
        return classes.index(asked)
    if asked.isascii() and asked.isdigit() and len(asked) <= 9 and int(asked) < len(classes):
        return int(asked)
    numbers = f", by number 0 to {len(classes) - 1}" if len(classes) > 1 else ""
    raise UsageError(f"there is no class '{asked}'; {nearest(asked, classes)}{numbers}")


def shares_of(planting: Planting) -> dict[str, float]:
    """The share of the chosen class's images in each split."""
    turned = opposite(planting.share)
    given = (planting.share, planting.valid_share, planting.test_share)
    return {split: turned if one is None else one for split, one in zip(SPLITS, given, strict=True)}


def others_of(planting: Planting) -> dict[str, float]:
    """The share of each other class's images in each split."""
    other = planting.other_share
    return {s: opposite(one) if other is None else other for s, one in shares_of(planting).items()}


def told_class(card: Mapping[str, Any]) -> str | None:
    """The name of the class that a card says a shortcut was planted in; None where it says nothing."""
    entry = card.get(CARD_ENTRY)
    name = entry.get("class_name") if isinstance(entry, dict) else None
    return name if isinstance(name, str) else None


def told_dose(card: Mapping[str, Any]) -> ToldDose | None:
    """The dose that a card tells; None where it tells none."""
    entry = card.get(CARD_ENTRY)
    if not isinstance(entry, dict):
        return None
    dealt = [one for name in _DOSE[:2] if isinstance(one := entry.get(name), dict)]
    if len(dealt) < 2:
        return None
    shares, others = ([one.get(split) for split in SPLITS] for one in dealt)
    share, other = shares[0], others[0]
    if not (isinstance(share, int | float) and isinstance(other, int | float)):
        return None
    same = {name: value for name, value in entry.items() if name not in _DOSE}
    identity = json.dumps([same, shares[-1], others[-1]], sort_keys=True)
    return ToldDose(
        share=float(share),
        other_share=float(other),
        family=hashlib.sha256(identity.encode()).hexdigest(),
        valid_share=float(shares[1]) if isinstance(shares[1], int | float) else None,
    )
