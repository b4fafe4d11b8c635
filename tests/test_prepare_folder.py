import subprocess
import sys

import pytest
import typer
from activmask_cli.prepare_folder import prepare_folder as command
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner
from user_folder import Folder, cats_and_dogs, grey, half

from activmask.data.dataset import load_samples
from activmask.data.sources.folder.classes import reads_negative
from activmask.data.splits import SPLITS
from activmask.ground.errors import ActivmaskError

NAMES = ("a.png", "b.tif", "sub/a.jpg", "c.png")


@pytest.fixture
def folder(tmp_path) -> Folder:
    return cats_and_dogs(tmp_path)


def run(*arguments: object) -> tuple[int, str, str]:
    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.stdout, result.stderr


def test_the_command_prints_a_summary_and_the_next_step(folder):
    with folder.labels.open("a") as table:
        table.write("gone[1].png,cat,\n")
    code, stdout, stderr = run(
        folder.images, "--masks", folder.masks, "--labels", folder.labels, "--out", folder.out
    )
    assert code == 0
    assert stderr.startswith("to audit a classifier that you have: activmask audit --data ")
    assert "cat = 0" in stdout
    assert "4 images of 8 x 8 px, 8 bits; 2 masks" in stdout
    assert "Share of the image inside the masks" in stdout
    assert "dilated by mask blur 0.5" in stdout
    assert "2 images have no mask: b.tif and c.png\n" in stdout
    assert "skipped gone[1].png: gone[1].png does not exist" in stdout
    assert "next: " not in stderr
    assert "training cannot begin with these images: the split valid has no image of class 1" in stdout


def test_images_without_a_mask_are_named_whether_it_is_missing_or_empty(folder):
    folder.mask("b.png", half())
    folder.mask("c.png", grey(0))
    given = (folder.images, "--masks", folder.masks, "--labels", folder.labels, "--out", folder.out)
    said = run(*given)[1]
    assert "1 mask is empty: stored as no mask" in said
    assert "1 image has no mask: c.png\n" in said
    names = [f"plain{k}.png" for k in range(4)]
    for name in names:
        folder.image(name, grey(9))
    folder.table("file_name,label", "a.png,cat", *(f"{name},dog" for name in names))
    assert f"4 images have no mask: {', '.join(names[:3])} and 1 more\n" in run(*given, "--overwrite")[1]


def test_the_command_proposes_the_given_splits(folder):
    rows = [f"{split}{label}.png,{label},{split}" for split in SPLITS for label in (0, 1)]
    for number, row in enumerate(rows):
        folder.image(row.split(",")[0], grey(40 * number, side=28))
    folder.table("file_name,label,split", *rows)
    _, stdout, stderr = run(folder.images, "--labels", folder.labels, "--out", folder.out)
    assert stderr.endswith(f"next: activmask train --data {folder.out} --split-policy given\n")
    assert "no image has a mask" in stdout


def test_the_command_fails_with_one_sentence(folder, tmp_path):
    code, stdout, stderr = run(folder.images, "--labels", tmp_path / "none.csv", "--out", folder.out)
    assert (code, stdout) == (3, "")
    assert stderr.startswith("error: ")
    assert len(stderr.strip().splitlines()) == 1
    code, _, stderr = run(folder.images, "--labels", folder.labels, "--out", folder.out, "--size", 0)
    assert code == 2
    assert "it must be from 1 to 8,192" in " ".join(stderr.split())


def test_which_of_two_names_is_class_1_is_said_and_doubted_where_it_reads_negative(folder):
    given = (folder.images, "--labels", folder.labels, "--out", folder.out)
    said = run(*given)[1]
    assert "class 1, whose scores are judged, is 'dog', the later in order; --positive cat swaps" in said
    assert "reads like the negative class" not in said
    folder.table("file_name,label", *(f"{name},{'normal' if name == 'c.png' else 'ill'}" for name in NAMES))
    said = run(*given, "--overwrite")[1]
    assert "note: class 1, whose scores are judged, is 'normal', which reads like the negative class" in said
    assert "--positive ill swaps the two" in said
    said = run(*given, "--overwrite", "--positive", "ill")[1]
    assert "ill = 1" in said
    assert "whose scores are judged" not in said


@pytest.mark.parametrize(
    ("label", "negative"),
    [
        ("normal", True),
        ("Healthy", True),
        ("no_tumour", True),
        ("non-covid", True),
        ("0", True),
        ("none", True),
        ("abnormal", False),
        ("nodule", False),
        ("northern", False),
        ("1", False),
        ("10", False),
        ("control", True),
    ],
)
def test_labels_that_read_negative(label, negative):
    assert reads_negative(label) == negative


def test_sizes_that_differ_name_the_flag(folder):
    folder.image("c.png", grey(9, side=9))
    code, _, stderr = run(folder.images, "--labels", folder.labels, "--out", folder.out)
    assert code == 3
    assert stderr.endswith("--size PX resizes all images to one square size\n")


@pytest.mark.process
def test_the_command_imports_nothing_heavy_until_it_runs():
    code = "import sys, cli.prepare_folder; print({'torch', 'numpy', 'skimage', 'PIL'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.process
def test_preparing_needs_no_torch():
    code = "import sys, activmask.data.sources.folder.prepare; "
    code += "print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False True"


@pytest.fixture(scope="module")
def fuzzed(tmp_path_factory) -> Folder:
    made = Folder(tmp_path_factory.mktemp("fuzzed"))
    for k, name in enumerate(("a.png", "b.tif", "c.jpg", "d.png")):
        made.image(name, grey(50 * k))
    made.mask("a.png", half())
    made.table("file_name,label,split", "a.png,0,train", "b.tif,1,test", "c.jpg,1,train", "d.png,0,valid")
    return made


@pytest.mark.process
@settings(max_examples=200)
@given(
    which=st.sampled_from(["images/a.png", "images/b.tif", "images/c.jpg", "masks/a.png", "labels.csv"]),
    edits=st.lists(st.tuples(st.integers(0, 500), st.integers(0, 255)), max_size=4),
    keep=st.one_of(st.just(1.0), st.floats(0, 1)),
    size=st.sampled_from([None, 5]),
)
def test_damaged_input_is_skipped_or_a_user_failure(fuzzed, which, edits, keep, size):
    path = fuzzed.labels.parent / which
    whole = path.read_bytes()
    damaged = bytearray(whole)
    for place, value in edits:
        damaged[place % len(damaged)] = value
    path.write_bytes(damaged[: round(keep * len(damaged))])
    try:
        fuzzed.prepare(overwrite=True, size=size)
        load_samples(fuzzed.written(), range(len(fuzzed.written())))
    except ActivmaskError:
        pass
    finally:
        path.write_bytes(whole)
    assert {entry.name for entry in fuzzed.labels.parent.iterdir()} <= {
        "images",
        "masks",
        "labels.csv",
        "out",
    }
