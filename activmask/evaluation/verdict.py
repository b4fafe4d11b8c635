"""The shortcut audit in words: what the scores of shuffled images say about where the model looks."""

from activmask.evaluation.sides import (
    Area,
    Finding,
    ToldSides,
    Verdict,
    finding_of_sides,
    told_from_chance,
)

_REVERSED = (
    "The AUC on full images is below 0.5: the model ranks the classes the wrong way round, as it does when "
    "what it learned is reversed in these images."
)


def verdict(
    full: float,
    background_shuffled: float,
    roi_shuffled: float,
    *,
    mask_area: float,
    chance_distance: float,
    blank_background: bool = False,
) -> Verdict:
    """Judge by the distances of AUCs from 0.5 where the model's information comes from.

    An AUC near 0 carries as much information as one near 1: on a test set whose correlation is
    reversed, a model that follows the shortcut scores 0. So only the distance from 0.5 counts, and
    its side is compared between the full and the shuffled images. The three are tested together
    (`told_from_chance`).

    Shuffled pixels still show how large the region of interest is. Where the score survives a
    shuffled background whole, and with the region shuffled no more is left than its area alone
    tells, nothing shows that the background is read, and nothing is said of it.

    Args:
        full: AUC on the images as they are.
        background_shuffled: AUC with everything outside the masks shuffled.
        roi_shuffled: AUC with everything inside the masks shuffled.
        mask_area: AUC of the masks' areas as a score.
        chance_distance: an AUC no further than this from 0.5 counts as chance, of one by itself.
        blank_background: whether all pixels outside the masks have one value, as where images are
            masked, so that there is nothing to read.
    """
    if blank_background:
        return _of_the_inside(full, roi_shuffled, mask_area, chance_distance)
    areas = [Area(auc) for auc in (full, background_shuffled, roi_shuffled)]
    told = ToldSides(*told_from_chance(areas, chance_distance))
    finding = finding_of_sides(told, *areas[1:])
    size_explains = told.without_roi and _explains(mask_area, roi_shuffled, chance_distance)
    if size_explains and _needs_no_background(full, background_shuffled, chance_distance):
        finding = "reads the region of interest or its size"
    sentences = [_finding_sentence(finding, full, background_shuffled, roi_shuffled, mask_area)]
    if told.full:
        sentences += _side_sentences(full, background_shuffled, roi_shuffled, told)
    elif finding != "cannot be told":
        sentences.append(
            f"On full images its AUC is at chance ({full:.2f}): there the two sides of the mask hide what "
            "either tells it alone."
        )
    if _informs(mask_area, chance_distance) and finding != "reads the region of interest or its size":
        sentences += _area_sentences(mask_area, roi_shuffled, size_explains)
    return Verdict(finding, tuple(sentences))


def _of_the_inside(full: float, roi_shuffled: float, mask_area: float, chance_distance: float) -> Verdict:
    """The verdict on images of which the masks show all that there is."""
    told = told_from_chance([Area(full), Area(roi_shuffled)], chance_distance)
    if not any(told):
        return Verdict("cannot be told", (_finding_sentence("cannot be told", full, full, full, mask_area),))
    sentences = [
        "The model reads the region of interest, its place or its size: outside the masks all pixels have "
        f"one value, so there is no background to read (full images {full:.2f}, with the region of interest "
        f"shuffled {roi_shuffled:.2f})."
    ]
    sentences += [_REVERSED] if told[0] and full < 0.5 else []
    sentences += [_area_caution(mask_area)] if _informs(mask_area, chance_distance) else []
    return Verdict("reads the region of interest", tuple(sentences))


def _informs(auc: float, chance_distance: float) -> bool:
    return Area(auc).informs(chance_distance)


def _explains(mask_area: float, roi_shuffled: float, chance_distance: float) -> bool:
    """Whether the region's area alone tells as much as is left with the region shuffled, up to chance.

    A network may read a large region as either class, so sides do not count.
    """
    left, told = abs(roi_shuffled - 0.5), abs(mask_area - 0.5)
    return _informs(mask_area, chance_distance) and left <= told + chance_distance


def _needs_no_background(full: float, background_shuffled: float, chance_distance: float) -> bool:
    """Whether the score survives a shuffled background whole, up to chance.

    By themselves, not as one of several: it takes a finding back that another score has made.
    """
    told = _informs(background_shuffled, chance_distance) and _informs(full, chance_distance)
    return told and abs(full - background_shuffled) <= chance_distance


def _finding_sentence(
    finding: Finding, full: float, background_shuffled: float, roi_shuffled: float, mask_area: float
) -> str:
    match finding:
        case "reads the region of interest or its size":
            return (
                "The model reads the region of interest or its size, and does not need the background: with "
                f"the background shuffled the AUC is {background_shuffled:.2f} (full images {full:.2f}). "
                f"With the region of interest shuffled {roi_shuffled:.2f} are left, no more than the mask's "
                f"area alone tells (AUC {mask_area:.2f}), so whether it also reads the background cannot be "
                "told."
            )
        case "reads the background":
            return (
                "The model reads the background: with the region of interest shuffled the AUC is "
                f"{roi_shuffled:.2f} (full images {full:.2f}), with the background shuffled it is at chance "
                f"({background_shuffled:.2f})."
            )
        case "reads the region of interest":
            return (
                "The model reads the region of interest: with the background shuffled the AUC is "
                f"{background_shuffled:.2f} (full images {full:.2f}), with the region of interest shuffled "
                f"it is at chance ({roi_shuffled:.2f})."
            )
        case "reads both" | "reads mostly the background" | "reads mostly the region of interest":
            more = {
                "reads both": "the background as well as the region of interest",
                "reads mostly the background": "mostly the background, also the region of interest",
                "reads mostly the region of interest": "mostly the region of interest, also the background",
            }[finding]
            return (
                f"The model reads {more}: with the region of interest shuffled the AUC is "
                f"{roi_shuffled:.2f}, with the background shuffled {background_shuffled:.2f} (full images "
                f"{full:.2f})."
            )
        case "needs both together":
            return (
                f"The model needs the region of interest and the background together: the AUC of {full:.2f} "
                f"falls to chance with either shuffled ({background_shuffled:.2f} and {roi_shuffled:.2f}); "
                "shuffled images may also be too unlike those it was trained on."
            )
        case "cannot be told":
            return (
                f"The model tells the classes apart on no version of the images (full images {full:.2f}), "
                "so where it looks cannot be told."
            )


def _area_sentences(mask_area: float, roi_shuffled: float, size_explains: bool) -> list[str]:
    caution = _area_caution(mask_area)
    if not size_explains:
        return [caution]
    left = (
        f"What is left with the region of interest shuffled ({roi_shuffled:.2f}) is no more than this area "
        "tells, so by itself it does not show that the background is read."
    )
    return [caution, left]


def _area_caution(mask_area: float) -> str:
    return (
        f"Caution: the mask's area alone predicts the label (AUC {mask_area:.2f}), and shuffled pixels "
        "still tell it, so part of these scores may come from the size of the region of interest."
    )


def _side_sentences(
    full: float, background_shuffled: float, roi_shuffled: float, told: ToldSides
) -> list[str]:
    sentences = []
    if full < 0.5:
        sentences.append(_REVERSED)
    for auc, informs, what in (
        (background_shuffled, told.without_background, "background"),
        (roi_shuffled, told.without_roi, "region of interest"),
    ):
        if informs and (auc > 0.5) != (full > 0.5):
            sentences.append(
                f"Shuffling the {what} turns the ranking round ({full:.2f} to {auc:.2f}): on full images "
                f"the {what} outvotes the rest."
            )
    return sentences
