"""What the endurance benchmark does to files and programs, that it can fail, and some of its cases."""

import gzip
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from itertools import islice
from pathlib import Path
from random import Random

import pytest
import torch
from held_processes import as_from_a_terminal
from safetensors.torch import save

from benchmarks.command import run
from benchmarks.endurance import TURNS, _cases
from benchmarks.endurance.damage import damage
from benchmarks.endurance.kills import mixed_up
from benchmarks.endurance.lanes import on_lanes
from benchmarks.endurance.outcome import KINDS, Case, Outcome, faults, hidden_names
from benchmarks.endurance.programs import Ended
from benchmarks.endurance.sameness import differences, tensors_and_header
from benchmarks.endurance.scenarios import SCENARIOS
from benchmarks.endurance.tally import behind, parts
from benchmarks.endurance.tensor_ways import TENSORS
from benchmarks.endurance.ways import changed_value, words_for
from benchmarks.markdown import table_lines
from benchmarks.stored import read_result

ROOT = Path(__file__).parents[1]
ENDURANCE = [sys.executable, "-m", "benchmarks.endurance"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


def checkpoint(value: float = 1.0, **description: object) -> bytes:
    written = {"config": {"model": "cnn", "epochs": 2}, "seed": 0, **description}
    return save({"a": torch.tensor([value, 2.0]), "b": torch.zeros(2, 3)}, {"activmask": json.dumps(written)})


CONTENTS = {
    "x.safetensors": checkpoint(),
    "x.json": json.dumps(
        {"seconds": 2.5, "classes": ["cat", "dog"], "deep": {"er": [1, {"x": None}]}}
    ).encode(),
    "x.csv": b"epoch,loss,seconds\n0,0.5,1.25\n1,0.25,1.5\n",
    "x.toml": b'model = "cnn"\nwidth = 2\n',
    "x.nii.gz": gzip.compress(bytes(500)),
    "x.png": bytes(range(256)) * 3,
    "x.unknown": b"",
}


def damaged(seed: int, path: Path, others: list[Path]) -> tuple[str, bytes | str]:
    """What is done to a file, and what is left in its place."""
    path.write_bytes(CONTENTS[path.name])
    way = damage(Random(seed), path, others)
    if path.is_dir():
        shutil.rmtree(path)
        return way, "folder"
    left = path.read_bytes() if path.is_file() else "nothing"
    path.unlink(missing_ok=True)
    return way, left


@pytest.mark.parametrize("name", CONTENTS)
def test_damage_is_what_its_seed_says_and_nearly_always_damage(name, tmp_path):
    path, other = tmp_path / name, tmp_path / "other"
    other.write_bytes(b"another file")
    found = [damaged(seed, path, [other]) for seed in range(250)]
    assert [damaged(seed, path, [other]) for seed in range(20)] == found[:20]
    ways = {way for way, _ in found}
    assert any(way.startswith("replaced by") for way in ways)
    assert len(ways & {"gone", "a folder", "empty", "a broken link", "a link to itself"}) >= 3
    assert {"cut off", "bits", "zeroed"} <= ways
    assert sum(left != CONTENTS[name] for _, left in found) > (200 if CONTENTS[name] else 20)


def test_values_change_in_type_and_number_at_any_depth():
    value = {"a": 1, "b": [1.5, {"c": "x"}]}
    results = [json.dumps(changed_value(Random(seed), value)) for seed in range(500)]
    assert len(set(results)) > 100
    assert '{"a": 2, "b": [1.5, {"c": "x"}]}' in results
    assert '{"a": 1, "b": [1.5, {"c": null}]}' in results


def test_a_file_of_tensors_stays_one_whose_seal_is_gone_where_an_edit_is_to_be_believed():
    [way] = [way for way in TENSORS if words_for(way) == "edited before seals"]
    whole = checkpoint(sha256="s", description={"run_sha256": "r", "epoch": 1})
    found = [tensors_and_header(way(Random(seed), whole)) for seed in range(50)]
    assert all(set(one) == {"a", "b", "__metadata__"} for one in found)
    assert not any("run_sha256" in str(one["__metadata__"]) for one in found)
    assert len({json.dumps(one["__metadata__"]) for one in found}) > 10


@pytest.fixture
def folders(tmp_path):
    """Two folders of the same files."""
    for place in ("found", "expected"):
        (tmp_path / place / "run").mkdir(parents=True)
        for name, content in CONTENTS.items():
            (tmp_path / place / "run" / name).write_bytes(content)
    return tmp_path / "found", tmp_path / "expected"


def test_what_took_another_time_is_the_same(folders):
    (folders[0] / "run/x.csv").write_bytes(CONTENTS["x.csv"].replace(b"1.25", b"9.75"))
    (folders[0] / "run/x.json").write_bytes(CONTENTS["x.json"].replace(b"2.5", b"3.5"))
    (folders[0] / "run/x.safetensors").write_bytes(checkpoint(seconds=3, sha256="a"))
    (folders[1] / "run/x.safetensors").write_bytes(checkpoint(seconds=4, sha256="b"))
    assert differences(*folders) == []


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("x.safetensors", checkpoint(1.0000001), "run/x.safetensors differs at a"),
        ("x.safetensors", checkpoint(seed=1), "differs at __metadata__.activmask.seed: 1 instead of 0"),
        ("x.safetensors", b"", "run/x.safetensors differs (JSONDecodeError on reading it)"),
        ("x.csv", b"epoch,loss,seconds\n0,0.5,1.25\n", "differs at 1: 'nothing' instead of"),
        ("x.json", b'{"classes": ["cat", "cow"]}', "differs at classes.1: 'cow' instead of 'dog'"),
        ("x.png", b"\0", "run/x.png differs"),
        (".x.partial", b"", "run/.x.partial is left over"),
    ],
)
def test_a_difference_is_found_and_placed(folders, name, content, line):
    (folders[0] / "run" / name).write_bytes(content)
    [found] = differences(*folders)
    assert line in found


def test_what_is_missing_or_of_another_kind_is_a_difference(folders):
    (folders[0] / "run/x.csv").unlink()
    (folders[0] / "run/x.png").unlink()
    (folders[0] / "run/x.png").mkdir()
    assert differences(*folders) == ["run/x.csv is missing", "run/x.png differs in kind"]


def ended(**facts: object) -> Ended:
    quiet = {
        "code": 0,
        "stdout": "",
        "stderr": "",
        "seconds": 1.0,
        "operations": 0,
        "struck": False,
        "where": "",
    }
    return Ended(**(quiet | facts))


TRACEBACK = """Traceback (most recent call last):
  File "/x/activmask/runs/folder.py", line 3, in read
    nothing[0]
TypeError: no list
"""


def test_no_program_may_end_in_a_traceback_hang_or_leave_processes():
    assert faults(ended(code=3, stderr="error: damaged")) == []
    assert faults(ended(code=-9)) == []
    [line] = faults(ended(code=1, stderr=TRACEBACK))
    assert line.endswith('TypeError: no list [runs/folder.py", line 3, in read]')
    assert faults(ended(code=3, stderr=TRACEBACK))
    assert "had not ended" in faults(ended(code=None))[0]
    assert faults(ended(orphans=("activmask train",))) == ["left the process behind: activmask train"]


def test_only_hidden_names_that_were_not_there_are_left_over(tmp_path):
    for name in ("a", ".b", "c/.d"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert hidden_names(tmp_path, {".b"}) == ["c/.d"]


def test_a_network_under_another_description_is_found(tmp_path):
    (tmp_path / "run.json").write_text(json.dumps({"config": {"model": "cnn", "epochs": 3}}))
    (tmp_path / "best.safetensors").write_bytes(checkpoint())
    assert mixed_up(tmp_path) == []
    (tmp_path / "run.json").write_text(json.dumps({"config": {"model": "ae", "epochs": 3}}))
    assert mixed_up(tmp_path) == ["best.safetensors lies beside the description of another run"]


def test_every_kind_has_its_turn_and_every_case_its_own_number():
    cases = [case for _, case in zip(range(2 * len(TURNS)), _cases(None), strict=False)]
    assert Counter(case.kind for case in cases) == {"kill": 10, "mutation": 320, "race": 2}
    assert len({case.name for case in cases}) == len(cases)
    assert {case.kind for _, case in zip(range(5), _cases("race"), strict=False)} == {"race"}


def outcome(kind, number, *losses, **facts) -> Outcome:
    given = {"what": "run | data\x1b", "about": "train", "result": "exit code 3", **facts}
    return Outcome(case=Case(kind=kind, number=number), losses=losses, **given)


def test_what_was_lost_stands_in_tables_with_the_way_to_repeat_it():
    outcomes = [
        outcome("kill", 0, kills=2, really_started=2),
        outcome("kill", 1, "run/history.csv is missing", kills=1),
        *(outcome("mutation", k) for k in range(3)),
    ]
    tables = parts(outcomes, "repeat")
    text = "\n".join(table_lines(part["table"]) for part in tables)
    assert "| kills that found the program alive | 3 | 1 |" in text
    assert "| of these, programs started by their console script | 2 | - |" in text
    assert "| damaged files read | 3 | 0 |" in text
    assert r"| repeat kill-1 | run \u007c data\u001b | run/history.csv is missing |" in text
    assert [part.get("heading") for part in tables] == [None, "Kills", "Mutations", "Lost"]
    assert behind(outcomes, 5)["lost"] == 1
    assert [part.get("heading") for part in parts(outcomes[2:], "repeat")] == [None, "Mutations"]


@pytest.mark.process
@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        (["--repeat", "kills-1"], "'kills-1' is no case; they are called kill-0, mutation-0, race-0"),
        (["--minutes", "0"], "--lanes and --minutes are greater than 0"),
        (["--only", "kills"], "argument --only: invalid choice: 'kills'"),
    ],
)
def test_wrong_use_is_refused(asked, sentence, capsys):
    assert run({"endurance": ""}, ["endurance", *asked]) == 2
    assert capsys.readouterr().err.startswith(f"error: {sentence}")


def test_the_scenarios_that_others_begin_with_are_there():
    assert {scenario.before for scenario in SCENARIOS.values()} <= SCENARIOS.keys() | {""}
    assert KINDS == ("kill", "mutation", "race")


FORGETFUL = """
import os, sys
from activmask.runs import seeds
drawn = seeds.derived_seed
seeds.derived_seed = lambda *given, **more: drawn(*given, **more) ^ os.getpid()
from benchmarks.__main__ import BENCHMARKS
from benchmarks.command import run
sys.exit(run(BENCHMARKS, ["endurance", *sys.argv[1:]]))
"""


@pytest.mark.process
def test_a_program_that_does_not_remember_its_seed_fails(tmp_path):
    command = [sys.executable, "-c", FORGETFUL, "--repeat", "kill-12", "--lanes", "1"]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "out")],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert read_result(tmp_path / "out")["behind"]["lost"] == 1, done.stderr
    assert "python -m benchmarks endurance --seed 0 --repeat kill-12" in done.stdout


@pytest.mark.process
def test_ctrl_c_ends_it_with_what_it_has_counted(tmp_path):
    environment = {**ENVIRONMENT, "TMPDIR": str(tmp_path)}
    with as_from_a_terminal():
        running = subprocess.Popen(
            [*ENDURANCE, "--lanes", "1", "--only", "mutation"],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
    with running:
        while running.poll() is None and not list(tmp_path.glob("endurance-*/known/*.json")):
            time.sleep(0.05)  # noqa: TID251 - between two looks for the file
        os.killpg(running.pid, signal.SIGINT)
        out, err = running.communicate()
    assert running.returncode in {0, 1}, err
    assert "interrupted; this is what there was until then" in err
    assert "| damaged files read | " in out
    assert list(tmp_path.glob("endurance-*")) == []


SOME_OF_EACH = ("kill-0", *(f"mutation-{number}" for number in range(6)), "race-0")


@pytest.mark.process
def test_kills_damage_and_races_lose_nothing(tmp_path):
    stem = tmp_path / "endurance"
    command = [*ENDURANCE, "--repeat", *SOME_OF_EACH, "--lanes", "1", "--out", str(stem)]
    done = subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    figures = read_result(stem)["behind"]
    assert (figures["kills"], figures["mutations"], figures["races"]) == (1, 6, 1)
    assert figures["lost"] == 0


@pytest.mark.process
def test_no_case_begins_after_the_last_minute():
    """The clock is read before each case: the first ends after the moment, and no second begins."""
    moment = time.monotonic() + 0.01

    def work(case: Case) -> Outcome:
        while time.monotonic() < moment:
            pass
        return outcome(case.kind, case.number)

    done = [one.case.name for one in on_lanes(work, islice(_cases(None), 5), 1, moment)]
    assert done in ([], ["kill-0"])
    assert list(on_lanes(work, islice(_cases(None), 5), 2, time.monotonic())) == []
    assert len(list(on_lanes(work, islice(_cases(None), 5), 2, float("inf")))) == 5
