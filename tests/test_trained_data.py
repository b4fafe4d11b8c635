"""A run knows its data again: splits are written down, digests compared, classes matched by name."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import typer
from activmask_cli.evaluate import evaluate
from dataset_records import record
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tiny_checkpoints import unsealed
from typer.testing import CliRunner

from activmask.data.dataset import read_dataset
from activmask.data.writer import write_dataset
from activmask.evaluation.batch import evaluate_checkpoint
from activmask.evaluation.other_data import _is_file_name
from activmask.ground.errors import DataError, UsageError
from activmask.runs.checkpoint import load_checkpoint
from activmask.runs.description import changed
from activmask.runs.folder import SPLITS_FILE, STATE_FILE
from activmask.runs.making import make_config
from activmask.runs.manifest import read_entries, split_digests
from activmask.training.run import train

SIDE = 16
NAMES = {"healthy": 0, "ill": 1}
app = typer.Typer()
app.command()(evaluate)


def write(root: Path, n=24, *, split=True, card=None, flip=False, seed=0, skip=(), **changes) -> Path:
    """Images whose brightness tells the class; ill is 1, or 0 where labels are flipped."""
    made = []
    for i in range(n):
        image = np.random.default_rng([seed, i]).integers(0, 60, (SIDE, SIDE)) + 120 * (i % 2)
        mask = np.zeros((SIDE, SIDE), dtype=bool)
        mask[4:9, 4:9] = True
        fields = {
            "image": image.astype(np.uint8),
            "mask": mask,
            "label": (i + flip) % 2,
            "subject": f"p{i}",
            "site": "",
            "split": ("train", "valid", "test")[i // 2 % 3] if split else "",
        }
        made.append(record(i, **{**fields, **changes}))
    kept = [one for i, one in enumerate(made) if i not in skip]
    write_dataset(root, kept, card={"source": "folder", "classes": NAMES, **(card or {})}, overwrite=True)
    return root


def quick(data, **settings):
    chosen = {"data": str(data), "model": "cnn", "width": 2, "epochs": 1, "threads": 1, "device": "cpu"}
    return make_config(**{**chosen, **settings})


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A data set with a column of splits, and a run that tells its two classes apart."""
    root = tmp_path_factory.mktemp("trained")
    data = write(root / "data")
    [result] = train(quick(data, width=8, lr=3e-3, epochs=8), out=root / "run")
    assert result.metrics["test"]["auc"] == 1
    return data, result.folder / "best.safetensors"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A data set without a column of splits, and a run that drew them by subject."""
    root = tmp_path_factory.mktemp("drawn")
    data = write(root / "data", split=False)
    [result] = train(quick(data, split_policy="subject"), out=root / "run")
    return data, result.folder


def moved(trained, tmp_path):
    """A copy of a fixture whose data may be changed."""
    data, folder = trained
    shutil.copytree(data, tmp_path / "data")
    shutil.copytree(folder.parent, tmp_path / "run")
    return tmp_path / "data", tmp_path / "run" / folder.name


def test_splits_are_written_down_and_described(drawn):
    data, folder = drawn
    entries, dataset = read_entries(folder), read_dataset(data)
    assert {entry.file for entry in entries} == {*dataset.file_names}
    written = json.loads((folder / "run.json").read_text())
    checkpoint = load_checkpoint(folder / "last.safetensors")
    assert written["split_sha256"] == checkpoint.split_sha256 == split_digests(entries)
    assert written["data_path"] == checkpoint.data_path == str(data.resolve())
    assert checkpoint.class_names == ("healthy", "ill")
    known = {"source": "folder", "intensity": 65535, "bit_depth": 8}
    assert checkpoint.recipe == {**known, "height": SIDE, "width": SIDE}


@pytest.mark.parametrize("classes", [{"healthy": 1, "ill": 0}, {"0": "ill", "1": "healthy"}])
def test_classes_numbered_otherwise_are_matched_by_name(trained, tmp_path, classes):
    _, best = trained
    other = write(tmp_path / "other", card={"classes": classes}, flip=True, seed=7)
    evaluated = evaluate_checkpoint(best, data=str(other))
    assert evaluated.evaluation.scores.auc == 1
    assert any("matched by name" in note for note in evaluated.notes)


@pytest.mark.parametrize("classes", [{"healthy": 0, "covid": 1}, {"Healthy": 0, "ill": 1}])
def test_classes_of_other_names_are_refused_with_both_lists(trained, tmp_path, classes):
    _, best = trained
    other = write(tmp_path / "other", card={"classes": classes}, seed=7)
    first, second = classes
    with pytest.raises(
        DataError, match=f"the classes '{first}', '{second}', but the network knows 'healthy', 'ill'"
    ):
        evaluate_checkpoint(best, data=str(other))


def test_a_set_without_names_is_taken_by_number_and_says_so(trained, tmp_path):
    _, best = trained
    result = CliRunner().invoke(
        app, [str(best), "--data", str(write(tmp_path / "other", card={"classes": None}, seed=7)), "--json"]
    )
    assert result.exit_code == 0, result.output
    assert "Classes are taken by number" in result.stderr
    assert "1 is 'ill'" in result.stderr
    [one] = json.loads(result.stdout)["checkpoints"]
    assert one["evaluation"]["scores"]["auc"] == 1
    assert any("by number" in note for note in one["notes"])


def test_a_card_that_contradicts_its_table_is_refused(tmp_path):
    data = write(tmp_path / "data", card={"classes": {"a": 0, "b": 1, "c": 2}})
    with pytest.raises(DataError, match=r"names 3 classes \(a, b, c\), but metadata.csv has 2"):
        train(quick(data), out=tmp_path / "run")
    data = write(tmp_path / "data", card={"classes": {"a": 0, "b": 2}})
    with pytest.raises(DataError, match="a name of its own and a number"):
        train(quick(data), out=tmp_path / "run")


def test_a_run_is_not_tested_on_data_that_lost_an_image(drawn, tmp_path):
    data, folder = moved(drawn, tmp_path)
    write(data, split=False, skip=(0,))
    with pytest.raises(DataError, match=r"no longer has 1 of the 24 images .*image-000\.png"):
        own(folder / "last.safetensors", data)


def own(path: Path, data: Path):
    """Evaluate a checkpoint whose data has been moved to `data`, as its own."""
    edit_description(path, data_path=str(data))
    return evaluate_checkpoint(path)


def described(path: Path):
    with safe_open(path, framework="pt") as file:
        return json.loads(file.metadata()["activmask"])


def edit_description(path: Path, remove=(), **changes):
    """Rewrite what a checkpoint says of itself."""
    told = {**unsealed(described(path)), **changes}
    told = {name: value for name, value in told.items() if name not in remove}
    save_file(load_file(path), path, {"activmask": json.dumps(told)})


@pytest.mark.parametrize("split", ["train", "valid", "test"])
@pytest.mark.parametrize("kind", ["image", "mask"])
def test_any_changed_file_of_any_split_is_named(drawn, tmp_path, split, kind):
    data, folder = moved(drawn, tmp_path)
    entry = next(entry for entry in read_entries(folder) if entry.split == split)
    place = Path(entry.file)
    changed = data / f"{kind}s" / place.name
    Image.fromarray(np.eye(SIDE, dtype=np.uint8) * 255).save(changed)
    with pytest.raises(DataError, match=f"the {kind} of {entry.file} of {split} is another"):
        own(folder / "last.safetensors", data)


@pytest.mark.parametrize(
    ("change", "other"),
    [
        ({"classes": {"ill": 0, "healthy": 1}}, r"classes \(healthy and ill; now ill and healthy\)"),
        ({"classes": None}, r"classes \(healthy and ill; now none\)"),
        ({"source": "elsewhere"}, r"ways in which its images were made \(source"),
    ],
)
def test_a_card_that_tells_otherwise_is_changed_data_to_a_run_that_goes_on(drawn, tmp_path, change, other):
    data, _ = moved(drawn, tmp_path)
    card = json.loads((data / "card.json").read_text()) | change
    kept = {name: value for name, value in card.items() if value is not None}
    (data / "card.json").write_text(json.dumps(kept))
    with pytest.raises(
        UsageError, match=rf"has changed since .* began: its card\.json told of other {other}"
    ):
        train(quick(data, split_policy="subject", epochs=2), out=tmp_path / "run", resume=True)
    write(data, split=False, card={"note": "mine"})
    train(quick(data, split_policy="subject", epochs=2), out=tmp_path / "run", resume=True)


def test_new_images_are_in_no_split_and_said_to_be_left_out(drawn, tmp_path):
    data, folder = moved(drawn, tmp_path)
    last = folder / "last.safetensors"
    before = own(last, data)
    write(data, n=30, split=False)
    after = own(last, data)
    assert after.evaluation.scores == before.evaluation.scores
    assert any("holds 30 images, 24 when" in note for note in after.notes)
    assert not before.notes


def test_reordered_rows_and_a_missing_list_do_not_matter_where_digests_agree(drawn, tmp_path):
    data, folder = moved(drawn, tmp_path)
    before = own(folder / "last.safetensors", data)
    header, *rows = (data / "metadata.csv").read_text().splitlines()
    (data / "metadata.csv").write_text("\n".join([header, *reversed(rows)]) + "\n")
    assert own(folder / "last.safetensors", data).evaluation.scores == before.evaluation.scores
    (folder / SPLITS_FILE).unlink()
    after = own(folder / "last.safetensors", data)
    assert after.evaluation.scores == before.evaluation.scores
    assert not after.notes


def test_an_old_run_is_redrawn_with_a_sentence_unless_its_counts_are_others(drawn, tmp_path, monkeypatch):
    data, folder = moved(drawn, tmp_path)
    last = folder / "last.safetensors"
    (folder / SPLITS_FILE).unlink()
    new = ("class_names", "recipe", "data_path", "data_images", "split_sha256")
    written = json.loads((folder / "run.json").read_text())
    old = {name: value for name, value in written.items() if name not in new}
    (folder / "run.json").write_text(json.dumps(old))
    config = {**old["config"], "data": "data"}
    edit_description(last, remove=new, config=config)
    monkeypatch.chdir(tmp_path)
    notes = evaluate_checkpoint(last).notes
    assert any("taken from the current folder" in note for note in notes)
    assert any("drawn anew" in note and "verify" in note for note in notes)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="start from the folder that the run was started from"):
        evaluate_checkpoint(last)
    monkeypatch.chdir(tmp_path)
    write(data, n=22, split=False)
    with pytest.raises(DataError, match="drawn anew it has"):
        evaluate_checkpoint(last)


def test_data_is_found_from_another_folder_and_shown_as_what_it_is(tmp_path, monkeypatch):
    for name, seed in (("a", 1), ("b", 2)):
        write(tmp_path / name / "data", seed=seed)
    monkeypatch.chdir(tmp_path / "a")
    [result] = train(quick("data"), out=Path("run"))
    here = evaluate_checkpoint(result.folder / "best.safetensors")
    assert here.data == "data"
    monkeypatch.chdir(tmp_path / "b")
    there = evaluate_checkpoint(tmp_path / "a" / "run" / "seed-0" / "best.safetensors")
    assert there.evaluation.scores == here.evaluation.scores
    assert there.data == str(tmp_path / "a" / "data")


def test_resuming_knows_every_split_and_any_spelling_of_the_path(tmp_path, monkeypatch):
    data = write(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    [result] = train(quick("data"), out=Path("run"))
    (again,) = train(quick("./data"), out=Path("run"))
    assert not again.trained
    train(quick(data, epochs=2), out=Path("run"), resume=True)
    entry = next(entry for entry in read_entries(result.folder) if entry.split == "test")
    Image.fromarray(np.eye(SIDE, dtype=np.uint8) * 255).save(data / entry.file)
    with pytest.raises(UsageError, match="holds a finished run on other data"):
        train(quick("data", epochs=2), out=Path("run"))
    (result.folder / "metrics.json").unlink()
    with pytest.raises(UsageError, match=rf"its test split held other images.*{entry.file}"):
        train(quick("data", epochs=3), out=Path("run"), resume=True)


def test_the_splits_of_an_interrupted_run_are_not_drawn_again(tmp_path):
    data = write(tmp_path / "data", split=False)
    config = quick(data, split_policy="subject")
    [result] = train(config, out=tmp_path / "run")
    before = (result.folder / SPLITS_FILE).read_bytes()
    write(data, n=40, split=False)
    train(changed(config, epochs=2), out=tmp_path / "run", resume=True)
    assert (result.folder / SPLITS_FILE).read_bytes() == before


def test_an_old_state_resumes_with_a_sentence(tmp_path):
    data = write(tmp_path / "data")
    [result] = train(quick(data), out=tmp_path / "run")
    state = result.folder / STATE_FILE
    with safe_open(state, framework="pt") as file:
        progress = unsealed(json.loads(file.metadata()["activmask"]))
    new = ("class_names", "recipe", "data_path", "data_images", "split_sha256")
    progress["description"] = {k: v for k, v in progress["description"].items() if k not in new}
    told = []

    class Listener:
        def step(self, *_): ...
        def epoch(self, *_): ...
        def note(self, sentence):
            told.append(sentence)

    for digest in (old_digest(data), "other"):
        progress["data_digest"] = digest
        save_file(load_file(state), state, {"activmask": json.dumps(progress)})
        (result.folder / SPLITS_FILE).unlink(missing_ok=True)
        if digest == "other":
            with pytest.raises(UsageError, match="has changed since"):
                train(quick(data, epochs=3), out=tmp_path / "run", resume=True)
        else:
            train(quick(data, epochs=2), out=tmp_path / "run", resume=True, progress=Listener())
    assert "the others cannot be verified" in " ".join(told)


def old_digest(data: Path) -> str:
    from activmask.training.feed.kept_masks import to_train_on
    from activmask.training.feed.sources import fingerprint, stored_splits

    config = quick(data)
    stored = stored_splits(config.source, config.view, config.objectives, 0)["train"]
    return fingerprint(to_train_on(stored, config.view, 0, config.source.data))


def test_other_data_without_splits_is_tested_whole_but_for_what_the_run_saw(drawn, tmp_path):
    _, folder = drawn
    last = folder / "last.safetensors"
    new = write(tmp_path / "new", n=10, split=False, seed=9, subject="somebody")
    assert evaluate_checkpoint(last, data=str(new)).evaluation.scores.n == 10
    copy = write(tmp_path / "copy", n=30, split=False)
    evaluated = evaluate_checkpoint(last, data=str(copy))
    seen = sum(entry.split != "test" for entry in read_entries(folder))
    assert evaluated.evaluation.scores.n == 30 - seen
    assert any(f"{seen} of them are left out" in note for note in evaluated.notes)
    with pytest.raises(DataError, match="no column that says what is valid"):
        evaluate_checkpoint(last, data=str(copy), split="valid")


def test_pixels_that_were_trained_on_are_known_in_other_files_of_other_people(drawn, tmp_path):
    data, folder = drawn
    seen = [entry for entry in read_entries(folder) if entry.split == "train"]
    records = []
    for number, entry in enumerate(seen):
        pixels = np.asarray(Image.open(data / entry.file)).astype(np.uint16) * 257
        records.append(
            record(100 + number, image=pixels, mask=None, label=entry.label, split="", subject=f"q{number}")
        )
    other = tmp_path / "other"
    write_dataset(other, records, card={"source": "folder", "classes": NAMES})
    with pytest.raises(DataError, match=f"the run saw all {len(seen)} images"):
        evaluate_checkpoint(folder / "last.safetensors", data=str(other))


def test_the_runs_own_data_elsewhere_is_its_own(drawn, tmp_path):
    data, folder = drawn
    shutil.copytree(data, tmp_path / "copy")
    own_scores = evaluate_checkpoint(folder / "last.safetensors").evaluation.scores
    evaluated = evaluate_checkpoint(folder / "last.safetensors", data=str(tmp_path / "copy"))
    assert evaluated.evaluation.scores == own_scores
    assert "the run's own images" in evaluated.notes[0]
    lost = tmp_path / "lost" / "last.safetensors"
    shutil.copytree(folder, lost.parent)
    edit_description(
        lost, data_path=str(tmp_path / "gone"), config={**described(lost)["config"], "data": "gone"}
    )
    assert evaluate_checkpoint(lost, data=str(tmp_path / "copy")).evaluation.scores == own_scores
    with pytest.raises(DataError, match=r"gone that .* was trained on does not exist; put it back"):
        evaluate_checkpoint(lost)


def test_other_recipes_are_refused_unless_accepted(trained, tmp_path):
    _, best = trained
    other = write(tmp_path / "other", seed=7, card={"source": "xray", "intensity": "released"})
    with pytest.raises(DataError, match=r'prepared otherwise .*source is "xray", the run\'s "folder"'):
        evaluate_checkpoint(best, data=str(other))
    evaluated = evaluate_checkpoint(best, data=str(other), accept_recipe=True)
    assert any("as accepted" in note for note in evaluated.notes)
    with pytest.raises(UsageError, match="accept_recipe has no effect"):
        evaluate_checkpoint(best, accept_recipe=True)


def test_drawn_benchmarks_are_known_by_digest(tmp_path):
    [result] = train(quick("synthetic"), out=tmp_path / "run")
    assert not (result.folder / SPLITS_FILE).exists()
    best = result.folder / "best.safetensors"
    assert not evaluate_checkpoint(best).notes
    best = Path(shutil.copy(best, tmp_path / "alone.safetensors"))
    edit_description(best, split_sha256=dict.fromkeys(("train", "valid", "test"), 64 * "0"))
    with pytest.raises(DataError, match="is not the one that"):
        evaluate_checkpoint(best)


@pytest.mark.parametrize(
    ("subject", "file", "named"),
    [
        ("sub/A b.jpg", "images/sub_A_b.png", True),
        ("images/a.png", "images/a.png", True),
        ("train-000001", "images/Train-000001.png", True),
        ("/", "images/a.png", False),
        ("liver_12", "images/liver_12-z003.png", False),
        ("12", "images/scan-12.png", False),
    ],
)
def test_a_subject_that_is_but_its_images_name_is_no_person(subject, file, named):
    assert _is_file_name(subject, file) == named
