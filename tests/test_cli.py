"""The command line as a user and as a script meet it."""

import json
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from activmask_cli import demo as demo_command
from activmask_cli.train import _note_same_images
from held_processes import held, last_words
from hostile import HOSTILE, SEEN, joined, seen
from in_process import told
from summary_runs import write_run

from activmask.runs.making import make_config

PROGRAM = Path(sys.executable).with_name("activmask")
COMMANDS = (
    "demo",
    "make-synthetic",
    "prepare-folder",
    "prepare-msd",
    "prepare-xray",
    "plant",
    "train",
    "evaluate",
    "audit",
    "saliency",
    "score",
    "sweep",
    "search",
    "table",
    "report",
)
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1", "COLUMNS": "120"}
QUICK = ("--model", "cnn", "--width", "4", "--lr", "1e-3")


def run(*arguments: object, cwd: Path | None = None, code: int = 0) -> subprocess.CompletedProcess[str]:
    result = subprocess.run(
        [PROGRAM, *map(str, arguments)], capture_output=True, text=True, cwd=cwd, env=ENVIRONMENT, check=False
    )
    assert result.returncode == code, result.stdout + result.stderr
    assert "Traceback" not in result.stderr
    return result


@pytest.mark.process
def test_help_answers_at_once():
    """Within what thirty empty Pythons take, in CPU time, which other programs hardly change."""
    run("--help")
    empty = min(_cpu_seconds(sys.executable, "-I", "-c", "pass") for _ in range(5))
    assert min(_cpu_seconds(PROGRAM, "--help") for _ in range(5)) < 30 * empty


def _cpu_seconds(*command: object) -> float:
    process = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, env=ENVIRONMENT)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return used.ru_utime + used.ru_stime


@pytest.mark.parametrize("command", COMMANDS)
def test_every_help_has_an_example_and_defaults(command, tmp_path):
    text = told(command, "--help", cwd=tmp_path).stdout
    assert f"Example: activmask {command}" in " ".join(text.split())
    assert "default:" in text


def test_train_help_shows_every_setting(tmp_path):
    from activmask.runs.description import all_settings

    text = told("train", "--help", cwd=tmp_path).stdout
    assert all(f"--{name.replace('_', '-')}" in text for name in all_settings())
    assert all(group in text for group in ("Data", "Model", "Objective", "Training", "Machine", "Run"))


@pytest.mark.process
def test_version_and_completion():
    assert run("--version").stdout.strip() == "0.1.0"
    # The program asks which shell called it, so one has to, and to live on.
    called = ["bash", "-c", f"'{PROGRAM}' --show-completion; exit $?"]
    shown = subprocess.run(called, capture_output=True, text=True, env=ENVIRONMENT, check=True)
    assert "complete" in shown.stdout.lower()


@pytest.mark.process
def test_the_stages_chain_in_a_shell_script(tmp_path):
    script = f"""
    set -euo pipefail
    export PATH="{PROGRAM.parent}:$PATH"
    activmask make-synthetic --n 48 --valid 16 --test 16 --seed 1
    activmask train {" ".join(QUICK)} --epochs 2 --actdiff 1 --seeds 0-1 --out runs/penalty
    activmask evaluate runs/penalty --json > scores.json
    activmask saliency runs/penalty/seed-0/best.safetensors data/synthetic/images/Test-000000.png \
        --json > map.json
    """
    subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=ENVIRONMENT, check=True, capture_output=True, text=True
    )
    scores = json.loads((tmp_path / "scores.json").read_text())
    assert scores
    assert (tmp_path / "Test-000000.saliency.png").stat().st_size > 1000
    assert json.loads((tmp_path / "map.json").read_text())["images"][0]["inside_mask"] > 0
    for seed in (0, 1):
        names = {path.name for path in (tmp_path / f"runs/penalty/seed-{seed}").iterdir()}
        assert names == {
            "best.safetensors", "last.safetensors", "state.safetensors",
            "run.json", "splits.csv", "history.csv", "metrics.json", "evaluations.json",
        }  # fmt: skip


@pytest.mark.process
def test_results_go_to_stdout_and_talk_to_stderr(crosses, tmp_path):
    result = run("train", *QUICK, "--data", crosses, "--epochs", 2, "--out", tmp_path / "run")
    assert "by validation AUC" in result.stdout
    assert result.stdout.count("Best epoch") == 1
    assert "valid AUC" not in result.stdout
    assert result.stderr.count("valid AUC") == 2
    assert "\x1b[" not in result.stdout + result.stderr


def test_seeds_are_summed_up_as_mean_and_deviation(crosses, tmp_path):
    flags = ("--data", crosses, "--epochs", 1, "--seeds", "0,2", "--out", "r")
    result = told("train", *QUICK, *flags, cwd=tmp_path)
    assert "±" in result.stdout
    assert "2 seeds" in result.stdout
    assert "note: all seeds train and are judged on the same images" in result.stderr


@pytest.mark.parametrize(
    ("settings", "hint"),
    [
        ({}, "--data synthetic its own benchmark"),
        ({"split_policy": "subject", "split_seed": 3}, "leave split_seed out"),
        ({"data": "synthetic", "split_seed": 3}, "leave split_seed out"),
        ({"data": "synthetic"}, ""),
        ({"train_images": 8}, ""),
        ({"preset": "liver"}, ""),
    ],
    ids=str,
)
def test_seeds_that_share_their_images_are_noted_where_they_do(capsys, settings, hint):
    _note_same_images(make_config(**settings))
    noted = " ".join(capsys.readouterr().err.split())
    assert hint in noted
    assert bool(hint) == ("on the same images" in noted)


def test_a_dry_run_can_be_fed_back_and_changes_nothing(crosses, tmp_path):
    flags = ("train", *QUICK, "--data", crosses, "--actdiff", 3, "--seeds", "1-2", "--epochs", 1, "--dry-run")
    text = told(*flags, cwd=tmp_path).stdout
    assert list(tmp_path.iterdir()) == []
    file = tmp_path / "run.toml"
    file.write_text(text)
    again = ("train", "--config", file, "--dry-run")
    assert told(*again, cwd=tmp_path).stdout == text
    assert tomllib.loads(text)["actdiff"] == 3.0
    changed = told(*again, "--actdiff", 5, "--seeds", 0, cwd=tmp_path).stdout
    assert tomllib.loads(changed) == {**tomllib.loads(text), "actdiff": 5.0, "seeds": "0"}


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("train", "--model", "resnet19"), 2, "did you mean 'resnet18'"),
        (("train", "--recon", "1"), 2, "has no decoder"),
        (("train", "--actdiff-norm", "layer"), 2, "has no effect while actdiff is 0"),
        (("train", "--actdiff-norm", "column"), 2, "--actdiff-norm"),
        (("train", "--epochs", "0"), 2, "it must be from 1 to 1,000,000,000; found 0"),
        (("train", "--seeds", "3-1"), 2, "range 3-1"),
        (("train", "--resume", "--overwrite"), 2, "give one of them"),
        (("train", "--name", "a/b"), 2, "plain folder name"),
        (("train", "--name", ".."), 2, "plain folder name"),
        (("train", "--name", ""), 2, "plain folder name"),
        (("train", "--no-such-flag"), 2, "No such option"),
        (("train", "--config", "missing.toml"), 3, "missing.toml"),
        (("train", "--data", "nowhere"), 3, "nowhere"),
        (("train",), 3, "make-synthetic"),
        (("make-synthetic", "--size", "8"), 2, "it must be from 16 to 8,192; found 8"),
        (("make-synthetic", "--correlation", "2"), 2, "it must be from 0 to 1; found 2.0"),
        (("make-synthetic", "--valid", "5000"), 2, "too few"),
        (("evaluate", "none.safetensors"), 3, "none.safetensors"),
        (("saliency", "none.safetensors", "img.png"), 3, "img.png"),
        (("prepare-folder", "images", "--labels", "l.csv"), 3, "images"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_wrong_use_and_bad_data_are_told_in_a_sentence(tmp_path, arguments, code, sentence):
    result = told(*arguments, cwd=tmp_path, code=code)
    assert sentence in " ".join(result.stderr.replace("│", " ").split())
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == []


def test_a_data_set_is_not_overwritten_unasked(crosses, tmp_path):
    said = told("make-synthetic", "--out", crosses, cwd=tmp_path, code=3).stderr
    assert "exists already; give another --out or --overwrite to replace it" in " ".join(said.split())


def test_an_occupied_disk_place_is_told(tmp_path):
    (tmp_path / "data").write_text("a file")
    told("make-synthetic", "--n", 4, "--valid", 4, "--test", 4, cwd=tmp_path, code=3)
    assert (tmp_path / "data").read_text() == "a file"


def test_a_diverged_run_exits_4(crosses, tmp_path):
    flags = ("--model", "cnn", "--lr", 1e18, "--epochs", 3, "--data", crosses)
    result = told("train", *flags, "--out", tmp_path, cwd=tmp_path, code=4)
    assert "the loss is no longer finite in epoch 1, step 2" in result.stderr


def test_a_finished_run_says_so(crosses, tmp_path):
    command = ("train", *QUICK, "--data", crosses, "--epochs", 1, "--out", tmp_path / "run")
    told(*command, cwd=tmp_path)
    assert "finished already" in told(*command, cwd=tmp_path).stdout
    (seed,) = json.loads(told(*command, "--json", cwd=tmp_path).stdout)["seeds"]
    assert seed == {
        "folder": str(tmp_path / "run/seed-0"),
        "trained": False,
        "metrics": json.loads((tmp_path / "run/seed-0/metrics.json").read_text()),
    }
    assert "give one of them" in told(*command, "--json", "--dry-run", cwd=tmp_path, code=2).stderr


@pytest.fixture(scope="module")
def long_command(crosses):
    return ["train", *QUICK, "--data", str(crosses), "--epochs", "40", "--actdiff", "1"]


@pytest.fixture(scope="module")
def straight(long_command, tmp_path_factory) -> Path:
    """What that command leaves where nothing stops it."""
    place = tmp_path_factory.mktemp("straight")
    told(*long_command, "--out", "run", cwd=place)
    return place / "run"


@pytest.mark.process
@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)]
)
def test_a_stopped_command_resumes_to_the_same_bits(long_command, straight, tmp_path, sent, code):
    command = [PROGRAM, *long_command, "--out", tmp_path / "stopped"]
    with held(command, "os.rename", "history.csv$", times=4, cwd=tmp_path, env=ENVIRONMENT) as process:
        process.send_signal(sent)
        said = last_words(process)
    assert process.returncode == code
    assert "Traceback" not in said
    assert sent == signal.SIGKILL or "--resume" in said
    assert not (tmp_path / "stopped/seed-0/metrics.json").exists()
    told(*long_command, "--out", tmp_path / "stopped", "--resume", cwd=tmp_path)
    for name in ("best.safetensors", "last.safetensors", "metrics.json"):
        one, other = (run / "seed-0" / name for run in (tmp_path / "stopped", straight))
        assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("model", ["cnn", "ae", "unet", "resnet18"])
@pytest.mark.parametrize("preset", ["liver", "xray"])
def test_presets_resolve_for_every_model(model, preset, tmp_path):
    text = told("train", "--preset", preset, "--model", model, "--dry-run", cwd=tmp_path).stdout
    assert tomllib.loads(text)["preset"] == preset


def test_the_demo_discards_no_run_of_somebody_else(tmp_path):
    write_run(tmp_path / "runs/baseline", {0: 0.5}, data="data/scans")
    said = told("demo", "--out", ".", cwd=tmp_path, code=2)
    assert (
        "runs/baseline is a run that no demo trained here, or has been moved, and would be lost; "
        "give another --out" in said.stderr
    )
    assert (tmp_path / "runs/baseline/seed-0/metrics.json").exists()


@pytest.mark.process
def test_the_demo_ends_with_its_table_and_picture(tmp_path, monkeypatch):
    """With narrower networks than a user's, of which a dry run tells whether they can be trained."""
    at = demo_command.SETTINGS.index("--width") + 1
    narrow = (*demo_command.SETTINGS[:at], "4", *demo_command.SETTINGS[at + 1 :])
    told("train", *demo_command.SETTINGS, "--dry-run", cwd=tmp_path)
    monkeypatch.setattr(demo_command, "SETTINGS", narrow)
    folder = f"try it{HOSTILE}"
    result = told("demo", "--epochs", 1, "--out", folder, "--json", cwd=tmp_path)
    assert seen(result.stderr).count("\n$ activmask ") == 5
    assert SEEN in joined(seen(result.stderr))
    assert "Does it look where the expert points?" in result.stderr
    assert "attribution on the crosses" in result.stderr
    found = json.loads(result.stdout)
    assert found["picture"] == f"{folder}/demo.png"
    for network in found["networks"]:
        assert f"{network['valid_auc_best_epoch']:.3f}" in result.stderr
        assert f"{network['attribution']:.0%} (chance {network['chance']:.0%})" in result.stderr
    assert (tmp_path / folder / "demo.png").read_bytes().startswith(b"\x89PNG")
    assert {path.name for path in tmp_path.iterdir()} == {Path(folder).parts[0]}


@pytest.mark.parametrize(("given", "meant"), [((), "train"), (("train",), "train"), (("all",), "all")])
def test_classify_masked_may_stand_alone(given, meant, tmp_path):
    text = told("train", "--classify-masked", *given, "--epochs", 3, "--dry-run", cwd=tmp_path).stdout
    assert f'classify_masked = "{meant}"' in text
    assert "epochs = 3" in text
