"""Sentences under a table on what its scores are: their epoch, form, seeds and images."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from activmask.data.splits import SPLITS
from activmask.experiments.forms import OTHER, form_title, forms
from activmask.report.findings.words import joined
from activmask.runs.identity import on_other_images
from activmask.runs.selection import selected_by

if TYPE_CHECKING:
    from activmask.report.findings.summary import Row


def form_notes(rows: Sequence["Row"]) -> Iterable[str]:
    """Which form the printed numbers and the rows beside them are in."""
    used = {row.form for row in rows if row.paper and row.form}
    found = [form_title(form) for form in (*forms(), OTHER) if form in used]
    if found:
        yield (
            "The paper's numbers of actdiff and gradmask come from its released code, which computes other "
            "forms of them than its equations. The rows beside them are in these forms, as each says: "
            f"{', '.join(found)}. What two forms have in common bears the name of the first of them."
        )


def outcome_notes(rows: Sequence["Row"]) -> Iterable[str]:
    """How to read the counts of seeds."""
    if any(row.seeds_at for row in rows):
        papers = (
            " With a printed value they are what its mean and SD come from, where ten seeds at 1, 0.5 and 0 "
            "can give them in one way only."
        )
        yield (
            "Three numbers such as 9/0/1 with an accuracy on the synthetic images are the seeds that counted "
            "the crosses (0.9 or more), sat at chance (0.4 to 0.6) and took the box (0.1 or less); any "
            f"others lie between.{papers if any(row.papers_seeds_at for row in rows) else ''}"
        )


def epoch_notes(rows: Sequence["Row"]) -> Iterable[str]:
    """Which seeds lack scores of the last epoch, as runs of older versions do."""
    lacking: list[str] = []
    for row in rows:
        missing: dict[str, list[int]] = {}
        for seed, found in row.run.last_scores.items():
            if splits := joined([split for split in SPLITS if split not in found]):
                missing.setdefault(splits, []).append(seed)
        for splits, seeds in missing.items():
            which = f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
            lacking.append(f"{row.data} {row.title} {which} ({splits})")
    if lacking:
        yield (
            "Runs of an older version did not store all scores of the last epoch, which are left out: "
            f"{'; '.join(lacking)}."
        )


def image_notes(rows: Sequence["Row"]) -> Iterable[str]:
    """Which rows are tested on other images than the rest."""
    masked = [f"{row.data} {row.title}" for row in rows if on_other_images(row.run.config)]
    if masked:
        yield (
            f"{joined(masked)} {'are' if len(masked) > 1 else 'is'} validated and tested on images that are "
            "blank outside their masks, so not compared with classification alone, which sees whole ones."
        )


def selection_note(rows: Sequence["Row"]) -> str:
    """What selected the epoch of the scores, and what that makes of them."""
    best = f"the best epoch by {selected_by(row.run.config.training.select for row in rows)}"
    note = (
        f"Where no other epoch is named, scores are those of {best} (epochs count from 0), so the "
        "validation scores are optimistic; where a shortcut is learned that epoch is an accident, mostly "
        "the first, and the last epoch's validation scores tell more."
    )
    shifted = [row.data for row in rows if row.data == "Synthetic" or _site_correlated(row)]
    if not shifted:
        return note
    return (
        f"{note} The validation images of {joined(list(dict.fromkeys(shifted)))} are shifted from training "
        "as the test images are, so the choice of the epoch already knows of the shift."
    )


def _site_correlated(row: "Row") -> bool:
    """Whether the site tells the class in training; at 0.5 it tells nothing, there or elsewhere."""
    config = row.run.config
    return config.source.split_policy == "site-correlated" and config.source.correlation != 0.5
