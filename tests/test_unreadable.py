"""Results of which a part cannot be read: named, counted and an error, or left out when that is asked for."""

import csv
import io
import json
import os
import shutil

import pytest
from in_process import told
from summary_runs import write_run

from activmask.ground.errors import CheckpointError, DataError
from activmask.runs.folder import CHECKPOINT_FILES
from activmask.runs.making import make_config
from activmask.runs.results import find_runs, search_runs
from activmask.training.run import train

SCORES = {0: 0.6, 1: 0.7, 2: 0.8}


def cut(path):
    path.write_bytes(path.read_bytes()[:20])


def folder_instead(path):
    path.unlink()
    path.mkdir()


def link_to_nothing(path):
    path.unlink()
    path.symlink_to(path.parent / "nowhere")


def seed_to_nothing(path):
    seed = path.parent
    shutil.rmtree(seed)
    seed.symlink_to(seed.parent / "nowhere", target_is_directory=True)


def seed_is_a_file(path):
    seed = path.parent
    shutil.rmtree(seed)
    seed.write_text("")


def with_entry(name, value):
    def damage(path):
        path.write_text(json.dumps({**json.loads(path.read_text()), name: value}))

    return damage


DAMAGES = [
    ("metrics.json", cut),
    ("metrics.json", folder_instead),
    ("metrics.json", link_to_nothing),
    ("metrics.json", lambda path: path.write_bytes(b"")),
    ("run.json", cut),
    ("run.json", os.unlink),
    ("run.json", with_entry("format", "activmask checkpoint 99")),
    ("run.json", with_entry("config", {"lr": "fast"})),
    ("run.json", with_entry("images", [1, 2])),
    ("history.csv", cut),
    ("history.csv", folder_instead),
    ("run.json", seed_to_nothing),
    ("run.json", seed_is_a_file),
]


@pytest.mark.parametrize(("name", "damage"), DAMAGES)
def test_a_seed_that_cannot_be_read_is_named_counted_and_an_error(tmp_path, name, damage):
    write_run(tmp_path / "runs/a", SCORES)
    damage(tmp_path / "runs/a/seed-1" / name)
    result = told("table", "runs", cwd=tmp_path, code=3)
    assert result.stdout == ""
    first, *_, last = result.stderr.splitlines()
    assert first.startswith("unreadable: runs/a/seed-1")
    assert last == (
        "error: 1 of 3 seeds cannot be read; restore them or train them anew, or give --skip-unreadable"
    )
    with pytest.raises(CheckpointError, match=r"1 of 3 seeds cannot be read: .*seed-1"):
        find_runs([tmp_path])


@pytest.mark.parametrize(("name", "damage"), DAMAGES)
def test_told_to_go_on_every_format_says_what_is_left_out(tmp_path, name, damage):
    write_run(tmp_path / "runs/a", SCORES)
    damage(tmp_path / "runs/a/seed-1" / name)

    def table(form):
        result = told("table", "runs", "--skip-unreadable", "--format", form, cwd=tmp_path)
        assert "note: 1 of 3 seeds cannot be read and are left out" in result.stderr
        return result.stdout

    for form in ("rich", "markdown", "latex"):
        assert "1 unreadable" in table(form)
        assert "Left out of all scores, because they cannot be read: 1 seed (" in table(form)
    [line] = csv.DictReader(io.StringIO(table("csv")))
    assert (line["seeds"], line["unfinished"], line["unreadable"]) == ("2", "0", "1")
    found = json.loads(table("json"))
    assert found["rows"][0]["seeds"] == [0, 2]
    assert found["rows"][0]["unreadable"] == [1]
    assert [(one["folder"], one["seed"]) for one in found["unreadable"]] == [("runs/a", 1)]
    assert found["rows"][0]["scores"]["test"]["auc"]["mean"] == pytest.approx(0.7)


def test_an_unfinished_seed_is_not_unreadable(tmp_path):
    write_run(tmp_path / "a", SCORES, unfinished=(3,))
    (tmp_path / "a/seed-4").mkdir()
    [run] = search_runs([tmp_path]).runs
    assert (run.unfinished, run.unreadable) == ((3,), ())
    told("table", "a", cwd=tmp_path)


def test_a_table_does_not_ask_for_weights_that_lie_elsewhere_now(tmp_path):
    write_run(tmp_path / "a", SCORES)
    for name in CHECKPOINT_FILES.values():
        (tmp_path / "a/seed-0" / name).unlink(missing_ok=True)
        (tmp_path / "a/seed-0" / name).symlink_to("../.git/annex/objects/gone")
    told("table", "a", cwd=tmp_path)


def test_a_file_in_another_seeds_folder_is_told_as_that(tmp_path):
    write_run(tmp_path / "a", SCORES)
    with_entry("seed", 0)(tmp_path / "a/seed-1/metrics.json")
    said = told("table", "a", cwd=tmp_path, code=3).stderr
    assert "unreadable: a/seed-1/metrics.json is of seed 0, its folder of seed 1; call each" in said


def test_a_run_of_which_nothing_can_be_read_is_in_every_format(tmp_path):
    write_run(tmp_path / "runs/a", SCORES)
    write_run(tmp_path / "runs/b", SCORES, actdiff=1.0)
    for seed in SCORES:
        cut(tmp_path / f"runs/b/seed-{seed}/run.json")
    assert "3 of 6 seeds" in told("table", "runs", cwd=tmp_path, code=3).stderr
    shown = told("table", "runs", "--skip-unreadable", "--format", "csv", cwd=tmp_path).stdout
    lines = {line["folder"]: line for line in csv.DictReader(io.StringIO(shown))}
    assert (lines["runs/b"]["seeds"], lines["runs/b"]["unreadable"]) == ("0", "3")
    shown = told("table", "runs", "--skip-unreadable", "--format", "json", cwd=tmp_path).stdout
    assert [one["folder"] for one in json.loads(shown)["unreadable"]] == ["runs/b"] * 3
    told("table", "runs/b", "--skip-unreadable", cwd=tmp_path, code=3)


def test_linked_runs_are_found_once_and_circles_end(tmp_path):
    write_run(tmp_path / "elsewhere/a", SCORES)
    runs = tmp_path / "runs"
    runs.mkdir()
    (runs / "linked").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    (runs / "again").symlink_to(tmp_path / "elsewhere/a", target_is_directory=True)
    (tmp_path / "elsewhere/back").symlink_to(runs, target_is_directory=True)
    [run] = find_runs([runs])
    assert run.seeds == (0, 1, 2)


def test_what_is_no_folder_of_runs_is_a_sentence(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    with pytest.raises(DataError, match="is a file, not a folder"):
        find_runs([tmp_path / "notes.txt"])


@pytest.fixture(scope="module")
def trained(crosses, tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    config = make_config(data=str(crosses), model="cnn", width=4, epochs=1, threads=1)
    train(config, (0, 1, 2), folder / "runs/a")
    return folder


@pytest.fixture
def broken(trained, tmp_path):
    shutil.copytree(trained / "runs", tmp_path / "runs")
    cut(tmp_path / "runs/a/seed-1/best.safetensors")
    return tmp_path


@pytest.mark.process
def test_evaluate_goes_on_beside_a_broken_checkpoint(broken):
    result = told("evaluate", "runs", cwd=broken, code=3)
    assert "mean ± SD of 2 seeds, 1 unreadable" in result.stdout
    assert "unreadable: runs/a/seed-1/best.safetensors is no safetensors file" in result.stderr
    assert result.stderr.splitlines()[-1].startswith("error: 1 of 3 checkpoints cannot be evaluated; ")
    result = told("evaluate", "runs", "--json", "--skip-unreadable", cwd=broken)
    found = json.loads(result.stdout)
    assert found["runs"][0]["unreadable"] == 1
    assert [one["checkpoint"] for one in found["unreadable"]] == ["runs/a/seed-1/best.safetensors"]


@pytest.mark.process
def test_evaluate_names_a_finished_seed_without_its_checkpoint(broken):
    (broken / "runs/a/seed-1/best.safetensors").unlink()
    (broken / "runs/a/seed-2/metrics.json").unlink()
    result = told("evaluate", "runs/a", cwd=broken, code=3)
    assert "unreadable: runs/a/seed-1 is finished and holds no best.safetensors" in result.stderr
    assert "note: runs/a/seed-2 is not finished" in result.stderr


@pytest.mark.process
def test_a_report_names_a_broken_network(broken):
    result = told("report", "runs", cwd=broken, code=3)
    assert "unreadable: runs/a/seed-1/best.safetensors is no safetensors file" in result.stderr
    assert "runs/a/seed-1/best.safetensors is no safetensors" in (broken / "report/index.html").read_text()
    (broken / "runs/a/seed-2/metrics.json").write_text("")
    result = told("report", "runs", "--out", "other", cwd=broken, code=3)
    assert "unreadable: runs/a/seed-2/metrics.json" in result.stderr
    assert not (broken / "other").exists()
    told("report", "runs", "--out", "other", "--skip-unreadable", cwd=broken)
    assert "1 unreadable" in (broken / "other/index.html").read_text()


def test_checkpoints_whose_common_data_are_gone_are_no_fault_of_theirs(crosses, tmp_path):
    shutil.copytree(crosses, tmp_path / "mine")
    config = make_config(data=str(tmp_path / "mine"), model="cnn", width=2, epochs=1, device="cpu", threads=1)
    train(config, (0, 1), tmp_path / "run")
    (tmp_path / "mine").rename(tmp_path / "moved")
    said = told("evaluate", "run", cwd=tmp_path, code=3).stderr
    assert "unreadable" not in said
    assert "was trained on does not exist; give the folder that it was moved to as --data\n" in said
    told("evaluate", "run", "--data", "moved", cwd=tmp_path)
