"""The shortcut audit in words: what the scores of shuffled images say about where the model looks.

Shuffled pixels keep their intensities, and show how large the region of interest is. So what is left of a
score with one side shuffled may still be of that side, and no side is said to be read by that alone: by its
paired interval, a difference between two versions of the images has to show it.
"""

from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from activmask.evaluation.estimate import Estimate
from activmask.evaluation.sides import (
    LEAD,
    Finding,
    ToldSides,
    Verdict,
    finding_of_sides,
    told_from_chance,
    too_few,
)
from activmask.evaluation.standing import beside_chance, telling_ends, too_narrow, with_interval

_REVERSED = (
    "The AUC on full images is below 0.5, worse than chance: the model ranks the classes the wrong way "
    "round, as it does when what it learned is reversed in these images."
)

_SIDES = ("background", "region of interest")


@dataclass(frozen=True, kw_only=True)
class Shuffled:
    """The AUCs of the same images, as they are and shuffled, and what they differ by."""

    full: Estimate
    """Of the images as they are."""
    without_background: Estimate
    """With everything outside the masks shuffled."""
    without_roi: Estimate
    """With everything inside the masks shuffled."""
    background_change: Estimate
    """Without the background minus full, paired."""
    roi_change: Estimate
    """Without the region of interest minus full, paired."""
    further: Estimate
    """How much further from 0.5 the AUC lies without the background than without the region, paired."""
    mask_area: Estimate
    """Of the masks' areas as a score."""


class _Reads(NamedTuple):
    """Which sides the scores show to be read."""

    background: bool
    roi: bool


def verdict(
    scores: Shuffled, *, subjects: int, chance_distance: float, blank_background: bool = False
) -> Verdict:
    """Judge where the model's information comes from, by AUCs and by what they differ by.

    An AUC near 0 carries as much information as one near 1: on a test set whose correlation is
    reversed, a model that follows the shortcut scores 0. So only the distance from 0.5 counts, and
    its side is compared between the full and the shuffled images. The three are tested together
    (`told_from_chance`).

    A side is read where, with the other one shuffled, the AUC is told from chance, and a paired interval
    shows that it matters: shuffling it changes the AUC, or the AUC lies further from chance with the
    other one shuffled. Where the two turn the ranking round, one change shows that both are read.

    Where the score survives a shuffled background whole, and with the region shuffled no more is left
    than its area alone tells, nothing is said of the background.

    Args:
        scores: with their intervals.
        subjects: how many the intervals are of.
        chance_distance: an AUC no further than this from 0.5 counts as chance, of one by itself.
        blank_background: whether all pixels outside the masks have one value, as where images are
            masked, so that there is nothing to read.
    """
    if (none := too_few(subjects)) is not None:
        return none
    say = partial(_said, subjects=subjects, chance_distance=chance_distance)
    narrow = too_narrow(subjects)
    if blank_background:
        inside = _of_the_inside(scores, say, chance_distance)
        return Verdict(inside.finding, (*narrow, *inside.sentences))
    three = [one.area() for one in (scores.full, scores.without_background, scores.without_roi)]
    told = ToldSides(*told_from_chance(three, chance_distance))
    explained = told.without_roi and _size_explains(scores, chance_distance)
    reads = _reads(scores, told)
    if explained and _survives(scores, chance_distance):
        reads = _Reads(background=False, roi=reads.roi)
    finding = _finding(scores, told, reads, explained=explained)
    sentences = [_finding_sentence(finding, scores, told, say), _differences(scores)]
    sentences += _on_full(scores, told, reads)
    sentences += _left_over(scores, told, reads, explained=explained)
    if scores.mask_area.area().informs(chance_distance):
        sentences.append(_area_caution(scores))
    return Verdict(finding, (*narrow, *sentences))


def _reads(scores: Shuffled, told: ToldSides) -> _Reads:
    further = scores.further
    opposed = (
        told.without_background
        and told.without_roi
        and (scores.without_background.value > 0.5) != (scores.without_roi.value > 0.5)
    )
    turned = opposed and (scores.background_change.told or scores.roi_change.told)
    return _Reads(
        background=told.without_roi
        and (turned or scores.background_change.told or (further.told and further.value < 0)),
        roi=told.without_background
        and (turned or scores.roi_change.told or (further.told and further.value > 0)),
    )


def _finding(scores: Shuffled, told: ToldSides, reads: _Reads, *, explained: bool) -> Finding:
    if any(reads):
        shown = ToldSides(told.full, reads.roi, reads.background)
        found = finding_of_sides(shown, scores.without_background.area(), scores.without_roi.area())
        only_roi = reads.roi and not reads.background
        return "reads the region of interest or its size" if only_roi and explained else found
    needs = told.full and not told.without_background and not told.without_roi
    if needs and scores.background_change.told and scores.roi_change.told:
        return "needs both together"
    return "cannot be told"


def _size_explains(scores: Shuffled, chance_distance: float) -> bool:
    """Whether the region's area alone tells as much as is left with the region shuffled, up to chance.

    A network may read a large region as either class, so sides do not count.
    """
    left, area = scores.without_roi.area(), scores.mask_area.area()
    return area.informs(chance_distance) and left.distance <= area.distance + chance_distance


def _survives(scores: Shuffled, chance_distance: float) -> bool:
    """Whether the score survives a shuffled background whole, up to chance.

    By themselves, not as one of several: it takes a finding back that another score has made.
    """
    both = (scores.full.area(), scores.without_background.area())
    told = all(one.informs(chance_distance) for one in both)
    return told and abs(scores.background_change.value) <= chance_distance


def _said(one: Estimate, *, told: bool, subjects: int, chance_distance: float) -> str:
    area = one.area()
    clause = beside_chance(area, told=told, subjects=subjects, chance_distance=chance_distance)
    return f"{with_interval(area)}{clause}"


def _finding_sentence(finding: Finding, scores: Shuffled, told: ToldSides, say: "partial[str]") -> str:
    tail = (
        "; shuffled images may also be too unlike those it was trained on"
        if finding == "needs both together"
        else ""
    )
    return (
        f"{LEAD[finding]}: with the background shuffled the AUC is "
        f"{say(scores.without_background, told=told.without_background)}; with the region of interest "
        f"shuffled {say(scores.without_roi, told=told.without_roi)}; on full images "
        f"{say(scores.full, told=told.full)}{tail}."
    )


def _differences(scores: Shuffled) -> str:
    return (
        "Paired over subjects, shuffling the background changes the AUC by "
        f"{_change(scores.background_change)}, shuffling the region of interest by "
        f"{_change(scores.roi_change)}. Its distance from 0.5 with the background shuffled, less that with "
        f"the region of interest shuffled, is {_change(scores.further)}."
    )


def _change(change: Estimate) -> str:
    ends = telling_ends(change.low, change.high)
    if ends is None:
        return f"{change.value:+.2f}"
    untold = "" if change.told else ", not told from none"
    return f"{change.value:+.2f} (95 % {ends[0]:+.2f} to {ends[1]:+.2f}{untold})"


def _on_full(scores: Shuffled, told: ToldSides, reads: _Reads) -> list[str]:
    full = scores.full
    if not told.full:
        hidden = (
            f"On full images its AUC is not told from chance ({with_interval(full.area())}), so there the "
            "two sides of the mask may hide what either tells alone."
        )
        return [hidden] if any(reads) else []
    sentences = [_REVERSED] if full.value < 0.5 else []
    for left, change, is_told, what in (
        (scores.without_background, scores.background_change, told.without_background, "background"),
        (scores.without_roi, scores.roi_change, told.without_roi, "region of interest"),
    ):
        if is_told and change.told and (left.value > 0.5) != (full.value > 0.5):
            sentences.append(
                f"Shuffling the {what} turns the ranking round ({full.value:.2f} to {left.value:.2f}): on "
                f"full images the {what} outvotes the rest."
            )
    return sentences


def _left_over(scores: Shuffled, told: ToldSides, reads: _Reads, *, explained: bool) -> list[str]:
    """What is left of the score, and shows nothing."""
    if explained:
        size = (
            f"What is left with the region of interest shuffled ({scores.without_roi.value:.2f}) is no more "
            f"than the mask's area alone tells ({scores.mask_area.value:.2f}), so by itself it does not show "
            "that the background is read."
        )
        return [size]
    return [
        f"With the {shuffled} shuffled {left.value:.2f} is left, which may be of its intensities, which "
        f"shuffling keeps: no difference shows that the {kept} is read."
        for left, is_told, is_read, (shuffled, kept) in (
            (scores.without_background, told.without_background, reads.roi, _SIDES),
            (scores.without_roi, told.without_roi, reads.background, _SIDES[::-1]),
        )
        if is_told and not is_read
    ]


def _of_the_inside(scores: Shuffled, say: "partial[str]", chance_distance: float) -> Verdict:
    """The verdict on images of which the masks show all that there is."""
    full, roi_shuffled = scores.full, scores.without_roi
    told = told_from_chance([full.area(), roi_shuffled.area()], chance_distance)
    finding: Finding = "reads the region of interest" if any(told) else "cannot be told"
    lead = f"{LEAD[finding]}, its place or its size" if any(told) else LEAD[finding]
    sentences = [
        f"{lead}: outside the masks all pixels have one value, so there is no background to read; on full "
        f"images the AUC is {say(full, told=told[0])}; with the region of interest shuffled "
        f"{say(roi_shuffled, told=told[1])}."
    ]
    sentences += [_REVERSED] if told[0] and full.value < 0.5 else []
    sentences += [_area_caution(scores)] if scores.mask_area.area().informs(chance_distance) else []
    return Verdict(finding, tuple(sentences))


def _area_caution(scores: Shuffled) -> str:
    return (
        f"Caution: the mask's area alone predicts the label (AUC {with_interval(scores.mask_area.area())}), "
        "and shuffled pixels still tell it, so part of these scores may come from the size of the region of "
        "interest."
    )
