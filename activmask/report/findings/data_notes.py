"""What is not paired or averaged because the images were others, in sentences."""

from collections.abc import Iterable, Sequence

from activmask.report.findings.baselines import Comparison, unpaired, unverified
from activmask.runs.results import Run


def data_notes(rows: Sequence[tuple[Run, Comparison | None]], titles: Sequence[str]) -> Iterable[str]:
    """Sentences on seeds that saw different data, and on those of which that is not known.

    Args:
        rows: each run with its comparison.
        titles: what each is called.
    """
    runs = [run for run, _ in rows]
    for run, title in zip(runs, titles, strict=True):
        if found := unpaired(run, runs):
            other, seeds = found
            yield (
                f"Not paired, because {_seeds(seeds)} saw other images: {title} in {run.folder} and its "
                f"baseline in {other.folder}."
            )
    if several := [str(run.folder) for run in runs if run.apart]:
        listed = ", ".join(dict.fromkeys(several))
        yield f"Seeds that saw different data are not averaged but stand in rows of their own: {listed}."
    by_name = [
        title
        for (run, comparison), title in zip(rows, titles, strict=True)
        if comparison and unverified(run, comparison.baseline)
    ]
    if by_name:
        yield (
            "Paired by the name of their data alone, because an earlier version trained them and left no "
            f"digest of their images: {', '.join(by_name)}."
        )


def _seeds(seeds: Sequence[int]) -> str:
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
