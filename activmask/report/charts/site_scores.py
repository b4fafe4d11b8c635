"""Test scores where the site and the label go together in training (paper Figure 5b)."""

from collections.abc import Sequence

from activmask.evaluation.spread import Spread, spread
from activmask.experiments.paper import run_cell
from activmask.experiments.printed import Printed
from activmask.report.charts.chart import Chart, chance_line, drawing
from activmask.report.charts.dots import dot_panels, dots, in_words, marks_explained, printed_mark
from activmask.report.charts.panels import row_styles
from activmask.report.findings.series import (
    family,
    finished,
    grouped,
    series_names,
    the_data_set,
    without_repeats,
)
from activmask.runs.identity import on_other_images
from activmask.runs.names import model_name
from activmask.runs.results import Run
from activmask.runs.selection import selected_by

MEASURES = {"auc": "test AUC", "accuracy": "test accuracy"}
"""What the two columns show, by its name in a run's metrics."""

Named = tuple[str, Run]


def site_scores(runs: Sequence[Run]) -> Chart | None:
    """Draw the test scores at the best epoch of runs split by site, or nothing without such.

    Only runs of the split policy site-correlated are drawn. A row shows a run's seeds, their mean
    and SD (n - 1), and the value the paper printed for the experiment where it printed one.

    Args:
        runs: of one data set.
    """
    ended = [run for run in finished(runs) if run.config.source.split_policy == "site-correlated"]
    if not ended:
        return None
    data = the_data_set(ended)
    chosen, note = without_repeats(ended, lambda run: run)
    models = grouped(zip(series_names(chosen), chosen, strict=True), lambda one: model_name(one[1].config))
    styles = row_styles(chosen)
    with drawing():
        figure, grid = dot_panels(
            {model: [name for name, _ in group] for model, group in models.items()}, list(MEASURES.values())
        )
        for row, group in zip(grid, models.values(), strict=True):
            for axes, measure in zip(row, MEASURES, strict=True):
                chance_line(axes, 0.5, vertical=True)
                for y, (_, run) in enumerate(group):
                    values = run.values("test", measure)
                    dots(axes, y, values, _spread(run, measure), styles[family(run)])
                    if printed := _printed(run):
                        printed_mark(axes, y, printed.mean)
    return Chart(
        kind="figure-5b",
        title=f"Test scores with sites, {data}",
        caption=_caption(chosen) + note,
        alt=_alt(data, models),
        figure=figure,
    )


def _spread(run: Run, measure: str) -> Spread:
    found = spread(run.values("test", measure))
    assert found is not None  # only finished runs are drawn
    return found


def _printed(run: Run) -> Printed | None:
    cell = run_cell(run)
    return cell.printed.get("test") if cell else None


def _caption(runs: list[Run]) -> str:
    paper = (
        " Open diamonds are the paper's printed values, which it calls AUC and its published code computes "
        "as accuracy, so they stand in both panels."
    )
    best = selected_by(run.config for run in runs)
    masked = (
        " Masked Everywhere is tested on images that are blank outside their masks, all others on whole ones."
        if any(on_other_images(run.config) for run in runs)
        else ""
    )
    marks = marks_explained(several=any(len(run.seeds) > 1 for run in runs))
    return (
        f"Scores on the test images at each seed's best epoch by {best}. {marks} The dashed line is an even "
        f"guess between two classes.{paper if any(map(_printed, runs)) else ''}{masked}"
    )


def _alt(data: str, models: dict[str, list[Named]]) -> str:
    parts = [f"{model}: " + "; ".join(map(_row_in_words, group)) for model, group in models.items()]
    return f"Dot plot for {data}, mean test scores by method. {'. '.join(parts)}. An even guess scores 0.50."


def _row_in_words(named: Named) -> str:
    name, run = named
    auc, accuracy = _spread(run, "auc"), _spread(run, "accuracy")
    printed = _printed(run)
    paper = f", paper {printed.mean:.2f}" if printed else ""
    return f"{name} AUC {in_words(auc)}, accuracy {in_words(accuracy)}{paper}"
