"""What a row of the report opens: answers by hand, small charts, pictures, and words under the pointer."""

import base64
import io
from dataclasses import replace
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import torch
from chart_runs import chart_run, measured
from matplotlib.figure import Figure
from objective_settings import OBJECTIVES
from PIL import Image
from summary_runs import write_run
from test_charts import example
from torch import nn

from activmask.data.samples import Samples
from activmask.evaluation.answers import Answers, Bin, Pick, answers
from activmask.evaluation.curves import Curve
from activmask.evaluation.evaluate import SiteScores
from activmask.evaluation.predictions_table import Predicted
from activmask.models.output import ModelOutput
from activmask.report.charts.chart import Chart, drawing, png, svg
from activmask.report.charts.hover import says
from activmask.report.charts.pictures import picture
from activmask.report.charts.run_charts import answer_charts, history_charts
from activmask.report.charts.small_chart import Scale, Series, SmallChart, scale_of, small_svg
from activmask.report.findings.summary import summarise
from activmask.report.tables.measured_tables import sites_table
from activmask.report.tables.run_tables import confusion_table, seeds_table
from activmask.runs.description import changed
from activmask.runs.fewest import fewest_settings
from activmask.runs.making import make_config
from activmask.runs.results import find_runs

HOSTILE = "<b>\u202e&\"'"


class Brightness(nn.Module):
    """Two logits: the brightness of the left half, and of the right."""

    def forward(self, images, *, reconstruct=False):
        halves = images.chunk(2, dim=3)
        logits = torch.stack([half.mean(dim=(1, 2, 3)) for half in halves], dim=1)
        return ModelOutput(logits=logits, reconstruction=None, pre_activations={})


def samples(images, labels):
    n = len(labels)
    return Samples(
        images=images,
        masks=torch.ones_like(images, dtype=torch.bool),
        has_mask=torch.ones(n, dtype=torch.bool),
        labels=torch.tensor(labels),
        names=tuple(f"{k}.png" for k in range(n)),
        subjects=tuple(map(str, range(n))),
        sites=("",) * n,
    )


def test_answers_by_hand():
    logits = torch.tensor([[0.0, 2.0], [0.0, 1.0], [0.0, -1.0], [0.0, -2.0], [0.0, 3.0], [0.0, -3.0]])
    labels = [1, 0, 1, 0, 1, 0]
    moved = torch.tensor([[0.0, 2.0], [0.0, 3.0]])
    shuffled = Predicted(condition="background shuffled", draw=1, rows=torch.tensor([3, 4]), logits=moved)
    images = torch.rand((6, 1, 4, 4), generator=torch.Generator().manual_seed(0))
    found = answers(Brightness().eval(), samples(images, labels), ("no", "yes"), logits, [shuffled])
    assert found.confusion == ((2, 1), (1, 2))
    assert found.roc is not None
    assert (found.roc.x[0], found.roc.y[0], found.roc.x[-1], found.roc.y[-1]) == (0, 0, 1, 1)
    area = np.trapezoid(found.roc.y, found.roc.x)
    assert area == pytest.approx(8 / 9)
    assert sum(one.n for one in found.bins) == 6
    highest = found.bins[-1]
    assert (highest.n, highest.observed) == (1, 1.0)
    assert highest.predicted == pytest.approx(1 / (1 + np.exp(-3)), abs=1e-6)
    assert [(pick.why, pick.file) for pick in found.picks] == [
        ("best", "4.png"),
        ("best", "5.png"),
        ("best", "0.png"),
        ("worst", "1.png"),
        ("worst", "2.png"),
        ("most changed", "3.png"),
    ]
    third = found.picks[-1]
    assert (third.label, third.given) == (0, 0)
    assert third.probability == pytest.approx(1 / (1 + np.exp(-2)), abs=1e-6)
    assert third.shuffled == pytest.approx(1 / (1 + np.exp(2)), abs=1e-6)
    assert found.picks[0].shuffled == pytest.approx(1 / (1 + np.exp(-3)), abs=1e-6)
    assert found.picks[1].shuffled is None
    with Image.open(io.BytesIO(base64.b64decode(third.map))) as grey:
        assert grey.size == (4, 4)
        assert np.asarray(grey).max() == 255


def test_the_most_changed_are_neither_best_nor_worst_and_did_change():
    n = 40
    logits = torch.stack([torch.zeros(n), torch.linspace(-4, 4, n)], dim=1)
    moved = logits.clone()
    moved[18:21, 1] -= torch.tensor([1.0, 3.0, 2.0])
    shuffled = Predicted(condition="background shuffled", draw=1, rows=torch.arange(n), logits=moved)
    images = torch.rand((n, 1, 4, 4), generator=torch.Generator().manual_seed(0))
    found = answers(Brightness().eval(), samples(images, [0, 1] * 20), ("a", "b"), logits, [shuffled])
    told = [(pick.why, pick.file) for pick in found.picks]
    assert told[8:] == [("most changed", f"{k}.png") for k in (19, 20, 18)]
    assert len({file for _, file in told}) == len(told)


def test_of_three_classes_calibration_is_of_the_class_that_was_given():
    logits = torch.tensor([[5.0, 0.0, 0.0], [5.0, 0.0, 0.0], [0.0, 5.0, 0.0]])
    images = torch.rand((3, 1, 4, 4), generator=torch.Generator().manual_seed(0))
    found = answers(Brightness().eval(), samples(images, [0, 2, 1]), ("a", "b", "c"), logits, [])
    assert found.roc is None
    assert [(one.n, one.observed) for one in found.bins] == [(3, pytest.approx(2 / 3, abs=1e-6))]
    assert found.confusion == ((1, 0, 0), (0, 1, 0), (1, 0, 0))
    assert all(pick.shuffled is None for pick in found.picks)


def some_answers(**more):
    pick = Pick(why="best", file=HOSTILE, label=1, given=0, probability=0.25, shuffled=0.5, map=grey_map())
    usual = {
        "class_names": ("no", HOSTILE),
        "confusion": ((3, 1), (0, 4)),
        "roc": Curve(x=(0.0, 0.25, 1.0), y=(0.0, 1.0, 1.0)),
        "bins": (Bin(n=2, predicted=0.1, observed=0.0), Bin(n=6, predicted=0.9, observed=0.5)),
        "picks": (pick,),
    }
    return Answers(**{**usual, **more})


def grey_map():
    file = io.BytesIO()
    Image.fromarray(np.array([[0, 255], [0, 0]], np.uint8)).save(file, format="png")
    return base64.b64encode(file.getvalue()).decode()


def titles(drawn):
    return [one.text for one in ET.fromstring(drawn).iter("{http://www.w3.org/2000/svg}title")]


def test_curves_of_a_run_say_their_values_and_are_well_formed():
    rows = [{"loss_classify": 1.0, "loss_actdiff": 1.0 - k, "valid_auc": k / 2} for k in range(2)]
    seeds = {0: some_answers(), 3: some_answers()}
    charts = [*history_charts(dict.fromkeys(seeds, rows)), *answer_charts(seeds)]
    assert [chart.title for chart in charts] == ["Training loss", "Valid AUC", "ROC curve", "Calibration"]
    said = [titles(small_svg(chart)) for chart in charts]
    assert "actdiff, mean of 2 seeds: 1 in epoch 1, 0 in epoch 2" in said[0]
    assert "seed 3: highest 0.500 in epoch 2, last 0.500" in said[1]
    assert "mean of 2 seeds: highest 0.500 in epoch 2, last 0.500" in said[1]
    assert said[2] == ["seed 0", "seed 3"]
    assert "seed 0, 6 images: predicted 0.90, true 0.50" in said[3]
    for chart in charts:
        drawn = small_svg(chart)
        assert HOSTILE not in drawn
        assert "var(--chart-grid)" in drawn
        assert ET.fromstring(drawn).get("role") == "img"


def test_a_run_without_finished_seeds_or_answers_has_no_curves():
    assert history_charts({}) == []
    assert answer_charts({}) == []
    assert answer_charts({0: some_answers(roc=None, bins=())}) == []
    assert confusion_table({}) is None


def test_points_lie_where_their_values_say():
    line = Series(name="", x=[0.0, 10.0], y=[0.0, 1.0], hover="", colour="#000000", marks=["low", "high"])
    across, up = Scale(title="x", low=0.0, high=10.0), Scale(title="y", low=0.0, high=1.0)
    drawn = ET.fromstring(small_svg(SmallChart(title="t", x=across, y=up, series=(line,), alt="")))
    circles = [(float(one.get("cx")), float(one.get("cy"))) for one in drawn.findall(".//{*}circle")]
    assert circles == [(44.0, 190.0), (328.0, 12.0)]


def test_long_lines_are_thinned_and_keep_their_ends():
    values = list(range(5001))
    line = Series(name="", x=values, y=values, hover="", colour="#000000")
    scale = Scale(title="", low=0.0, high=5000.0)
    drawn = small_svg(SmallChart(title="t", x=scale, y=scale, series=(line,), alt=""))
    points = ET.fromstring(drawn).find(".//{*}polyline").get("points").split()
    assert len(points) <= 252
    assert (points[0], points[-1]) == ("44.0,190.0", "328.0,12.0")


@pytest.mark.parametrize(("values", "log"), [([0.0, 3.0], False), ([1.0, 50.0], False), ([1e-4, 1.0], True)])
def test_losses_that_span_far_are_drawn_by_their_ratios(values, log):
    scale = scale_of("loss", values)
    assert scale.log == log
    assert scale.place(max(values)) == pytest.approx(1.0)
    assert all(0 <= scale.place(tick) <= 1 for tick in scale.ticks())
    assert len(scale.ticks()) >= 2


def test_lines_and_marks_of_large_charts_say_their_words_in_svg_alone():
    with drawing():
        figure = Figure(figsize=(3, 2), layout="constrained")
        axes = figure.subplots()
        [line] = axes.plot([0, 1, 2], [0, 1, 0])
        [marks] = axes.plot([0, 1], [1, 0], linestyle="none", marker="o")
        axes.plot([0, 1], [0.5, 0.5], linestyle="none", marker="s")
        before = png(Chart(kind="k", title="t", caption="c", alt="a", figure=figure))
        says(line, HOSTILE)
        says(marks, ["first", "second"])
    chart = Chart(kind="k", title="t", caption="c", alt="a", figure=figure)
    root = ET.fromstring(svg(chart))
    space = "{http://www.w3.org/2000/svg}"
    said = [(above.tag, one.text) for above in root.iter() for one in above if one.tag == f"{space}title"]
    assert said[1:] == [(f"{space}g", "<b>\\u202e&\"'"), (f"{space}use", "first"), (f"{space}use", "second")]
    assert "says " not in svg(chart)
    assert png(chart) == before
    assert svg(example()).count("<title>") == 1


def test_a_picture_shows_the_image_its_outline_and_the_map():
    image = np.zeros((56, 56), np.float32)
    image[0, 0] = 1.0
    mask = np.zeros((56, 56), bool)
    mask[20:30, 20:30] = True
    [pick] = some_answers().picks
    shown = picture(pick, image, mask, ("no", "yes"))
    assert shown.title == f"best: {HOSTILE}"
    probability = "probability of its class 0.25, 0.50 with the background shuffled"
    assert shown.lines == ("yes, called no", probability)
    with Image.open(io.BytesIO(base64.b64decode(shown.src.removeprefix("data:image/png;base64,")))) as read:
        pixels = np.asarray(read.convert("RGB"))
    assert pixels.shape == (112, 228, 3) == (shown.height, shown.width, 3)
    assert pixels[0, 0].tolist() == pixels[1, 1].tolist() == [255, 255, 255]
    assert pixels[2, 2].tolist() == [0, 0, 0]
    for left in (0, 116):
        assert pixels[39, left + 50].tolist() == [86, 180, 233]
    bright, dark = pixels[10, 116 + 100], pixels[100, 116 + 10]
    assert bright.sum() > 600
    assert dark.sum() < 20
    assert picture(pick, image, None, ("no", "yes")).src != shown.src


@pytest.mark.parametrize("settings", OBJECTIVES.values(), ids=OBJECTIVES)
def test_the_fewest_settings_make_the_same_description(settings):
    config = make_config(**settings)
    fewest = fewest_settings(config)
    assert make_config(**fewest) == config
    assert len(fewest) < 20


@pytest.mark.parametrize("preset", ["synthetic", "liver", "xray"])
def test_settings_of_presets_are_not_repeated(preset):
    config = make_config(preset=preset, model="unet", lr=0.123456789, eval_train=True)
    fewest = fewest_settings(config)
    assert fewest.keys() == {"preset", "data", "model", "lr", "eval_train"}
    assert make_config(**fewest) == config


def test_a_description_that_is_refused_now_is_told_whole():
    config = changed(make_config(), lr=0.0)
    assert fewest_settings(config)["batch_size"] == config["batch_size"]


def test_seeds_that_did_not_finish_have_their_row(tmp_path):
    [run] = find_runs([write_run(tmp_path / "run", {0: 0.75, 2: 0.5}, unfinished=(1,))])
    rows = seeds_table(run, {0: (), 1: (), 2: ()}).rows
    assert [row.title for row in rows] == ["seed 0", "seed 1", "seed 2"]
    scores = ["1.000", "0.400", "0.750", "0.375", "0.700", "0.350"]
    assert [cell.text for cell in rows[0].cells] == ["4", *scores, "not recorded"]
    assert [cell.text for cell in rows[1].cells] == ["unfinished", *[""] * 6, "not recorded"]


def test_confusion_adds_up_networks():
    table = confusion_table({0: some_answers(), 1: some_answers(confusion=((1, 3), (4, 0)))})
    assert [[cell.text for cell in row.cells] for row in table.rows] == [["4", "4", "50%"], ["4", "4", "50%"]]
    assert [cell.strong for cell in table.rows[1].cells] == [False, True, False]


def test_sites_have_their_rows(tmp_path):
    run = chart_run(tmp_path, auc=(0.5, 0.6))
    one = measured(run, inside=(0.5, 0.5))
    scores = {0: [("b", 9, 0.5), ("a", 3, None)], 1: [("b", 8, 0.7), ("a", 3, None)]}
    found = {
        seed: replace(
            one.evaluations[seed],
            sites=tuple(SiteScores(site=site, n=n, auc=auc, accuracy=1.0) for site, n, auc in sites),
        )
        for seed, sites in scores.items()
    }
    pairs = [(row, replace(one, evaluations=found)) for row in summarise([run]).rows]
    table = sites_table(pairs)
    assert [[cell.text for cell in row.cells] for row in table.table.rows] == [
        ["a", "2", "3", "", "1.00 ± 0.00"],
        ["b", "2", "8 to 9", "0.60 ± 0.14", "1.00 ± 0.00"],
    ]
    assert "AUC at b,0.7" in table.csv.decode()
    assert sites_table([(row, one) for row, _ in pairs]) is None
