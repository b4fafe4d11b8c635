"""Reports of many runs: what cannot be told apart is not named, and what a page cannot hold is counted."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from chart_runs import chart_run
from report_runs import METHODS, train_runs
from test_saliency_grid import frames, made_gallery

from activmask.report import openings
from activmask.report.charts.chart import MUTED, svg
from activmask.report.charts.curves import MOST_NAMED, valid_curves
from activmask.report.charts.saliency_grid import _draw
from activmask.report.contents import RUN_BY_RUN, gather
from activmask.report.findings.measure import measure_all
from activmask.runs.results import Run, find_runs


def weighted(root: Path, count: int) -> list[Run]:
    """Runs of one method, each of another weight and with a curve of its own."""
    return [
        chart_run(root / str(k), actdiff=1.0 + k, curves=[[k / 100, 0.5 + k / 100]]) for k in range(count)
    ]


def named(chart) -> list[str]:
    return [text.get_text() for text in chart.figure.legends[0].texts]


def test_runs_that_can_be_told_apart_are_all_named(tmp_path):
    chart = valid_curves(weighted(tmp_path, MOST_NAMED))
    assert len(named(chart)) == MOST_NAMED
    assert "pointer" not in chart.caption


def test_of_more_runs_methods_alone_are_named_and_each_line_says_its_name(tmp_path):
    count = MOST_NAMED + 1
    runs = [*weighted(tmp_path, count), chart_run(tmp_path / "plain", curves=[[0.9, 0.8, 0.7]])]
    chart = valid_curves(runs)
    assert named(chart) == ["Classify", "Actdiff"]
    assert f"one of {count + 1} runs" in chart.caption
    (axes,) = chart.figure.axes
    lines = axes.get_lines()
    faint = [line for line in lines if line.get_color() == MUTED and len(line.get_ydata()) > 1][1:]
    assert len(faint) == count + 1
    (mean,) = [line for line in lines if line.get_label() == "Actdiff"]
    expected = np.mean([[k / 100, 0.5 + k / 100] for k in range(count)], axis=0)
    assert mean.get_ydata() == pytest.approx(expected)
    drawn = svg(chart)
    assert all(f"<title>Actdiff (actdiff {1 + k:.1f}) highest" in drawn for k in range(count))


def test_many_columns_of_maps_go_on_below():
    columns = tuple(f"way {k}" for k in range(25))
    wide, few = (_draw(made_gallery(("CNN",), of)) for of in (columns, columns[:12]))
    assert wide.get_figwidth() == few.get_figwidth()
    assert wide.get_figheight() == pytest.approx(3 * few.get_figheight())
    titles = [text.get_text() for text in wide.texts if text.get_text() in columns]
    # Of two images.
    assert titles == [*columns, *columns]
    inputs = 3
    assert len(frames(wide)) == 2 * (len(columns) + 3 * inputs)
    corners = [tuple(np.round(frame.get_xy(), 4)) for frame in frames(wide)]
    assert len(set(corners)) == len(corners)
    width, height = wide.get_size_inches()
    assert all(0 <= x < width and 0 <= y < height for x, y in corners)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    runs = find_runs([train_runs(tmp_path_factory.mktemp("many"), seeds=(0,), epochs=1)])
    return measure_all(runs, device="cpu")


@pytest.mark.parametrize("most", [len(METHODS), len(METHODS) - 1])
def test_images_are_shown_of_few_runs_and_counted_of_many(measured, monkeypatch, most):
    monkeypatch.setattr(openings, "MOST_PICTURED", most)
    [part] = [one for one in gather(measured, now=datetime.now(UTC)).page.parts if one.name == "runs"]
    images = sum(len(one.answers[0].picks) for one in measured)
    assert images > 0
    pictures = sum(len(one.pictures) for one in part.openings)
    if most == len(METHODS):
        assert (pictures, part.paragraphs) == (images, (RUN_BY_RUN,))
    else:
        assert pictures == 0
        assert {one.pictured for one in part.openings} == {""}
        assert part.paragraphs[1].startswith(f"The images are left out here: 3 runs would show {images}.")
        assert all(one.drawings for one in part.openings)
