"""What the previous version wrote is read as it meant it, and the same settings give the same numbers.

`previous_version/README.md` says what lies there and how it was made.
"""

import csv
import json
import math
import re
import shutil
import tomllib
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from in_process import told
from kept_version import (
    EXPECTED,
    MADE,
    PICTURES,
    RUNS,
    TABLE_RUNS,
    TRAINED_ANEW,
    UNFINISHED,
    differences,
    flat_grids,
    flat_settings,
    look,
    raw_runs,
    result,
    table_settings,
)

from activmask.runs.making import make_config
from activmask.runs.names import run_name

pytestmark = pytest.mark.process
KEPT = Path(__file__).parent / "previous_version"
SCORES = 1e-4
"""CPUs sum in orders of their own, and so do versions of torch."""
RESUMED = 1e-5
PAIRS = 0.06
"""Some images score so alike that rounding changes their order, and with it the AUC of ten of them."""
ROUNDED = 0.0101
"""A number of two decimals in a sentence may fall to either side."""
_NUMBER = re.compile(r"-?\d+\.\d+(?:e[+-]?\d+)?")


def kept(name: str) -> Any:
    text = (KEPT / EXPECTED / name).read_text(encoding="utf-8")
    return json.loads(text) if name.endswith(".json") else text


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A copy, far from where it was made."""
    return Path(shutil.copytree(KEPT / MADE, tmp_path_factory.mktemp("moved") / "here"))


ADDED = {"unreadable", "interval"}
"""What this version tells besides, the interval of a site's AUC."""


def check_alike(
    found: Any, expected: Any, tolerance: float = SCORES, where: str = "", *, trained: bool = False
) -> None:
    """Equal but for the last digits of numbers, and where it was `trained` anew but for a pair in an AUC."""
    if isinstance(expected, dict):
        assert [name for name in found if name in expected or name not in ADDED] == list(expected), where
        for key, value in expected.items():
            near = max(tolerance, PAIRS if key.endswith("auc") and trained else 0.0)
            check_alike(found[key], value, near, f"{where}/{key}", trained=trained)
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for number, value in enumerate(expected):
            check_alike(found[number], value, tolerance, f"{where}/{number}", trained=trained)
    elif isinstance(expected, float):
        assert found == pytest.approx(expected, rel=tolerance, abs=tolerance), where
    elif isinstance(expected, str):
        check_sentence(found, expected, where)
    else:
        assert found == expected, where


def check_sentence(found: str, expected: str, where: str = "") -> None:
    assert _NUMBER.sub("#", found) == _NUMBER.sub("#", expected), where
    pairs = zip(_NUMBER.findall(found), _NUMBER.findall(expected), strict=True)
    assert all(math.isclose(float(a), float(b), abs_tol=ROUNDED) for a, b in pairs), where


def check_tables(found: str, expected: str, *, trained: bool = False) -> None:
    """CSV, its numbers but for their last digits."""
    found_rows, expected_rows = (list(csv.reader(StringIO(text))) for text in (found, expected))
    known = [number for number, name in enumerate(found_rows[0]) if name not in ADDED]
    found_rows = [[row[number] for number in known] for row in found_rows]
    assert found_rows[0] == expected_rows[0]
    assert len(found_rows) == len(expected_rows)
    for found_row, row in zip(found_rows[1:], expected_rows[1:], strict=True):
        cells = (dict(zip(found_rows[0], map(_value, one), strict=True)) for one in (found_row, row))
        check_alike(*cells, where=str(row[:3]), trained=trained)


def _value(cell: str) -> float | str:
    return float(cell) if _NUMBER.fullmatch(cell) else cell


def test_the_comparisons_can_fail():
    check_alike({"a": [1.0, "AUC 0.50"]}, {"a": [1.00001, "AUC 0.51"]})
    check_tables("a,b\n1.00001,x\n", "a,b\n1.0,x\n")
    for wrong in ({"a": [1.001, "AUC 0.51"]}, {"a": [1.0, "AUC 0.53"]}, {"a": [1.0]}, {"b": []}):
        with pytest.raises(AssertionError):
            check_alike(wrong, {"a": [1.0, "AUC 0.50"]})
    for wrong in ("a,b\n1.1,x\n", "a,b\n1.0,y\n", "a,c\n1.0,x\n", "a,b\n"):
        with pytest.raises(AssertionError):
            check_tables(wrong, "a,b\n1.0,x\n")


@pytest.mark.parametrize("name", RUNS)
def test_a_settings_file_says_what_it_said_and_so_do_the_flags(name, place):
    written = tomllib.loads((place / f"settings/{name}.toml").read_text(encoding="utf-8"))
    for given in (("--config", f"settings/{name}.toml"), RUNS[name].split()):
        assert tomllib.loads(told("train", *given, "--dry-run", cwd=place).stdout) == written


def test_settings_without_a_flag_are_those_of_before(place):
    written = tomllib.loads((place / "settings/plain.toml").read_text(encoding="utf-8"))
    assert tomllib.loads(told("train", "--dry-run", cwd=place).stdout) == written


def test_flags_mean_what_they_meant_and_runs_are_called_what_they_were(tmp_path):
    known = kept("settings.json")
    flags = {**RUNS, **TRAINED_ANEW, **TABLE_RUNS}
    found = {}
    for name, given in flags.items():
        # Where no data lie, a dry run has none to refuse.
        text = told("train", *given.split(), "--dry-run", cwd=tmp_path).stdout
        found[name] = {"run_name": run_name(make_config(**flat_settings(text))), **differences(text)}
    assert found == known


def test_the_cells_of_every_grid_are_those_of_before():
    assert flat_grids() == kept("grids.json")


@pytest.mark.parametrize("name", [*RUNS, *TRAINED_ANEW])
def test_training_gives_the_same_numbers(name, place):
    flags = RUNS.get(name) or TRAINED_ANEW[name]
    told("train", *flags.split(), "--out", f"anew/{name}", cwd=place)
    check_result(result(place / f"anew/{name}/seed-0"), kept("trained.json")[name])


def test_an_interrupted_run_is_finished_to_the_numbers_of_one_that_was_not(place):
    shutil.copytree(place / f"runs/{UNFINISHED}", place / "resumed")
    flags = ("--config", f"settings/{UNFINISHED}.toml", "--out", "resumed", "--resume")
    said = told("train", *flags, cwd=place)
    assert "2/4 epochs" not in said.stderr
    assert "4/4 epochs" in said.stderr
    check_result(result(place / "resumed/seed-0"), kept("trained.json")[UNFINISHED], RESUMED)


def check_result(found: dict[str, Any], expected: dict[str, Any], weights: float = SCORES) -> None:
    check_alike(found["metrics"], expected["metrics"], trained=True)
    check_tables(timeless(found["history"]), timeless(expected["history"]), trained=True)
    check_alike(found["weights"], expected["weights"], weights)


def timeless(history: str) -> str:
    """A history without its last columns, which say how fast it went."""
    rows = list(csv.reader(StringIO(history)))
    column = rows[0].index("seconds")
    return "\n".join(",".join(row[:column]) for row in rows)


RENEWED = {"interval", "verdict"}
"""Intervals were DeLong's, of images, and are of subjects; verdicts did without, and now rest on them."""

BESIDE = {"low", "high", "change", "subjects", "mask_area_low", "mask_area_high", "further"}
"""What this version tells of an audit besides, for the same reason."""


def without_intervals(found: dict[str, Any]) -> list[str]:
    """Take all that rests on intervals from evaluations; gives what each of them found."""
    findings = []
    for one in found["checkpoints"]:
        scores, audit = one["evaluation"]["scores"], one["evaluation"]["audit"]
        findings.append(audit["verdict"]["finding"] if audit["verdict"] else "")
        for part in (scores, audit, *audit["rows"]):
            for name in RENEWED | BESIDE:
                part.pop(name, None)
    return findings


def check_evaluated(found: dict[str, Any], expected: dict[str, Any], tolerance: float = SCORES) -> None:
    for now, before in zip(without_intervals(found), without_intervals(expected), strict=True):
        assert now in {before, "cannot be told"}
    check_alike(found, expected, tolerance)


@pytest.mark.parametrize("name", [name for name in RUNS if name != UNFINISHED])
def test_a_checkpoint_is_evaluated_to_the_same_numbers(name, place):
    found = told("evaluate", f"runs/{name}", "--epoch", "last", "--json", cwd=place).stdout
    # Among 128 images some have scores that float32 hardly tells apart.
    tolerance = 1e-3 if name == "cnn-in-memory" else SCORES
    check_evaluated(json.loads(found), kept("evaluated.json")[name], tolerance)


def test_another_data_set_is_evaluated_to_the_same_numbers(place):
    given = ("runs/cnn-actdiff/seed-0", "--data", "data/crosses", "--split", "valid", "--json")
    found = json.loads(told("evaluate", *given, cwd=place).stdout)
    check_evaluated(found, kept("evaluated.json")["on other data"])


def test_runs_are_tabulated_as_they_were(place):
    check_tables(told("table", "runs", "--format", "csv", cwd=place).stdout, kept("table.csv"))


@pytest.mark.process
def test_runs_are_labelled_paired_and_set_beside_the_paper_as_they_were(place):
    raw_runs(place / "labels", table_settings(KEPT / EXPECTED, place))
    check_tables(told("table", "labels", "--format", "csv", cwd=place).stdout, kept("labels.csv"))


@pytest.mark.parametrize("name", PICTURES)
def test_a_network_looks_where_it_looked(name, place):
    found, expected = look(place, *PICTURES[name]), kept("saliency.json")[name]
    # A later version names slices, finds masks by itself and sums several images up.
    of_each, known = (cells(one.pop("said")) for one in (found, expected))
    check_alike(found, expected)
    assert len(of_each) == len(known) > 0
    for (image, *ours), (before, *theirs) in zip(of_each, known, strict=True):
        assert image.startswith(before)
        assert [one for one, other in zip(ours, theirs, strict=True) if other not in {one, "-"}] == []


def cells(said: str) -> list[list[str]]:
    """The rows of the table of images, whose five cells are the image and what is said of it."""
    rows = [
        [cell.strip() for cell in line.strip("│").split("│")] for line in said.splitlines() if line[:1] == "│"
    ]
    return [row for row in rows if len(row) == 5]


def test_finished_runs_and_sweeps_are_known_to_be_finished(place):
    said = told("train", *RUNS["cnn-actdiff"].split(), "--out", "runs/cnn-actdiff", cwd=place)
    assert "nothing was trained" in said.stdout
    assert not (place / "runs/cnn-actdiff/seed-0/state.safetensors").exists()
    said = told("sweep", "own.toml", "--out", "runs/own", cwd=place)
    assert "2 of 2 cells are done" in said.stdout
    assert not list((place / "runs/own").rglob("*.safetensors"))


def test_nothing_kept_names_a_place_of_the_machine_it_was_made_on():
    places = {
        place
        for path in KEPT.rglob("*")
        if path.is_file() and path.suffix not in {".gz", ".png", ".py"}
        for place in re.findall(rb'"(/\w+/[\w./-]+)', path.read_bytes())
    }
    assert places
    assert all(place.startswith(b"/tmp/activmask-previous-version/") for place in places)
