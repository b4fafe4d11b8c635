"""The paper's table a few minutes at a time: what is trained, when it stops, and what stands beside it."""

import json

import pytest
import torch
from inline_engine import InlineEngine

from benchmarks import paper_tables
from benchmarks.__main__ import main as benchmarks
from benchmarks.paper_comparison import comparison

SMALL = ["--models", "CNN", "--methods", "Classify", "Classify Masked", "--epochs", "1", "--seeds", "2"]
SMALL += ["--set", "width=2", "--set", "device=cpu"]


@pytest.fixture
def inline(monkeypatch):
    monkeypatch.setattr(paper_tables, "LocalEngine", InlineEngine)


def called(out, minutes: float, capsys, *more: str) -> str:
    assert paper_tables.main([*SMALL, "--minutes", str(minutes), "--out", str(out), *more]) == 0
    return capsys.readouterr().out


@pytest.mark.process
@pytest.mark.usefixtures("inline")
def test_it_trains_the_cheapest_first_and_goes_on_where_it_stopped(tmp_path, capsys, monkeypatch):
    out = tmp_path / "paper"
    assert "0 of 4 seeds of 2 cells are finished" in called(out, 0, capsys)
    assert not out.exists()
    out.mkdir()
    (out / "costs.json").write_text('{"cnn-classify": 2.0, "cnn-classify-masked": 1.0}')
    now = iter([0.0, 1.0, 1.0])
    monkeypatch.setattr(paper_tables, "monotonic", lambda: next(now, 1e9))
    cut = called(out, 60, capsys)
    assert "2 of 4 seeds of 2 cells are finished" in cut
    assert sorted(path.name for path in out.iterdir()) == ["cnn-classify-masked", "costs.json"]
    assert "| CNN Classify | 0% | - |" in cut
    monkeypatch.undo()
    monkeypatch.setattr(paper_tables, "LocalEngine", InlineEngine)
    whole = called(out, 60, capsys)
    assert "4 of 4 seeds of 2 cells are finished" in whole
    [row] = [
        line.split(" | ")
        for line in whole.splitlines()
        if line.startswith("| CNN Classify | 2 of 2 seeds | valid")
    ]
    # Ten seeds of which all but a hair took the box cannot be told apart from what was printed.
    assert row[-3:] == ["0.00 ± 0.01", "last", "- |"]
    [row] = [
        line.split(" | ")
        for line in whole.splitlines()
        if line.startswith("| CNN Classify | 2 of 2 seeds | train")
    ]
    assert row[-3:] == ["1.00 ± 0.00", "last", "10/0/0 |"]
    assert sum(map(int, row[5].split("/"))) <= 2


@pytest.mark.process
@pytest.mark.usefixtures("inline")
def test_what_a_cell_costs_is_measured_once_and_a_failure_is_told(tmp_path, capsys):
    out = tmp_path / "paper"
    out.mkdir()
    (out / "cnn-classify").write_text("a file where a folder should be")
    code = paper_tables.main([*SMALL, "--minutes", "60", "--out", str(out)])
    said = capsys.readouterr()
    assert code == 4
    assert sorted(json.loads((out / "costs.json").read_text())) == ["cnn-classify", "cnn-classify-masked"]
    assert "2 of 4 seeds of 2 cells are finished" in said.out
    assert said.err.startswith("failed: CNN Classify: ")


def test_wrong_use_is_one_sentence(tmp_path, capsys):
    assert paper_tables.main(["--minutes", "1", "--out", str(tmp_path), "--models", "VGG"]) == 2
    assert "there is no model 'VGG'" in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_the_gpu_set_is_skipped_in_a_sentence_where_there_is_none(capsys):
    assert benchmarks(["--gpu"]) == 0
    assert capsys.readouterr().err == "skipped: there is no CUDA device here, which these figures need\n"


def test_no_folder_is_no_comparison_yet(tmp_path):
    assert comparison([], tmp_path / "nowhere").startswith("0 of 0 seeds of 0 cells are finished.")
