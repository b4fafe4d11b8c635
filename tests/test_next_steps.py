"""Every printed next step works as it is printed, or what is missing is said instead."""

import shlex

import pytest
from in_process import told
from user_folder import Folder, grey, half

from activmask.data.splits import SPLITS


def next_steps(said: str) -> list[str]:
    return [line.removeprefix("next: activmask ") for line in said.splitlines() if line.startswith("next: ")]


def follow(said: str, cwd) -> int:
    """Do the next steps, training for one epoch, until there are none; how many there were."""
    done = 0
    while steps := next_steps(said):
        [step] = steps
        quick = ["--epochs", 1, "--threads", 1, "--device", "cpu"] if step.startswith("train") else []
        said = told(*shlex.split(step), *quick, cwd=cwd).stdout
        done += 1
    return done


@pytest.mark.process
def test_after_make_synthetic(tmp_path):
    usual = ["--n", 4, "--valid", 4, "--test", 4]
    made = told("make-synthetic", *usual, "--out", "my crosses", cwd=tmp_path)
    assert follow(made.stdout, tmp_path) == 2


@pytest.mark.process
def test_after_plant(tmp_path):
    told(
        "make-synthetic",
        "--n",
        8,
        "--valid",
        4,
        "--test",
        4,
        "--no-distractor",
        "--out",
        "crosses",
        cwd=tmp_path,
    )
    flags = ("--shortcut", "tag", "--class", "one cross", "--share", 0.75, "--out", "my planted")
    made = told("plant", "crosses", *flags, cwd=tmp_path).stdout
    assert " ".join(made.split()).count("3 of 4") == 1
    assert follow(made, tmp_path) == 2


@pytest.mark.process
def test_after_a_benchmark_of_very_few_images(tmp_path):
    usual = ["--n", 2, "--valid", 2, "--test", 2]
    made = told("make-synthetic", *usual, "--out", "few", cwd=tmp_path)
    assert follow(made.stdout, tmp_path) == 2 or "training cannot begin with these images: " in made.stdout


def prepared(root, lines, *options):
    folder = Folder(root)
    for number, line in enumerate(lines):
        name = line.split(",")[0]
        folder.image(name, grey(10 * number, side=28))
        folder.mask(name, half(28))
    folder.table("file_name,label,split" if lines[0].count(",") == 2 else "file_name,label", *lines)
    given = ["images", "--masks", "masks", "--labels", "labels.csv", "--out", "out", *options]
    return told("prepare-folder", *given, cwd=root).stdout


@pytest.mark.process
def test_after_a_folder_with_splits(tmp_path):
    said = prepared(tmp_path, [f"{split}{label}.png,{label},{split}" for split in SPLITS for label in (0, 1)])
    assert follow(said, tmp_path) == 2


@pytest.mark.parametrize("missing", ["valid0", "test1", "train0"])
def test_after_a_folder_of_which_a_split_lacks_a_class(tmp_path, missing):
    names = [f"{split}{label}" for split in SPLITS for label in (0, 1)]
    rows = [f"{name}.png,{name[-1]},{name[:-1]}" for name in names if name != missing]
    said = prepared(tmp_path, rows)
    assert not next_steps(said)
    assert f"training cannot begin with these images: the split {missing[:-1]}" in said.replace(
        f"the {missing[:-1]} split", f"the split {missing[:-1]}"
    )


@pytest.mark.parametrize("images", [2, 4])
def test_after_a_folder_of_few_images(tmp_path, images):
    said = prepared(tmp_path, [f"{k}.png,{k % 2}" for k in range(images)])
    assert not next_steps(said)
    assert "training cannot begin with these images: " in said
