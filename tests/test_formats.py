"""The summary in the formats people paste elsewhere, read back by independent readers."""

import csv
import io
import json
import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from summary_runs import write_run

from activmask.report.findings.summary import Summary, summarise
from activmask.report.tables import formats
from activmask.report.tables.text_tables import (
    TextTable,
    baseline_table,
    forms_table,
    last_epoch_table,
    paper_table,
    score_table,
    text_tables,
)
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


def test_the_cells_say_what_was_measured(summary):
    base, act = summary.of("Synthetic")
    scores = score_table([base], "Synthetic")
    assert dict(zip(scores.header, scores.rows[0], strict=True)) == {
        "Experiment Name": "CNN Classify",
        "Seeds": "3",
        "Train AUC": "1.00 ± 0.00",
        "Train Accuracy": "0.50 ± 0.00 (0/3/0)",
        "Valid AUC": "0.40 ± 0.00",
        "Valid Accuracy": "0.20 ± 0.00 (0/0/0)",
        "Test AUC": "0.40 ± 0.10",
        "Test Accuracy": "0.20 ± 0.05 (0/0/0)",
        "Best Epoch": "3.0 ± 0.0",
        "Paper Test, Best Epoch": "0.35 ± 0.20",
        "Distance": "-0.7 / +0.3",
    }
    compact = score_table([base], "Synthetic", compact=True)
    assert [name for name in compact.header if "Accuracy" in name] == ["Test Accuracy"]
    assert compact.rows[0][2:6] == (
        "1.00 ± 0.00",
        "0.40 ± 0.00",
        "0.40 ± 0.10",
        "0.20 ± 0.05 (0/0/0)",
    )
    last = last_epoch_table([base], "Synthetic", compact=True)
    assert dict(zip(last.header, last.rows[0], strict=False)) == {
        "Experiment Name": "CNN Classify",
        "Last Train Accuracy": "0.45 ± 0.00 (0/3/0)",
        "Last Valid AUC": "0.10 ± 0.00",
        "Last Valid Accuracy": "0.05 ± 0.00 (0/0/3)",
        "Paper Train, Last Epoch": "1.00 ± 0.00 (10/0/0)",
        "Distance": "+5.0 / +10.0",
        "Paper Valid, Last Epoch": "0.00 ± 0.01",
    }
    # Paper: CNN Actdiff scores 0.50 ± 0.00 on test, so only plain distances exist.
    assert score_table([act], "Synthetic").rows[0][-1] == "Δ-0.15 / Δ+0.20"
    # Differences 0.3, 0.2, 0.4: 0.3 ± 4.3027 * 0.1 / sqrt(3).
    assert baseline_table([act], "Synthetic").rows == (
        ("CNN Actdiff (released form)", "3", "+0.30", "+0.05 to +0.55", "0.25", "0.25"),
    )


def test_what_does_not_exist_is_a_dash_or_no_table(summary):
    liver = summary.of("Liver")
    assert score_table(liver, "Liver").rows[1] == (
        "ResNet Actdiff (ours)",
        "0",
        *["-"] * 7,
        "0.86 ± 0.02",
        "-",
    )
    assert score_table(liver, "Liver").rows[0][2] == "1.00"
    assert baseline_table(liver, "Liver") is None
    others = [row for row in summary.rows if not row.paper]
    assert paper_table(others, "others") is None


def test_the_papers_own_table_shows_what_each_table_printed(summary):
    synthetic = paper_table(summary.of("Synthetic"), "Synthetic")
    assert synthetic.header[1::2] == (
        "Paper Train, Last Epoch",
        "Paper Valid, Last Epoch",
        "Paper Test, Best Epoch",
        "Paper Best Epoch",
    )
    assert synthetic.rows[0][-2:] == ("38.10 ± 120.13", "-0.3")
    assert paper_table(summary.of("Liver"), "Liver").header == (
        "Experiment Name",
        "Paper Test, Best Epoch",
        "Distance",
    )


def test_forms_of_a_method_stand_side_by_side(tmp_path):
    write_run(tmp_path / "released", {0: 2.0, 1: 0.0}, actdiff=10.0)
    write_run(tmp_path / "written", {0: 1.0, 1: 1.0}, actdiff=10.0, actdiff_norm="layer", actdiff_at="pre")
    write_run(tmp_path / "masked", {0: 0.5}, actdiff=10.0, masks=0.5)
    found = forms_table(summarise(find_runs([tmp_path])).rows, "Synthetic")
    assert [dict(zip(found.header, row, strict=True)) for row in found.rows] == [
        {
            "Experiment Name": "CNN Actdiff",
            "released form: Valid, Last Epoch": "0.05 ± 0.00 (0/0/2)",
            "released form: Test, Best Epoch": "0.50 ± 0.71 (1/0/1)",
            "form as written: Valid, Last Epoch": "0.05 ± 0.00 (0/0/2)",
            "form as written: Test, Best Epoch": "0.50 ± 0.00 (0/2/0)",
            "ours: Valid, Last Epoch": "0.05 ± 0.00 (0/0/2)",
            "ours: Test, Best Epoch": "0.50 ± 0.71 (1/0/1)",
            "Paper: Valid, Last Epoch": "0.50 ± 0.00 (0/10/0)",
            "Paper: Test, Best Epoch": "0.50 ± 0.00 (0/10/0)",
        }
    ]


def test_what_selected_the_best_epoch_is_named_for_each_row_where_rows_differ(tmp_path):
    write_run(tmp_path / "a", {0: 0.5})
    write_run(tmp_path / "b", {0: 0.5}, select="accuracy", model="ae")
    table = score_table(summarise(find_runs([tmp_path])).rows, "Synthetic")
    assert table.title.endswith("best epoch by validation accuracy or validation AUC")
    assert [row[0] for row in table.rows] == [
        "Conv AE Classify, by validation accuracy",
        "CNN Classify, by validation AUC",
    ]
    alone = score_table(summarise(find_runs([tmp_path / "b"])).rows, "Synthetic")
    assert (alone.title, alone.rows[0][0]) == (
        "Synthetic: best epoch by validation accuracy",
        "Conv AE Classify",
    )


def test_zero_has_no_minus(summary):
    text = "".join(cell for table in text_tables(summary) for row in table.rows for cell in row)
    assert "-0.00" not in text
    assert "-0.0 " not in text


def test_markdown_reads_back_to_the_same_cells(summary):
    headings, tables = read_markdown(formats.markdown(summary))
    expected = text_tables(summary)
    assert headings == [table.title for table in expected]
    assert tables == [[list(row) for row in (table.header, *table.rows)] for table in expected]
    assert f"{NASTY}: last epoch" in headings


def test_markdown_has_every_note(summary):
    lines = formats.markdown(summary).splitlines()
    assert sum(line.startswith("- ") for line in lines) == len(summary.notes) > 3


@given(st.text())
def test_any_name_survives_markdown_and_latex(name):
    table = TextTable(title="t", header=("a", "b"), rows=((name, "-0.5 ± 0.1"),))
    printable = " ".join("".join(c if c.isprintable() else " " for c in name).split())
    assert read_markdown(formats.markdown_table(table))[1] == [[["a", "b"], [printable, "-0.5 ± 0.1"]]]
    cell, number = formats.latex_table(table).splitlines()[7].removesuffix(r" \\").rsplit(" & ", 1)
    assert unlatex(cell) == printable
    assert number == r"$-$0.5 $\pm$ 0.1"


def test_latex_has_a_table_for_each_and_balanced_columns(summary):
    text = formats.latex(summary)
    tables = re.findall(r"\\begin\{tabular\}\{(lr*)\}\n\\toprule\n(.*?)\\bottomrule", text, re.DOTALL)
    assert len(tables) == len(text_tables(summary))
    for columns, body in tables:
        for line in body.replace("\\midrule\n", "").strip().splitlines():
            assert line.endswith(r" \\")
            assert len(re.findall(r"(?<!\\)&", line)) == len(columns) - 1
    captions = [unlatex(found) for found in re.findall(r"\\caption\{(.*)\}\n", text)]
    assert captions == [table.title for table in text_tables(summary)]


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


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\t=1", "\r=1"])
def test_every_start_of_a_formula_is_defused(text):
    assert formats.not_a_formula(text) == f"'{text}"
    assert formats.not_a_formula(f"x{text}") == f"x{text}"


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
