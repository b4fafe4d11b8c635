"""ROC, precision-recall and reliability curves as charts."""

from collections.abc import Callable, Sequence
from itertools import cycle

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from activmask.auditing.clinic.clinic import Clinic, Question
from activmask.auditing.clinic.score import Score
from activmask.evaluation.curves import Curve
from activmask.report.charts.chart import MUTED, PALETTE, WIDTH, Chart, Dash, Style, drawing
from activmask.report.charts.hover import says
from activmask.report.charts.panels import legend_below

_HEIGHT = 3.1

_DASHES: tuple[Dash, ...] = ("-", "--", "-.", ":")
_MARKERS = "os^DvPX<"
_MOST = 8
"""Classes that one chart shows; of more the first."""


def curves_chart(found: Clinic) -> Chart | None:
    """Draw the ROC and the precision-recall curve of every class that is asked for."""
    asked = found.questions[:_MOST]
    if not asked:
        return None
    styles = _styles(asked)
    with drawing():
        figure = Figure(figsize=(WIDTH, _HEIGHT + 0.15 * (len(asked) > 1)), layout="constrained")
        left, right = figure.subplots(1, 2)
        left.plot([0, 1], [0, 1], color=MUTED, linewidth=1.2, linestyle=(0, (2, 2)), zorder=1)
        _draw(left, asked, styles, lambda one: one.roc, "post")
        _draw(right, asked, styles, lambda one: one.precision_recall, "pre")
        for one in asked:
            colour = styles[one.name].colour
            right.axhline(one.positives / one.n, color=colour, linewidth=1, linestyle=(0, (2, 2)), zorder=1)
            if one.threshold is not None and one.rates is not None:
                _at_threshold(left, right, one, styles[one.name])
        left.set(xlabel="1 - specificity", ylabel="sensitivity", title="ROC")
        right.set(xlabel="recall (sensitivity)", ylabel="precision (PPV)", title="precision and recall")
        if len(asked) > 1:
            legend_below(figure, styles)
    return Chart(
        kind="curves",
        title="ROC and precision-recall curves",
        caption=(
            f"{_whose(found, asked)} Dotted: chance, which is the share of positives on the right. The large "
            "marks are the threshold."
        ),
        alt=" ".join(
            f"{one.name}: AUC {in_words(one.auc)}, average precision {in_words(one.average_precision)}, by "
            f"chance {in_words(one.average_precision, chance=True)}."
            for one in asked
        ),
        figure=figure,
    )


def reliability_chart(found: Clinic) -> Chart | None:
    """Draw how often each class is true where it was predicted with some probability."""
    asked = [one for one in found.questions if one.calibration is not None][:_MOST]
    if not asked:
        return None
    styles = _styles(asked)
    with drawing():
        figure = Figure(figsize=(WIDTH, _HEIGHT + 0.7), layout="constrained")
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1.2, linestyle=(0, (2, 2)), zorder=1)
        for one in asked:
            assert one.calibration is not None
            style = styles[one.name]
            bins = [(each.predicted, each.observed) for each in one.calibration.bins]
            values = [score.value or 0.0 for _, score in bins]
            drawn = axes.errorbar(
                [predicted for predicted, _ in bins],
                values,
                yerr=[
                    [_reach(value, score.low) for value, (_, score) in zip(values, bins, strict=True)],
                    [_reach(value, score.high) for value, (_, score) in zip(values, bins, strict=True)],
                ],
                color=style.colour,
                marker=style.marker,
                linestyle=style.dash,
                elinewidth=1.2,
                zorder=3,
            )
            says(drawn.lines[0], [f"{x:.2f} predicted, {in_words(score)} true" for x, score in bins])
        _square(axes)
        axes.set(xlabel="mean predicted probability", ylabel="how often it is true")
        if len(asked) > 1:
            legend_below(figure, styles)
    return Chart(
        kind="reliability",
        title="Calibration",
        caption=(
            f"{_whose(found, asked)} Each mark is a tenth of the range of probabilities that holds images; "
            "the bars are 95 % intervals over subjects. On the dotted line probabilities mean what they say, "
            "above it they are too low, below it too high."
        ),
        alt=" ".join(
            f"{one.name}: Brier score {in_words(one.calibration.brier)}, ECE {in_words(one.calibration.ece)}."
            for one in asked
            if one.calibration is not None
        ),
        figure=figure,
    )


def in_words(score: Score, *, chance: bool = False) -> str:
    """A score with its interval, or its chance, for example `0.91 (0.85 to 0.96)`."""
    value = score.chance if chance else score.value
    if value is None:
        return "none"
    if chance or score.low is None or score.high is None:
        return f"{value:.2f}"
    return f"{value:.2f} ({score.low:.2f} to {score.high:.2f})"


def _styles(asked: Sequence[Question]) -> dict[str, Style]:
    looks = zip(asked, cycle(PALETTE[1:]), cycle(_MARKERS), cycle(_DASHES), strict=False)
    return {one.name: Style(colour, marker, dash) for one, colour, marker, dash in looks}


def _draw(
    axes: Axes,
    asked: Sequence[Question],
    styles: dict[str, Style],
    curve_of: Callable[[Question], Curve],
    where: str,
) -> None:
    for one in asked:
        curve, style = curve_of(one), styles[one.name]
        [line] = axes.plot(
            curve.x, curve.y, color=style.colour, linestyle=style.dash, drawstyle=f"steps-{where}", zorder=3
        )
        says(line, one.name)
    _square(axes)


def _at_threshold(left: Axes, right: Axes, one: Question, style: Style) -> None:
    assert one.rates is not None
    found, specific, precise = (
        score.value for score in (one.rates.sensitivity, one.rates.specificity, one.rates.ppv)
    )
    if found is not None and specific is not None:
        left.plot(1 - specific, found, style.marker, color=style.colour, markersize=8, zorder=4)
    if found is not None and precise is not None:
        right.plot(found, precise, style.marker, color=style.colour, markersize=8, zorder=4)


def _square(axes: Axes) -> None:
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
    axes.set_aspect("equal")


def _whose(found: Clinic, asked: Sequence[Question]) -> str:
    if len(found.classes) == 2:
        return f"Positive is {found.classes[1]}."
    more = (
        f" The first {_MOST} of {len(found.questions)} classes." if len(found.questions) > len(asked) else ""
    )
    return f"Each class against the rest.{more}"


def _reach(value: float, end: float | None) -> float:
    return 0.0 if end is None else abs(end - value)
