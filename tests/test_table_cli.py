"""`activmask table` from the command line."""

import csv
import io
import json

import pytest
from activmask_cli.app import app
from activmask_cli.table import print_summary
from rich.console import Console
from summary_runs import write_run
from typer.testing import CliRunner

from activmask.report.findings.summary import summarise
from activmask.runs.results import find_runs


def run(*arguments):
    return CliRunner().invoke(app, ["table", *(str(argument) for argument in arguments)])


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    many = {seed: 0.7 + seed / 100 for seed in range(10)}
    write_run(folder / "base", many)
    write_run(folder / "both", dict.fromkeys(many, 0.1), actdiff=10.0, gradmask=10.0, unfinished=(10,))
    write_run(folder / "ae", many, model="ae", recon_masked=True, epochs=30)
    write_run(folder / "[bold]:bug:", {0: 0.5}, data="data/[bold]:bug:", lr=0.01)
    return folder


def test_the_terminal_shows_scores_paper_comparison_and_notes(runs):
    result = run(runs)
    assert result.exit_code == 0, result.output
    for expected in (
        "Synthetic",
        "CNN Classify",
        "0.74 ± 0.03",
        "0.35 ± 0.20",
        "+2.0 SD",
        "difference from the baseline",
        "Departing from the paper, every row of Conv AE: epochs 30 (paper 500).",
        "Unfinished seeds are left out: Synthetic CNN Actdiff & Gradmask 10.",
    ):
        assert expected in result.stdout
    assert "[bold]:bug:" in result.stdout
    assert "…" not in result.stdout


@pytest.mark.parametrize("width", [60, 80, 110, 120])
def test_the_tables_lose_nothing_in_a_terminal(runs, width):
    file = io.StringIO()
    console = Console(file=file, force_terminal=True, width=width, color_system=None, highlight=False)
    print_summary(summarise(find_runs([runs])), console)
    shown = file.getvalue()
    assert max(len(line) for line in shown.splitlines()) <= width
    assert "…" not in shown
    for number in ("0.74 ± 0.03", "0.35 ± 0.20", "+0.1 SD", "+2.0 SD", "-0.67 to -0.62"):
        assert number in shown


@pytest.mark.process
def test_each_format_is_all_there_is_on_stdout(runs):
    assert len(json.loads(run(runs, "--format", "json").stdout)["rows"]) == 4
    assert len(list(csv.DictReader(io.StringIO(run(runs, "--format", "csv").stdout)))) == 4
    assert run(runs, "--format", "markdown").stdout.startswith(
        "## Synthetic, beside paper Tables 1 and 2; best epoch by validation AUC\n\n| Experiment |"
    )
    assert run(runs, "--format", "latex").stdout.startswith("% \\usepackage{booktabs}\n")


@pytest.mark.process
@pytest.mark.parametrize("kind", ["rich", "markdown", "latex", "csv", "json"])
def test_a_file_holds_what_would_have_been_printed(runs, tmp_path, kind):
    file = tmp_path / "table"
    file.write_text("old")
    written = run(runs, "--format", kind, "--out", file)
    assert (written.exit_code, written.stdout) == (0, "")
    assert file.read_text(encoding="utf-8") == run(runs, "--format", kind).stdout
    assert [path.name for path in tmp_path.iterdir()] == ["table"]


def test_a_file_holds_no_colours_whatever_the_terminal_wants(runs, tmp_path, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert run(runs, "--out", tmp_path / "table.txt").exit_code == 0
    assert "\x1b" not in (tmp_path / "table.txt").read_text(encoding="utf-8")


def test_places_add_up_and_one_given_twice_counts_once(runs):
    result = run(runs / "base", runs / "ae", runs / "base", "--format", "json")
    assert len(json.loads(result.stdout)["rows"]) == 2
    assert run(runs / "base", runs / "ae", "--json").stdout == result.stdout
    assert "give one of them" in run(runs / "base", "--json", "--format", "csv").stderr


def test_what_cannot_be_tabulated_or_written_is_one_sentence(runs, tmp_path):
    missing = run(tmp_path / "nothing")
    assert missing.exit_code == 3
    assert "there is no folder" in missing.stderr
    empty = run(tmp_path)
    assert empty.exit_code == 3
    assert "there is no run under" in empty.stderr
    for place in (tmp_path, tmp_path / "no" / "table.md"):
        unwritable = run(runs, "--out", place)
        assert unwritable.exit_code == 2
        assert "cannot be written" in unwritable.stderr.replace("\n", " ")


def test_a_damaged_run_is_named(tmp_path):
    place = write_run(tmp_path / "run", {0: 0.5})
    (place / "seed-0" / "metrics.json").write_text("{}")
    result = run(tmp_path)
    assert result.exit_code == 3
    assert "metrics.json" in result.stderr.replace("\n", "")
