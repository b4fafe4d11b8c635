"""The question a report asks, and what its runs say to it, computed and worded with care."""

from collections.abc import Sequence

import numpy as np

from activmask.ground.listed import listed
from activmask.report.findings.baselines import SIGNIFICANT, PFloor
from activmask.report.findings.experiment import Experiment, p_floors
from activmask.report.findings.measure import Measured
from activmask.report.findings.reliance import FEWEST_POINTS, Correlation, comparable_points, correlation
from activmask.report.findings.series import grouped
from activmask.report.findings.summary import Summary
from activmask.report.findings.words import count, interval, signed

QUESTION = "Does a classifier that looks where the expert points classify better?"

MOST_NAMED = 5
"""Differences that the answer spells out; more are counted."""

_LEVEL = f"p < {SIGNIFICANT}".replace(" ", "\N{NO-BREAK SPACE}")

_WEAK = 0.3
"""A rank correlation nearer to 0 is called weak; a word, not a test."""


def answer(summary: Summary, measured: Sequence[Measured]) -> tuple[str, ...]:
    """Two paragraphs: which differences from the baseline survive, and how attribution goes with AUC.

    Args:
        summary: of all runs.
        measured: the same runs with their evaluations, in the order of the summary.
    """
    correlations = _correlations(summary, measured)
    return (f"{_extent(summary)} {_differences(summary)}", *([correlations] if correlations else []))


def _extent(summary: Summary) -> str:
    networks = sum(len(row.run.seeds) for row in summary.rows)
    return (
        f"{count(len(summary.rows), 'experiment')} with {count(networks, 'trained network')} on "
        f"{listed(summary.data_sets)}."
    )


def _differences(summary: Summary) -> str:
    compared = summary.compared
    if not compared:
        return "None could be compared with classification alone, which takes a baseline with the same seeds."
    found = [row for row in compared if row.comparison and row.comparison.adjusted_p < SIGNIFICANT]
    if not found:
        return (
            f"{_of_comparisons('None', len(compared))} a difference in test AUC that survives Holm's "
            f"correction ({_LEVEL}).{_hopeless(summary)}"
        )
    better = sum(row.comparison.difference.mean > 0 for row in found if row.comparison)
    named = "; ".join(_difference(row, summary) for row in found[:MOST_NAMED])
    more = f"; and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    return (
        f"{_of_comparisons(str(len(found)), len(compared))} a difference in test AUC that survives Holm's "
        f"correction ({_LEVEL}), {better} better and {len(found) - better} worse: {named}{more}."
        f"{_hopeless(summary)}"
    )


def _of_comparisons(number: str, compared: int) -> str:
    verb = "show" if number.isdigit() and int(number) > 1 else "shows"
    return f"{number} of {count(compared, 'comparison')} with classification alone {verb}"


def _difference(row: Experiment, summary: Summary) -> str:
    assert row.comparison is not None  # only compared rows get here
    found = row.comparison.difference
    data = f"{row.data} " if len(summary.data_sets) > 1 else ""
    between = interval(found.low, found.high)
    return f"{data}{row.title} {signed(found.mean)}{f' ({between})' if between else ''}"


def _hopeless(summary: Summary) -> str:
    """On which data sets the seeds are too few for any difference to survive."""
    floors = {data: floor for data, floor in p_floors(summary.rows).items() if floor.adjusted >= SIGNIFICANT}
    said = grouped(floors, lambda data: _floor_in_words(floors[data]))
    sentences = [
        f" On {listed(data_sets)} none could, however large: {words}" for words, data_sets in said.items()
    ]
    return "".join([*sentences, " More seeds would tell."]) if sentences else ""


def _floor_in_words(floor: PFloor) -> str:
    corrected = (
        f", which the correction for {floor.family} comparisons makes {floor.adjusted:.2g}"
        if floor.family > 1
        else ""
    )
    seeds = floor.seeds_in_words("seed")
    return f"with {seeds} the smallest p that the test can give is {floor.p:.2g}{corrected}."


def _correlations(summary: Summary, measured: Sequence[Measured]) -> str:
    pairs = list(zip(summary.rows, measured, strict=True))
    said = []
    for data, group in grouped(pairs, lambda pair: pair[0].data).items():
        points, _ = comparable_points([one for _, one in group])
        if points:
            said.append(f"On {data} {_in_words(correlation(points, np.random.default_rng(0)))}.")
    if not said:
        return ""
    return (
        f"{' '.join(said)} Such a correlation mixes methods and networks, and does not say that one brings "
        "about the other."
    )


def _in_words(found: Correlation) -> str:
    if found.points < FEWEST_POINTS:
        return (
            "no correlation between attribution inside the mask and test AUC can be given: it takes "
            f"{FEWEST_POINTS} networks, and only {found.points} could be measured on the "
            "same images"
        )
    if found.rho is None:
        return (
            "no correlation between attribution inside the mask and test AUC can be given, as one of them "
            f"does not vary over {count(found.points, 'network')}"
        )
    what = (
        f"the rank correlation between attribution inside the mask and test AUC is {signed(found.rho)} "
        f"over {count(found.points, 'network')}"
    )
    if found.interval is None:
        return f"{what}, from too few experiments for an interval, so it may be chance"
    low, high = found.interval
    return f"{what} (95 % interval {interval(low, high)}): {_strength(found.rho, low, high)}"


def _strength(rho: float, low: float, high: float) -> str:
    if low <= 0 <= high:
        return "the runs do not tell whether looking there goes with scoring higher"
    strength = "weakly " if abs(rho) < _WEAK else ""
    side = "higher" if rho > 0 else "lower"
    return f"networks that look there {strength}tend to score {side}"
