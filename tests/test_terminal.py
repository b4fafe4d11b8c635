"""What a terminal of 80 columns shows: whole flags and words, lines that stay, and how long it will take."""

import io
import re
from itertools import pairwise
from types import SimpleNamespace

import pytest
import typer
from activmask_cli import progress
from activmask_cli.app import app
from activmask_cli.console import PlainConsole
from activmask_cli.sweep_table import Pace
from in_process import told
from typer.testing import CliRunner

from activmask.runs.robustness import Robustness

COMMANDS = [info.name or info.callback.__name__.replace("_", "-") for info in app.registered_commands]


def terminal(width=80):
    return PlainConsole(file=io.StringIO(), force_terminal=True, color_system=None, width=width)


def words(text):
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", text))


def help_at(width, *command):
    environment = {"COLUMNS": str(width), "NO_COLOR": "1", "TERMINAL_WIDTH": str(width)}
    return CliRunner().invoke(app, [*command, "--help"], env=environment).stdout


@pytest.mark.parametrize("command", [*COMMANDS, "audit", "audit export", "audit score"])
def test_help_is_whole_at_80_columns(command):
    narrow = help_at(80, *command.split())
    assert words(help_at(200, *command.split())) == words(narrow)
    assert max(map(len, narrow.splitlines())) <= 80
    assert "…" not in narrow
    assert "default: ()" not in narrow


@pytest.mark.parametrize("command", [*COMMANDS, "audit", "audit export", "audit score"])
def test_sentences_of_help_break_where_the_terminal_ends(command):
    prose = help_at(80, *command.split()).partition("╭")[0]
    for line, following in pairwise(map(str.strip, prose.splitlines())):
        assert not (line and following) or len(f"{line} {following.split()[0]}") > 78


def test_switches_have_an_opposite_that_help_explains_once(tmp_path):
    assert help_at(80, "train").count("--no-") == 1
    (tmp_path / "run.toml").write_text("classify_shuffled = true\n")
    again = ("train", "--config", "run.toml", "--no-classify-shuffled", "--data", "elsewhere", "--dry-run")
    assert "classify_shuffled = true" not in told(*again, cwd=tmp_path).stdout


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("saliency --method grad", {"gradcam"}),
        ("saliency --map v", {"viridis"}),
        ("evaluate --split t", {"train", "test"}),
        ("sweep tab", {"table1", "table2"}),
        ("train --model un", {"unet"}),
        ("train --preset li", {"liver"}),
    ],
)
def test_names_are_completed(typed, found):
    words = f"activmask {typed}"
    asked = {"_ACTIVMASK_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    said = CliRunner().invoke(app, [], prog_name="activmask", env=asked)
    assert set(said.stdout.split()) == found


def test_sentences_break_between_words_and_what_is_to_be_copied_stays_whole():
    console = terminal(40)
    path = "/data/" + "long" * 12
    console.print(f"note: the folder {path} is not finished; its training goes on with train --resume")
    console.print("next: activmask train --model resnet18 --actdiff 10", soft_wrap=True)
    *lines, command = console.file.getvalue().splitlines()
    assert " ".join(line.strip() for line in lines).endswith("with train --resume")
    assert path in lines
    assert all(len(line) <= 40 for line in lines if line != path)
    assert command == "next: activmask train --model resnet18 --actdiff 10"


def test_in_a_pipe_a_sentence_is_one_line():
    console = PlainConsole(file=io.StringIO(), width=40)
    console.print("note: " + "word " * 30)
    assert console.file.getvalue().count("\n") == 1


def test_finished_epochs_stay_as_lines_in_a_terminal_and_the_bar_fits(monkeypatch):
    console = terminal()
    monkeypatch.setattr(progress, "err", console)
    losses = {f"loss_{name}": 0.123456 for name in ("classify", "actdiff", "gradmask", "recon", "rrr")}
    with progress.TrainingProgress(seeds=10, epochs=500) as told:
        for epoch in range(2):
            told.step(9, epoch, 1, 2)
            told.epoch(9, {"epoch": epoch, **losses, "valid_auc": 0.5})
        told.step(9, 2, 1, 2)
    drawn = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", console.file.getvalue()).replace("\r", "\n").splitlines()
    assert max(len(line.rstrip()) for line in drawn) <= 80
    text = " ".join(" ".join(drawn).split())
    assert "seed 9 1/500 epochs classify 0.123" in text
    assert "seed 9 2/500 epochs classify 0.123" in text
    assert "seed 9 epoch 3 of 500" in text


def cell(status, done):
    training = SimpleNamespace(epochs=10)
    config = SimpleNamespace(training=training, robustness=Robustness())
    job = SimpleNamespace(config=config, seeds=(0, 1), done=done)
    return SimpleNamespace(status=status, job=job)


def test_time_left_of_a_sweep_by_hand(monkeypatch):
    from activmask.experiments import jobs

    monkeypatch.setattr(jobs, "progress_of", lambda job: SimpleNamespace(epochs=job.done))
    clock = iter([100.0, 130.0, 200.0])
    pace = Pace(lambda: next(clock))
    # Of 60 epochs 20 were trained before, which says nothing of the pace.
    assert pace.left([cell("done", 20), cell("running", 0), cell("queued", 0)]) is None
    assert pace.left([cell("done", 20), cell("running", 5), cell("queued", 0)]) == pytest.approx(35 * 30 / 5)
    assert pace.left([cell("done", 20), cell("done", 20), cell("done", 20)]) is None


def test_commands_of_typer_are_found():
    assert {"train", "saliency", "prepare-folder"} <= set(COMMANDS)
    assert isinstance(app, typer.Typer)
