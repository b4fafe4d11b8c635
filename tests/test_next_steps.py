"""Every printed next step works as it is printed, or what is missing is said instead."""

import shlex

import numpy as np
import pytest
from activmask_cli.preparing import next_step
from in_process import told
from msd_files import Decathlon, organ
from user_folder import Folder, grey, half
from xray_files import Collections

from activmask.data import dataset
from activmask.data.dataset import read_dataset
from activmask.data.sources.synthetic.drawing import SyntheticSpec
from activmask.data.sources.synthetic.prepare import make_synthetic
from activmask.data.splits import SPLITS
from activmask.runs.making import make_config
from activmask.training import cost, readiness
from activmask.training.cost import image_operations, quick_form

QUICK = ("--epochs", 1, "--width", 4, "--threads", 1, "--device", "cpu")


def next_steps(said: str) -> list[str]:
    return [line.removeprefix("next: activmask ") for line in said.splitlines() if line.startswith("next: ")]


def steps(said: str) -> list[str]:
    told_of = ("next: activmask ", "then: activmask ")
    return [line.partition("activmask ")[2] for line in said.splitlines() if line.startswith(told_of)]


def follow(said: str, cwd) -> int:
    """Do the next steps, training a narrow network for one epoch, until there are none; how many."""
    done = 0
    while found := next_steps(said):
        [step] = found
        quick = QUICK if step.startswith("train") else []
        said = told(*shlex.split(step), *quick, cwd=cwd).output
        done += 1
    return done


@pytest.mark.process
def test_after_make_synthetic(tmp_path):
    usual = ["--n", 4, "--valid", 4, "--test", 4]
    made = told("make-synthetic", *usual, "--out", "my crosses", cwd=tmp_path)
    assert follow(made.output, tmp_path) == 3


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
    made = told("plant", "crosses", *flags, cwd=tmp_path).output
    assert " ".join(made.split()).count("3 of 4") == 1
    assert follow(made, tmp_path) == 3


@pytest.mark.process
def test_after_a_benchmark_of_very_few_images(tmp_path):
    usual = ["--n", 2, "--valid", 2, "--test", 2]
    made = told("make-synthetic", *usual, "--out", "few", cwd=tmp_path)
    assert follow(made.output, tmp_path) == 3 or "training cannot begin with these images: " in made.output


def prepared(root, lines, *options):
    folder = Folder(root)
    for number, line in enumerate(lines):
        name = line.split(",")[0]
        folder.image(name, grey(10 * number, side=28))
        folder.mask(name, half(28))
    folder.table("file_name,label,split" if lines[0].count(",") == 2 else "file_name,label", *lines)
    given = ["images", "--masks", "masks", "--labels", "labels.csv", "--out", "out", *options]
    return told("prepare-folder", *given, cwd=root).output


@pytest.mark.process
def test_after_a_folder_with_splits(tmp_path):
    said = prepared(tmp_path, [f"{split}{label}.png,{label},{split}" for split in SPLITS for label in (0, 1)])
    assert follow(said, tmp_path) == 3


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


@pytest.mark.process
def test_after_slices_of_computed_tomography(tmp_path):
    task = Decathlon(tmp_path / "Task06_Lung").described(name="Lung")
    for k in range(5):
        task.case(f"lung_{k}", label=organ())
    made = told("prepare-msd", "Task06_Lung", "--size", 28, "--out", "my slices", cwd=tmp_path)
    assert "--split-policy subject" in next_steps(made.output)[0]
    assert follow(made.output, tmp_path) == 3


@pytest.mark.process
@pytest.mark.parametrize("sites", [("nih", "padchest"), ("nih",)])
def test_after_chest_x_rays(tmp_path, sites):
    made = Collections(tmp_path, n=8)
    folders = [word for site in sites for word in (f"--{site}", getattr(made, site))]
    said = told("prepare-xray", *folders, "--size", 128, "--out", "my x-rays", cwd=tmp_path).output
    assert ("--split-policy subject" in next_steps(said)[0]) == (len(sites) == 1)
    assert follow(said, tmp_path) == 3


@pytest.mark.process
@pytest.mark.parametrize("size", [(), ("--size", 32)])
def test_after_images_that_are_not_square(tmp_path, size):
    folder = Folder(tmp_path)
    names = [f"{split}{label}" for split in SPLITS for label in (0, 1)]
    for k, name in enumerate(names):
        folder.image(f"{name}.png", np.full((40, 28), 20 * k, np.uint8))
    folder.table("file_name,label,split", *(f"{name}.png,{name[-1]},{name[:-1]}" for name in names))
    given = ["images", "--labels", "labels.csv", "--out", "out", *size]
    said = told("prepare-folder", *given, cwd=tmp_path).output
    square = "but training needs square ones; --size PX --overwrite makes them so"
    assert follow(said, tmp_path) == 3 or (not size and square in " ".join(said.split()))


GRID = """
name = "tiny"
[base]
data = "crosses"
model = "cnn"
width = 4
epochs = 1
device = "cpu"
threads = 1
[axes.method]
"plain" = {}
"""


@pytest.mark.process
@pytest.mark.usefixtures("inline_sweeps")
def test_after_a_sweep_both_its_steps(tmp_path):
    told(
        "make-synthetic", "--n", 4, "--valid", 4, "--test", 4, "--size", 32, "--out", "crosses", cwd=tmp_path
    )
    (tmp_path / "grid.toml").write_text(GRID)
    said = told("sweep", "grid.toml", "--out", "my runs", cwd=tmp_path).output
    assert [step.split()[0] for step in steps(said)] == ["table", "report"]
    for step in steps(said):
        told(*shlex.split(step), cwd=tmp_path)
    assert "plain" in (tmp_path / "report/index.html").read_text()


@pytest.mark.process
@pytest.mark.usefixtures("inline_sweeps")
def test_after_several_shares_both_steps(tmp_path):
    sizes = ("--n", 8, "--valid", 4, "--test", 4, "--size", 32, "--no-distractor")
    told("make-synthetic", *sizes, "--out", "crosses", cwd=tmp_path)
    planting = ("--shortcut", "tag", "--class", 1, "--share", "0.5,1", "--out", "my doses")
    said = told("plant", "crosses", *planting, cwd=tmp_path).output
    sweep, report = steps(said)
    assert (sweep.split()[0], report.split()[0]) == ("sweep", "report")
    quick = ("--seeds", 1, "--epochs", 1, "--set", "width=2", "--set", "threads=1", "--device", "cpu")
    told(*shlex.split(sweep), *quick, cwd=tmp_path)
    told(*shlex.split(report), "--device", "cpu", cwd=tmp_path)
    assert "my doses" in (tmp_path / "report/index.html").read_text()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a data set and a finished run of it."""
    root = tmp_path_factory.mktemp("trained")
    told("make-synthetic", "--n", 8, "--valid", 4, "--test", 4, "--out", "crosses", cwd=root)
    quick = ("--model", "cnn", "--width", 2, "--epochs", 1, "--threads", 1, "--device", "cpu")
    told("train", "--data", "crosses", *quick, "--out", "my runs/plain", cwd=root)
    return root


NETWORK = "my runs/plain/seed-0/best.safetensors"


@pytest.mark.process
@pytest.mark.parametrize(
    ("command", "step"),
    [
        (("table", "my runs"), ["report", "my runs"]),
        (("table", "my runs", "--format", "markdown"), ["report", "my runs"]),
        (("table", "my runs", "--json"), []),
        (("table", "my runs", "--format", "csv"), []),
        (("saliency", NETWORK, "--out", "maps"), ["report", "my runs/plain"]),
        (("saliency", NETWORK, "--out", "maps", "--json"), []),
        (("audit", "--model", NETWORK, "--without", "clinic"), ["--report", "page"]),
        (("audit", "--model", NETWORK, "--without", "clinic", "--json"), []),
        (("audit", "--model", NETWORK, "--without", "clinic", "--report", "written"), []),
        (("report", "my runs"), []),
    ],
)
def test_after_what_is_looked_at(trained, command, step, monkeypatch):
    monkeypatch.setattr("sys.argv", ["activmask", *command])
    said = told(*command, cwd=trained)
    assert "next: " not in said.stdout
    found = [shlex.split(one) for one in next_steps(said.stderr)]
    whole = [[*command, *step] if command[0] == "audit" else step] if step else []
    assert found == whole


@pytest.mark.process
def test_nothing_comes_after_the_maps_of_a_network_that_is_no_run_s(trained, tmp_path):
    (tmp_path / "net.safetensors").write_bytes((trained / NETWORK).read_bytes())
    said = told("saliency", "net.safetensors", trained / "crosses/images/Test-000000.png", cwd=tmp_path)
    assert not next_steps(said.output)


@pytest.mark.process
def test_a_hint_is_quick_and_says_what_the_whole_would_cost(tmp_path):
    made = told(
        "make-synthetic", "--n", 64, "--valid", 4, "--test", 4, "--out", "crosses", cwd=tmp_path
    ).output
    [step] = next_steps(made)
    assert step == "train --model resnet18 --actdiff 10 --data crosses --epochs 20"
    assert "without --epochs 20 it trains 500 epochs, about 29 min a seed" in " ".join(made.split())


def test_the_table_is_read_once_for_it(tmp_path, monkeypatch):
    make_synthetic(SyntheticSpec(n=4, valid=4, test=4), tmp_path / "crosses")
    read = []
    for module in (dataset, cost, readiness):
        monkeypatch.setattr(
            module, "read_dataset", lambda root, **how: read.append(root) or read_dataset(root, **how)
        )
    monkeypatch.setattr(readiness, "SMALL", 0)
    step = next_step(tmp_path / "crosses", {"model": "cnn", "width": 4})
    assert "--data" in step.train
    assert read == [tmp_path / "crosses"]


def test_operations_are_those_of_the_layers():
    """A convolution of 3 x 3 px: 2 x 9 operations a pair of channels and px, thrice with its derivatives."""
    plain = make_config(model="cnn", width=4)
    one = image_operations(plain, 1, 32, 2)
    sides, widths = (32, 16, 8, 4), (1, 4, 8, 16, 32)
    per_block = [
        2 * 9 * side**2 * (before * after + after * after)
        for side, before, after in zip(sides, widths, widths[1:], strict=False)
    ]
    # Nobody asks for the derivative by the image, and the head is a matrix of 2 x 512.
    expected = 3 * sum(per_block) - 2 * 9 * 32**2 * 4 + 3 * 2 * 2 * 512
    assert one == pytest.approx(expected, rel=0.01)
    assert image_operations(make_config(model="cnn", width=4, actdiff=1.0), 1, 32, 2) == 2 * one
    assert image_operations(make_config(model="cnn", width=4, gradmask=1.0), 1, 32, 2) == 3 * one


@pytest.mark.parametrize(
    ("seconds", "settings"),
    [
        (0.2, {}),
        (1.0, {"epochs": 20}),
        (20.0, {"epochs": 20, "width": 16}),
        (4000.0, {"epochs": 2, "width": 16}),
    ],
)
def test_a_quick_form_has_as_many_epochs_as_fit(tmp_path, monkeypatch, seconds, settings):
    told("make-synthetic", "--n", 4, "--valid", 4, "--test", 4, "--out", "crosses", cwd=tmp_path)
    monkeypatch.chdir(tmp_path)

    def operations(config, **_):
        narrow = 1 / 80 if config.network.width == 16 else 1
        return seconds * narrow * cost.PER_SECOND / 4

    monkeypatch.setattr(cost, "image_operations", operations)
    found = quick_form(make_config(data="crosses"))
    assert found.settings == settings
    assert found.seconds == pytest.approx(500 * seconds)
