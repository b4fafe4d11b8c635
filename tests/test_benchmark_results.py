"""How benchmarks are called, and the results that they leave: JSON, and the Markdown made of it."""

import argparse
import json
import platform
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from activmask.ground.errors import DataError
from benchmarks import command
from benchmarks.__main__ import BENCHMARKS
from benchmarks.machine import commit_of, machine_kind, measured_here
from benchmarks.markdown import cell_text, measured_lines, render, table_lines
from benchmarks.result import column, mean_sd, median_range
from benchmarks.stored import read_result, write_result

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "docs" / "examples" / "digits"
STORED = {stem.name: stem for stem in command.stored_results()}

RESULT = {
    "title": "Any",
    "measured": {
        "commit": "abc1234",
        "date": "2026-11-26",
        "machine": "one core",
        "versions": {"torch": "2"},
    },
    "parts": [
        {"commands": ["python -m benchmarks any"]},
        {
            "heading": "More",
            "text": ["One line", "and another."],
            "table": {
                "columns": [{"name": "who"}, {"name": "AUC", "form": ".2f"}],
                "rows": [["a", {"mean": 0.5, "sd": 0.125}], ["b", None]],
            },
        },
    ],
}

MARKDOWN = """# Any

- Commit: abc1234
- Date: 2026-11-26
- Machine: one core
- Software: torch 2
- The numbers for programs: [any.json](any.json)

    python -m benchmarks any

## More

One line
and another.

| who | AUC |
| --- | ---: |
| a | 0.50 ± 0.12 |
| b | - |
"""


def test_a_result_reads_as_its_json_says(tmp_path):
    write_result(RESULT, tmp_path / "any")
    assert (tmp_path / "any.md").read_text() == MARKDOWN
    assert read_result(tmp_path / "any") == RESULT
    text = (tmp_path / "any.json").read_text()
    assert '["a", {"mean": 0.5, "sd": 0.125}]' in text
    assert max(map(len, text.splitlines())) <= 110


def test_a_name_with_a_dot_keeps_it(tmp_path):
    write_result(RESULT, tmp_path / "torch-2.14")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["torch-2.14.json", "torch-2.14.md"]


@pytest.mark.parametrize(
    ("cell", "form", "shown"),
    [
        ("words", "", "words"),
        (None, ".2f", "-"),
        (0.125, ".1%", "12.5%"),
        (4758.4, "short", "4,758"),
        (0.04567, "short", "0.0457"),
        (mean_sd([1.0, 3.0]), ".2f", "2.00 ± 1.41"),
        (mean_sd([1.0]), ".2f", "1.00"),
        (median_range([3.0, 1.0, 8.0]), ".0f", "3 (1 to 8)"),
        ({"least": -0.5, "greatest": 1.0}, "+.2f", "-0.50 to +1.00"),
        ({"at most": 60}, "short", "at most 60"),
    ],
)
def test_a_cell_is_shown_in_the_form_of_its_column(cell, form, shown):
    assert cell_text(cell, column("any", form)) == shown


@pytest.mark.parametrize(
    ("cell", "form", "words"),
    [(1.0, "", "has no form"), ({"mean": 1.0, "iqr": 2.0}, ".2f", "mean, iqr")],
)
def test_numbers_that_could_not_be_shown_are_refused(cell, form, words):
    with pytest.raises(ValueError, match=words):
        cell_text(cell, column("any", form))


def test_a_row_has_a_cell_for_every_column():
    with pytest.raises(ValueError, match="longer"):
        table_lines({"columns": [column("a"), column("b")], "rows": [["one"]]})


@pytest.mark.parametrize("name", STORED)
def test_a_stored_result_reads_as_its_json_says(name):
    assert (ROOT / "benchmarks" / "results" / f"{name}.md").read_text() == render(
        read_result(STORED[name]), name
    )


def test_every_stored_result_has_both_files():
    assert {path.stem for path in (ROOT / "benchmarks" / "results").glob("*.md")} == set(STORED)


@pytest.mark.parametrize("stem", [*STORED.values(), EXAMPLE], ids=lambda stem: stem.name)
def test_a_stored_result_says_what_it_was_measured_on(stem):
    measured = read_result(stem)["measured"]
    assert re.match(r"[0-9a-f]{7}\b", measured["commit"])
    assert re.fullmatch(r"2\d{3}-\d\d-\d\d", measured["date"])
    assert measured["machine"]
    assert measured["versions"]["torch"]


def test_the_tables_of_the_example_are_those_of_its_json():
    page, result = EXAMPLE.with_suffix(".md").read_text(), read_result(EXAMPLE)
    assert page.startswith(f"# {result['title']}\n")
    assert f"\n{measured_lines(result['measured'], 'digits')}\n" in page
    for part in result["parts"]:
        assert f"\n{table_lines(part['table'])}\n" in page
    assert len(re.findall(r"^\| ---", page, re.MULTILINE)) == len(result["parts"])


def test_rendering_changes_no_stored_result(monkeypatch, tmp_path):
    for stem in STORED.values():
        (tmp_path / f"{stem.name}.json").write_bytes(stem.with_suffix(".json").read_bytes())
    monkeypatch.setattr(command, "RESULTS", tmp_path)
    assert command.run(BENCHMARKS, ["render"]) == 0
    for name, stem in STORED.items():
        assert (tmp_path / f"{name}.md").read_bytes() == stem.with_suffix(".md").read_bytes()


def test_the_machine_is_described_without_its_name(monkeypatch):
    measured = measured_here("abc1234", "cpu")
    assert measured["commit"] == "abc1234"
    assert measured["machine"].startswith(machine_kind())
    assert not re.search(rf"\b{re.escape(platform.node())}\b", json.dumps(measured))
    assert measured["versions"].keys() >= {"torch", "Python", "activmask", "torchvision"}
    table = {"model name": "AMD EPYC", "flags": "fpu hypervisor sse"}
    monkeypatch.setattr("benchmarks.machine._processor", lambda: table)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert machine_kind() == "2 cores of an AMD EPYC virtual machine"
    monkeypatch.setattr("benchmarks.machine._processor", lambda: {"model name": "POWER9"})
    monkeypatch.setattr("os.cpu_count", lambda: 1)
    assert machine_kind() == "1 core of a POWER9 machine"


@pytest.mark.process
def test_the_commit_says_whether_files_differ_from_it(tmp_path):
    assert commit_of(tmp_path) == "not recorded"
    for line in (
        "init -q",
        "-c user.name=n -c user.email=e@e commit -q --allow-empty -m first",
    ):
        subprocess.run(["git", "-C", tmp_path, *line.split()], check=True)
    assert re.fullmatch(r"[0-9a-f]{7,}", commit_of(tmp_path))
    (tmp_path / "new").touch()
    assert re.fullmatch(r"[0-9a-f]{7,} with changes", commit_of(tmp_path))


@pytest.mark.process
def test_the_list_of_benchmarks_comes_without_torch():
    code = (
        "import sys; from benchmarks.__main__ import BENCHMARKS; from benchmarks.command import run; "
        "run(BENCHMARKS, ['--help']); sys.exit('torch' in sys.modules)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert all(f"\n  {name} " in result.stdout for name in [*BENCHMARKS, "render"])


@pytest.mark.parametrize("name", BENCHMARKS)
def test_every_benchmark_says_what_it_takes(name, capsys):
    with pytest.raises(SystemExit, match="0"):
        command.run(BENCHMARKS, [name, "--help"])
    printed = capsys.readouterr().out
    assert printed.startswith(f"usage: python -m benchmarks {name} ")
    assert f"    python -m benchmarks {name}" in printed
    assert "--out STEM" in printed


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ([], "no benchmark is named; Known: speed, "),
        (["loadin"], "there is no benchmark 'loadin'; did you mean 'loading'? Known: "),
        (["render", "speed"], "render takes no arguments"),
        (
            ["loading", "many"],
            "argument images: invalid int value: 'many'; python -m benchmarks loading --help",
        ),
        (["organ"], "the following arguments are required: folder; python -m benchmarks organ --help"),
        (["speed", "--json", "x"], "unrecognized arguments: --json"),
        pytest.param(
            ["step-profile", "unet"], "there is no training 'unet' to profile", marks=pytest.mark.process
        ),
        (
            ["speed", "--out", "nowhere/speed"],
            "the folder nowhere for the result does not exist; make it first",
        ),
    ],
)
def test_wrong_use_gets_one_sentence(asked, sentence, capsys):
    assert command.run(BENCHMARKS, asked) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith(f"error: {sentence}")
    assert captured.err.count("\n") == 1
    assert not captured.out


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_result_with_notes_is_not_written_over(by_hand, tmp_path, capsys):
    write_result(RESULT, tmp_path / "any")
    if by_hand:
        (tmp_path / "any.json").unlink()
    assert command.run(BENCHMARKS, ["speed", "saliency", "--out", str(tmp_path / "any")]) == 2
    assert "any.md holds notes that somebody wrote" in capsys.readouterr().err
    assert (tmp_path / "any.md").read_text() == MARKDOWN


def toy(monkeypatch, measure) -> None:
    """A benchmark of one option, under the name of toy."""

    def add_options(parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--rows", type=int, default=1)

    module = SimpleNamespace(__doc__="Toy.", add_options=add_options, measure=measure)
    monkeypatch.setitem(sys.modules, "benchmarks.toy_speed", module)


def findings(rows: int) -> command.Findings:
    table = {"columns": [column("row", "d")], "rows": [[k] for k in range(rows)]}
    return command.Findings(title="Toy", parts=[{"table": table}], behind={"rows": rows})


@pytest.mark.process
def test_what_was_measured_outlives_a_failure_of_the_rest(monkeypatch, tmp_path, capsys):
    def measure(given):
        yield findings(given.rows)
        raise DataError("the disk is gone")

    toy(monkeypatch, measure)
    asked = ["toy-speed", "--out", str(tmp_path / "toy"), "--rows", "2"]
    assert command.run({"toy-speed": "a toy"}, asked) == 3
    assert capsys.readouterr().err == "error: the disk is gone\n"
    stored = read_result(tmp_path / "toy")
    assert stored["parts"][0] == {"commands": ["python -m benchmarks toy-speed --rows 2"]}
    assert stored["parts"][1]["table"]["rows"] == [[0], [1]]
    assert stored["behind"] == {"rows": 2}
    assert stored["measured"]["seconds"] >= 0


@pytest.mark.process
def test_the_latest_findings_are_written_and_printed(monkeypatch, tmp_path, capsys):
    toy(monkeypatch, lambda given: (findings(rows) for rows in range(1, given.rows + 1)))
    assert (
        command.run({"toy-speed": "a toy"}, ["toy-speed", "--rows", "3", "--out", str(tmp_path / "toy")]) == 0
    )
    assert capsys.readouterr().out == (tmp_path / "toy.md").read_text()
    assert len(read_result(tmp_path / "toy")["parts"][1]["table"]["rows"]) == 3
    assert command.run({"toy-speed": "a toy"}, ["toy-speed"]) == 0
    assert ".json" not in capsys.readouterr().out


@pytest.mark.process
def test_variants_are_trained_and_spread_over_seeds(tmp_path, capsys):
    asked = ["variants", "cnn", "--width", "2", "--epochs", "1", "--lr", "1e-3", "--seeds", "2", "--variants"]
    runs = ["--runs", str(tmp_path / "runs"), "--out", str(tmp_path / "out")]
    assert command.run(BENCHMARKS, [*asked, "no penalty", "cutout 8", *runs]) == 0
    table = read_result(tmp_path / "out")["parts"][1]["table"]
    assert [row[0] for row in table["rows"]] == ["no penalty", "cutout 8"]
    assert all(set(cell) == {"mean", "sd"} for row in table["rows"] for cell in row[1:])
    assert "| best epoch |" in capsys.readouterr().out


@pytest.mark.process
def test_xrays_are_prepared_and_barely_decoded_in_turns(tmp_path, monkeypatch):
    monkeypatch.setattr("benchmarks.xray_throughput.SIDE", 64)
    monkeypatch.setattr("benchmarks.xray_throughput.SIZE", 32)
    assert command.run(BENCHMARKS, ["xray-throughput", "4", "--out", str(tmp_path / "out")]) == 0
    result = read_result(tmp_path / "out")
    [[images, _megabytes, workers, speed, share]] = result["parts"][1]["table"]["rows"]
    assert (images, workers) == (4, 1)
    assert min(speed.values()) > 0
    assert 0 < share["least"] <= share["median"] <= share["greatest"]
    assert [len(own) for own in result["behind"].values()] == [3, 3]
