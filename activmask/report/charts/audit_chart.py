"""What each method reads: scores with a part of the image destroyed, and where it looks."""

from collections.abc import Callable, Sequence
from textwrap import fill

from activmask.evaluation.evaluate import Evaluation
from activmask.evaluation.localisation import METRICS
from activmask.evaluation.spread import Spread, spread
from activmask.report.charts.chart import BLUE, GREY, VERMILLION, Chart, Style, chance_line, drawing
from activmask.report.charts.dots import dot_panels, dots, in_words, marks_explained
from activmask.report.charts.panels import legend_below, row_styles
from activmask.report.findings.measure import Measured
from activmask.report.findings.series import family, grouped, series_names, the_data_set, without_repeats
from activmask.report.findings.words import count
from activmask.runs.names import model_name

VERSIONS = {
    "full": Style(GREY, "o", "-"),
    "background shuffled": Style(BLUE, "s", "-"),
    "ROI shuffled": Style(VERMILLION, "^", "-"),
}
"""The versions of the images in `Audit.rows`, and how their scores look."""

Named = tuple[str, Measured]
Values = Callable[[Measured], list[float]]


def audit_chart(measured: Sequence[Measured]) -> Chart | None:
    """Draw the AUC on each version of the images by method, or nothing where no run could be audited.

    Finished runs that could not be audited are left out; the caption counts them.

    Args:
        measured: the runs of one data set.
    """
    named, note = _holding(measured, lambda one: _aucs(one, "full"))
    return _audit_chart(_data_set(named), named, note) if named else None


def localisation_chart(measured: Sequence[Measured]) -> Chart | None:
    """Draw how much of the attribution lies in the masks by method, or nothing where none could be measured.

    Finished runs whose test images could not be read or have no masks are left out; the caption
    counts them.

    Args:
        measured: the runs of one data set.
    """
    named, note = _holding(measured, lambda one: _localised(one, next(iter(METRICS))))
    return _localisation_chart(_data_set(named), named, note) if named else None


def _holding(measured: Sequence[Measured], values: Values) -> tuple[list[Named], str]:
    """The runs that have values, with their names, and a sentence on those left out."""
    ended = [one for one in measured if one.run.seeds]
    filled = [one for one in ended if values(one)]
    chosen, note = without_repeats(filled, lambda one: one.run)
    names = series_names([one.run for one in chosen])
    return list(zip(names, chosen, strict=True)), note + _left_out(len(ended) - len(filled))


def _data_set(named: Sequence[Named]) -> str:
    return the_data_set([one.run for _, one in named])


def _aucs(measured: Measured, images: str) -> list[float]:
    rows = [row for one in measured.evaluations.values() for row in one.audit.rows]
    return [row.auc for row in rows if row.images == images]


def _localised(measured: Measured, metric: str) -> list[float]:
    rows = [row for one in measured.evaluations.values() for row in one.localisation.rows]
    return [row.mean for row in rows if row.metric == metric]


def _chance(group: Sequence[Named], metric: str) -> float:
    evaluations: list[Evaluation] = [one for _, run in group for one in run.evaluations.values()]
    rows = [row for one in evaluations for row in one.localisation.rows if row.metric == metric]
    return sum(row.chance for row in rows) / len(rows)


def _audit_chart(data: str, named: list[Named], note: str) -> Chart:
    models = grouped(named, lambda one: model_name(one[1].run.config))
    with drawing():
        figure, grid = dot_panels(_labels(models), ["AUC"], row_height=0.36)
        for axes, group in zip(grid[:, 0], models.values(), strict=True):
            chance_line(axes, 0.5, vertical=True)
            for y, (_, one) in enumerate(group):
                for shift, (images, style) in zip((-0.25, 0.0, 0.25), VERSIONS.items(), strict=True):
                    values = _aucs(one, images)
                    dots(axes, y + shift, values, _spread(values), style)
        legend_below(figure, VERSIONS, lines=False)
    return Chart(
        kind="audit",
        title=f"Shortcut audit, {data}",
        caption=(
            "AUC on the test images as they are, with the pixels outside the mask shuffled, and with those "
            "inside it shuffled. Far from 0.5 (dashed) is information, on either side; a method that reads "
            f"the region of interest keeps its score without the background. {_marks(named)}"
            f"{note}"
        ),
        alt=_audit_alt(data, models),
        figure=figure,
    )


def _localisation_chart(data: str, named: list[Named], note: str) -> Chart:
    models = grouped(named, lambda one: model_name(one[1].run.config))
    styles = row_styles(one.run for _, one in named)
    with drawing():
        figure, grid = dot_panels(_labels(models), [fill(metric, 12) for metric in METRICS])
        for row, group in zip(grid, models.values(), strict=True):
            for axes, metric in zip(row, METRICS, strict=True):
                chance_line(axes, _chance(named, metric), vertical=True)
                axes.set_xticks([0, 0.5, 1], ["0", ".5", "1"])
                for y, (_, one) in enumerate(group):
                    values = _localised(one, metric)
                    dots(axes, y, values, _spread(values), styles[family(one.run)])
    return Chart(
        kind="localisation",
        title=f"Attribution inside the masks, {data}",
        caption=(
            "How well the absolute input gradient of the contrast falls into the dilated masks of the test "
            "images, by five measures that are 1 at best (the IoU below 1 where the mask is not a tenth of "
            f"the image). Dashed lines are what a random map scores. {_marks(named)}{note}"
        ),
        alt=_localisation_alt(data, models, named),
        figure=figure,
    )


def _labels(models: dict[str, list[Named]]) -> dict[str, list[str]]:
    return {model: [name for name, _ in group] for model, group in models.items()}


def _spread(values: Sequence[float]) -> Spread:
    found = spread(values)
    assert found is not None  # runs without values are left out
    return found


def _marks(named: list[Named]) -> str:
    return marks_explained(several=any(len(one.evaluations) > 1 for _, one in named))


def _left_out(number: int) -> str:
    if not number:
        return ""
    return f" Not drawn: {count(number, 'run')} that could not be measured."


def _audit_alt(data: str, models: dict[str, list[Named]]) -> str:
    parts = [
        f"{model}, {name}: " + ", ".join(f"{_in_words(_aucs(one, images))} {images}" for images in VERSIONS)
        for model, group in models.items()
        for name, one in group
    ]
    return (
        f"Dot plot for {data}, mean AUC on three versions of the images. {'. '.join(parts)}. Chance is 0.50."
    )


def _localisation_alt(data: str, models: dict[str, list[Named]], named: list[Named]) -> str:
    parts = [
        f"{model}, {name}: "
        + ", ".join(f"{metric} {_in_words(_localised(one, metric))}" for metric in METRICS)
        for model, group in models.items()
        for name, one in group
    ]
    chance = ", ".join(f"{metric} {_chance(named, metric):.2f}" for metric in METRICS)
    what = f"Dot plot for {data}, how much of the attribution is in the masks"
    return f"{what}. {'. '.join(parts)}. Chance: {chance}."


def _in_words(values: Sequence[float]) -> str:
    return in_words(_spread(values))
