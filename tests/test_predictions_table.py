import csv
import dataclasses

import pytest
import torch
from in_process import told
from tiny_checkpoints import samples_of, write_checkpoint

from activmask.data.files.tables import format_sheet
from activmask.evaluation.batch import evaluate_checkpoints
from activmask.evaluation.evaluated import predictions_sheet
from activmask.evaluation.predictions_table import (
    Predicted,
    predictions_header,
    predictions_lines,
    predictions_of,
)
from activmask.ground.errors import UsageError


def two_images(**changes):
    samples = samples_of(torch.zeros(2, 1, 2, 2), torch.ones(2, 1, 2, 2, dtype=torch.bool), [0, 1])
    return dataclasses.replace(samples, **changes)


def said(logits, rows, condition="full", draw=1):
    return Predicted(condition=condition, draw=draw, rows=torch.tensor(rows), logits=torch.tensor(logits))


def test_each_image_condition_and_draw_has_a_line_with_a_probability_per_class():
    shown = [said([[0.0, 0.0], [0.0, 200.0]], [0, 1]), said([[0.0, 1.0]], [1], "outside shuffled", 2)]
    found = predictions_of(two_images(), ("no", "yes"), shown)
    assert predictions_header(("no", "yes")) == [
        *("file", "subject", "split", "label", "condition", "draw", "score no", "score yes")
    ]
    lines = list(predictions_lines(found, ["test", ""]))
    assert lines[0] == ["0.png", "0", "test", 0, "full", 1, 0.5, 0.5]
    assert lines[1] == ["1.png", "1", "", 1, "full", 1, pytest.approx(0, abs=1e-80), 1.0]
    assert lines[2][:6] == ["1.png", "1", "", 1, "outside shuffled", 2]
    assert lines[2][6:] == pytest.approx([1 / (1 + torch.e), torch.e / (1 + torch.e)])


def test_scores_that_only_rank_are_written_as_they_are():
    found = predictions_of(two_images(), ("0", "1"), [said([[0.0, 7.5]], [0])], probabilities=False)
    assert next(iter(predictions_lines(found, ["", ""])))[-2:] == [0.0, 7.5]


def test_foreign_text_is_no_formula_and_no_control_code():
    samples = two_images(names=("=cmd()", "a\x1b[31m.png"), subjects=("@one", "-2+3"))
    found = predictions_of(samples, ("a\nb", "c"), [said([[0.0, 0.0], [0.0, 0.0]], [0, 1])])
    sheet = format_sheet(predictions_header(found.class_names), predictions_lines(found, ["", ""])).decode()
    rows = list(csv.reader(sheet.splitlines()))
    assert "\x1b" not in sheet
    assert rows[0][-2:] == [r"score a\nb", "score c"]
    assert rows[1][:2] == ["'=cmd()", "'@one"]
    assert rows[2][:2] == [r"a\x1b[31m.png", "'-2+3"]


@pytest.mark.process
def test_evaluate_writes_what_every_checkpoint_said(tmp_path):
    for seed in (0, 1):
        write_checkpoint(tmp_path / f"run/seed-{seed}/best.safetensors", seed=seed)
    words = ("evaluate", "run/seed-0/best.safetensors", "run/seed-1/best.safetensors")
    result = told(*words, "--predictions", "p.csv", "--json", cwd=tmp_path)
    assert "wrote p.csv" in result.stderr
    with (tmp_path / "p.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["checkpoint"] for row in rows} == set(words[1:])
    one = [row for row in rows if row["checkpoint"] == words[1]]
    assert {row["condition"] for row in one} == {"full", "background shuffled", "ROI shuffled"}
    assert {row["split"] for row in one} == {"test"}
    full = [row for row in one if row["condition"] == "full"]
    [found] = evaluate_checkpoints([(tmp_path / words[1], None)], predictions=True).values()
    right = [(float(row["score 1"]) > float(row["score 0"])) == (row["label"] == "1") for row in full]
    assert len(full) == found.evaluation.scores.n
    assert sum(right) / len(right) == found.evaluation.scores.accuracy
    assert "predictions" not in found.evaluation.to_json()
    other = dataclasses.replace(
        found, predictions=dataclasses.replace(found.predictions, class_names=("no", "yes"))
    )
    with pytest.raises(UsageError, match="the same classes"):
        predictions_sheet([found, other])
    # A second time, where the evaluations were kept.
    before = (tmp_path / "p.csv").read_bytes()
    told(*words, "--predictions", "p.csv", cwd=tmp_path)
    assert (tmp_path / "p.csv").read_bytes() == before


@pytest.mark.parametrize("place", ["nowhere/p.csv", "p.txt", "."])
def test_a_place_that_takes_no_table_is_refused_before_anything_is_computed(tmp_path, place):
    result = told("evaluate", "nothing", "--predictions", place, cwd=tmp_path, code=2)
    assert "--predictions" in result.output
