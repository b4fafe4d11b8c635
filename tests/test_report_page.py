"""The page as text: escaping, structure, contrast, and the numbers that stand on it."""

import base64
import csv
import hashlib
import json
import re
import shlex
from datetime import UTC, datetime, timedelta, timezone
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from activmask_cli.train_words import train_command
from in_process import told
from report_runs import METHODS, train_runs
from summary_runs import write_run

from activmask.report import write
from activmask.report.charts.pictures import Picture
from activmask.report.findings.account import Fact
from activmask.report.findings.summary import summarise
from activmask.report.page.html import Drawing, Opening, Page, PageTable, Part, classes, render
from activmask.report.tables.experiment_tables import forms_table
from activmask.report.tables.table import Cell, Column, Row, Table
from activmask.report.write import write_report
from activmask.runs.results import find_runs
from activmask.runs.sittings import Caller, sitting, sittings_to_json
from activmask.runs.toml_file import format_config

HOSTILE = "<script>alert('&')</script>\"'"
VOID = {"meta", "link", "input", "br", "img"}


class Document(HTMLParser):
    """The elements of a page with their attributes, and the text of some."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def runs_folder(tmp_path_factory):
    return train_runs(tmp_path_factory.mktemp("report"))


def record(run: Path) -> None:
    """Say of a run who trained it; the others say nothing, as from earlier versions."""
    known = {"commit": "ab" * 20, "changed": False, "title": "mine"}
    caller = Caller(command="activmask sweep g.toml", folder="/secret", **known)
    for seed in (0, 1):
        path = run / f"seed-{seed}" / "run.json"
        sat = [sitting(caller, now=datetime(2026, 2, 1, 8, seed, tzinfo=UTC), host="secret-node")]
        path.write_text(json.dumps(json.loads(path.read_text()) | sittings_to_json(sat)))


@pytest.fixture(scope="module")
def folder(runs_folder):
    out = runs_folder.parent / "page"
    record(runs_folder / "actdiff")
    write_report(
        find_runs([runs_folder]),
        out,
        command="activmask report 'my runs'",
        command_of=lambda run: train_command(run, Path("again")),
        title="Which penalty?",
        now=datetime(2026, 3, 1, 13, 5, tzinfo=timezone(timedelta(hours=1))),
    )
    return out


@pytest.fixture(scope="module")
def text(folder):
    return (folder / "index.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def document(text):
    return Document(text)


def small_page(**changes) -> Page:
    cell = Cell(text="0.50 ± 0.10", key="0.5", details=(HOSTILE, HOSTILE))
    table = Table(
        kind="t",
        title=HOSTILE,
        columns=(Column(title=HOSTILE, numeric=False), Column(title=HOSTILE, group=HOSTILE)),
        rows=(Row(title=HOSTILE, detail=HOSTILE, model="m", method=HOSTILE, cells=(cell,)),),
        notes=(HOSTILE,),
    )
    opening = Opening(
        name="run-1",
        title=HOSTILE,
        detail=HOSTILE,
        model="m",
        method=HOSTILE,
        facts=(Fact(title=HOSTILE, lines=(HOSTILE,)),),
        command=HOSTILE,
        settings=HOSTILE,
        tables=(PageTable(name="u", table=table),),
        drawings=(Drawing(title=HOSTILE, svg="<svg></svg>"),),
        pictures=(Picture(src="data:,", width=1, height=1, title=HOSTILE, lines=(HOSTILE,)),),
        pictured=HOSTILE,
    )
    part = Part(
        name="p",
        openings=(opening,),
        title=HOSTILE,
        paragraphs=(HOSTILE,),
        problems=(HOSTILE,),
        facts=(Fact(title=HOSTILE, lines=(HOSTILE, HOSTILE)),),
        filtered=True,
        tables=(PageTable(name="t", table=table),),
        notes=(HOSTILE,),
        command=HOSTILE,
    )
    return Page(maker="activmask report", title=HOSTILE, question=HOSTILE, answer=(HOSTILE,), parts=(part,))


def test_whatever_runs_are_called_is_text_and_never_markup():
    page = render(small_page())
    assert HOSTILE not in page
    assert page.count("alert(") >= 12
    assert len(Document(page).all("script")) == 1


def test_only_our_own_script_may_run(text):
    script = re.search(r"<script>(.*)</script>", text, re.DOTALL).group(1)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text).group(1)
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'")


def test_columns_are_numbered_across_groups_and_those_of_the_paper_are_marked():
    columns = (
        Column(title="Name", numeric=False),
        Column(title="AUC", group="Test"),
        Column(title="paper", group="Test", printed=True),
        Column(title="Why", numeric=False),
        Column(title="How", numeric=False),
    )
    table = Table(kind="t", title="t", columns=columns, rows=())
    assert [(group.title, group.first, len(group.columns)) for group in table.groups] == [
        ("Name", 0, 1),
        ("Test", 1, 2),
        ("Why", 3, 1),
        ("How", 4, 1),
    ]
    assert [classes(table, number) for number in range(5)] == ["text", "opens", "printed", "text", "text"]
    assert classes(table, 2, strong=True) == "printed strong"


def test_every_link_is_an_anchor_or_a_file_that_is_there(document, folder):
    ids = {attributes["id"] for _, attributes in document.elements if "id" in attributes}
    paths = set()
    for tag, attributes in document.elements:
        assert (attributes.get("src") or "data:image/png;base64,").startswith("data:image/png;base64,")
        target = attributes.get("href") or attributes.get("xlink:href") or ""
        if target.startswith("#"):
            assert target[1:] in ids, target
        elif tag == "a":
            assert (folder / target).is_file(), target
            paths.add(target)
        else:
            assert not target or target.startswith("data:"), target
    files = {str(path.relative_to(folder)) for path in folder.rglob("*.*")} - {"index.html"}
    assert paths == files
    assert {Path(path).suffix for path in files} == {".svg", ".png", ".csv", ".tex"}


def test_the_page_is_well_formed_and_named_for_those_who_hear_it(document, text):
    assert document.open == []
    assert document.all("html")[0]["lang"] == "en"
    assert "<title>Which penalty?</title>" in text
    ids = [attributes["id"] for _, attributes in document.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in document.elements:
        for name in ("aria-labelledby", "aria-describedby"):
            assert attributes.get(name, ids[0]) in ids
    levels = [int(tag[1]) for tag, _ in document.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    drawings = [one for one in document.all("svg") if one.get("role") == "img"]
    small = [one for _, one in document.elements if one.get("class") == "small"]
    assert len(drawings) == len(document.all("figure")) + len(small)
    assert len(document.all("figure")) >= 4
    assert len(small) == 4 * len(METHODS)
    assert all(len(one["aria-label"]) > 60 for one in drawings)


def table_rows(text: str, name: str) -> list[list[str]]:
    table = f'<table class="sortable" aria-labelledby="table-{name}">'
    body = re.search(rf"{table}.*?<tbody>(.*?)</tbody>", text, re.DOTALL).group(1)
    rows = re.split("<tr[ >]", body)[1:]
    strip = re.compile(r"<small>.*?</small>|<[^>]*>")
    return [[strip.sub("", cell) for cell in re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row)] for row in rows]


def test_scores_are_the_means_of_the_seeds_beside_the_printed_ones(text, runs_folder):
    rows = table_rows(text, "scores-synthetic")
    assert [row[0] for row in rows] == ["CNN Classify", "CNN Actdiff", "CNN Gradmask"]
    seeds = [json.loads((runs_folder / "actdiff" / f"seed-{k}" / "metrics.json").read_text()) for k in (0, 1)]
    last = table_rows(text, "last-synthetic")
    lasts = [seed["last"] for seed in seeds]
    for found, column, scores, split, measure in (
        (rows, 4, seeds, "train", "auc"),
        (rows, 7, seeds, "valid", "accuracy"),
        (rows, 8, seeds, "test", "auc"),
        (last, 2, lasts, "train", "auc"),
        (last, 6, lasts, "valid", "accuracy"),
        (last, 8, lasts, "test", "auc"),
    ):
        values = [seed[split][measure] for seed in scores]
        assert found[1][column] == f"{np.mean(values):.2f} ± {np.std(values, ddof=1):.2f}"
    assert last[0][4] == "1.00 ± 0.00"  # paper Table 1, last epoch, CNN Classify, train
    assert rows[0][10] == "0.35 ± 0.20"  # paper Table 2, best epoch, CNN Classify, synthetic test
    assert "Synthetic, beside paper Tables 1 and 2; best epoch by validation AUC" in text
    assert "<small>10/0/0</small>" in text
    assert "released form" in text


def test_forms_that_were_run_stand_side_by_side_on_the_page(tmp_path):
    write_run(tmp_path / "released", {0: 0.5}, actdiff=10.0)
    write_run(tmp_path / "written", {0: 1.0}, actdiff=10.0, actdiff_norm="layer", actdiff_at="pre")
    rows = summarise(find_runs([tmp_path])).rows
    table = forms_table("Synthetic", rows)
    assert [group.title for group in table.groups] == [
        "Experiment",
        "Released form",
        "Form as written",
        "Ours",
        "Paper",
    ]
    assert [cell.text for cell in table.rows[0].cells][1::2] == ["0.25", "0.50", "0.25", "0.50 ± 0.00"]
    assert [cell.details for cell in table.rows[0].cells] == [
        *(("0/0/1", "Δ−0.45"), ("0/0/0", "Δ−0.25")),
        *(("0/0/1", "Δ−0.45"), ("0/1/0", "Δ0.00")),
        *(("0/0/1", "Δ−0.45"), ("0/0/0", "Δ−0.25")),
        *(("0/10/0",), ("0/10/0",)),
    ]
    assert forms_table("Synthetic", rows[:1]) is None


def test_files_of_what_was_measured_say_what_chance_is(folder):
    numbers = (folder / "tables" / "localisation-synthetic.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(numbers.splitlines()))
    assert all(0 < float(row["chance"]) < 1 for row in rows)
    assert len({row["quantity"] for row in rows}) == 5
    latex = (folder / "tables" / "localisation-synthetic.tex").read_text(encoding="utf-8")
    assert "A map that knows nothing scores: relevance mass accuracy" in latex.split(r"\end{table}")[1]
    audit = (folder / "tables" / "audit-synthetic.csv").read_text(encoding="utf-8")
    assert audit.splitlines()[0].endswith(",quantity,value")


def test_every_row_has_as_many_cells_as_the_table_has_columns(text):
    for table in text.split('<table class="sortable"')[1:]:
        head, body = table.split("</thead>")
        numbers = [int(number) for number in re.findall(r'data-column="(\d+)"', head)]
        assert sorted(numbers) == list(range(len(numbers)))
        for row in re.split("<tr[ >]", body.split("</tbody>")[0])[1:]:
            assert len(re.findall(r"<t[dh][ >]", row)) == len(numbers)


def test_the_page_says_what_was_run_and_by_which_command(text):
    for expected in (
        "3 experiments, 6 trained networks in all",
        "train 48, valid 16, test 16 images of 28 x 28 px",
        "3 of 3, in paper Tables 1 and 2",
        "None of 2 comparisons with classification alone shows a difference",
        "On Synthetic none could, however large: with 2 seeds",
        "activmask report &#39;my runs&#39;",
        "2026-03-01 12:05 UTC",
        "epochs 2 (paper 500)",
    ):
        assert expected in text


def opened(text: str, title: str) -> str:
    [found] = [one for one in text.split('<details class="run"')[1:] if f"<summary>Synthetic: {title}" in one]
    return found.split('<details class="run"')[0]


def test_a_row_leads_to_all_about_its_run(text, document):
    anchors = {one["href"] for one in document.all("a") if (one["href"] or "").startswith("#run-")}
    assert len(anchors) == len(METHODS)
    run = opened(text, "CNN Actdiff")
    assert re.search('<div class="opened" id="run-[0-9a-f]{12}">', run)
    assert "<small>released form, mine</small>" in run
    for expected in (
        "seed 0-1, begun 2026-02-01 08:00 UTC to 2026-02-01 08:01 UTC: activmask sweep g.toml (git ab",
        "lr = 0.001\n",
        "Seed by seed",
        "counts of 2 networks added up",
    ):
        assert expected in run, expected
    assert "not recorded" not in run
    assert run.count("<img ") == 12
    assert all(f"<strong>{why}: images/" in run for why in ("best", "worst", "most changed"))
    assert "seed 0-1: not recorded" in opened(text, "CNN Classify")
    # The page is for others to see: it names neither the machine nor the folder of who trained.
    assert "secret" not in text


def test_the_command_of_a_run_trains_the_same_run_again(text, runs_folder, tmp_path):
    command = re.search("<code>(activmask train [^<]*)</code>", opened(text, "CNN Gradmask")).group(1)
    _, *words = shlex.split(command.replace("&#39;", "'"))
    [run] = find_runs([runs_folder / "gradmask"])
    assert words[-4:] == ["--seeds", "0-1", "--out", "again"]
    assert told(*words, "--dry-run", cwd=tmp_path).stdout == format_config(run.config, (0, 1))
    assert len(words) < 30


def test_numbers_of_a_run_are_those_of_its_seeds(text, runs_folder):
    run = opened(text, "CNN Actdiff")
    metrics = [json.loads((runs_folder / f"actdiff/seed-{k}/metrics.json").read_text()) for k in (0, 1)]
    for seed, row in enumerate(table_rows(run, re.search('table-(seeds-run-[0-9a-f]*)"', run).group(1))):
        found = metrics[seed]
        scores = [found[split]["auc"] for split in ("train", "valid", "test")]
        scores += [found["test"]["accuracy"], found["last"]["test"]["auc"], found["last"]["test"]["accuracy"]]
        assert row[:8] == [
            f"seed {seed}",
            str(found["best_epoch"] + 1),
            *(f"{score:.3f}" for score in scores),
        ]
    confusion = table_rows(run, re.search('table-(confusion-run-[0-9a-f]*)"', run).group(1))
    counts = [[int(cell) for cell in row[1:3]] for row in confusion]
    assert sum(map(sum, counts)) == 2 * 16
    right = sum(16 * found["test"]["accuracy"] for found in metrics)
    assert counts[0][0] + counts[1][1] == pytest.approx(right)


def test_text_stands_out_from_every_ground_in_both_themes():
    style = (Path(write.__file__).parent / "page" / "page.css").read_text(encoding="utf-8")
    found = dict(re.findall(r"--([\w-]+): (light-dark\([^)]*\))", style))
    colours = {name: re.findall(r"#\w{6}", pair) for name, pair in found.items()}
    for theme in (0, 1):
        for ground in ("paper", "raised"):
            for ink, least in (("ink", 7), ("muted", 4.5), ("link", 4.5), ("control", 3), ("chart-muted", 3)):
                assert contrast(colours[ink][theme], colours[ground][theme]) >= least, (ink, ground, theme)
        assert contrast(colours["ink"][theme], colours["mark"][theme]) >= 4.5


def contrast(one: str, other: str) -> float:
    """Of two colours, by WCAG 2.2."""
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
