"""Runs of labels that do not exclude each other: what a report may set beside each other, and as what."""

from collections.abc import Sequence
from dataclasses import replace

from activmask.ground.errors import UsageError
from activmask.ground.listed import listed
from activmask.report.findings.experiment import Experiment
from activmask.report.findings.measure import Measured, told_labels
from activmask.report.findings.series import finished, grouped
from activmask.runs.names import data_name
from activmask.runs.results import Run

Pair = tuple[Experiment, Measured]

MEANS = "mean over labels"


def check_alike(runs: Sequence[Run]) -> None:
    """Refuse runs of one data set's name that do not tell the same labels.

    A mean over other labels is another quantity, and an AUC of classes is none of them. Data sets of
    different names are never compared.

    Raises:
        UsageError: there are such; it names the first two.
    """
    for data, some in grouped(finished(runs), lambda run: data_name(run.config)).items():
        told = [(run, names) for run in some if (names := told_labels(run)) is not None]
        for run, others in told[1:]:
            first, labels = told[0]
            if others != labels:
                raise UsageError(
                    f"two runs on data that are called {data!r} cannot be compared: {first.folder} tells "
                    f"{_in_words(labels)}, {run.folder} {_in_words(others)}",
                    advice="report them one by one, or give their data sets different names",
                )


def _in_words(labels: Sequence[str]) -> str:
    if not labels:
        return "classes that exclude each other"
    return f"labels that do not ({listed(labels)})"


def about_means(labels: Sequence[str]) -> str:
    """What the scores of a data set of several labels are, in a sentence."""
    number = len(labels)
    return (
        f"The AUC, the accuracy and the share of attribution inside the masks are means over {number} labels."
    )


def how_to_read(data: str, labels: Sequence[str]) -> str:
    """What a reader should know of means, in a paragraph."""
    return (
        f"{data} has {len(labels)} labels that do not exclude each other ({listed(labels)}). Its runs are "
        "compared, in tables, charts and sentences that name no label, by the mean of the labels' AUCs, and "
        "so are all other measures. A mean hides which label a method gains or loses on, and two labels of "
        "which one is ranked the wrong way round may come to 0.5 together; each label is told by itself in "
        "the rows that name it, and in what a run opens. One mask an image stands for all of its labels. The "
        "grid of saliency maps, which shows what all networks answer to one question, is not drawn."
    )


def row_by_row(pairs: Sequence[Pair]) -> list[Pair]:
    """Each experiment, and after one of several labels the same experiment about each of them."""
    return [row for pair in pairs for row in _rows(*pair)]


def _rows(row: Experiment, one: Measured) -> list[Pair]:
    if not one.labels:
        return [(row, one)]
    labels = [(_named(row, name), of_label) for name, of_label in one.labels.items()]
    return [(_named(row, MEANS), one), *labels]


def _named(row: Experiment, what: str) -> Experiment:
    return replace(row, distinction=", ".join(filter(None, (row.distinction, what))))
