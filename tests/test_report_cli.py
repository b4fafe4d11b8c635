"""`activmask report` as a user and as a script meet it."""

import json
import subprocess
import sys
import webbrowser
from pathlib import Path

import pytest
import typer
from activmask_cli.report import report
from report_runs import train_runs
from typer.testing import CliRunner

app = typer.Typer()
app.command()(report)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return train_runs(tmp_path_factory.mktemp("my runs"), seeds=(0,), epochs=1)


@pytest.mark.process
def test_the_path_is_all_of_stdout_and_the_command_stands_on_the_page(trained, tmp_path):
    out = tmp_path / "a report"
    result = run(trained, "--out", out, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{out / 'index.html'}\n"
    assert f"open it in a browser: {(out / 'index.html').as_uri()}" in result.stderr
    page = (out / "index.html").read_text(encoding="utf-8")
    assert f"activmask report &#39;{trained}&#39; --out &#39;{out}&#39; --device cpu" in page
    assert result.exit_code == 0


@pytest.mark.process
@pytest.mark.parametrize(("starts", "message"), [(True, ""), (False, "no browser could be started")])
def test_open_starts_the_browser_or_says_why_not(trained, tmp_path, monkeypatch, starts, message):
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda url: opened.append(url) or starts)
    as_json = ["--json"] * starts
    result = run(trained / "classify", "--out", tmp_path / "report", "--device", "cpu", "--open", *as_json)
    assert result.exit_code == 0
    if starts:
        found = json.loads(result.stdout)
        assert found["page"] == str(tmp_path / "report" / "index.html")
        assert found["runs"] == [{"folder": str(trained / "classify"), "seeds": [0]}]
        assert found["unreadable"] == []
    assert opened == [(tmp_path / "report" / "index.html").as_uri()]
    assert message in result.stderr


@pytest.mark.process
def test_data_that_are_gone_are_told_where_the_report_is_made_too(tmp_path):
    trained = train_runs(tmp_path / "my runs", seeds=(0,), epochs=1)
    config = json.loads((trained / "classify/seed-0/run.json").read_text())["config"]
    Path(config["data"]).rename(tmp_path / "moved")
    result = run(trained, "--out", tmp_path / "report", "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "networks are not judged, nor are their maps drawn: the data set folder" in result.stderr
    assert result.stderr.count("does not exist") == 1


def test_failures_are_one_sentence_with_their_exit_code(trained, tmp_path):
    taken = tmp_path / "taken"
    taken.mkdir()
    (taken / "thesis.tex").write_text("years of work")
    for arguments, code, message in (
        ([tmp_path / "nowhere"], 3, "there is no folder"),
        ([taken], 3, "there is no run under"),
        ([trained, "--out", taken, "--overwrite"], 2, "is not a report (it holds 'thesis.tex')"),
    ):
        result = run(*arguments, "--device", "cpu")
        assert result.exit_code == code, result.output
        assert result.stderr.startswith("error: ")
        assert message in result.stderr.replace("\n", "")
        assert result.stdout == ""
    assert (taken / "thesis.tex").read_text() == "years of work"


def loaded_by(statement: str, *, of: tuple[str, ...]) -> str:
    """Those of some modules that a fresh interpreter has imported after a statement."""
    code = f"{statement}\nimport sys\nprint(*[name for name in {of} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.process
def test_help_loads_nothing_heavy():
    heavy = "torch", "matplotlib", "jinja2", "numpy"
    assert loaded_by("from activmask_cli.report import report", of=heavy) == ""


@pytest.mark.process
def test_what_was_kept_is_told_without_the_libraries_that_measure():
    measuring = "sklearn", "torchvision", "captum"
    assert loaded_by("import activmask.report.write", of=(*measuring, "torch")) == "torch"
