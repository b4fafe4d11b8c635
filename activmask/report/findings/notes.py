"""Sentences under tables on what their scores are: their epoch, form, seeds, images and comparisons."""

from collections.abc import Iterable, Sequence

from activmask.data.settings import IID
from activmask.data.splits import SPLITS
from activmask.experiments.forms import OTHER, form_title, forms
from activmask.ground.listed import listed
from activmask.report.findings.data_notes import data_notes
from activmask.report.findings.experiment import Experiment, full_titles, p_floors
from activmask.report.findings.mask_notes import mask_notes
from activmask.report.findings.tuned import is_trial
from activmask.report.findings.tuning_notes import kept_apart, tuning_notes
from activmask.report.findings.words import count
from activmask.runs.identity import on_other_images
from activmask.runs.names import is_baseline
from activmask.runs.seed_folders import Unreadable
from activmask.runs.selection import selected_by, shifts


def notes(rows: Sequence[Experiment], unreadable: Sequence[Unreadable] = ()) -> Iterable[str]:
    """All sentences to print under the tables of some experiments."""
    if unreadable:
        yield unreadable_note(unreadable)
    yield from _departure_notes(rows)
    if any(row.beside for row in rows):
        yield (
            "Distances are ours minus the printed mean in printed SDs, or plain and marked Δ where none or "
            "0.00 was printed, each at the epoch that its column names; the paper's released code computes "
            "accuracy under the name AUC, so its values are set against both."
        )
    if any(row.source.startswith("follow-up") for row in rows):
        yield "The follow-up's printed values are ROC AUC."
    yield from form_notes(rows)
    yield from outcome_notes(rows)
    yield selection_note(rows)
    if several := [row for row in rows if row.run.labels]:
        yield (
            f"Of {'; '.join(full_titles(several, rows))}, whose labels do not exclude each other, AUC and "
            "accuracy are means over labels (0.5 is chance for each AUC); evaluate and report tell those of "
            "each."
        )
    if any(row.mean_intervals for row in rows):
        yield (
            "With a mean test AUC over labels stands its 95 % interval over test subjects, the same ones "
            "drawn for all labels; of several seeds the means of its ends."
        )
    yield from epoch_notes(rows)
    yield from image_notes(rows)
    yield from mask_notes([row.run for row in rows], full_titles(rows, rows))
    yield from tuning_notes(rows)
    yield from _comparison_notes(rows)
    comparisons = [(row.run, row.comparison) for row in rows]
    yield from data_notes(comparisons, full_titles(rows, rows))
    if unfinished := [row for row in rows if row.run.unfinished]:
        named = "; ".join(
            f"{name} {', '.join(str(seed) for seed in row.run.unfinished)}"
            for name, row in zip(full_titles(unfinished, rows), unfinished, strict=True)
        )
        yield f"Unfinished seeds are left out: {named}."


def unreadable_note(unreadable: Sequence[Unreadable]) -> str:
    """How many seeds could not be read and are in no score, and why."""
    found = "; ".join(one.why for one in unreadable)
    return f"Left out of all scores, because they cannot be read: {count(len(unreadable), 'seed')} ({found})."


def _departure_notes(rows: Sequence[Experiment]) -> Iterable[str]:
    """One sentence for all rows that depart from the paper in the same settings."""
    printed = [row for row in rows if row.paper]
    who: dict[str, list[Experiment]] = {}
    for row in printed:
        for name, (ours, papers) in row.departures.items():
            who.setdefault(f"{name} {_setting(ours)} (paper {_setting(papers)})", []).append(row)
    sentences: dict[str, list[str]] = {}
    for departure, some in sorted(who.items(), key=lambda item: -len(item[1])):
        sentences.setdefault(_subject(some, printed), []).append(departure)
    for subject, departures in sentences.items():
        yield f"Departing from the paper, {subject}: {', '.join(departures)}."


def _subject(some: Sequence[Experiment], printed: Sequence[Experiment]) -> str:
    if len(some) == len(printed):
        return "every row that it printed"
    models = {row.model for row in some}
    if len(some) == sum(row.model in models for row in printed):
        return f"every row of {', '.join(dict.fromkeys(row.model for row in some))}"
    return ", ".join(full_titles(some, printed))


def _setting(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def form_notes(rows: Sequence[Experiment]) -> Iterable[str]:
    """Which form the printed numbers and the rows beside them are in."""
    used = {row.form for row in rows if row.paper and row.form}
    found = [form_title(form) for form in (*forms(), OTHER) if form in used]
    if found:
        yield (
            "The paper's numbers of actdiff and gradmask come from its released code, which computes other "
            "forms of them than its equations. The rows beside them are in these forms, as each says: "
            f"{', '.join(found)}. What two forms have in common bears the name of the first of them."
        )


def outcome_notes(rows: Sequence[Experiment]) -> Iterable[str]:
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


def epoch_notes(rows: Sequence[Experiment]) -> Iterable[str]:
    """Which seeds lack scores of the last epoch, as runs of older versions do."""
    lacking: list[str] = []
    for row in rows:
        missing: dict[str, list[int]] = {}
        for seed, found in row.run.last_scores.items():
            if splits := listed([split for split in SPLITS if split not in found]):
                missing.setdefault(splits, []).append(seed)
        for splits, seeds in missing.items():
            which = f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"
            lacking.append(f"{row.data} {row.title} {which} ({splits})")
    if lacking:
        yield (
            "Runs of an older version did not store all scores of the last epoch, which are left out: "
            f"{'; '.join(lacking)}."
        )


def image_notes(rows: Sequence[Experiment]) -> Iterable[str]:
    """Which rows are tested on other images than the rest."""
    masked = [f"{row.data} {row.title}" for row in rows if on_other_images(row.run.config)]
    if masked:
        yield (
            f"{listed(masked)} {'are' if len(masked) > 1 else 'is'} validated and tested on images that are "
            "blank outside their masks, so not compared with classification alone, which sees whole ones."
        )


def selection_note(rows: Sequence[Experiment]) -> str:
    """What selected the epoch of the scores, and what that makes of them."""
    best = f"the best epoch by {selected_by(row.run.config for row in rows)}"
    note = (
        f"Where no other epoch is named, scores are those of {best} (epochs count from 1), so the "
        "validation scores are optimistic; where a shortcut is learned that epoch is an accident, mostly "
        "the first, and the last epoch's validation scores tell more."
    )
    if any("best_epoch" in row.paper for row in rows):
        note = (
            f"{note} A printed best epoch stands as it was printed; its distance to ours is taken as if it "
            "counted from 0."
        )
    chosen_on = {row.run.config.training.select_on for row in rows}
    if IID in chosen_on:
        note = (
            f"{note} The iid validation images are held out of the training images, so the epoch that they "
            "choose knows nothing of a shift."
        )
    shifted = [
        row.data
        for row in rows
        if (row.data == "Synthetic" or shifts(row.run.config)) and row.run.config.training.select_on != IID
    ]
    if not shifted:
        return note
    return (
        f"{note} The validation images of {listed(list(dict.fromkeys(shifted)))} are shifted from training "
        "as the test images are, so the choice of the epoch already knows of the shift."
    )


def _comparison_notes(rows: Sequence[Experiment]) -> Iterable[str]:
    floors = p_floors(rows)
    if floors:
        reached = " ".join(
            f"On {data}, with {floor.seeds_in_words('paired seed')}, p cannot fall below {floor.p:.3g}, nor, "
            f"after Holm's correction for {count(floor.family, 'comparison')}, below {floor.adjusted:.3g}."
            for data, floor in floors.items()
        )
        yield (
            f"{reached} The intervals are Student's, which few seeds can make too narrow; none is given "
            "where all seeds differ alike. Where interval and p disagree, trust p."
        )
    apart = [row for row, _, _ in kept_apart(rows)]
    if alone := [
        row
        for row in rows
        if row.run.seeds
        and all(row is not other for other in apart)
        and not is_trial(row.run)
        and not (row.comparison or is_baseline(row.run.config) or on_other_images(row.run.config))
    ]:
        yield (
            f"Not compared, for want of classification alone with the same data, network and settings and "
            f"a common finished seed: {', '.join(full_titles(alone, rows))}."
        )
