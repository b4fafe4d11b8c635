"""What a row of the report opens: a run's seeds, settings and command, its curves, and some of its images."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from activmask.data.samples import Samples, as_picture
from activmask.evaluation.answers import Answers, Pick
from activmask.ground.errors import ActivmaskError
from activmask.report.charts.pictures import Picture, picture
from activmask.report.charts.run_charts import answer_charts, history_charts
from activmask.report.charts.small_chart import SmallChart, small_svg
from activmask.report.findings.account import Fact
from activmask.report.findings.experiment import Experiment
from activmask.report.findings.measure import Measured
from activmask.report.findings.series import grouped
from activmask.report.page.html import Drawing, Opening, PageTable
from activmask.report.tables.label_tables import run_labels_table
from activmask.report.tables.run_tables import confusion_table, seeds_table
from activmask.runs.folder import seed_folder
from activmask.runs.results import Run
from activmask.runs.sittings import Sitting, read_sittings
from activmask.runs.toml_file import format_config, format_seeds
from activmask.training.feed.reading import Reading
from activmask.training.feed.sources import split_as_judged
from activmask.training.feed.trained_data import of_seed, own_split

Pair = tuple[Experiment, Measured]
CommandOf = Callable[[Run], str]
"""The command line that trains a run anew; the library knows no flags."""

MOST_PICTURED = 40
"""Of more runs no images are shown: a page of a hundred would have more than ten megabytes of them."""

NOT_RECORDED = "not recorded (by an earlier version, or from Python without a caller)"


def openings(
    pairs: Sequence[Pair],
    command_of: CommandOf | None = None,
    *,
    pictured: bool = True,
    reading: Reading | None = None,
) -> tuple[Opening, ...]:
    """What the rows of one data set open.

    Args:
        pairs: every experiment with what was measured of it.
        command_of: how a run is trained anew; None leaves that out.
        pictured: whether images are shown.
        reading: what was read for others, and is read for more; None where there are none.
    """
    read = (reading or Reading()).still_true()
    return tuple(_opening(row, one, command_of, read, pictured=pictured) for row, one in pairs)


def images_left_out(pairs: Sequence[Pair]) -> str:
    """Of all runs of a report, in a sentence, that and how many images are left out; empty if none are."""
    images = sum(
        len(each.answers[min(each.answers)].picks)
        for _, one in pairs
        for each in _pictured_ones(one).values()
        if each.answers
    )
    if len(pairs) <= MOST_PICTURED or not images:
        return ""
    return (
        f"The images are left out here: {len(pairs)} runs would show {images:,}. A report of up to "
        f"{MOST_PICTURED} runs shows theirs."
    )


def _opening(
    row: Experiment, one: Measured, command_of: CommandOf | None, reading: Reading, *, pictured: bool
) -> Opening:
    run = row.run
    pictures, problem = _all_pictures(one, reading) if pictured else ((), "")
    histories = history_charts(run.histories(), means=bool(one.labels))
    charts = [*histories, *answer_charts(one.answers), *_charts_of_labels(one)]
    answered = run_labels_table(one) or confusion_table(one.answers)
    sittings = {seed: read_sittings(seed_folder(run.folder, seed)) for seed in _all_seeds(run)}
    return Opening(
        name=row.anchor,
        title=f"{row.data}: {row.model} {row.method}",
        detail=row.details,
        model=row.model,
        method=row.method,
        facts=_facts(run, sittings),
        command="" if command_of is None else command_of(run),
        settings=_settings(run),
        tables=tuple(
            PageTable(name=f"{table.kind}-{row.anchor}", table=table)
            for table in (seeds_table(run, sittings), answered)
            if table is not None
        ),
        drawings=tuple(map(_drawing, charts)),
        pictures=pictures,
        pictured=_pictured(one) if pictures else problem,
    )


def _all_seeds(run: Run) -> tuple[int, ...]:
    return tuple(sorted({*run.seeds, *run.unfinished}))


def _facts(run: Run, sittings: Mapping[int, tuple[Sitting, ...]]) -> tuple[Fact, ...]:
    by_origin = grouped(
        [(seed, one) for seed, found in sittings.items() for one in found], lambda pair: _origin(pair[1])
    )
    lines = []
    for origin, pairs in by_origin.items():
        began = sorted(one.began_in_words for _, one in pairs)
        when = began[0] if began[0] == began[-1] else f"{began[0]} to {began[-1]}"
        lines.append(f"seed {format_seeds(sorted({seed for seed, _ in pairs}))}, begun {when}: {origin}")
    silent = [seed for seed, found in sittings.items() if not found]
    if silent:
        lines.append(f"seed {format_seeds(silent)}: {NOT_RECORDED}")
    facts = {
        "Folder": (str(run.folder),),
        "Called": (run.title,) if run.title else (),
        "Trained by": tuple(lines),
    }
    return tuple(Fact(title=title, lines=said) for title, said in facts.items() if said)


def _origin(one: Sitting) -> str:
    at = f" (git {one.revision})" if one.revision else " (no git revision)"
    return f"{one.command or 'from Python'}{at}"


def _settings(run: Run) -> str:
    try:
        return format_config(run.config, _all_seeds(run))
    except ActivmaskError as error:
        return str(error)


def _charts_of_labels(one: Measured) -> list[SmallChart]:
    return [
        replace(chart, title=f"{label}: {chart.title}")
        for label, of_label in one.labels.items()
        for chart in answer_charts(of_label.answers)
    ]


def _drawing(chart: SmallChart) -> Drawing:
    return Drawing(title=chart.title, svg=small_svg(chart))


def _pictured(one: Measured) -> str:
    """What the images of a network are."""
    seed = min(seed for each in (one, *one.labels.values()) for seed in each.answers)
    each, few = (", for each label", ", one of each") if one.labels else ("", "")
    return (
        f"Of the test images{each}, those to whose own class the network of seed {seed} gives the highest "
        "odds (best) and the lowest (worst), and those whose probability changes most when the background is "
        f"shuffled{few}. Left the image, right where the network looks (absolute input gradient of the "
        "contrast, brightest at its own maximum); the blue line is the dilated mask."
    )


def _all_pictures(one: Measured, reading: Reading) -> tuple[tuple[Picture, ...], str]:
    found: list[Picture] = []
    for label, each in _pictured_ones(one).items():
        pictures, problem = _pictures(each, reading)
        if problem:
            return (), problem
        found += [
            replace(picture, title=f"{label}, {picture.title}") if label else picture for picture in pictures
        ]
    return tuple(found), ""


def _pictured_ones(one: Measured) -> dict[str, Measured]:
    """By label, empty of classes, what images are shown of: of several labels one image of each kind alone.

    So a page of many labels stays small.
    """
    if not one.labels:
        return {"": one}
    return {
        label: replace(
            of_label,
            answers={
                seed: replace(answers, picks=_first_of_each(answers))
                for seed, answers in of_label.answers.items()
            },
        )
        for label, of_label in one.labels.items()
    }


def _first_of_each(found: Answers) -> tuple[Pick, ...]:
    return tuple({pick.why: pick for pick in reversed(found.picks)}.values())[::-1]


def _pictures(one: Measured, reading: Reading) -> tuple[tuple[Picture, ...], str]:
    """The images of the lowest seed's network, or a sentence on why they cannot be shown."""
    if not one.answers:
        return (), ""
    seed = min(one.answers)
    try:
        samples = _as_seen(one.run, seed, one.answers[seed], reading)
    except ActivmaskError as error:
        return (), f"Its images cannot be shown: {error}."
    return tuple(_picture(pick, samples, one.answers[seed]) for pick in one.answers[seed].picks), ""


def _as_seen(run: Run, seed: int, found: Answers, reading: Reading) -> Samples:
    """The picked test images as the network sees them."""
    trained = of_seed(run.folder, seed, run.config)
    stored, _ = own_split(trained, "test", reading)
    files = {pick.file for pick in found.picks}
    chosen = stored.subset([i for i, name in enumerate(stored.names) if name in files])
    return split_as_judged(chosen, run.config.view, run.config.objectives, seed=seed, split="test")


def _picture(pick: Pick, samples: Samples, found: Answers) -> Picture:
    i = samples.names.index(pick.file)
    mask = samples.masks[i, 0].numpy() if bool(samples.has_mask[i]) else None
    return picture(pick, as_picture(samples.images[i]), mask, found.class_names)
