"""The report of runs of several labels: each label as evaluate tells it, and comparisons by their mean."""

import csv
import json
import re
import shutil
from html import escape

import pytest
from in_process import told
from several_labels_files import write_folder
from test_report_page import Document

from activmask.evaluation.audit import Audit, AuditRow
from activmask.evaluation.evaluate import Evaluation, Localisation, LocalisationRow
from activmask.evaluation.label_means import mean_evaluation
from activmask.evaluation.scores import ScoreReport
from activmask.report import openings
from activmask.training.replicas.mean_auc import MeanAuc

HOSTILE = "<i>mass&"
NAMES = ("effusion", HOSTILE)
QUICK = ("--model", "cnn", "--width", 2, "--lr", 0.01, "--batch-size", 8, "--epochs", 1, "--device", "cpu")
SPLIT = ("--threads", 1, "--split-policy", "subject")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two methods on data of two labels, a run on data of classes, and one on such of the same name."""
    folder = tmp_path_factory.mktemp("labels")
    raw = write_folder(folder / "raw")
    header, *rows = (raw / "labels.csv").read_text().splitlines()
    (raw / "several.csv").write_text("\n".join([header.replace("mass", HOSTILE), *rows, ""]))
    cells = [row.split(",") for row in rows]
    (raw / "one.csv").write_text("\n".join(["file_name,label", *(f"{row[0]},{row[4]}" for row in cells), ""]))
    given = ("prepare-folder", raw / "scans", "--masks", raw / "rois", "--labels")
    several = ("--multi-label", ",".join(NAMES))
    told(*given, raw / "several.csv", *several, "--out", "set", cwd=folder)
    for out in ("other", "elsewhere/set"):
        (folder / out).parent.mkdir(exist_ok=True)
        told(*given, raw / "one.csv", "--out", out, cwd=folder)
    told("train", *QUICK, *SPLIT, "--data", "set", "--out", "runs/plain", cwd=folder)
    told("train", *QUICK, *SPLIT, "--data", "set", "--actdiff", 1, "--out", "runs/actdiff", cwd=folder)
    told("train", *QUICK, *SPLIT, "--data", "other", "--out", "classes/other", cwd=folder)
    told("train", *QUICK, *SPLIT, "--data", "elsewhere/set", "--out", "classes/set", cwd=folder)
    return folder


@pytest.fixture(scope="module")
def text(place):
    told("report", "runs", "classes/other", "--out", "page", "--device", "cpu", cwd=place)
    return (place / "page/index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def evaluated(place):
    """What evaluate says of the run without a method."""
    return json.loads(told("evaluate", "runs/plain", "--json", "--device", "cpu", cwd=place).stdout)


def opened(text: str, title: str) -> str:
    """What the row of a run opens."""
    [found] = [part for part in text.split('<details class="run"')[1:] if f"<summary>{title}" in part]
    return found


def rows_of(text: str, heading: str) -> list[list[str]]:
    """The rows of the first table under a heading, as words, with small print in brackets."""
    table = text[text.index(f">{heading}</h") :]
    body = re.search("<tbody>(.*?)</tbody>", table, re.DOTALL)[1]
    cells = [re.findall("<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in body.split("<tr")[1:]]
    plain = [[re.sub("<small>(.*?)</small>", r" (\1)", cell) for cell in row] for row in cells]
    return [[re.sub("<[^>]*>", "", cell) for cell in row] for row in plain]


@pytest.mark.process
def test_each_label_is_told_as_evaluate_tells_it(place, text, evaluated):
    mean, *labels = rows_of(opened(text, "Set: CNN Classify"), "Label by label")
    [together] = evaluated["mean_auc"]
    assert mean[:2] == [
        "mean over labels",
        f"{together['auc']:.2f} ({together['low']:.2f} to {together['high']:.2f})",
    ]
    for name, row, point in zip(NAMES, labels, evaluated["thresholds"], strict=True):
        one = evaluated["labels"][name]["checkpoints"][0]["evaluation"]
        scores, (without, having) = one["scores"], map(sum, point["confusion"])
        ends = scores["interval"]
        assert row[:5] == [
            escape(name),
            f"{scores['auc']:.2f} ({ends['low']:.2f} to {ends['high']:.2f})",
            str(having),
            str(without),
            str(12 - having - without),
        ]
        shares = (point["confusion"][1][1] / having, point["confusion"][0][0] / without)
        assert row[5:8] == [f"{value:.2f}" for value in (point["threshold"], *shares)]
        inside = one["localisation"]["rows"][0]
        assert row[8] == f"{inside['mean']:.2f} ({inside['chance']:.2f} by chance)"
        audit = one["audit"]
        assert row[9:11] == [f"{each['auc']:.2f}" for each in audit["rows"][1:]]
        assert row[11:] == [f"{audit['mask_area_auc']:.2f}", f"{audit['verdict']['finding']} (1)"]
    assert labels[0][4] != "0"


@pytest.mark.process
def test_numbers_beside_the_page_are_those_of_evaluate(place, text, evaluated):
    with (place / "page/tables/labels-set.csv").open(newline="") as file:
        lines = [line for line in csv.DictReader(file) if line["method"] == "Classify"]
    found = {(line["label"], line["quantity"]): float(line["value"]) for line in lines}
    [together] = evaluated["mean_auc"]
    assert found["", "AUC"] == pytest.approx(together["auc"], abs=1e-6)
    assert found["", "AUC, lower end"] == pytest.approx(together["low"], abs=1e-6)
    for point in evaluated["thresholds"]:
        name = point["label"]
        one = evaluated["labels"][name]["checkpoints"][0]["evaluation"]
        assert found[name, "AUC"] == pytest.approx(one["scores"]["auc"], abs=1e-6)
        assert found[name, "threshold"] == pytest.approx(point["threshold"], abs=1e-6)
        assert found[name, "images with"] == sum(point["confusion"][1])
    halves = [found[name, "AUC, background shuffled"] for name in NAMES]
    assert found["", "AUC, background shuffled"] == pytest.approx(sum(halves) / 2, abs=2e-6)


@pytest.mark.process
def test_comparisons_are_by_the_mean_and_say_so(place, text):
    metrics = json.loads((place / "runs/plain/seed-0/metrics.json").read_text())
    [plain, _] = rows_of(text, "Set, test AUC by label")
    assert plain[2].startswith(f"{metrics['test']['auc']:.2f} (")
    assert [cell[:4] for cell in plain[3:]] == [f"{area:.2f}" for area in metrics["test"]["label_auc"]]
    said = "are means over 2 labels."
    for heading in (
        "Set; best epoch by validation AUC",
        "Set; last epoch",
        "Set, difference from the baseline",
    ):
        after = text[text.index(f">{heading}</h") :]
        assert said in after[: after.index("<table")]
    captions = re.findall("<figcaption.*?</figcaption>", text, re.DOTALL)
    of_set = [one for one in captions if ", Set." in one and "Mean image per site" not in one]
    assert len(of_set) >= 4
    assert all(said in one for one in of_set)
    assert not [one for one in captions if ", Other." in one and said in one]
    answer = text[text.index('<div class="answer">') : text.index("<nav")]
    assert f"On Set the AUC, the accuracy and the share of attribution inside the masks {said}" in answer
    audit = [row[0] for row in rows_of(text, "Set, test AUC on partly shuffled images")]
    names = ["mean over labels", *map(escape, NAMES)]
    assert audit == [f"CNN {method} ({name})" for method in ("Classify", "Actdiff") for name in names]


@pytest.mark.process
def test_curves_and_pictures_are_those_of_each_label(text):
    part = opened(text, "Set: CNN Actdiff")
    titles = re.findall(r'<div class="small"><p class="notes"><strong>(.*?)</strong>', part)
    assert titles == [
        "Training loss",
        "Valid AUC, mean over labels",
        *(f"{escape(name)}: {what}" for name in NAMES for what in ("ROC curve", "Calibration")),
    ]
    pictures = re.findall("<li><img.*?</li>", part, re.DOTALL)
    for name in NAMES:
        whys = [one for one in pictures if f"<strong>{escape(name)}, " in one]
        assert [sum(f", {why}: " in one for one in whys) for why in ("best", "worst")] == [1, 1]
        assert len(whys) <= 3
    assert len(pictures) <= 6
    assert "those to whose own class" in part
    assert "Confusion" not in part
    assert "Confusion" in opened(text, "Other: CNN Classify")


@pytest.mark.process
def test_the_page_asks_nobody_for_anything_and_names_are_no_markup(text):
    document = Document(text)
    assert document.open == []
    assert all(image["src"].startswith("data:") for image in document.all("img"))
    assert HOSTILE not in text
    assert not document.all("i")


@pytest.mark.process
def test_runs_that_cannot_be_compared_are_refused_by_name(place):
    said = told("report", "runs/plain", "classes/set", "--out", "no", "--device", "cpu", cwd=place, code=2)
    sentence = " ".join(said.stderr.split())
    assert "two runs on data that are called 'Set' cannot be compared: " in sentence
    assert "classes/set tells classes that exclude each other" in sentence
    assert "runs/plain labels that do not (effusion and <i>mass&)" in sentence
    assert not (place / "no").exists()


@pytest.mark.process
def test_a_checkpoint_that_cannot_be_read_is_no_other_kind_of_run(place, tmp_path):
    shutil.copytree(place / "runs", tmp_path / "runs")
    (tmp_path / "runs/plain/seed-0/best.safetensors").write_bytes(b"no checkpoint")
    given = ("report", tmp_path / "runs", "--out", tmp_path / "page", "--device", "cpu", "--skip-unreadable")
    told(*given, cwd=place)
    text = (tmp_path / "page/index.html").read_text(encoding="utf-8")
    assert "Label by label" not in opened(text, "Set: CNN Classify")
    assert "Label by label" in opened(text, "Set: CNN Actdiff")


def an_evaluation(auc, shuffled, inside, *, reason=None):
    rows = () if reason else (AuditRow(images="full", auc=shuffled, accuracy=0.5),)
    return Evaluation(
        seed=0,
        scores=ScoreReport(n=9, auc_kind="ROC AUC", auc=auc, interval=None, accuracy=auc, reason=None),
        sites=(),
        audit=Audit(
            n=4,
            borrowed=0,
            reason=reason,
            rows=rows,
            mask_area_auc=0.7,
            chance_distance=0.1,
            verdict=None,
        ),
        localisation=Localisation(
            attribution="a",
            n=4,
            blank=0,
            rows=(LocalisationRow(metric="m", mean=inside, sd=0.1, chance=0.2),),
        ),
    )


def test_means_over_labels_by_hand():
    mean = MeanAuc(labels=2, auc=0.7, low=0.6, high=0.8, redrawn=0, reason="")
    found = mean_evaluation([an_evaluation(0.6, 0.25, 0.5), an_evaluation(0.8, 0.5, 0.75)], mean)
    assert (found.scores.auc, found.scores.accuracy) == (0.7, pytest.approx(0.7))
    assert (found.scores.interval.low, found.scores.interval.high) == (0.6, 0.8)
    assert [row.auc for row in found.audit.rows] == [0.375]
    assert (found.audit.mask_area_auc, found.audit.verdict) == (None, None)
    assert [(row.mean, row.chance) for row in found.localisation.rows] == [(0.625, 0.2)]


def test_what_is_not_known_of_each_label_has_no_mean():
    mean = MeanAuc(labels=1, auc=0.6, low=0.5, high=0.7, redrawn=0, reason="")
    pair = [an_evaluation(0.6, 0.25, 0.5), an_evaluation(0.8, 0.5, 0.75, reason="no mask")]
    found = mean_evaluation(pair, mean)
    assert (found.scores.auc, found.scores.interval, found.scores.reason) == (
        None,
        None,
        "a label has no AUC",
    )
    assert (found.audit.rows, found.audit.reason) == ((), "no mask")


@pytest.mark.process
def test_images_of_many_runs_are_left_out_and_counted(place, monkeypatch):
    def page(most: int) -> str:
        monkeypatch.setattr(openings, "MOST_PICTURED", most)
        told("report", "runs", "--out", f"page-{most}", "--device", "cpu", cwd=place)
        return (place / f"page-{most}/index.html").read_text(encoding="utf-8")

    few, many = page(2), page(1)
    shown = few.count("<li><img")
    assert shown > 0
    assert many.count("<li><img") == 0
    assert f"The images are left out here: 2 runs would show {shown}." in many
