"""The conditions in words, which never say more than the intervals carry.

Where the information comes from is judged by the two conditions that show nothing at all of one side:
`inside only` and `outside only`, the latter less what the outline of the blank region tells by itself
(`outline only`). Shuffled pixels keep their intensities, means keep brightness and blurs
keep large forms, so a score that survives them may still be of the side that they destroyed.
"""

from collections.abc import Mapping, Sequence
from functools import partial

from activmask.auditing.conditions.disagreement import (
    ROI,
    SIDES,
    blank_against_others,
    change_in_words,
    changes_auc,
    rankings,
    without_effect,
)
from activmask.auditing.conditions.mask_baseline import MaskBaseline
from activmask.auditing.conditions.rows import ConditionRow, Left
from activmask.auditing.conditions.versions import OUTLINE
from activmask.evaluation.estimate import Estimate
from activmask.evaluation.sides import (
    LEAD,
    Area,
    Finding,
    ToldSides,
    Verdict,
    finding_of_sides,
    told_from_chance,
    too_few,
)
from activmask.evaluation.standing import beside_chance, too_narrow, with_interval

FEWEST = 8
"""Subjects below which nothing is claimed of one score: chance alone ranks four and four perfectly, or
perfectly wrong, in 1 case of 35, but three and three in 1 of 10."""

_UNDECIDED = (
    "With the background blank the classes are told apart, but no difference shows that the region of "
    "interest tells more than the background (the one's distance from 0.5 less the other's: {}), and none is "
    "told where the region is destroyed otherwise than by a blank."
)

_ROUNDING = 1e-9
"""A difference of two AUCs below this is of the order of adding up."""


def verdict(
    rows: Sequence[ConditionRow],
    baseline: MaskBaseline,
    beyond_outline: Estimate,
    further: Estimate,
    *,
    subjects: int,
    chance_distance: float,
    blank_background: bool = False,
) -> Verdict:
    """Judge from which side of the masks the information comes.

    A side is read where the images that show it alone tell the classes from chance, and better than the
    masks do by themselves; both intervals must carry it. The background also has to tell more than the model
    makes of the blank region's outline on the background of another image; the interval of the difference
    must carry that. Where the background is not told from chance, the region of interest is said to be read
    only if a paired difference shows it: it tells more than the background, or destroying it otherwise than
    by a blank changes the AUC. What the two sides and the full images tell is
    tested together (`told_from_chance`), so that of a model that reads nothing something is found in at
    most 5 % of cases.

    Args:
        rows: of all conditions.
        baseline: what the masks tell by themselves.
        beyond_outline: the AUC of `outside only` minus that of `outline only`.
        further: how much further from 0.5 the AUC of `inside only` lies than that of `outside only`.
        subjects: how many the intervals are of.
        chance_distance: an AUC no further than this from 0.5 counts as chance, of one by itself.
        blank_background: whether all pixels outside the masks have one value, as where images are masked,
            so that there is nothing to read.
    """
    if (none := too_few(subjects)) is not None:
        return none
    by_name = {row.condition: row for row in rows}
    aucs = {name: row.auc.area() for name, row in by_name.items()}
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
    # Where there is but one side, nothing has to be told apart.
    undecided = lefts[1] == "chance" and not blank_background and not _tells_roi(by_name, further)
    if undecided and "region of interest" in finding:
        finding = "cannot be told"
    if finding == "needs both together" and not all(changes_auc(by_name, one.blank) for one in SIDES):
        finding = "cannot be told"
    say = partial(_clause, subjects=subjects, chance_distance=chance_distance)
    sentences = too_narrow(subjects)
    sentences.append(
        _finding_sentence(finding, aucs, lefts, (masks, shape), told, say, blank=blank_background)
    )
    if undecided and told.without_background:
        sentences.append(_UNDECIDED.format(change_in_words(further)))
    sentences += _on_full(finding, full, told, blank_background=blank_background)
    if not blank_background:
        by_side = blank_against_others(by_name, masks, chance_distance)
        if told.full:
            by_side |= rankings(by_name, {"inside only": lefts[0], "outside only": lefts[1]})
        sentences += [*by_side.values(), *without_effect(by_name, finding)]
    sentences += _of_outline(aucs[OUTLINE], beyond_outline, lefts)
    sentences += _changes(rows, blank_background=blank_background)
    sentences += _cautions(baseline, masks, chance_distance)
    return Verdict(finding, tuple(sentences))


def _tells_roi(rows: Mapping[str, ConditionRow], further: Estimate) -> bool:
    """Whether a paired difference shows that the region of interest tells something."""
    destroying = [name for name in ROI.destroying() if name != ROI.blank]
    return (further.told and further.value > 0) or any(changes_auc(rows, name) for name in destroying)


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
    aucs: Mapping[str, Area],
    lefts: Sequence[Left],
    masks: tuple[Area, Area],
    told: ToldSides,
    say: "partial[str]",
    *,
    blank: bool,
) -> str:
    roi, background = (
        f"{with_interval(aucs[name])}{say(aucs[name], told=left != 'chance')}"
        + _weighed(left, own, what, aucs[OUTLINE])
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
    full = aucs["full"]
    return (
        f"{LEAD[finding]}: with the background blank the AUC is {roi}; {of_background}; on full images "
        f"{with_interval(full)}{say(full, told=told.full)}{tail}."
    )


def _clause(area: Area, *, told: bool, subjects: int, chance_distance: float) -> str:
    return beside_chance(area, told=told, subjects=subjects, chance_distance=chance_distance)


def _weighed(left: Left, masks: Area, what: str, outline: Area) -> str:
    return {
        "beyond the masks": "",
        "as the outline": ", where no more is sure than the model tells by the outline of what is blank, on "
        f"the background of other images, {with_interval(outline)}",
        "as the masks": f", where no more is sure than the masks' {what} tell, {with_interval(masks)}",
        "chance": "",
    }[left]


def _on_full(finding: Finding, full: Area, told: ToldSides, *, blank_background: bool) -> list[str]:
    if not told.full:
        hidden = (
            f"On full images its AUC is not told from chance ({with_interval(full)}), so there the two sides "
            "may hide what either tells alone."
        )
        return [] if finding == "cannot be told" or blank_background else [hidden]
    if full.auc >= 0.5:
        return []
    return [
        "The AUC on full images is below 0.5, worse than chance: the model ranks the classes the wrong way "
        "round, as it does when what it learned is reversed in these images, or when its outputs stand for "
        "the classes in another order."
    ]


def _of_outline(outline: Area, beyond: Estimate, lefts: Sequence[Left]) -> list[str]:
    """What a blank region still shows, beside a background that is said to be read."""
    if lefts[1] != "beyond the masks":
        return []
    return [
        "A blank region still shows its outline: by that alone, on the background of other images, the AUC "
        f"is {with_interval(outline)}, and on the image's own background it is another by "
        f"{change_in_words(beyond)}."
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
    told = [f"{name} ({change_in_words(change)})" for name, change in asked if change.told]
    untold = [name for name, change in asked if not change.told]
    found = []
    if told:
        found.append(
            f"Against full images the AUC changes, each by its own 95 % interval, with {', '.join(told)}."
        )
    if untold:
        found.append(f"No change of the AUC is told from none with {', '.join(untold)}.")
    return found


def _cautions(baseline: MaskBaseline, masks: Area, chance_distance: float) -> list[str]:
    if not masks.informs(chance_distance):
        return []
    place = "" if baseline.place is None else f", of area and place {with_interval(baseline.place.area())}"
    return [
        "Caution: the masks alone predict the label, without an image, and every condition but full "
        f"shows where they lie: the AUC of their area is {with_interval(baseline.area.area())}{place}."
    ]
