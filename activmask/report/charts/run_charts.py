"""What the networks of one run went through and answered: losses, scores, ROC curve and calibration."""

from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle

from activmask.evaluation.answers import Answers
from activmask.report.charts.chart import BLUE, PALETTE
from activmask.report.charts.small_chart import Scale, Series, SmallChart, scale_of
from activmask.report.findings.words import count
from activmask.runs.folder import SCORE

History = Sequence[Mapping[str, float]]
"""A row for every epoch."""

_DASHES = ("", "6 3", "2 2", "6 3 2 3", "1 3")
_DIAGONAL = ((0.0, 0.0), (1.0, 1.0))


def history_charts(histories: Mapping[int, History], *, means: bool = False) -> list[SmallChart]:
    """The losses and the validation AUC of every epoch, by seed; nothing without a finished seed.

    Args:
        histories: by seed.
        means: whether the AUC is one over several labels.
    """
    if not histories:
        return []
    shared = min(map(len, histories.values()))
    terms = _terms(histories)
    return [*([_losses(histories, terms, shared)] if terms else []), _scores(histories, shared, means=means)]


def answer_charts(answers: Mapping[int, Answers]) -> list[SmallChart]:
    """The ROC curve and the calibration of the networks, by seed, as far as they have them."""
    charts = []
    if any(one.roc for one in answers.values()):
        charts.append(_roc(answers))
    if any(one.bins for one in answers.values()):
        charts.append(_calibration(answers))
    return charts


def _terms(histories: Mapping[int, History]) -> list[str]:
    """The terms of the loss that every seed has; where there is one alone, it is the loss."""
    columns = [set(rows[0]) for rows in histories.values()]
    return [
        name
        for name in next(iter(histories.values()))[0]
        if name.startswith("loss_") and all(name in of for of in columns)
    ]


def _means(histories: Mapping[int, History], name: str, shared: int) -> list[float]:
    return [sum(rows[k][name] for rows in histories.values()) / len(histories) for k in range(shared)]


def _losses(histories: Mapping[int, History], terms: Sequence[str], shared: int) -> SmallChart:
    means = {name: _means(histories, name, shared) for name in terms}
    over = f", mean of {count(len(histories), 'seed')}" if len(histories) > 1 else ""
    looks = zip(means.items(), cycle(PALETTE[1:]), cycle(_DASHES), strict=False)
    words = {name: f"{name[5:]}{over}: {_from_to(values)}" for name, values in means.items()}
    return SmallChart(
        title="Training loss",
        x=_epochs(shared),
        y=scale_of("loss", [max(value, 0.0) for values in means.values() for value in values]),
        series=tuple(
            Series(
                name=name[5:], x=range(1, shared + 1), y=values, hover=words[name], colour=colour, dash=dash
            )
            for (name, values), colour, dash in looks
        ),
        alt=f"The terms of the loss by epoch{over}. {'. '.join(words.values())}.",
    )


def _scores(histories: Mapping[int, History], shared: int, *, means: bool) -> SmallChart:
    mean = _means(histories, SCORE, shared)
    series = [
        Series(
            name="",
            x=range(1, len(rows) + 1),
            y=[row[SCORE] for row in rows],
            hover=f"seed {seed}: {_highest([row[SCORE] for row in rows])}",
            colour=BLUE,
            faint=len(histories) > 1,
        )
        for seed, rows in histories.items()
    ]
    words = f"mean of {count(len(histories), 'seed')}: {_highest(mean)}"
    if len(histories) > 1:
        series.append(Series(name="", x=range(1, shared + 1), y=mean, hover=words, colour=BLUE))
    return SmallChart(
        title="Valid AUC, mean over labels" if means else "Valid AUC",
        x=_epochs(max(map(len, histories.values()))),
        y=_share("valid AUC"),
        series=tuple(series),
        chance=((1.0, 0.5), (max(2.0, *map(len, histories.values())), 0.5)),
        alt=f"By epoch, {words}. Chance is 0.50.",
    )


def _epochs(number: int) -> Scale:
    return Scale(title="epoch", low=1.0, high=max(2.0, number), whole=True)


def _share(title: str) -> Scale:
    return Scale(title=title, low=0.0, high=1.0)


def _from_to(values: Sequence[float]) -> str:
    return f"{values[0]:.3g} in epoch 1, {values[-1]:.3g} in epoch {len(values)}"


def _highest(values: Sequence[float]) -> str:
    top = max(values)
    return f"highest {top:.3f} in epoch {list(values).index(top) + 1}, last {values[-1]:.3f}"


def _roc(answers: Mapping[int, Answers]) -> SmallChart:
    curves = {seed: one.roc for seed, one in answers.items() if one.roc is not None}
    positive = next(iter(answers.values())).class_names[1]
    return SmallChart(
        title="ROC curve",
        x=_share("1 - specificity"),
        y=_share("sensitivity"),
        series=tuple(
            Series(name="", x=curve.x, y=curve.y, hover=f"seed {seed}", colour=BLUE, faint=len(curves) > 1)
            for seed, curve in curves.items()
        ),
        chance=_DIAGONAL,
        alt=f"Of {count(len(curves), 'network')} on the test images; positive is {positive}.",
    )


def _calibration(answers: Mapping[int, Answers]) -> SmallChart:
    return SmallChart(
        title="Calibration",
        x=_share("mean predicted probability"),
        y=_share("how often it is true"),
        series=tuple(_reliability(answers)),
        chance=_DIAGONAL,
        alt=f"Of {count(len(answers), 'network')} on the test images, by tenths of the probability.",
    )


def _reliability(answers: Mapping[int, Answers]) -> Iterator[Series]:
    for seed, one in answers.items():
        yield Series(
            name="",
            x=[each.predicted for each in one.bins],
            y=[each.observed for each in one.bins],
            hover=f"seed {seed}",
            colour=BLUE,
            faint=len(answers) > 1,
            marks=[
                f"seed {seed}, {count(each.n, 'image')}: predicted {each.predicted:.2f}, "
                f"true {each.observed:.2f}"
                for each in one.bins
            ],
        )
