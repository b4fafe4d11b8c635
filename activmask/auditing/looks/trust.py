"""Whether a conclusion may rest on a method's maps, and why not, in words."""

from activmask.auditing.looks.curves import Curve
from activmask.auditing.looks.randomised import Randomisation
from activmask.evaluation.map_scores import MapScores
from activmask.ground.shown import shown


def judged(
    name: str,
    *,
    constant: int,
    n: int,
    randomisation: Randomisation | str,
    curves: tuple[Curve, Curve] | None,
) -> tuple[bool, tuple[str, ...]]:
    """Whether maps can be believed, and the sentences that say why.

    They can if they depend on what was learned, as far as that can be asked, and if insertion or deletion
    is better than at random places while neither is worse.

    Args:
        name: of the method and the sign.
        constant: how many maps have one value only.
        n: how many there are.
        randomisation: how they survive random weights, or why that is not known.
        curves: insertion and deletion; None where all maps are constant.
    """
    if curves is None:
        return False, (f"{name} is no evidence: every map is constant.",)
    learned, about_weights = _of_weights(name, randomisation)
    explains, about_curves = _of_curves(name, *curves)
    blank = f"{constant} of {n} maps of {name} are constant." if constant else ""
    return learned and explains, tuple(filter(None, (about_weights, about_curves, blank)))


def localisation_caution(name: str, trusted: bool, scores: MapScores | None) -> str:
    """What is said beside the localisation of maps that cannot be believed; empty where nothing need be."""
    if trusted or scores is None or not scores.rows:
        return ""
    return f"So what lies inside the masks of {name} says nothing of what the classifier reads."


def _of_weights(name: str, found: Randomisation | str) -> tuple[bool, str]:
    if isinstance(found, str):
        return True, f"Whether {name} depends on what was learned is not known: {shown(found)}."
    likeness = _with_interval(found.mean, found.low, found.high)
    numbers = (
        f"the rank correlation with the maps of an untrained copy is {likeness}, {found.chance:.2f} by chance"
    )
    if found.depends:
        return True, f"{name} depends on what was learned: {numbers}."
    return False, f"{name} does not depend on what was learned: {numbers}, not below {found.bound:.2f}."


def _of_curves(name: str, insertion: Curve, deletion: Curve) -> tuple[bool, str]:
    better = [one for one in (insertion, deletion) if one.beats_chance]
    worse = [one for one in (insertion, deletion) if one.below_chance]
    numbers = "; ".join(
        f"{one.kind} {one.area:.2f}, {one.chance:.2f} by chance, "
        f"better by {_with_interval(one.gain, one.gain_low, one.gain_high)}"
        for one in (insertion, deletion)
    )
    start = f"{name} is no evidence of what the score rests on"
    if insertion.gain_low is None:
        return False, f"{start}: all images are of one subject, so chance cannot be told apart ({numbers})."
    if worse:
        kinds = " and ".join(one.kind for one in worse)
        return False, f"{start}: by {kinds} it is worse than at random places ({numbers})."
    if not better and insertion.is_trifle and deletion.is_trifle:
        least = max(insertion.least_gain, deletion.least_gain)
        return False, f"{start}: random places move the score alike, by less than {least:.2g} ({numbers})."
    if not better:
        return False, f"{start}: it is no better than at random places ({numbers})."
    return True, f"{name} finds pixels that the score rests on ({numbers})."


def _with_interval(value: float, low: float | None, high: float | None) -> str:
    return f"{value:.2f}" if low is None or high is None else f"{value:.2f} ({low:.2f} to {high:.2f})"
