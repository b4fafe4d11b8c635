"""Which runs differ only in how many of their training images have a mask."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from activmask.report.findings.series import series_names
from activmask.runs.description import changed
from activmask.runs.identity import alike
from activmask.runs.names import model_name
from activmask.runs.results import Run, saw_same_images


@dataclass(frozen=True)
class Line:
    """One network and method trained with several shares of the masks."""

    name: str
    runs: tuple[Run, ...]
    """By growing share of masks."""


def mask_lines(runs: Sequence[Run]) -> list[Line]:
    """The runs that differ in their share of masks alone, those lines with a share below 1."""
    groups: list[list[Run]] = []
    for run in runs:
        for group in groups:
            if _on_one_line(group[0], run):
                group.append(run)
                break
        else:
            groups.append([run])
    groups = [group for group in groups if any(run.config.view.masks < 1 for run in group)]
    names = series_names([_at_full_share(group[0]) for group in groups])
    return [_line(name, group) for name, group in zip(names, groups, strict=True)]


def _on_one_line(one: Run, other: Run) -> bool:
    """Whether two runs differ in their share of masks at most, and saw the same images."""
    return alike(_at_full_share(one).config, _at_full_share(other).config) and all(
        saw_same_images(one, other, seed) for seed in one.seeds if seed in other.metrics
    )


def _at_full_share(run: Run) -> Run:
    return replace(run, config=changed(run.config, masks=1.0))


def _line(name: str, group: list[Run]) -> Line:
    """A share that was run in several folders is drawn from the one with the most seeds."""
    best: dict[float, Run] = {}
    for run in group:
        share = run.config.view.masks
        if share not in best or len(run.seeds) > len(best[share].seeds):
            best[share] = run
    return Line(f"{model_name(group[0].config)} {name}", tuple(best[share] for share in sorted(best)))
