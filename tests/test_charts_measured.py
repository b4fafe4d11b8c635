"""The charts of what is measured: audit, localisation, and AUC against attribution."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from chart_runs import chart_run, measured
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from scipy.stats import spearmanr

from activmask.evaluation.localisation import METRICS
from activmask.report.charts.audit_chart import VERSIONS, audit_chart, localisation_chart
from activmask.report.charts.chart import svg
from activmask.report.charts.reliance import auc_against_attribution
from activmask.report.findings import reliance
from activmask.report.findings.measure import Measured
from activmask.report.findings.reliance import Point, comparable_points, correlation, network_points

AUDIT = {"full": (0.9, 0.7), "background shuffled": (0.8, 0.6), "ROI shuffled": (0.5, 0.4)}


def row_means(axes: Axes) -> list[tuple[float, float]]:
    """The (y, x) of every large mark, top to bottom."""
    marks = [bar.lines[0] for bar in axes.containers]
    return sorted((float(mark.get_ydata()[0]), float(mark.get_xdata()[0])) for mark in marks)


def points(inside: list[float], auc: list[float], runs: list[int]) -> list[Point]:
    rows = zip(runs, inside, auc, strict=True)
    return [Point(run, "CNN", "Classify", x, 0.2, y) for run, x, y in rows]


def test_nothing_is_drawn_of_what_was_not_measured(tmp_path: Path) -> None:
    gone = Measured(run=chart_run(tmp_path), evaluations={}, problems=("the data is not here",))
    for draw in (audit_chart, localisation_chart, auc_against_attribution):
        assert draw([]) is None
        assert draw([gone]) is None


def test_measurements_of_two_data_sets_are_never_mixed(tmp_path: Path) -> None:
    audit = dict.fromkeys(AUDIT, (0.5,))
    some = [
        measured(chart_run(tmp_path / data, data=data), inside=(0.3,), audit=audit)
        for data in ("a/liver", "b/cardiac")
    ]
    for draw in (audit_chart, localisation_chart, auc_against_attribution):
        with pytest.raises(ValueError, match="one data set, found Liver, Cardiac"):
            draw(some)


def test_audit_draws_three_versions_per_method(tmp_path: Path) -> None:
    one = measured(chart_run(tmp_path, auc=(0.9, 0.7)), inside=(0.3, 0.4), audit=AUDIT)
    chart = audit_chart([one])
    (axes,) = chart.figure.axes
    assert row_means(axes) == [pytest.approx(row) for row in ((-0.25, 0.8), (0, 0.7), (0.25, 0.45))]
    assert [text.get_text() for text in chart.figure.legends[0].texts] == list(VERSIONS)
    assert "0.80 (SD 0.14) full, 0.70 (SD 0.14) background shuffled, 0.45 (SD 0.07) ROI" in chart.alt


def test_what_cannot_be_audited_is_counted(tmp_path: Path) -> None:
    shown = measured(chart_run(tmp_path / "1"), inside=(0.3,), audit=dict.fromkeys(AUDIT, (0.5,)))
    hidden = measured(chart_run(tmp_path / "2", actdiff=1.0), inside=(0.3,))
    chart = audit_chart([shown, hidden])
    assert [label.get_text() for label in chart.figure.axes[0].get_yticklabels()] == ["Classify"]
    assert "Not drawn: 1 run that could not be measured." in chart.caption
    assert audit_chart([hidden]) is None


def test_unfinished_runs_are_not_called_unmeasured(tmp_path: Path) -> None:
    shown = measured(chart_run(tmp_path / "1"), inside=(0.3,), audit=dict.fromkeys(AUDIT, (0.5,)))
    begun = replace(chart_run(tmp_path / "2", actdiff=1.0), metrics={}, unfinished=(0,))
    for draw in (audit_chart, localisation_chart):
        chart = draw([shown, Measured(run=begun, evaluations={})])
        assert "Not drawn" not in chart.caption


def test_localisation_draws_every_metric_and_its_chance(tmp_path: Path) -> None:
    some = [
        measured(chart_run(tmp_path / "1", auc=(0.5, 0.5)), inside=(0.3, 0.4), chance=0.2),
        measured(chart_run(tmp_path / "2", actdiff=1.0, model="unet"), inside=(0.9,), chance=0.2),
    ]
    chart = localisation_chart(some)
    grid = np.array(chart.figure.axes).reshape(2, len(METRICS))
    for above, below in grid.T:
        assert row_means(above) == [pytest.approx((0, 0.35))]
        assert row_means(below) == [pytest.approx((0, 0.9))]
        assert above.get_lines()[0].get_xdata() == pytest.approx([0.2, 0.2])
    assert "UNet, Actdiff: relevance mass accuracy 0.90" in chart.alt
    assert "Chance: relevance mass accuracy 0.20" in chart.alt


def test_scatter_has_a_point_per_network(tmp_path: Path) -> None:
    some = [
        measured(chart_run(tmp_path / "1", auc=(0.4, 0.6)), inside=(0.1, 0.2)),
        measured(chart_run(tmp_path / "2", auc=(0.8,), actdiff=1.0), inside=(0.5,)),
        measured(chart_run(tmp_path / "3", auc=(0.7,), actdiff=1.0, masks=0.5), inside=(0.4,)),
    ]
    chart = auc_against_attribution(some)
    (axes,) = chart.figure.axes
    drawn = {
        line.get_label(): list(zip(line.get_xdata(), line.get_ydata(), strict=True))
        for line in axes.get_lines()
        if line.get_linestyle() == "None"
    }
    assert drawn == {"Classify": [(0.1, 0.4), (0.2, 0.6)], "Actdiff": [(0.5, 0.8), (0.4, 0.7)]}
    rho = spearmanr([0.1, 0.2, 0.5, 0.4], [0.4, 0.6, 0.8, 0.7]).statistic
    assert f"all networks {rho:.2f} (4 networks of 3 runs, too few runs for an interval)" in chart.caption
    assert f"all networks {rho:.2f}" in chart.alt
    assert "Classify inside 0.15, AUC 0.50" in chart.alt


def test_each_model_has_its_own_correlation(tmp_path: Path) -> None:
    some = [
        measured(chart_run(tmp_path / "1", auc=(0.1, 0.2, 0.3)), inside=(0.1, 0.2, 0.3)),
        measured(chart_run(tmp_path / "2", auc=(0.3, 0.2, 0.1), model="unet"), inside=(0.1, 0.2, 0.3)),
    ]
    chart = auc_against_attribution(some)
    assert "CNN alone 1.00" in chart.caption
    assert "UNet alone -1.00" in chart.caption


def test_a_repeated_run_counts_once(tmp_path: Path) -> None:
    some = [measured(chart_run(tmp_path / place, auc=(0.1, 0.2)), inside=(0.1, 0.2)) for place in "ab"]
    chart = auc_against_attribution(some)
    assert "of 2 networks" in chart.alt
    assert "repeat" in chart.caption


def test_networks_tested_on_other_images_are_left_out_and_named(tmp_path: Path) -> None:
    xray = {"preset": "xray", "model": "resnet18", "data": "data/xray"}
    others = ({"correlation": 0.5}, {"classify_masked": "all"})
    some = [
        measured(chart_run(tmp_path / "spc", auc=(0.1, 0.2, 0.3), **xray), inside=(0.1, 0.2, 0.3)),
        measured(chart_run(tmp_path / "act", auc=(0.4,), actdiff=1.0, **xray), inside=(0.4,)),
        *(
            measured(chart_run(tmp_path / f"{i}", auc=(0.9, 0.8), **xray, **other), inside=(0.1, 0.2))
            for i, other in enumerate(others)
        ),
    ]
    found, note = comparable_points(some)
    assert [point.auc for point in found] == [0.1, 0.2, 0.3, 0.4]
    assert note == (
        " Left out, as they were tested on other images: ResNet Classify, site correlation 0.5; "
        "ResNet Masked Everywhere."
    )
    chart = auc_against_attribution(some)
    assert "of 4 networks" in chart.alt
    assert note in chart.caption


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=3, max_size=30))
def test_rho_is_scipys(pairs: list[tuple[int, int]]) -> None:
    x, y = ([float(pair[i]) for pair in pairs] for i in (0, 1))
    found = correlation(points(x, y, [0] * len(x)), np.random.default_rng(0))
    if len(set(x)) == 1 or len(set(y)) == 1:
        assert found.rho is None
    else:
        assert found.rho == pytest.approx(spearmanr(x, y).statistic, abs=1e-12)
    assert found.interval is None, "one run cannot be resampled"


def test_two_networks_have_no_correlation() -> None:
    assert correlation(points([0, 1], [0, 1], [0, 1]), np.random.default_rng(0)).rho is None


def test_interval_resamples_runs_not_networks() -> None:
    """Networks that repeat their run's values add nothing: the interval is that of the runs alone."""
    rng = np.random.default_rng(1)
    x, y = rng.random(8).tolist(), rng.random(8).tolist()
    single = correlation(points(x, y, list(range(8))), np.random.default_rng(0))
    copies = [points(x, y, list(range(8)))] * 6
    repeated = correlation([point for copy in copies for point in copy], np.random.default_rng(0))
    assert single.interval is not None
    assert repeated.interval == pytest.approx(single.interval)
    assert (repeated.points, repeated.runs) == (48, 8)


@pytest.mark.process
def test_interval_covers_what_scipys_bootstrap_covers() -> None:
    from scipy.stats import bootstrap  # an independent bootstrap, of single networks as one run each

    rng = np.random.default_rng(5)
    x = rng.random(25)
    y = x + 0.5 * rng.random(25)
    expected = bootstrap(
        (x, y),
        lambda a, b: spearmanr(a, b).statistic,
        paired=True,
        vectorized=False,
        method="percentile",
        n_resamples=1000,
        rng=np.random.default_rng(0),
    ).confidence_interval
    found = correlation(points(x.tolist(), y.tolist(), list(range(25))), np.random.default_rng(0))
    assert found.interval == pytest.approx((expected.low, expected.high), abs=0.05)


@pytest.mark.process
def test_interval_is_told_with_its_seed(tmp_path: Path) -> None:
    some = [
        measured(chart_run(tmp_path / str(i), auc=(i / 6,), actdiff=float(i + 1)), inside=(i * (5 - i) / 9,))
        for i in range(6)
    ]
    charts = [auc_against_attribution(some, seed=seed) for seed in (3, 3, 4)]
    assert svg(charts[0]) == svg(charts[1])
    assert charts[0].caption == charts[1].caption != charts[2].caption
    assert "95 % interval" in charts[0].alt
    assert f"{reliance.RESAMPLES} times, seed 3" in charts[0].caption


def test_networks_without_auc_or_masks_are_no_points(tmp_path: Path) -> None:
    one = measured(chart_run(tmp_path, auc=(0.5,)), inside=(0.3,))
    assert [(p.inside, p.auc) for p in network_points([one])] == [(0.3, 0.5)]
    blank = measured(chart_run(tmp_path / "2", auc=(0.5,)), inside=())
    assert network_points([blank]) == []
