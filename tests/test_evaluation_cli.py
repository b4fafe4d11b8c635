import json
import subprocess
import sys

import pytest
import typer
from activmask_cli.evaluate import evaluate
from activmask_cli.evaluation_tables import _borrowing
from tiny_checkpoints import write_checkpoint
from typer.testing import CliRunner

from activmask.data.settings import View
from activmask.evaluation.audit import Audit
from activmask.evaluation.batch import _view_notes
from activmask.evaluation.participants import MaskCount
from activmask.runs.making import make_config

app = typer.Typer()
app.command()(evaluate)


def run(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        write_checkpoint(folder / "demo" / f"seed-{seed}" / "best.safetensors", seed=seed)
    return folder


def test_tables_have_a_row_per_seed_the_spread_the_audit_and_chance(runs):
    result = run(runs / "demo", "--device", "cpu")
    assert result.exit_code == 0, result.output
    for expected in (
        "Scores, test split of synthetic",
        "demo, seed 0",
        "demo, mean ± SD of 2 seeds",
        "ROI shuffled",
        "mask's area alone",
        "demo, seed 1: The model",
        "pointing game (0 px)",
        "by chance",
    ):
        assert expected in result.stdout
    assert "…" not in result.stdout


def test_a_path_given_twice_counts_once(runs):
    result = run(runs, runs / "demo", "--json")
    assert len(json.loads(result.stdout)["checkpoints"]) == 2


def test_json_is_all_there_is_on_stdout(runs):
    result = run(runs, "--json", "--split", "valid")
    assert result.exit_code == 0
    written = json.loads(result.stdout)
    assert [one["seed"] for one in written["checkpoints"]] == [0, 1]
    assert {one["split"] for one in written["checkpoints"]} == {"valid"}
    assert written["runs"][0]["seeds"] == 2
    areas = [one["evaluation"]["audit"]["mask_area_auc"] for one in written["checkpoints"]]
    assert written["runs"][0]["audit"]["mask's area alone"]["mean"] == pytest.approx(sum(areas) / 2)


def test_a_run_that_sees_its_images_otherwise_than_its_preset_says_so():
    [note] = _view_notes("liver", View(image_size=100))
    assert "preset liver sees the middle of each image" in note
    assert _view_notes("liver", make_config(preset="liver").view) == ()
    assert _view_notes("liver", View(image_size=0)) == ()
    assert _view_notes("synthetic", View()) == ()


def test_images_without_a_mask_are_counted_in_words():
    def audited(borrowed, *counts):
        return Audit(
            n=4,
            borrowed=borrowed,
            reason=None,
            rows=(),
            mask_area_auc=None,
            chance_distance=None,
            verdict=None,
            mask_counts=tuple(MaskCount(k, 40, masked) for k, masked in enumerate(counts)),
        )

    assert _borrowing(audited(0, 40, 40)) == []
    assert _borrowing(audited(39, 1, 40)) == [
        "Having a mask tells the class (class 0 1 of 40, class 1 40 of 40 images), so the 39 images without "
        "one were shuffled by the masks of random other images."
    ]
    assert _borrowing(audited(0, 39, 38)) == [
        "The 3 images without a mask took no part (with one: class 0 39 of 40, class 1 38 of 40)."
    ]


def damaged(folder, content):
    path = folder / "seed-0" / "best.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--split", "tets"], 2, "there is no split 'tets'; did you mean 'test'"),
        (["--data", "nowhere"], 3, "nowhere"),
    ],
)
def test_wrong_options_are_one_sentence(runs, arguments, code, message):
    check_failure(run(runs, *arguments), code, message)


def test_an_unknown_device_lists_the_choices(runs):
    result = run(runs, "--device", "tpu")
    assert result.exit_code == 2
    assert "'cuda'" in result.stderr


def test_a_missing_checkpoint_is_one_sentence(tmp_path):
    check_failure(run(tmp_path / "none"), 3, "none does not exist")
    check_failure(run(tmp_path), 3, "holds no checkpoint")


def test_a_file_that_is_no_checkpoint_is_one_sentence(tmp_path):
    check_failure(run(damaged(tmp_path / "a", b"not a checkpoint")), 3, "best.safetensors")


def test_a_truncated_checkpoint_is_one_sentence(tmp_path, runs):
    whole = (runs / "demo" / "seed-0" / "best.safetensors").read_bytes()
    check_failure(run(damaged(tmp_path / "b", whole[: len(whole) // 2])), 3, "best.safetensors")


def check_failure(result, code, message):
    assert result.exit_code == code, result.output
    assert message in result.stderr
    assert result.stderr.startswith("error: ")
    assert "Traceback" not in result.output
    assert result.stdout == ""


@pytest.mark.process
def test_the_command_imports_no_torch_before_it_runs():
    check = "import sys, activmask_cli.evaluate, activmask_cli.saliency; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
    assert subprocess.run([sys.executable, "-c", f"import torch; {check}"], check=False).returncode == 1
