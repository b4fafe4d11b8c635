"""The charts of scores: curves, sites, fewer masks. What they draw and what they say."""

from pathlib import Path

import numpy as np
import pytest
from chart_runs import chart_run
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from activmask.report.charts.chart import Chart, png, svg
from activmask.report.charts.curves import valid_curves
from activmask.report.charts.fewer_masks import fewer_masks
from activmask.report.charts.site_scores import site_scores
from activmask.runs.results import Run

XRAY = {"preset": "xray", "model": "resnet18", "data": "data/xray"}


def line(axes: Axes, label: str) -> Line2D:
    (found,) = [one for one in axes.get_lines() if one.get_label() == label]
    return found


def titles(chart: Chart) -> list[str]:
    return [axes.get_title() for axes in chart.figure.axes]


def means(axes: Axes) -> list[float]:
    """The x of every large mark, top to bottom."""
    marks = sorted((bar.lines[0] for bar in axes.containers), key=lambda mark: float(mark.get_ydata()[0]))
    return [float(mark.get_xdata()[0]) for mark in marks]


def test_nothing_is_drawn_of_nothing(tmp_path: Path) -> None:
    unfinished = Run(folder=tmp_path, config=chart_run(tmp_path / "x").config, metrics={}, unfinished=(0,))
    for draw in (valid_curves, site_scores, fewer_masks):
        assert draw([]) is None
        assert draw([unfinished]) is None


def test_curves_are_means_with_a_band_of_one_sd(tmp_path: Path) -> None:
    curves = [[0.2, 0.4, 0.9], [0.4, 0.6, 0.7]]
    chart = valid_curves([chart_run(tmp_path, auc=(0.5, 0.5), curves=curves)])
    (axes,) = chart.figure.axes
    drawn = line(axes, "Classify")
    assert drawn.get_xdata() == pytest.approx([1, 2, 3])
    assert drawn.get_ydata() == pytest.approx([0.3, 0.5, 0.8])
    (band,) = axes.collections
    bounds = band.get_paths()[0].vertices
    sd = np.std(curves, axis=0, ddof=1)
    for epoch in range(3):
        there = bounds[bounds[:, 0] == epoch + 1][:, 1]
        assert (there.min(), there.max()) == pytest.approx(
            (np.mean(curves, axis=0)[epoch] - sd[epoch], np.mean(curves, axis=0)[epoch] + sd[epoch])
        )
    assert "one standard deviation" in chart.caption
    assert "Classify highest 0.80 in epoch 3, last 0.80" in chart.alt


def test_one_seed_has_no_band_and_the_caption_claims_none(tmp_path: Path) -> None:
    chart = valid_curves([chart_run(tmp_path, curves=[[0.1, 0.2]])])
    assert not chart.figure.axes[0].collections
    assert "deviation" not in chart.caption


def test_seeds_of_different_length_share_their_first_epochs(tmp_path: Path) -> None:
    chart = valid_curves([chart_run(tmp_path, auc=(0.5, 0.5), curves=[[0.1, 0.2, 0.9], [0.3, 0.4]])])
    assert line(chart.figure.axes[0], "Classify").get_ydata() == pytest.approx([0.2, 0.3])


def test_curves_have_a_panel_per_model(tmp_path: Path) -> None:
    runs = [chart_run(tmp_path / "1", model="cnn"), chart_run(tmp_path / "2", model="unet", actdiff=1.0)]
    chart = valid_curves(runs)
    assert chart.title == "Valid AUC per epoch, Synthetic"
    assert titles(chart) == ["CNN", "UNet"]
    assert {text.get_text() for text in chart.figure.legends[0].texts} == {"Classify", "Actdiff"}


def test_data_sets_are_never_mixed_in_one_chart(tmp_path: Path) -> None:
    masks = {"actdiff": 1.0, "masks": 0.5}
    for draw, settings in ((valid_curves, {}), (site_scores, XRAY), (fewer_masks, masks)):
        place = tmp_path / draw.__name__
        runs = [chart_run(place / data, **{**settings, "data": data}) for data in ("a/liver", "b/cardiac")]
        with pytest.raises(ValueError, match="one data set, found Liver, Cardiac"):
            draw(runs)


def test_runs_with_fewer_masks_are_left_to_their_own_figure(tmp_path: Path) -> None:
    some = chart_run(tmp_path / "1", actdiff=1.0, masks=0.2)
    chart = valid_curves([some, chart_run(tmp_path / "2", actdiff=1.0)])
    assert [text.get_text() for text in chart.figure.legends[0].texts] == ["Actdiff"]
    alone = valid_curves([some])
    assert [text.get_text() for text in alone.figure.legends[0].texts] == ["Actdiff, 20% of masks"]


def test_sites_show_means_and_the_papers_values(tmp_path: Path) -> None:
    runs = [
        chart_run(tmp_path / "2", auc=(0.1, 0.5), accuracy=(0.2, 0.4), actdiff=1.0, **XRAY),
        chart_run(tmp_path / "1", auc=(0.4, 0.6), accuracy=(0.8, 0.6), **XRAY),
    ]
    chart = site_scores(runs)
    auc, accuracy = chart.figure.axes
    assert [label.get_text() for label in auc.get_yticklabels()] == ["Classify", "Actdiff"]
    assert means(auc) == pytest.approx([0.5, 0.3])
    assert means(accuracy) == pytest.approx([0.7, 0.3])
    diamonds = [one for one in auc.get_lines() if one.get_markerfacecolor() == "none"]
    assert [(float(one.get_xdata()[0]), float(one.get_ydata()[0])) for one in diamonds] == [(0.44, 0)]
    assert "Classify AUC 0.50 (SD 0.14), accuracy 0.70 (SD 0.14), paper 0.44" in chart.alt
    assert "diamonds" in chart.caption


def test_only_site_correlated_runs_are_drawn_with_sites(tmp_path: Path) -> None:
    assert site_scores([chart_run(tmp_path)]) is None


def test_fewer_masks_draws_means_by_share(tmp_path: Path) -> None:
    runs = [
        chart_run(tmp_path / "all", auc=(0.8, 1.0), best_epochs=(3, 5), actdiff=1.0),
        chart_run(tmp_path / "some", auc=(0.4, 0.6), best_epochs=(0, 1), actdiff=1.0, masks=0.2),
        chart_run(tmp_path / "other", auc=(0.1, 0.1)),
    ]
    chart = fewer_masks(runs)
    assert chart.name == "figure-6"
    assert [axes.get_ylabel() for axes in chart.figure.axes] == ["test AUC", "best epoch"]
    for axes, expected in zip(chart.figure.axes, ([0.5, 0.9], [1.5, 5.0]), strict=True):
        (bar,) = axes.containers
        assert bar.lines[0].get_xdata() == pytest.approx([0.2, 1.0])
        assert bar.lines[0].get_ydata() == pytest.approx(expected)
    assert "test AUC, CNN Actdiff: 0.50 (SD 0.14) with 20%, 0.90 (SD 0.14) with 100%" in chart.alt
    assert "best epoch, CNN Actdiff: 1.5 (SD 0.7) with 20%, 5.0 (SD 1.4) with 100%" in chart.alt


def test_error_bars_are_one_sd(tmp_path: Path) -> None:
    run = chart_run(tmp_path, auc=(0.4, 0.6), actdiff=1.0, masks=0.2)
    (bar,) = fewer_masks([run]).figure.axes[0].containers
    (segment,) = bar.lines[2][0].get_segments()
    sd = np.std([0.4, 0.6], ddof=1)
    assert segment[:, 1] == pytest.approx([0.5 - sd, 0.5 + sd])


def test_all_masks_alone_draw_nothing(tmp_path: Path) -> None:
    assert fewer_masks([chart_run(tmp_path, actdiff=1.0)]) is None


def test_shares_of_one_line_were_trained_equally_long(tmp_path: Path) -> None:
    some = chart_run(tmp_path / "some", actdiff=1.0, masks=0.5, epochs=2)
    longer = chart_run(tmp_path / "all", auc=(0.5, 0.5), actdiff=1.0, epochs=4)
    alike = chart_run(tmp_path / "short", actdiff=1.0, epochs=2)
    (bar,) = fewer_masks([some, longer, alike]).figure.axes[0].containers
    assert bar.lines[0].get_xdata() == pytest.approx([0.5, 1.0])
    assert "0.50 with 50%, 0.50 with 100%" in fewer_masks([some, longer, alike]).alt
    assert "100%" not in fewer_masks([some, longer]).alt


def test_weights_make_lines_of_their_own(tmp_path: Path) -> None:
    runs = [chart_run(tmp_path / str(w), actdiff=w, masks=0.5) for w in (1.0, 10.0)]
    legend = fewer_masks(runs).figure.legends[0]
    assert [text.get_text() for text in legend.texts] == [
        "CNN Actdiff (actdiff 1.0)",
        "CNN Actdiff (actdiff 10.0)",
    ]


@pytest.mark.process
def test_every_chart_can_be_written_and_is_the_same_again(tmp_path: Path) -> None:
    runs = [
        chart_run(tmp_path / "1", auc=(0.4, 0.6), actdiff=1.0, masks=0.2, **XRAY),
        chart_run(tmp_path / "2", auc=(0.4, 0.6), **XRAY),
    ]
    draws = (valid_curves, site_scores, fewer_masks)
    first, again = ([draw(runs) for draw in draws] for _ in range(2))
    assert len({chart.name for chart in first}) == len(draws)
    assert list(map(svg, first)) == list(map(svg, again))
    assert all(png(chart, dpi=40).startswith(b"\x89PNG") for chart in first)
