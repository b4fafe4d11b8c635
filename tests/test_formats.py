"""The summary in the formats people paste elsewhere, read back by independent readers."""

import csv
import io
import json
import re
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from summary_runs import write_run

from activmask.ground.shown import shown as visible
from activmask.report.findings.summary import Summary, summarise
from activmask.report.tables import formats
from activmask.report.tables.experiment_tables import (
    difference_table,
    experiment_tables,
    forms_table,
    last_table,
    score_table,
)
from activmask.report.tables.latex import latex_table
from activmask.report.tables.markdown import markdown_table
from activmask.report.tables.table import Cell, Column, Row, Table
from activmask.runs.results import find_runs

THREE = {0: 0.304, 1: 0.404, 2: 0.504}
NASTY = "=a|b_c*d<i>&amp;#$%^~{x}[y]\\`z"


@pytest.fixture(scope="module")
def summary(tmp_path_factory) -> Summary:
    folder = tmp_path_factory.mktemp("runs")
    write_run(folder / "base", THREE)
    write_run(folder / "act", {0: 0.604, 1: 0.604, 2: 0.904}, actdiff=10.0)
    write_run(folder / "liver", {0: 0.8}, preset="liver")
    write_run(folder / "begun", {}, preset="liver", actdiff=1.0, unfinished=(0,))
    write_run(folder / "=nasty", {0: 0.5}, data=f"data/{NASTY}", model="resnet18", width=64)
    return summarise(find_runs([folder]))


def read_markdown(text):
    """Headings and the cells of every table, as a reader shows them."""
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    headings, tables = [], []
    for before, token in pairwise(tokens):
        if before.type == "heading_open":
            headings.append(shown(token))
        if before.type == "table_open":
            tables.append([])
        if before.type == "tr_open":
            tables[-1].append([])
        if before.type in {"th_open", "td_open"}:
            tables[-1][-1].append(shown(token))
    return headings, tables


def shown(token):
    assert all(child.type in {"text", "text_special"} for child in token.children)
    return "".join(child.content for child in token.children)


def unlatex(text):
    """Read the commands that a cell may hold back into characters; anything else is a mistake."""
    names = {"textbackslash": "\\", "textasciitilde": "~", "textasciicircum": "^"}
    names |= {"textless": "<", "textgreater": ">", "textbar": "|"}
    pattern = re.compile(
        r"\\(?P<name>text[a-z]+)\{\}|\\(?P<char>[&%$#_{}])|\{(?P<group>[\[\]*])\}|\$(?P<math>[^$]+)\$"
        r"|(?P<plain>[^\\{}$&%#_~^<>|\[\]*])"
    )
    math = {r"\pm": "±", r"\Delta": "Δ", "-": "-"}
    read, at = [], 0
    while at < len(text):
        found = pattern.match(text, at)
        assert found, text[at:]
        at, parts = found.end(), found.groupdict()
        read.append(
            names[parts["name"]]
            if parts["name"]
            else math[parts["math"]]
            if parts["math"]
            else parts["char"] or parts["group"] or parts["plain"]
        )
    return "".join(read)


def by_heading(table):
    """For each row, its cells as text by their headings."""
    header, *rows = table.flat
    return [dict(zip(header, row, strict=True)) for row in rows]


def test_the_cells_say_what_was_measured(summary):
    base, act = summary.of("Synthetic")
    scores = score_table("Synthetic", [base])
    assert scores.title == "Synthetic, beside paper Tables 1 and 2; best epoch by validation AUC"
    assert by_heading(scores) == [
        {
            "Experiment": "CNN Classify",
            "Seeds": "3",
            "Best epoch: here": "4.0 ± 0.0 (-0.3 SD)",
            "Best epoch: paper": "38.10 ± 120.13",
            "Train, best epoch: AUC": "1.00 ± 0.00",
            "Train, best epoch: accuracy": "0.50 ± 0.00 (0/3/0)",
            "Valid, best epoch: AUC": "0.40 ± 0.00",
            "Valid, best epoch: accuracy": "0.20 ± 0.00 (0/0/0)",
            "Test, best epoch: AUC": "0.40 ± 0.10 (+0.3 SD)",
            "Test, best epoch: accuracy": "0.20 ± 0.05 (0/0/0; -0.7 SD)",
            "Test, best epoch: paper": "0.35 ± 0.20",
        }
    ]
    assert by_heading(last_table("Synthetic", [base])) == [
        {
            "Experiment": "CNN Classify",
            "Seeds": "3",
            "Train, last epoch: AUC": "0.90 ± 0.00 (Δ-0.10)",
            "Train, last epoch: accuracy": "0.45 ± 0.00 (0/3/0; Δ-0.55)",
            "Train, last epoch: paper": "1.00 ± 0.00 (10/0/0)",
            "Valid, last epoch: AUC": "0.10 ± 0.00 (+10.0 SD)",
            "Valid, last epoch: accuracy": "0.05 ± 0.00 (0/0/3; +5.0 SD)",
            "Valid, last epoch: paper": "0.00 ± 0.01",
            "Test, last epoch: AUC": "0.35 ± 0.10",
            "Test, last epoch: accuracy": "0.18 ± 0.05 (0/0/0)",
        }
    ]
    # Paper: CNN Actdiff scores 0.50 ± 0.00 on test, so only plain distances exist.
    (row,) = by_heading(score_table("Synthetic", [act]))
    assert row["Test, best epoch: AUC"].endswith("(Δ+0.20)")
    assert row["Test, best epoch: accuracy"].endswith("; Δ-0.15)")
    # Differences 0.3, 0.2, 0.4: 0.3 ± 4.3027 * 0.1 / sqrt(3).
    assert difference_table("Synthetic", [act]).flat[1:] == (
        ("CNN Actdiff (released form)", "3", "+0.30", "+0.05 to +0.55", "0.25", "0.25"),
    )


def test_a_narrow_table_has_every_number_that_is_set_against_a_printed_one(summary):
    base, _ = summary.of("Synthetic")
    scores, last = score_table("Synthetic", [base]), last_table("Synthetic", [base])
    assert [column.heading for column in scores.columns if not column.brief] == [
        "Best epoch: paper",
        "Train, best epoch: accuracy",
        "Valid, best epoch: accuracy",
    ]
    assert [column.heading for column in last.columns if not column.brief] == [
        "Test, last epoch: AUC",
        "Test, last epoch: accuracy",
    ]
    liver = last_table("Liver", summary.of("Liver"))
    assert [column.heading for column in liver.columns if column.brief] == [
        "Experiment",
        "Seeds",
        "Train, last epoch: accuracy",
        "Valid, last epoch: AUC",
        "Valid, last epoch: accuracy",
    ]


def test_what_does_not_exist_is_a_dash_or_no_table(summary):
    liver = summary.of("Liver")
    scores = score_table("Liver", liver)
    assert scores.flat[2] == ("ResNet Actdiff (ours)", "0 (1 unfinished)", *["-"] * 7, "0.86 ± 0.02")
    assert scores.flat[1][3] == "1.00"
    assert difference_table("Liver", liver) is None


def test_what_the_paper_printed_stands_where_its_epoch_does(summary):
    def printed(table):
        return [column.heading for column in table.columns if column.printed]

    synthetic, liver = summary.of("Synthetic"), summary.of("Liver")
    assert printed(score_table("Synthetic", synthetic)) == ["Best epoch: paper", "Test, best epoch: paper"]
    assert printed(last_table("Synthetic", synthetic)) == [
        "Train, last epoch: paper",
        "Valid, last epoch: paper",
    ]
    assert printed(score_table("Liver", liver)) == ["Test, best epoch: paper"]
    last = last_table("Liver", liver)
    assert (printed(last), last.title, last.notes) == ([], "Liver; last epoch", ())
    others = [row for row in summary.rows if not row.paper]
    assert printed(score_table("others", others)) == []


def test_forms_of_a_method_stand_side_by_side(tmp_path):
    write_run(tmp_path / "released", {0: 1.0, 1: 0.0}, actdiff=10.0)
    write_run(tmp_path / "written", {0: 1.0, 1: 1.0}, actdiff=10.0, actdiff_norm="layer", actdiff_at="pre")
    write_run(tmp_path / "masked", {0: 0.5}, actdiff=10.0, masks=0.5)
    found = forms_table("Synthetic", summarise(find_runs([tmp_path])).rows)
    assert by_heading(found) == [
        {
            "Experiment": "CNN Actdiff",
            "Released form: valid, last epoch": "0.05 ± 0.00 (0/0/2; Δ-0.45)",
            "Released form: test, best epoch": "0.25 ± 0.35 (0/1/1; Δ-0.25)",
            "Form as written: valid, last epoch": "0.05 ± 0.00 (0/0/2; Δ-0.45)",
            "Form as written: test, best epoch": "0.50 ± 0.00 (0/2/0; Δ0.00)",
            "Ours: valid, last epoch": "0.05 ± 0.00 (0/0/2; Δ-0.45)",
            "Ours: test, best epoch": "0.25 ± 0.35 (0/1/1; Δ-0.25)",
            "Paper: valid, last epoch": "0.50 ± 0.00 (0/10/0)",
            "Paper: test, best epoch": "0.50 ± 0.00 (0/10/0)",
        }
    ]


def test_what_selected_the_best_epoch_is_named_for_each_row_where_rows_differ(tmp_path):
    write_run(tmp_path / "a", {0: 0.5})
    write_run(tmp_path / "b", {0: 0.5}, select="accuracy", model="ae")
    table = score_table("Synthetic", summarise(find_runs([tmp_path])).rows)
    assert table.title.endswith("best epoch by validation accuracy or validation AUC")
    assert [(row["Experiment"], row["Best epoch by"]) for row in by_heading(table)] == [
        ("Conv AE Classify", "validation accuracy"),
        ("CNN Classify", "validation AUC"),
    ]
    alone = score_table("Synthetic", summarise(find_runs([tmp_path / "b"])).rows)
    assert alone.title.endswith("; best epoch by validation accuracy")
    assert "Best epoch by" not in alone.flat[0]


def test_zero_has_no_minus(summary):
    text = "".join(cell for table in experiment_tables(summary) for row in table.flat for cell in row)
    assert "-0.00" not in text
    assert "-0.0 " not in text
    assert "−" not in text, "text has the minus of every keyboard"


def test_markdown_reads_back_to_the_same_cells(summary):
    headings, tables = read_markdown(formats.markdown(summary))
    expected = experiment_tables(summary)
    assert headings == [table.title for table in expected]
    assert tables == [[list(row) for row in table.flat] for table in expected]
    assert f"{NASTY}; last epoch" in headings


def test_markdown_has_every_note(summary):
    lines = formats.markdown(summary).splitlines()
    assert sum(line.startswith("- ") for line in lines) == len(summary.notes) > 3
    of_tables = [note for table in experiment_tables(summary) for note in table.notes]
    assert sum(line in of_tables for line in lines) == len(of_tables) > 3


def made_table(*cells, columns=("b",)):
    row = Row(title="r", model="m", method="x", cells=cells)
    numbers = (Column(title=title) for title in columns)
    return Table(kind="t", title="t", columns=(Column(title="a", numeric=False), *numbers), rows=(row,))


def test_what_stands_out_is_bold():
    table = made_table(Cell(text="0.04", strong=True), Cell(text="0.05"), columns=("p", "q"))
    assert "| r | **0.04** | 0.05 |" in markdown_table(table)
    assert r"r & \textbf{0.04} & 0.05 \\" in latex_table(table)


@given(st.text())
def test_any_name_survives_markdown_and_latex(name):
    table = made_table(Cell(text="−0.5 ± 0.1"))
    table = replace(table, rows=(replace(table.rows[0], title=name),))
    printable = " ".join(visible(name).split())
    assert read_markdown(markdown_table(table))[1] == [[["a", "b"], [printable, "-0.5 ± 0.1"]]]
    cell, number = latex_table(table).splitlines()[7].removesuffix(r" \\").rsplit(" & ", 1)
    assert unlatex(cell) == printable
    assert number == r"$-$0.5 $\pm$ 0.1"


def test_latex_has_a_table_for_each_and_balanced_columns(summary):
    text = formats.latex(summary)
    tables = re.findall(r"\\begin\{tabular\}\{(l[lr]*)\}\n\\toprule\n(.*?)\\bottomrule", text, re.DOTALL)
    assert len(tables) == len(experiment_tables(summary))
    for columns, body in tables:
        for line in re.sub(r"\\midrule\n|\\cmidrule.*\n", "", body).strip().splitlines():
            assert line.endswith(r" \\")
            spans = sum(int(n) - 1 for n in re.findall(r"\\multicolumn\{(\d+)\}", line))
            assert len(re.findall(r"(?<!\\)&", line)) + spans == len(columns) - 1


def test_latex_headings_over_several_columns_have_rules_under_them(summary):
    lines = latex_table(last_table("Liver", summary.of("Liver"))).splitlines()
    heading = r" &  & " + " & ".join(
        rf"\multicolumn{{2}}{{c}}{{{split}, last epoch}}" for split in ("Train", "Valid", "Test")
    )
    assert lines[5:8] == [
        heading + r" \\",
        r"\cmidrule(lr){3-4} \cmidrule(lr){5-6} \cmidrule(lr){7-8}",
        r"Experiment & Seeds & AUC & accuracy & AUC & accuracy & AUC & accuracy \\",
    ]


def test_latex_captions_are_the_titles(summary):
    text = formats.latex(summary)
    captions = [unlatex(found) for found in re.findall(r"\\caption\{(.*)\}\n", text)]
    assert captions == [table.title for table in experiment_tables(summary)]


def rows_of_csv(summary):
    return list(csv.DictReader(io.StringIO(formats.csv(summary)), strict=True))


def test_csv_has_one_line_an_experiment_and_plain_numbers(summary):
    rows = rows_of_csv(summary)
    assert [row["method"] for row in rows] == ["Classify", "Actdiff", "Classify", "Actdiff", "Classify"]
    base, act, *_ = rows
    assert float(base["test_auc_mean"]) == pytest.approx(0.404)
    assert float(base["test_auc_sd"]) == pytest.approx(0.1)
    assert float(base["last_valid_auc_mean"]) == pytest.approx(0.1)
    assert float(base["test_auc_paper_sds"]) == pytest.approx(0.27)
    assert float(base["paper_best_epoch_sd"]) == 120.13
    assert float(base["last_train_auc_mean"]) == pytest.approx(0.9)
    assert float(base["paper_last_train_mean"]) == 1.0
    assert float(base["paper_test_mean"]) == 0.35
    assert base["paper_train_mean"] == ""
    assert float(base["last_valid_accuracy_minus_paper"]) == pytest.approx(0.05)
    assert base["valid_accuracy_minus_paper"] == ""
    assert [base[f"last_valid_seeds_{what}"] for what in ("counted", "chance", "box")] == ["0", "0", "3"]
    assert [base[f"paper_last_train_seeds_{what}"] for what in ("counted", "chance", "box")] == [
        "10",
        "0",
        "0",
    ]
    assert (base["form"], act["form"], base["selected_by"]) == ("", "released", "auc")
    assert (base["baseline_p"], base["train_auc_paper_sds"]) == ("", "")
    assert float(act["baseline_difference"]) == pytest.approx(0.3)
    assert act["baseline_folder"].endswith("base")
    texts = {
        "data",
        "model",
        "method",
        "distinction",
        "form",
        "selected_by",
        "folder",
        "paper_source",
        "departures",
        "baseline_folder",
    }
    for row in rows:
        assert all(value == "" or float(value) > -999 for name, value in row.items() if name not in texts)


def test_a_name_in_csv_is_no_formula(summary):
    assert rows_of_csv(summary)[-1]["data"] == f"'{NASTY}"


def test_json_holds_everything(summary):
    value = json.loads(formats.json(summary), parse_constant=pytest.fail)
    base, act, liver, begun, _ = value["rows"]
    assert base["scores"]["test"]["auc"]["n"] == 3
    assert base["baseline"] is None
    assert act["baseline"]["mean"] == pytest.approx(0.3)
    assert act["baseline"]["p_holm"] == 0.25
    assert liver["scores"]["test"]["auc"] == {"mean": 0.8, "sd": None, "n": 1}
    assert begun["scores"]["test"]["auc"] is None
    assert begun["unfinished"] == [0]
    assert begun["paper"] == {
        "source": "paper Table 2",
        "printed": {"test": {"mean": 0.86, "sd": 0.02, "epoch": "best"}},
        "seeds_at": {},
        "distances": [],
    }
    assert base["last_epoch"]["train"]["auc"]["mean"] == pytest.approx(0.9)
    assert base["seeds_at"]["last"]["valid"] == {"counted": 0, "chance": 0, "box": 3}
    assert {one["measure"]: one["epoch"] for one in act["paper"]["distances"]} == {
        "train": "last",
        "valid": "last",
        "test": "best",
        "best_epoch": "best",
    }
    assert (act["form"], base["form"], act["selected_by"]) == ("released", None, "auc")
    assert value["notes"] == list(summary.notes)
