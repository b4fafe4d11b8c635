"""Whether the conditions that destroy one side of the masks bear each other out, in words.

A blank side is unlike anything a model was trained on, so what changes with it alone may be its own doing.
Nothing is made of it unless the side's shuffled pixels and their mean, or the side by itself, say the same.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from activmask.auditing.conditions.rows import ConditionRow, Left
from activmask.evaluation.estimate import Estimate
from activmask.evaluation.sides import Area, Finding
from activmask.evaluation.standing import telling_ends, with_interval


class Side(NamedTuple):
    """A side of the masks, by what destroys it and what shows it alone."""

    name: str
    blank: str
    """The condition that shows nothing of it."""
    alone: str
    """The one that shows nothing else."""
    word: str
    """The first of the names of the others that destroy it."""

    def destroying(self) -> tuple[str, str, str, str]:
        """All conditions that destroy it."""
        return (*self.borne_out_by(), f"{self.word} blurred", self.blank)

    def borne_out_by(self) -> tuple[str, str]:
        """Those that leave nothing of its forms."""
        return f"{self.word} shuffled", f"{self.word} mean"


BACKGROUND = Side("background", "inside only", "outside only", "outside")
ROI = Side("region of interest", "outside only", "inside only", "inside")
SIDES = (BACKGROUND, ROI)

_UNLIKE = "blank images may be too unlike those it was trained on"


def rankings(rows: Mapping[str, ConditionRow], lefts: Mapping[str, Left]) -> dict[str, str]:
    """By side, what is said of a ranking that its blank turns round.

    Args:
        rows: by condition; of the full images the AUC is told from chance.
        lefts: what `inside only` and `outside only` tell.
    """
    full, found = rows["full"].auc.value, {}
    for side in SIDES:
        left = rows[side.blank].auc.value
        if lefts[side.blank] == "chance" or (left > 0.5) == (full > 0.5):
            continue
        turned = f"With the {side.name} blank the ranking is turned round ({full:.2f} to {left:.2f})"
        if lefts[side.blank] != "beyond the masks":
            found[side.name] = f"{turned}, as the masks by themselves may do."
        elif all(_same_way(rows, side, name) for name in side.borne_out_by()):
            found[side.name] = f"{turned}: on full images the {side.name} outvotes the rest."
        else:
            found[side.name] = (
                f"{turned}, which is not borne out by the other conditions: {_changes(rows, side)}. They "
                f"disagree, and {_UNLIKE}, so nothing is made of it."
            )
    return found


def blank_against_others(
    rows: Mapping[str, ConditionRow], masks: Area, chance_distance: float
) -> dict[str, str]:
    """By side, what is said where its blank does other things than its shuffled pixels or their mean.

    Args:
        rows: by condition.
        masks: what the masks tell by themselves.
        chance_distance: an AUC no further than this from 0.5 counts as chance, of one by itself.
    """
    found = {}
    for side in SIDES:
        shuffled, blank, alone = (
            rows[name].auc.area() for name in (f"{side.word} shuffled", side.blank, side.alone)
        )
        more = shuffled.informs(chance_distance) and shuffled.least > blank.most
        if more and alone.informs(chance_distance) and (alone.auc > 0.5) == (shuffled.auc > 0.5):
            outlines = "the masks' outlines stand out more, or" if masks.informs(chance_distance) else "or"
            found[side.name] = (
                f"With the {side.name} shuffled in place of blank the AUC is {with_interval(shuffled)}: the "
                f"intensities of the {side.name} tell the class, {outlines} blank ones are too unlike what "
                "it was trained on."
            )
        elif more or _only_blank(rows, side):
            found[side.name] = (
                f"The conditions that destroy the {side.name} disagree: {_changes(rows, side)}; with nothing "
                f"else to see the AUC is {with_interval(alone)}. What the {side.name} gives is not told by "
                f"them: {_UNLIKE}."
            )
    return found


def without_effect(rows: Mapping[str, ConditionRow], finding: Finding) -> list[str]:
    """That a side is read by itself, where no condition that destroys it changes anything."""
    return [
        f"Though the {side.name} alone tells the class, no condition that destroys it is told to change the "
        "AUC: nothing shows that the model needs it on full images."
        for side in SIDES
        if (side.name in finding or finding == "reads both")
        and not any(changes_auc(rows, name) for name in side.destroying())
    ]


def changes_auc(rows: Mapping[str, ConditionRow], condition: str) -> bool:
    """Whether the AUC of a condition is told from that of the full images."""
    change = rows[condition].auc_change
    return change is not None and change.told


def change_in_words(change: Estimate) -> str:
    """A difference of AUCs, and its interval where that says anything."""
    ends = telling_ends(change.low, change.high)
    return (
        f"{change.value:+.2f}" if ends is None else f"{change.value:+.2f}, {ends[0]:+.2f} to {ends[1]:+.2f}"
    )


def _only_blank(rows: Mapping[str, ConditionRow], side: Side) -> bool:
    others: Sequence[str] = side.borne_out_by()
    return changes_auc(rows, side.blank) and not any(_same_way(rows, side, name) for name in others)


def _same_way(rows: Mapping[str, ConditionRow], side: Side, name: str) -> bool:
    """Whether a condition changes the AUC, surely, to where the blank of the side does."""
    change, blank = rows[name].auc_change, rows[side.blank].auc_change
    return bool(change and blank and change.told and (change.value > 0) == (blank.value > 0))


def _changes(rows: Mapping[str, ConditionRow], side: Side) -> str:
    ways = zip(("blank", "shuffled", "mean"), (side.blank, *side.borne_out_by()), strict=True)
    known = [(way, change) for way, name in ways if (change := rows[name].auc_change) is not None]
    told = "; ".join(f"{way} {change_in_words(change)}" for way, change in known)
    return f"against full images the AUC changes with it {told}"
