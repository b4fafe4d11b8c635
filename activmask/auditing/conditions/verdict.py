"""The conditions in words, which never say more than the intervals carry.

Where the information comes from is judged by the two conditions that show nothing at all of one side:
`inside only` and `outside only`, the latter less what the outline of the blank region tells by itself
(`outline only`). Shuffled pixels keep their intensities, means keep brightness and blurs
keep large forms, so a score that survives them may still be of the side that they destroyed.
"""

from collections.abc import Sequence
from typing import Literal

from activmask.auditing.conditions.mask_baseline import MaskBaseline
from activmask.auditing.conditions.rows import ConditionRow, Estimate
from activmask.auditing.conditions.versions import OUTLINE
from activmask.evaluation.map_results import FEW
from activmask.evaluation.sides import (
    Area,
    Finding,
    ToldSides,
    Verdict,
    finding_of_sides,
    told_from_chance,
)

FEWEST = 8
"""Subjects below which nothing is claimed of one score: chance alone ranks four and four perfectly, or
perfectly wrong, in 1 case of 35, but three and three in 1 of 10."""

FEWEST_JUDGED = 10
"""Subjects below which there is no finding, which is had of three scores: five and five in 1 of 126."""

Left = Literal["beyond the masks", "as the masks", "as the outline", "chance"]
"""What one side alone tells: more than its masks do, no more than they, no more than the model tells by the
outline of what is blank, or nothing."""

_ROUNDING = 1e-9
"""A difference of two AUCs below this is of the order of adding up."""

_LEAD: dict[Finding, str] = {
    "reads the region of interest": "The model reads the region of interest",
    "reads the background": "The model reads the background",
    "reads both": "The model reads the background as well as the region of interest",
    "reads mostly the background": "The model reads mostly the background, also the region of interest",
    "reads mostly the region of interest": (
        "The model reads mostly the region of interest, also the background"
    ),
    "reads the region of interest or its size": (
        "The model reads the region of interest, or its size or place"
    ),
    "needs both together": "The model needs the region of interest and the background together",
    "cannot be told": "Where the model looks cannot be told",
}
_SIDES = (("background", "inside only", "outside"), ("region of interest", "outside only", "inside"))
"""What is destroyed, the condition that shows nothing of it, and the first word of the others."""


def verdict(
    rows: Sequence[ConditionRow],
    baseline: MaskBaseline,
    beyond_outline: Estimate,
    *,
    subjects: int,
    chance_distance: float,
    blank_background: bool = False,
) -> Verdict:
    """Judge from which side of the masks the information comes.

    A side is read where the images that show it alone tell the classes from chance, and better than the
    masks do by themselves; both intervals must carry it. The background also has to tell more than the model
    makes of the blank region's outline on the background of another image; the interval of the difference
    must carry that. What the two sides and the full images tell is
    tested together (`told_from_chance`), so that of a model that reads nothing something is found in at
    most 5 % of cases.

    Args:
        rows: of all conditions.
        baseline: what the masks tell by themselves.
        beyond_outline: the AUC of `outside only` minus that of `outline only`.
        subjects: how many the intervals are of.
        chance_distance: an AUC no further than this from 0.5 counts as chance, of one by itself.
        blank_background: whether all pixels outside the masks have one value, as where images are masked,
            so that there is nothing to read.
    """
    if subjects < FEWEST_JUDGED:
        few = f"{subjects} subject{'s' * (subjects != 1)}"
        return Verdict(
            "cannot be told",
            (
                f"The images are of {few}, too few to tell anything from chance (at least {FEWEST_JUDGED}), "
                "so the scores stand without a verdict.",
            ),
        )
    aucs = {row.condition: row.auc.area() for row in rows}
    full, roi, background = (aucs[name] for name in ("full", "inside only", "outside only"))
    masks = _strongest(baseline).area()
    # The inside shows its size by its own pixels, which its blank shape need not: nothing bounds what that
    # tells but the masks. The background has it from that shape, which the blank background shows as well,
    # and with it the outline, which belongs to the region: of the inside it takes nothing back.
    tested = (full, roi) if blank_background else (full, roi, background)
    told = ToldSides(*told_from_chance(tested, chance_distance), *[False] * blank_background)
    shape = _larger(masks, None if baseline.outline is None else baseline.outline.area())
    lefts = [
        _left(roi, masks.most if masks.informs(chance_distance) else 0.0, told=told.without_background),
        _left(
            background,
            min(shape.most if shape.informs(chance_distance) else 0.0, roi.most),
            told=told.without_roi,
        ),
    ]
    if lefts[1] == "beyond the masks" and not _is_beyond(background, beyond_outline):
        lefts[1] = "as the outline"
    finding = _finding(told, roi, background, lefts)
    sentences = [
        _finding_sentence(finding, aucs, lefts, (masks, shape), chance_distance, blank=blank_background)
    ]
    sentences += _rankings(finding, aucs, lefts, told, blank_background=blank_background)
    sentences += [] if blank_background else _survivals(aucs, masks, chance_distance)
    sentences += _of_outline(aucs[OUTLINE], beyond_outline, lefts)
    sentences += _changes(rows, blank_background=blank_background)
    sentences += _cautions(baseline, masks, subjects, chance_distance)
    return Verdict(finding, tuple(sentences))


def _strongest(baseline: MaskBaseline) -> Estimate:
    known = [one for one in (baseline.area, baseline.place) if one is not None]
    return max(known, key=lambda one: one.area().distance)


def _larger(one: Area, other: Area | None) -> Area:
    return one if other is None or one.distance >= other.distance else other


def _left(side: Area, most: float, *, told: bool) -> Left:
    """What one side alone tells, where the masks that it shows tell at most so much (0 is nothing)."""
    if not told:
        return "chance"
    return "as the masks" if side.least <= most else "beyond the masks"


def _is_beyond(background: Area, beyond_outline: Estimate) -> bool:
    """Whether the background is further than the outline alone from chance, to the side that it is on."""
    if abs(beyond_outline.value) < _ROUNDING:
        return False
    return beyond_outline.told and (beyond_outline.value > 0) == (background.auc > 0.5)


def _finding(told: ToldSides, roi: Area, background: Area, lefts: Sequence[Left]) -> Finding:
    match lefts[0], lefts[1]:
        case "beyond the masks", "beyond the masks":
            return finding_of_sides(told, roi, background)
        case "beyond the masks", _:
            return "reads the region of interest"
        case _, "beyond the masks":
            return "reads the background"
        case "as the masks", _:
            return "reads the region of interest or its size"
        case _, "as the masks" | "as the outline":
            return "cannot be told"
    return "needs both together" if told.full else "cannot be told"


def _finding_sentence(
    finding: Finding,
    aucs: dict[str, Area],
    lefts: Sequence[Left],
    masks: tuple[Area, Area],
    chance_distance: float,
    *,
    blank: bool,
) -> str:
    roi, background = (
        f"{_told(aucs[name])}"
        + _weighed(left, own, what, aucs[OUTLINE], alone=aucs[name].informs(chance_distance))
        for name, left, own, what in zip(
            ("inside only", "outside only"),
            lefts,
            masks,
            ("size and place", "outlines" if masks[0] != masks[1] else "size and place"),
            strict=True,
        )
    )
    if blank:
        of_background = "outside the masks all pixels have one value, so there is no background to read"
    else:
        of_background = f"with the region of interest blank {background}"
    tail = (
        "; blank images may also be too unlike those it was trained on"
        if finding == "needs both together"
        else ""
    )
    return (
        f"{_LEAD[finding]}: with the background blank the AUC is {roi}; {of_background}; on full images "
        f"{_told(aucs['full'])}{tail}."
    )


def _weighed(left: Left, masks: Area, what: str, outline: Area, *, alone: bool) -> str:
    return {
        "beyond the masks": "",
        "as the outline": ", where no more is sure than the model tells by the outline of what is blank, on "
        f"the background of other images, {_told(outline)}",
        "as the masks": f", where no more is sure than the masks' {what} tell, {_told(masks)}",
        "chance": ", not told from chance" + ", as several are tested together" * alone,
    }[left]


def _rankings(
    finding: Finding,
    aucs: dict[str, Area],
    lefts: Sequence[Left],
    told: ToldSides,
    *,
    blank_background: bool,
) -> list[str]:
    full = aucs["full"]
    if not told.full:
        hidden = (
            f"On full images its AUC is not told from chance ({_told(full)}), so there the two sides may "
            "hide what either tells alone."
        )
        return [] if finding == "cannot be told" or blank_background else [hidden]
    found = []
    if full.auc < 0.5:
        found.append(
            "The AUC on full images is below 0.5: the model ranks the classes the wrong way round, as it "
            "does when what it learned is reversed in these images, or when its outputs stand for the "
            "classes in another order."
        )
    for (gone, name, _), told_by in zip(_SIDES, lefts, strict=True):
        left = aucs[name]
        if blank_background or told_by == "chance" or (left.auc > 0.5) == (full.auc > 0.5):
            continue
        turned = f"With the {gone} blank the ranking is turned round ({full.auc:.2f} to {left.auc:.2f})"
        found.append(
            f"{turned}: on full images the {gone} outvotes the rest."
            if told_by == "beyond the masks"
            else f"{turned}, as the masks by themselves may do."
        )
    return found


def _survivals(aucs: dict[str, Area], masks: Area, chance_distance: float) -> list[str]:
    """Where more is left of a side that is shuffled than of one that is blank."""
    outlines = "the masks' outlines stand out more, or" if masks.informs(chance_distance) else "or"
    found = []
    for gone, blank, word in _SIDES:
        shuffled = aucs[f"{word} shuffled"]
        if shuffled.informs(chance_distance) and shuffled.least > aucs[blank].most:
            found.append(
                f"With the {gone} shuffled in place of blank the AUC is {_told(shuffled)}: the intensities "
                f"of the {gone} tell the class, {outlines} blank ones are too unlike what it was trained on."
            )
    return found


def _of_outline(outline: Area, beyond: Estimate, lefts: Sequence[Left]) -> list[str]:
    """What a blank region still shows, beside a background that is said to be read."""
    if lefts[1] != "beyond the masks":
        return []
    return [
        "A blank region still shows its outline: by that alone, on the background of other images, the AUC "
        f"is {_told(outline)}, and on the image's own background it is another by {_change(beyond)}."
    ]


def _changes(rows: Sequence[ConditionRow], *, blank_background: bool) -> list[str]:
    # Where the background is blank already, destroying it changes nothing.
    asked = [
        (row.condition, row.auc_change)
        for row in rows
        if row.auc_change is not None
        and row.condition != OUTLINE
        and not (blank_background and row.condition.startswith(("outside", "inside only")))
    ]
    told = [f"{name} ({_change(change)})" for name, change in asked if change.told]
    untold = [name for name, change in asked if not change.told]
    found = []
    if told:
        found.append(
            f"Against full images the AUC changes, each by its own 95 % interval, with {', '.join(told)}."
        )
    if untold:
        found.append(f"No change of the AUC is told from none with {', '.join(untold)}.")
    return found


def _cautions(baseline: MaskBaseline, masks: Area, subjects: int, chance_distance: float) -> list[str]:
    found = []
    if masks.informs(chance_distance):
        place = "" if baseline.place is None else f", of area and place {_told(baseline.place.area())}"
        found.append(
            "Caution: the masks alone predict the label, without an image, and every condition but full "
            f"shows where they lie: the AUC of their area is {_told(baseline.area.area())}{place}."
        )
    if subjects < FEW:
        found.append(
            f"The intervals are of {subjects} subjects, which are few for a bootstrap: they are too narrow."
        )
    return found


def _told(area: Area) -> str:
    # An interval that is one point says nothing of the uncertainty.
    if area.low is None or area.high is None or area.low == area.high:
        return f"{area.auc:.2f}"
    return f"{area.auc:.2f} (95 % {area.low:.2f} to {area.high:.2f})"


def _change(change: Estimate) -> str:
    between = "" if change.low == change.high else f", {change.low:+.2f} to {change.high:+.2f}"
    return f"{change.value:+.2f}{between}"
