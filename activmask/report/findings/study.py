"""Whether networks that look where the expert points score better, and whether it is where that matters."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from activmask.evaluation.paired import Difference, smallest_p
from activmask.ground.listed import listed
from activmask.report.findings.baselines import SIGNIFICANT
from activmask.report.findings.measure import Measured
from activmask.report.findings.mixed import STEP, Mixed, mixed_model
from activmask.report.findings.networks import CONTROLS, Observed, observed
from activmask.report.findings.relation import FEWEST_ARMS, FEWEST_SEEDS, Relation, relations
from activmask.report.findings.where import Contrast, Contrasts, contrasts
from activmask.report.findings.words import count, interval, p_value, signed

_WEAK = 0.3
"""A rank correlation nearer to 0 is called weak; a word, not a test."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """Everything that is found."""

    observed: Observed
    inside: tuple[Relation, tuple[Relation, ...]]
    """Of the attribution beyond chance and the test AUC: over the data sets, and of each."""
    holds: tuple[Relation, tuple[Relation, ...]]
    """Of how little the answer changes when all outside the mask is shuffled, likewise."""
    contrasts: Contrasts
    mixed: Mixed | str
    """The mixed model, or why there is none."""


def study(measured: Sequence[Measured], *, seed: int = 0) -> Study | None:
    """Find it out of runs; None without networks with masks at random places or of other images.

    Args:
        measured: runs of any data sets, in the order in which they are to be told.
        seed: of the bootstrap.
    """
    found = observed(measured)
    if not any(one.masks in CONTROLS for one in found.networks):
        return None
    return Study(
        observed=found,
        inside=relations(found.networks, lambda one: one.inside, np.random.default_rng(seed)),
        holds=relations(found.networks, lambda one: one.holds, np.random.default_rng(seed)),
        contrasts=contrasts(found.networks),
        mixed=mixed_model(found.networks),
    )


def headline(found: Study) -> str:
    """The answer in two sentences or three: whether it goes together, and what is made by where masks lie."""
    said = [_related(found.inside[0], found, *_INSIDE), *(_where(one) for one in found.contrasts.overall[:1])]
    return " ".join(said)


_INSIDE = ("attribution inside the mask", "that look more inside the mask")
_HOLDS = (
    "how little the answer changes when all outside the mask is shuffled",
    "whose answer holds when all outside the mask is shuffled",
)
"""What a measure is, and which networks have much of it."""


def study_sentences(found: Study) -> tuple[str, ...]:
    """The answer in plain sentences, none stronger than its interval."""
    said = [
        _related(found.inside[0], found, *_INSIDE),
        *_by_data(found.inside[1]),
        _related(found.holds[0], found, *_HOLDS),
        *(_where(one) for one in found.contrasts.overall),
        *([_amount(found.contrasts.amount)] if found.contrasts.amount else []),
        _modelled(found.mixed),
        "Correlations and model are of networks that method and weight made different, and do not say that "
        "looking inside brings about the score; the comparison with masks at random places is an experiment, "
        "but such masks change more than where a network looks. For the test AUC the p values of such "
        "comparisons are after Holm's correction for all of them.",
    ]
    return (*said, *found.observed.left_out)


def _related(one: Relation, found: Study, what: str, who: str) -> str:
    data = listed([relation.data for relation in found.inside[1]])
    size = f"{_ways(one.arms)}, {count(one.seeds, 'seed')} or more"
    over = f"over {count(one.networks, 'network')} ({size}) on {data}"
    if one.rho is None:
        return f"Whether {what} goes with the test AUC cannot be told: one of them does not vary."
    given = listed(list(dict.fromkeys(found.observed.known.values())), "or")
    rank = f"partial rank correlation, given the {given}," if one.fixed else "rank correlation"
    if one.interval is None:
        return (
            f"There are too few networks to tell whether {what} goes with the test AUC: it takes "
            f"{FEWEST_ARMS} ways to train and {FEWEST_SEEDS} seeds on each data set, and that both vary with "
            f"them. O{over[1:]} the {rank} is {signed(one.rho)}, which may be chance."
        )
    low, high = one.interval
    numbers = f"{over} the {rank} is {signed(one.rho)} (95 % interval {interval(low, high)})"
    if low <= 0 <= high:
        return (
            f"No relation is shown between {what} and the test AUC: {numbers}. That is no proof of none: any "
            "correlation inside the interval is possible as well."
        )
    weakly = "weakly " if abs(one.rho) < _WEAK else ""
    return f"Networks {who} {weakly}tend to score {'higher' if one.rho > 0 else 'lower'}: {numbers}."


def _ways(arms: int) -> str:
    return f"{arms} way{'s' if arms != 1 else ''} to train"


def _by_data(relations: Sequence[Relation]) -> list[str]:
    """What single data sets show by themselves, where there are several."""
    tested = [one for one in relations if one.p is not None]
    if len(relations) < 2 or not tested:
        return []
    shown = [one for one in tested if one.p is not None and one.p < SIGNIFICANT]
    many = count(len(tested), "data set")
    if not shown:
        return [f"By itself none of {many} shows such a correlation after Holm's correction."]
    named = listed([f"{one.data} ({signed(one.rho)})" for one in shown if one.rho is not None])
    verb = "shows" if len(shown) == 1 else "show"
    return [f"By itself {named} {verb} such a correlation after Holm's correction for {many}."]


def shows(one: Difference, p: float) -> bool:
    """Whether both the test and the interval leave 0 out."""
    return p < SIGNIFICANT and one.low is not None and one.high is not None and not one.low <= 0 <= one.high


def _where(one: Contrast) -> str:
    told = (
        f"With the masks of the data instead of {CONTROLS[one.control]}, all else alike ({_pairs(one)}), the "
        f"share of the attribution inside the mask changes by {_difference(one.mass, one.mass.p)} and the "
        f"test AUC by {_difference(one.score, one.adjusted_p)}"
    )
    side = "raises" if one.score.mean > 0 else "lowers"
    return told + _verdict(
        one,
        not_shown="that where the masks lie matters for the score is not shown",
        shown=f"where the masks lie matters, and the expert's place {side} the score",
    )


def _amount(one: Contrast) -> str:
    told = (
        "Masks at random places instead of classification alone change the test AUC by "
        f"{_difference(one.score, one.adjusted_p)} ({_pairs(one)})"
    )
    side = "raises" if one.score.mean > 0 else "lowers"
    return told + _verdict(
        one,
        not_shown="that disturbance as such, wherever it acts, matters is not shown",
        shown=f"disturbance as such, wherever it acts, {side} the score",
    )


def _verdict(one: Contrast, *, not_shown: str, shown: str) -> str:
    if one.family * smallest_p(one.score.n) >= SIGNIFICANT:
        return "; with so few seeds no difference could be shown, however large."
    return f": {shown if shows(one.score, one.adjusted_p) else not_shown}."


def _pairs(one: Contrast) -> str:
    return f"{count(one.pairs, 'pair')} of networks, {count(one.score.n, 'seed')} of data sets"


def _difference(one: Difference, p: float) -> str:
    between = interval(one.low, one.high)
    return f"{signed(one.mean)} ({f'95 % interval {between}' if between else 'no interval'}, p {p_value(p)})"


def _modelled(found: Mixed | str) -> str:
    if isinstance(found, str):
        return f"There is {found}."
    held = "score on images as those of training and data set" if found.known else "data set"
    low, slope, high = (signed(value, digits=3) for value in (found.low, found.slope, found.high))
    bound = (
        f" Nothing varies between {' or '.join(found.at_bound)} beyond the rest (a singular fit), so the "
        "model is the one without."
        if found.at_bound
        else ""
    )
    open_ = ", which leaves open whether it changes at all" if found.low <= 0 <= found.high else ""
    return (
        f"In a mixed model of {count(found.networks, 'network')} ({held} held fixed; {_ways(found.arms)}, "
        f"and seeds within data sets, as random effects) the test AUC changes by {slope} (95 % interval "
        f"{low} to {high}) for each {STEP:g} more of the attribution beyond chance{open_}.{bound}"
    )
