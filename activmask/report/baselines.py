"""Every method against classification alone, paired over seeds."""

from collections.abc import Sequence
from dataclasses import dataclass

from activmask.evaluation.paired import Difference, holm, paired_difference
from activmask.experiments.labels import baseline, is_baseline, same_experiment
from activmask.experiments.results import Run


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A run against classification alone on the same data, with the same network and settings."""

    baseline: Run
    difference: Difference
    """Of the test AUC, over the seeds that both finished."""
    adjusted_p: float
    """Its p after Holm's correction for all comparisons made together."""


def against_baselines(runs: Sequence[Run]) -> list[Comparison | None]:
    """Compare the test AUC of each run with that of its baseline among the runs.

    Returns:
        One a run; None for a baseline, and where none of the runs is its baseline, trained for as
        many epochs, with a seed in common.

    Raises:
        UsageError: a test AUC is no number from 0 to 1.
    """
    pairs = [_baseline_of(run, runs) for run in runs]
    differences = [_difference(run, other) if other else None for run, other in zip(runs, pairs, strict=True)]
    adjusted = iter(holm([difference.p for difference in differences if difference]))
    return [
        Comparison(baseline=other, difference=difference, adjusted_p=next(adjusted))
        if other and difference
        else None
        for other, difference in zip(pairs, differences, strict=True)
    ]


def _baseline_of(run: Run, runs: Sequence[Run]) -> Run | None:
    """The baseline with the most seeds in common, trained for as many epochs."""
    if is_baseline(run.config):
        return None
    wanted = baseline(run.config)
    found = [
        other
        for other in runs
        if same_experiment(other.config, wanted)
        and other.config.epochs == wanted.epochs
        and _common(run, other)
    ]
    return max(found, key=lambda other: len(_common(run, other)), default=None)


def _common(run: Run, other: Run) -> list[int]:
    return [seed for seed in run.seeds if seed in other.metrics]


def _difference(run: Run, other: Run) -> Difference:
    seeds = _common(run, other)
    ours, theirs = ([float(one.metrics[seed]["test"]["auc"]) for seed in seeds] for one in (run, other))
    return paired_difference(ours, theirs)
