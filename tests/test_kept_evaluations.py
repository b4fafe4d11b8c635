"""Evaluations that are kept: the same to the bit as fresh ones, and nothing else is ever taken."""

import json
import shutil
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from in_process import told
from PIL import Image
from report_runs import train_runs
from test_planting import source

from activmask.data.planting.plant import plant
from activmask.data.planting.planting import Planting
from activmask.data.sources.synthetic.drawing import SyntheticSpec
from activmask.data.sources.synthetic.prepare import make_synthetic
from activmask.evaluation import basis, batch, kept
from activmask.evaluation.across_seeds import to_json
from activmask.evaluation.batch import evaluate_checkpoint, evaluate_checkpoints
from activmask.evaluation.evaluated import Evaluated
from activmask.ground.errors import DataError
from activmask.runs.checkpoint import Description, load_checkpoint, save_checkpoint
from activmask.runs.folder import EVALUATIONS_FILE
from activmask.runs.making import make_config
from activmask.training.run import train

TINY = ("--model", "cnn", "--width", "4", "--epochs", "1", "--device", "cpu")


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """Runs on crosses on disk, in memory and on planted images, and data that no run saw."""
    root = tmp_path_factory.mktemp("kept") / "all"
    train_runs(root, seeds=(0,), epochs=1)
    source(root / "clean")
    plant(
        root / "clean",
        root / "tag",
        Planting(shortcut="tag", of_class="dog", share=1, valid_share=1, test_share=0.5),
    )
    for name, data in (("planted", str(root / "tag")), ("drawn", "synthetic")):
        config = make_config(data=data, model="cnn", width=4, epochs=1, device="cpu", threads=1)
        train(config, (0,), root / "runs" / name)
    make_synthetic(SyntheticSpec(n=16, valid=16, test=16, seed=9), root / "other")
    shutil.copytree(root, root.with_name("as it was"))
    return root


@pytest.fixture
def place(trained) -> Path:
    """All of it anew where it was: runs know where their data lay."""
    shutil.rmtree(trained)
    shutil.copytree(trained.with_name("as it was"), trained)
    return trained


@pytest.fixture
def made(monkeypatch) -> list[Path]:
    """The checkpoints that are evaluated from now on, in place of being taken from what was kept."""
    found: list[Path] = []
    evaluate = batch._evaluate

    def counted(question, *more):
        found.append(question[0])
        return evaluate(question, *more)

    monkeypatch.setattr(batch, "_evaluate", counted)
    return found


KINDS = {
    "best": ("actdiff", "best", {}),
    "last": ("gradmask", "last", {}),
    "in memory": ("drawn", "best", {}),
    "valid": ("classify", "best", {"split": "valid"}),
    "other data": ("classify", "best", {"data": "other", "accept_recipe": True}),
    "other data drawn": ("classify", "best", {"data": "synthetic", "accept_recipe": True}),
    "planted": ("planted", "best", {}),
}


def checkpoint(place: Path, run: str = "actdiff", epoch: str = "best") -> Path:
    return place / "runs" / run / "seed-0" / f"{epoch}.safetensors"


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_kept_is_what_a_fresh_evaluation_gives(place, made, monkeypatch, kind):
    run, epoch, asked = KINDS[kind]
    path = checkpoint(place, run, epoch)
    monkeypatch.chdir(place)
    first, again = evaluate_checkpoint(path, **asked), evaluate_checkpoint(path, **asked)
    assert made == [path]
    (path.parent / EVALUATIONS_FILE).unlink()
    fresh = evaluate_checkpoint(path, **asked)
    assert made == [path, path]
    assert first == again == fresh
    assert json.dumps(to_json([again])) == json.dumps(to_json([fresh]))
    assert (again.removal is not None) == (kind == "planted")


def test_several_come_in_their_order_and_errors_are_theirs_alone(place, made):
    paths = [checkpoint(place, run) for run in ("gradmask", "drawn", "actdiff")]
    paths[1].write_bytes(b"no checkpoint")
    seen: list[tuple[int, int]] = []
    found = evaluate_checkpoints(
        [(path, None) for path in paths], progress=lambda done, total: seen.append((done, total))
    )
    assert list(found) == [(path, None) for path in paths]
    assert [isinstance(one, Evaluated) for one in found.values()] == [True, False, True]
    assert "drawn" in str(found[paths[1], None])
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]
    assert found[paths[0], None] == evaluate_checkpoint(paths[0])
    assert len(made) == 3


def other_weights(place, monkeypatch):
    path = checkpoint(place)
    found = load_checkpoint(path)
    weights = {name: tensor * 1.5 for name, tensor in found.model.state_dict().items()}
    described = Description(**{one.name: getattr(found, one.name) for one in fields(Description)})
    save_checkpoint(path, weights, described)


def other_description(place, monkeypatch):
    path = checkpoint(place).with_name("run.json")
    path.write_text(path.read_text() + "\n")


def other_program(place, monkeypatch):
    monkeypatch.setattr(basis, "_program_sha256", lambda files: "0" * 64)


def other_library(place, monkeypatch):
    monkeypatch.setattr(basis, "version", lambda name: "0")


def other_threads(place, monkeypatch):
    monkeypatch.setattr(basis.torch, "get_num_threads", lambda: 77)


def other_card(place, monkeypatch):
    path = place / "data/synthetic/card.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "remark": "new"}))


@pytest.mark.parametrize(
    "change", [other_weights, other_description, other_program, other_library, other_threads, other_card]
)
def test_whatever_changes_it_is_made_anew(place, made, monkeypatch, change):
    path = checkpoint(place)
    evaluate_checkpoint(path)
    change(place, monkeypatch)
    evaluate_checkpoint(path)
    evaluate_checkpoint(path)
    assert made == [path, path]


def test_another_question_is_another_evaluation_and_both_are_kept(place, made):
    path, data = checkpoint(place), str(place / "other")
    asked = ({}, {"split": "valid"}, {"data": data, "accept_recipe": True})
    first = [evaluate_checkpoint(path, **one) for one in asked]
    assert [evaluate_checkpoint(path, **one) for one in asked] == first
    assert len(made) == 3


def test_a_changed_mask_of_other_data_counts_and_of_the_runs_own_is_refused(place, made):
    path, data = checkpoint(place), str(place / "other")
    before = evaluate_checkpoint(path, data=data, accept_recipe=True)
    evaluate_checkpoint(path)
    for folder in ("other", "data/synthetic"):
        for mask in (place / folder / "masks").glob("*.png"):
            Image.fromarray(np.flipud(np.array(Image.open(mask)))).save(mask)
    after = evaluate_checkpoint(path, data=data, accept_recipe=True)
    assert after.evaluation.localisation != before.evaluation.localisation
    with pytest.raises(DataError, match="has changed since"):
        evaluate_checkpoint(path)
    assert len(made) == 4


def test_data_that_change_meanwhile_are_read_again_and_nothing_of_them_is_kept(place, monkeypatch):
    paths = [checkpoint(place, run) for run in ("actdiff", "classify", "gradmask")]
    evaluate = batch._evaluate

    def then_changed(path, *more):
        found = evaluate(path, *more)
        for mask in (place / "data/synthetic/masks").glob("*.png"):
            Image.fromarray(np.flipud(np.array(Image.open(mask)))).save(mask)
        return found

    monkeypatch.setattr(batch, "_evaluate", then_changed)
    first, *others = evaluate_checkpoints([(path, None) for path in paths]).values()
    assert isinstance(first, Evaluated)
    assert all("has changed since" in str(one) for one in others)
    assert not any((path.parent / EVALUATIONS_FILE).exists() for path in paths)


def test_sentences_that_name_places_are_made_anew_where_those_are_spelled_otherwise(place, made, monkeypatch):
    path = checkpoint(place)
    shutil.copytree(place / "data/synthetic", place / "copy")
    monkeypatch.chdir(place)
    one = evaluate_checkpoint(path, data="copy")
    other = evaluate_checkpoint(path, data=str(place / "copy"))
    assert "copy holds the run's own images" in one.notes[0]
    assert str(place / "copy") in other.notes[0]
    assert len(made) == 2


def test_a_moved_run_without_sentences_keeps_what_was_measured(place, made):
    path = checkpoint(place)
    first = evaluate_checkpoint(path)
    (place / "runs/actdiff").rename(place / "moved")
    moved = evaluate_checkpoint(place / "moved/seed-0/best.safetensors")
    assert moved.evaluation == first.evaluation
    assert moved.run == place / "moved"
    assert len(made) == 1


WRONG = ("", "[]", "null", "3", '{"evaluations": 3}', '{"evaluations": [1, null, {}]}', "[" * 100_000, "\x00")


@pytest.mark.parametrize("text", WRONG, ids=range(len(WRONG)))
def test_what_is_not_ours_is_nothing_and_replaced(place, made, text):
    path = checkpoint(place)
    (path.parent / EVALUATIONS_FILE).write_text(text)
    first = evaluate_checkpoint(path)
    assert evaluate_checkpoint(path) == first
    assert made == [path]


def numbers_in(value: object, way: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    own = [way] if type(value) in {int, float} else []
    return own + [found for key, part in parts for found in numbers_in(part, (*way, key))]


@pytest.mark.process
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_file_is_never_a_number_nor_an_error(place, data):
    path = checkpoint(place)
    file = path.parent / EVALUATIONS_FILE
    if not file.exists() or not kept._read(path.parent):
        file.unlink(missing_ok=True)
        evaluate_checkpoint(path)
    whole, [entry] = file.read_bytes(), kept._read(path.parent)
    if data.draw(st.booleans(), "one number"):
        tree = json.loads(whole)
        *way, last = data.draw(st.sampled_from(numbers_in(tree["evaluations"][0]["result"])))
        spot = tree["evaluations"][0]["result"]
        for key in way:
            spot = spot[key]
        spot[last] += data.draw(st.sampled_from([1, 1e-12, -0.5]))
        harmed = json.dumps(tree).encode()
    else:
        start = data.draw(st.integers(0, len(whole)))
        end = data.draw(st.integers(start, min(len(whole), start + 40)))
        harmed = whole[:start] + data.draw(st.binary(max_size=8)) + whole[end:]
    file.write_bytes(harmed)
    taken = kept.kept(path.parent, entry["basis"])
    assert taken is None or taken == entry["result"]
    file.write_bytes(whole)


def test_where_nothing_can_be_written_it_is_evaluated_all_the_same(place, made):
    path = checkpoint(place)
    # Root may write into folders that are read-only, but nobody into a file that is a folder.
    (path.parent / f".{EVALUATIONS_FILE}.partial").mkdir()
    assert evaluate_checkpoint(path) == evaluate_checkpoint(path)
    assert len(made) == 2
    assert not (path.parent / EVALUATIONS_FILE).exists()


def test_a_checkpoint_outside_of_a_run_gets_no_company(place, made):
    alone = place / "alone"
    alone.mkdir()
    path = Path(shutil.copy(checkpoint(place, "drawn"), alone / "best.safetensors"))
    evaluate_checkpoint(path)
    assert list(alone.iterdir()) == [path]


def test_the_oldest_go_first(tmp_path):
    folder = tmp_path / "seed-0"
    folder.mkdir()
    bases = [
        {"program_sha256": "a", "file": "f", "checkpoint_sha256": "c", "split": str(n)} for n in range(20)
    ]
    for number, one in enumerate(bases):
        kept.keep(folder, one, number)
    found = [kept.kept(folder, one) for one in bases]
    assert found == [None] * 4 + list(range(4, 20))
    kept.keep(folder, {**bases[0], "checkpoint_sha256": "d"}, "new")
    assert len(kept._read(folder)) == 1


def test_it_goes_with_its_run(place):
    told("train", *TINY, "--data", "other", "--out", "run", cwd=place)
    told("evaluate", "run", cwd=place)
    file = place / "run/seed-0" / EVALUATIONS_FILE
    assert file.exists()
    told("train", *TINY, "--data", "other", "--out", "run", "--overwrite", cwd=place)
    assert not file.exists()


@pytest.mark.process
def test_report_and_evaluate_share_what_is_kept(place, made):
    told("evaluate", "runs", "--device", "cpu", cwd=place)
    count = len(made)
    told("report", "runs", "--device", "cpu", cwd=place)
    assert (count, len(made)) == (5, 5)


@pytest.mark.process
def test_two_processes_at_once_keep_what_is_whole_or_nothing(place, tmp_path):
    """One process becomes two once it has imported all that it needs, so that both begin at once."""
    program = (
        "import os, sys; from pathlib import Path\n"
        "from activmask.evaluation.batch import evaluate_checkpoint\n"
        "path, *told = map(Path, sys.argv[1:])\n"
        "child = os.fork()\n"
        "said = [repr(evaluate_checkpoint(path, split=split)) for split in ('test', 'valid', 'train') * 5]\n"
        "told[bool(child)].write_text('\\n'.join(said))\n"
        "sys.exit(bool(child and os.wait()[1]))"
    )
    told = [tmp_path / name for name in ("one", "other")]
    subprocess.run([sys.executable, "-c", program, checkpoint(place), *told], check=True)
    one, other = (path.read_text() for path in told)
    assert one == other
    assert len(one.splitlines()) == 15
    assert len(set(one.splitlines())) == 3


def a_basis(**more):
    return {"program_sha256": "p", "file": "f", "checkpoint_sha256": "c", **more}


def test_all_labels_of_a_question_count_as_one_and_the_oldest_question_goes(tmp_path):
    for split in range(17):
        for label in range(20 if split == 16 else 2):
            kept.keep(tmp_path, a_basis(split=split, label=str(label)), [split, label])
    assert kept.kept(tmp_path, a_basis(split=0, label="1")) is None
    assert kept.kept(tmp_path, a_basis(split=1, label="0")) == [1, 0]
    assert [kept.kept(tmp_path, a_basis(split=16, label=str(label))) for label in range(20)] == [
        [16, label] for label in range(20)
    ]


def test_what_is_kept_never_grows_beyond_what_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(kept, "_MOST_BYTES", 20_000)
    for label in range(9):
        kept.keep(tmp_path, a_basis(label=str(label)), ["x" * 3000])
    found = [kept.kept(tmp_path, a_basis(label=str(label))) for label in range(9)]
    assert found[0] is None
    assert found[-2:] == [["x" * 3000]] * 2


def test_what_another_part_of_the_program_keeps_goes_by_its_own_files(tmp_path):
    old, one, other = a_basis(), a_basis(program="one"), a_basis(program="other", program_sha256="q")
    for basis_ in (old, one, other):
        kept.keep(tmp_path, basis_, "first")
    changed = {**one, "program_sha256": "r"}
    kept.keep(tmp_path, changed, "second")
    found = [kept.kept(tmp_path, basis_) for basis_ in (old, one, other, changed)]
    assert found == [None, None, "first", "second"]
    kept.keep(tmp_path, {**changed, "checkpoint_sha256": "d"}, "third")
    assert len(kept._read(tmp_path)) == 1
