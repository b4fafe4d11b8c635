"""Every method against classification alone, paired over seeds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from activmask.evaluation.paired import Difference, holm, paired_difference, smallest_p
from activmask.report.findings.tuned import baselines_of, is_trial, unequal
from activmask.report.findings.words import count
from activmask.runs.identity import alike, on_other_images
from activmask.runs.names import data_name, is_baseline
from activmask.runs.results import Run, saw_same_images

SIGNIFICANT = 0.05
"""A Holm-adjusted p below it counts as a difference."""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A run against classification alone on the same data, with the same network and settings."""

    baseline: Run
    difference: Difference
    """Of the test AUC, over the seeds that both finished on the same images."""
    adjusted_p: float
    """Its p after Holm's correction for all comparisons on the same data set."""
    family: int
    """How many these are."""


@dataclass(frozen=True, kw_only=True)
class PFloor:
    """The smallest p that comparisons on one data set can reach, however large the differences."""

    seeds: int
    """Paired seeds of the comparison that has the most."""
    varying: bool
    """Whether others have fewer."""
    family: int
    """How many comparisons are corrected together."""

    @property
    def p(self) -> float:
        """Before the correction."""
        return smallest_p(self.seeds)

    @property
    def adjusted(self) -> float:
        """After it."""
        return min(1.0, self.family * self.p)

    def seeds_in_words(self, thing: str) -> str:
        """For example `at most 10 seeds`."""
        return f"{'at most ' if self.varying else ''}{count(self.seeds, thing)}"


def p_floor(comparisons: Sequence[Comparison]) -> PFloor:
    """How small p can get among the comparisons on one data set."""
    seeds = {one.difference.n for one in comparisons}
    return PFloor(seeds=max(seeds), varying=len(seeds) > 1, family=comparisons[0].family)


def against_baselines(runs: Sequence[Run]) -> list[Comparison | None]:
    """Compare the test AUC of each run with that of its baseline among the runs.

    A run that is tested on other images than its baseline, as one that masks them, is not compared, nor one
    whose settings had another budget of search than its baseline's.
    Each data set is a question of its own, so p values are corrected within it. A run that repeats
    another, scores included, is no further test: both get the same comparison.

    Returns:
        One per run; None for a baseline, for a run tested on other images, and where none of the runs is
        its baseline, trained for as many epochs, with a seed in common that saw the same images.

    Raises:
        UsageError: a test AUC is no number from 0 to 1.
    """
    first = [next(k for k, other in enumerate(runs) if _repeats(run, other)) for run in runs]
    found: dict[int, Comparison] = {}
    for data in dict.fromkeys(data_name(run.config) for run in runs):
        found |= _compared({k: runs[k] for k in first if data_name(runs[k].config) == data}, runs)
    return [found.get(k) for k in first]


def _compared(tested: Mapping[int, Run], runs: Sequence[Run]) -> dict[int, Comparison]:
    """The comparisons of one data set, which are corrected together, by the number of the run."""
    pairs = {number: (run, _baseline_of(run, runs)) for number, run in tested.items()}
    found = {number: (other, _difference(run, other)) for number, (run, other) in pairs.items() if other}
    adjusted = holm([difference.p for _, difference in found.values()])
    return {
        number: Comparison(baseline=other, difference=difference, adjusted_p=p, family=len(found))
        for (number, (other, difference)), p in zip(found.items(), adjusted, strict=True)
    }


def _repeats(run: Run, other: Run) -> bool:
    return run is other or (
        alike(run.config, other.config)
        and _aucs(run, run.seeds) == _aucs(other, other.seeds)
        and all(saw_same_images(run, other, seed) for seed in run.seeds)
    )


def _aucs(run: Run, seeds: Sequence[int]) -> dict[int, float]:
    return {seed: float(run.metrics[seed]["test"]["auc"]) for seed in seeds}


def _baseline_of(run: Run, runs: Sequence[Run]) -> Run | None:
    """The baseline with the most seeds in common, trained for as many epochs on the same images."""
    found = [other for other in _counterparts(run, runs) if _common(run, other)]
    return max(found, key=lambda other: len(_common(run, other)), default=None)


def _counterparts(run: Run, runs: Sequence[Run]) -> list[Run]:
    """The runs that are the baseline of another but, perhaps, for their data, after as much search."""
    if is_baseline(run.config) or on_other_images(run.config) or is_trial(run):
        return []
    return baselines_of(run, [other for other in runs if not (is_trial(other) or unequal(run, other))])


def _common(run: Run, other: Run) -> list[int]:
    return [seed for seed in run.seeds if seed in other.metrics and saw_same_images(run, other, seed)]


def unpaired(run: Run, runs: Sequence[Run]) -> tuple[Run, list[int]] | None:
    """A baseline with common seeds that saw other images, and these seeds; None if all seeds pair.

    Only baselines of the same data set's name count; the one with the most such seeds is told.
    """
    named = [other for other in _counterparts(run, runs) if data_name(other.config) == data_name(run.config)]
    paired = set(_common(run, chosen)) if (chosen := _baseline_of(run, runs)) else set()
    found = [
        (
            other,
            [
                seed
                for seed in run.seeds
                if seed in other.metrics and seed not in paired and not saw_same_images(run, other, seed)
            ],
        )
        for other in named
    ]
    other, seeds = max(found, key=lambda pair: len(pair[1]), default=(run, []))
    return (other, seeds) if seeds else None


def unverified(run: Run, other: Run) -> list[int]:
    """The common seeds that were paired by the name of their data alone, for want of a digest."""
    return [seed for seed in _common(run, other) if not (run.digests.get(seed) and other.digests.get(seed))]


def _difference(run: Run, other: Run) -> Difference:
    seeds = _common(run, other)
    return paired_difference(list(_aucs(run, seeds).values()), list(_aucs(other, seeds).values()))
