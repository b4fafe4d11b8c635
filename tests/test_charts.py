"""What every chart has in common: its inks, its files, its names, its styles."""

import io
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest
from chart_runs import chart_run
from matplotlib.figure import Figure
from PIL import Image

from activmask.report.charts.chart import (
    GRID,
    INK,
    MUTED,
    PALETTE,
    Chart,
    chance_line,
    drawing,
    png,
    series_styles,
    svg,
    themed_svg,
)
from activmask.report.charts.panels import legend_below, panels
from activmask.report.findings.series import papers_methods, series_names, without_repeats
from activmask.runs.results import Run

CHOSEN = 'a "quoted" <alternative> & more'


def example(name: str = "example") -> Chart:
    with drawing():
        figure = Figure(figsize=(3, 2), layout="constrained")
        axes = figure.subplots()
        chance_line(axes, 0.5)
        axes.plot([0, 1], [0, 1], marker="o", color=PALETTE[1])
        axes.set_title("cost of $5 & $6")
    return Chart(kind=name, title="An <example>", caption="c", alt=CHOSEN, figure=figure)


def test_files_do_not_depend_on_time_order_or_surroundings() -> None:
    first = svg(example()), png(example())
    with mpl.rc_context({"font.size": 30, "text.color": "red", "svg.hashsalt": "else", "axes.grid": False}):
        again = svg(example()), png(example())
    assert first == again
    chart = example()
    assert (svg(chart), png(chart)) == (svg(chart), png(chart)) == first


def test_svg_is_a_readable_file_on_white() -> None:
    text = svg(example())
    root = ET.fromstring(text)
    assert root.get("role") == "img"
    assert root.get("aria-label") == CHOSEN
    assert "cost of $5 & $6" in "".join(root.itertext()), "text must stay text"
    assert INK in text
    assert "currentColor" not in text
    ground = root.find(".//{http://www.w3.org/2000/svg}path")
    assert ground is not None
    assert "fill: #ffffff" in ground.get("style", "")


def test_png_is_dark_ink_on_opaque_white() -> None:
    pixels = np.asarray(Image.open(io.BytesIO(png(example(), dpi=100))).convert("RGBA"))
    assert pixels.shape[:2] == (200, 300)
    assert (pixels[..., 3] == 255).all()
    assert (pixels[0, 0] == 255).all()
    assert pixels[..., :3].sum(axis=2).min() < 150


def test_themed_svg_takes_its_inks_from_the_page() -> None:
    text = themed_svg(example())
    assert text.startswith("<svg")
    assert not re.search(f"{INK}|{MUTED}|{GRID}|white|#ffffff", text)
    assert {"currentColor", "--chart-muted", "--chart-grid"} <= set(
        re.findall(r"currentColor|--chart-\w+", text)
    )
    assert PALETTE[1] in text


def test_themed_svg_leaves_the_page_alone() -> None:
    text = themed_svg(example())
    root = ET.fromstring(text)
    assert root.get("width") is None
    assert root.get("height") is None
    assert root.get("viewBox") == "0 0 216 144"
    assert not re.search("<style|<metadata|<!DOCTYPE|<script", text)
    assert "stroke-linejoin" in root.get("style", ""), "the rules of the removed style element"


def test_ids_of_two_charts_on_a_page_differ_and_lead_somewhere() -> None:
    one, other = themed_svg(example("one")), themed_svg(example("other"))
    ids = [re.findall(r'\bid="([^"]+)"', text) for text in (one, other)]
    assert ids[0]
    assert not set(ids[0]) & set(ids[1])
    for text, known in zip((one, other), ids, strict=True):
        used = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text)
        assert used
        assert {a or b for a, b in used} <= set(known)


def test_no_two_styles_differ_in_colour_alone() -> None:
    names = [*papers_methods(), *(f"other {i}" for i in range(5))]
    styles = series_styles(names)
    assert list(styles) == names
    assert len({(style.marker, style.dash) for style in styles.values()}) == len(names)
    assert len({(style.colour, style.dash) for style in styles.values()}) == len(names)


def test_a_method_looks_the_same_among_others() -> None:
    assert series_styles(["x", "Actdiff", "x"])["Actdiff"] == series_styles(["Actdiff"])["Actdiff"]


@pytest.mark.parametrize("ground", [(255, 255, 255), (17, 17, 17)])
def test_colours_stand_out_from_white_and_from_near_black(ground: tuple[int, int, int]) -> None:
    for colour in PALETTE:
        assert contrast(colour, ground) > 2, colour


def contrast(colour: str, ground: tuple[int, int, int]) -> float:
    """The contrast ratio of WCAG 2.2."""
    channels = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    light = sorted(luminance(c) for c in (channels, list(ground)))
    return (light[1] + 0.05) / (light[0] + 0.05)


def luminance(channels: list[int]) -> float:
    linear = [c / 255 / 12.92 if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in channels]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def itself(run: Run) -> Run:
    return run


def test_a_repeated_experiment_is_drawn_once(tmp_path: Path) -> None:
    short = chart_run(tmp_path / "a" / "x", auc=(0.1,))
    full = chart_run(tmp_path / "b" / "x", auc=(0.1, 0.2))
    kept, note = without_repeats([short, full], itself)
    assert kept == [full]
    assert note == " Left out: 1 run that repeats another."
    assert "2 runs that repeat others" in without_repeats([short, full, short], itself)[1]
    assert without_repeats([full], itself) == ([full], "")


def test_more_epochs_or_other_seeds_are_no_repetition(tmp_path: Path) -> None:
    run = chart_run(tmp_path / "a" / "x", auc=(0.1,))
    longer = chart_run(tmp_path / "b" / "x", auc=(0.1,), epochs=7)
    elsewhere = Run(folder=tmp_path / "c" / "x", config=run.config, metrics={5: run.metrics[0]})
    kept, note = without_repeats([run, longer, elsewhere], itself)
    assert kept == [run, longer, elsewhere]
    assert not note


def test_what_tells_runs_apart_is_in_their_names(tmp_path: Path) -> None:
    weak, strong = (chart_run(tmp_path / f"{w}", actdiff=w) for w in (1.0, 10.0))
    assert series_names([weak, strong]) == ["Actdiff (actdiff 1.0)", "Actdiff (actdiff 10.0)"]
    twice = [chart_run(tmp_path / where / "run") for where in ("here", "there")]
    assert series_names(twice) == ["Classify (in here/run)", "Classify (in there/run)"]


def test_methods_are_drawn_in_the_papers_order(tmp_path: Path) -> None:
    runs = [
        chart_run(tmp_path / "1", actdiff=1.0),
        chart_run(tmp_path / "2", model="unet"),
        chart_run(tmp_path / "3"),
    ]
    kept, _ = without_repeats(runs, itself)
    assert kept == [runs[2], runs[0], runs[1]]


@pytest.mark.parametrize("lines", [True, False])
@pytest.mark.parametrize(
    ("names", "columns"),
    [
        ("abcdefg", 3),
        (["a name of forty characters and some more", *"abcdefg"], 3),
        ([f"{k}, a name of forty characters and some" for k in range(3)], 1),
        ([f"{k}, a name of thirty characters" for k in range(3)], 2),
    ],
)
def test_a_legend_has_as_many_columns_as_fit_into_the_figure(names, columns, lines):
    with drawing():
        figure, _, _ = panels(1, columns=1, height=2.9)
        legend_below(figure, series_styles(list(names)), lines=lines)
    [legend] = figure.legends
    assert legend.get_window_extent().width <= figure.bbox.width
    assert legend._ncols == columns
