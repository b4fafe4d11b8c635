"""`activmask audit` as a user and as a script meet it: from a folder of pictures and masks to the page."""

import csv
import io
import json
import os
import sys

import pytest
from activmask_cli import console
from activmask_cli.app import app
from activmask_cli.streams import PIPE_CLOSED, Stream
from audited_models import ReadsTheCorner, write_folder
from in_process import told
from safetensors.torch import save_file
from tiny_checkpoints import write_checkpoint

pytestmark = pytest.mark.process

NET = """
import torch, torchvision

class Net(torchvision.models.ResNet):
    def __init__(self):
        block = torchvision.models.resnet.BasicBlock
        super().__init__(block, [1, 1, 1, 1], num_classes=2)

def make():
    torch.manual_seed(0)
    return Net()

def one_logit():
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(256, 1))

class Talkative(torch.nn.Linear):
    def forward(self, images):
        print("a pass")
        return super().forward(images.flatten(1))

def talkative():
    print("making a network")
    return Talkative(256, 1)

def broken():
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(7, 2))

def halved(images):
    return images.expand(-1, 3, -1, -1) / 2
"""
READS = """
from audited_models import ReadsTheCorner as make

class Turned(make):
    def forward(self, images):
        return super().forward(images).flip(1)

turned = Turned
"""
CLASSES = {"class_names": ("healthy", "ill")}
QUICK = ("--without", "leaks", "--without", "looks", "--draws", 1)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    root = write_folder(tmp_path_factory.mktemp("audit"))
    command = ("prepare-folder", "images", "--masks", "masks", "--labels", "labels.csv", "--out", "own")
    hint = "activmask audit --data own --model net.py:make --weights net.safetensors\n"
    assert hint in told(*command, cwd=root).stderr
    (root / "net.py").write_text(NET)
    (root / "reads.py").write_text(READS)
    save_file(ReadsTheCorner().state_dict(), root / "reads.safetensors")
    return root


@pytest.fixture(scope="module")
def read(place):
    """The network that reads the corner, with every way out at once."""
    return told(
        "audit",
        "--data",
        "own",
        "--model",
        "reads.py:make",
        "--weights",
        "reads.safetensors",
        "--report",
        "page",
        "--predictions",
        "said.csv",
        "--without",
        "leaks",
        "--draws",
        2,
        cwd=place,
    )


def test_the_verdict_comes_first_and_talk_goes_to_stderr(read):
    lines = read.stdout.splitlines()
    assert lines[0].startswith("reads.py:make on the test split of own: 32 images of 16 subjects")
    assert lines[1] == "Images were shown to the model as [0, 1], nothing subtracted."
    assert lines[2].startswith("Verdict: ")
    assert "background" in lines[2]
    assert "wrote page/index.html" in read.stderr
    assert "note: " in read.stderr
    assert "note: " not in read.stdout
    for title in ("Conditions", "Inside the masks", "Scores", "Confusion matrix", "By sex"):
        assert title in read.stdout
    assert "by Youden's index on 16 validation images" in read.stdout


def test_the_page_and_its_files_lie_in_one_folder(read, place):
    page = (place / "page/index.html").read_text()
    assert {path.name for path in (place / "page").iterdir()} == {
        "index.html",
        "figures",
        "tables",
        "audit.json",
        "predictions.csv",
    }
    numbers = json.loads((place / "page/audit.json").read_text())
    assert numbers["verdict"][0] in page
    assert f"Verdict: {numbers['conditions']['verdict']['finding']}." in page
    assert numbers["preprocessing"] == "as [0, 1], nothing subtracted"
    assert "Images are shown to the model as [0, 1], nothing subtracted" in page
    assert (place / "said.csv").read_bytes() == (place / "page/predictions.csv").read_bytes()


def test_predictions_are_of_each_image_condition_and_draw(read, place):
    with (place / "said.csv").open() as file:
        rows = list(csv.DictReader(file))
    full = [row for row in rows if row["condition"] == "full"]
    assert len(full) == 32
    assert {row["split"] for row in full} == {"test"}
    assert sum(row["condition"] == "outside shuffled" for row in rows) == 2 * 32
    assert all(float(row["score ill"]) + float(row["score healthy"]) == pytest.approx(1) for row in rows)
    assert all((float(row["score ill"]) > 0.5) == (row["label"] == "1") for row in full)


def test_json_stands_alone_on_stdout(place):
    result = told("audit", "--data", "own", "--model", "net.py:one_logit", "--json", *QUICK, cwd=place)
    found = json.loads(result.stdout)
    assert found["clinic"]["n"] == 32
    assert found["leaks"] is None


def test_what_the_users_code_prints_is_no_result(place):
    result = told("audit", "--data", "own", "--model", "net.py:talkative", "--json", *QUICK, cwd=place)
    assert json.loads(result.stdout)["images"]
    assert "making a network" in result.stderr
    assert "a pass" in result.stderr


def test_a_torchvision_network_of_three_channels_is_audited(place):
    command = ("audit", "--data", "own", "--model", "net.py:make", "--split", "all", "--json", *QUICK)
    result = told(*command, cwd=place)
    assert "repeated to the 3 channels" in result.stderr
    assert json.loads(result.stdout)["images"] == 48
    scaled = told(*command, "--scale", 255, "--mean", "1,2,3", "--std", "4", cwd=place)
    halved = told(*command, "--preprocess", "net.py:halved", cwd=place)
    ways = [json.loads(one.stdout)["preprocessing"] for one in (result, scaled, halved)]
    assert ways == [
        "3 channels, as [0, 1], nothing subtracted",
        "3 channels, multiplied by 255, mean 1, 2, 3, std 4",
        "as a function of the user's makes them",
    ]
    answers = {json.dumps(json.loads(one.stdout)["clinic"]) for one in (result, scaled, halved)}
    assert len(answers) == 3


def test_a_checkpoint_of_ours_is_audited_on_the_data_it_is_told(place):
    path = write_checkpoint(place / "runs/x/seed-0/best.safetensors", side=16, described=CLASSES)
    command = ("audit", "--data", "own", "--model", path, "--json", *QUICK)
    assert "prepared otherwise" in told(*command, cwd=place, code=3).stderr
    result = told(*command, "--accept-recipe", cwd=place)
    found = json.loads(result.stdout)
    assert (found["split"], found["images"]) == ("test", 32)
    assert found["clinic"]["columns"][0]["name"] == "sex"
    other = write_checkpoint(place / "runs/x/seed-1/best.safetensors", side=16, seed=1, described=CLASSES)
    refused = told("audit", "--data", "own", "--model", "runs/x", cwd=place, code=2)
    assert "holds 2 checkpoints" in refused.stderr
    assert other.name in refused.stderr


def test_an_auc_below_chance_names_the_flag_that_turns_the_classes_round(place):
    command = ("audit", "--data", "own", "--model", "reads.py:turned", "--weights", "reads.safetensors")
    turned = told(*command, "--json", *QUICK, cwd=place)
    assert json.loads(turned.stdout)["conditions"]["rows"][0]["auc"]["value"] == 0
    note = (
        "lies below chance: where the model numbers the two classes the other way round, --class-outputs 1,0"
    )
    assert note in " ".join(turned.stderr.split())
    right = told(*command, "--class-outputs", "1,0", "--json", *QUICK, cwd=place)
    assert json.loads(right.stdout)["conditions"]["rows"][0]["auc"]["value"] == 1
    assert "below chance" not in right.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        ((), 2, "Usage"),
        (("--data", "own"), 2, "--model says what is to be audited"),
        (("--data", "own", "--model", "nothing"), 2, "there is no classifier 'nothing'"),
        (("--model", "net.py:make"), 2, "knows by itself; give the data set's folder as --data"),
        (("--model", "runs/nowhere"), 3, "runs/nowhere does not exist"),
        (("--data", "nowhere", "--model", "net.py:make"), 3, "does not exist"),
        (("--data", "own", "--model", "net.py:broken"), 3, "fails on images of 16 x 16 px"),
        (("--data", "own", "--model", "net.py:make", "--mean", "x"), 2, "--mean takes numbers"),
        (("--data", "own", "--model", "net.py:make", "--preprocess", "x"), 2, "file.py:function"),
        (("--data", "own", "--model", "net.py:make", "--without", "lokks"), 2, "no part 'lokks'"),
        (("--data", "own", "--model", "net.py:make", "--report", "images"), 2, "not a page of an audit"),
        (("--data", "own", "--model", "net.py:make", "--report", "labels.csv/page"), 3, "page of an audit"),
        (("--data", "own", "--model", "net.py:make", "--report", "x" * 300), 3, "name too long"),
        (
            ("--data", "own", "--model", "net.py:make", "--predictions", f"{'x' * 300}.csv"),
            3,
            "name too long",
        ),
        (("--data", "own", "export"), 2, "stands before the command export"),
    ],
)
def test_wrong_words_get_one_sentence(place, arguments, code, said):
    result = told("audit", *arguments, cwd=place, code=code)
    assert said in " ".join((result.stderr + result.stdout).split())
    assert "Traceback" not in result.stderr
    # Refused before anything was computed, so nothing was found.
    assert "Verdict" not in result.stdout


def test_help_and_the_commands_beside_it(place):
    text = told("audit", "--help", cwd=place).stdout
    assert "Example: activmask audit" in " ".join(text.split())
    assert "export" in text
    assert "--draws" in told("audit", "export", "--help", cwd=place).stdout


def test_a_reader_who_left_takes_no_file_with_him(place, tmp_path, monkeypatch):
    """As with `--json | head -1`, of an audit that is longer than the pipe."""
    reading, writing = os.pipe()
    os.close(reading)
    monkeypatch.chdir(place)
    stream = io.TextIOWrapper(io.BufferedWriter(Stream(writing, console.tell_error)), "utf-8")
    monkeypatch.setattr(sys, "stdout", stream)
    model = ("--model", "reads.py:make", "--weights", "reads.safetensors", "--outputs", "logits")
    words = ("audit", "--data", "own", *model, *QUICK, "--json", "--predictions", tmp_path / "said.csv")
    with pytest.raises(SystemExit) as end:
        app([str(word) for word in words])
    assert end.value.code == PIPE_CLOSED
    assert (tmp_path / "said.csv").stat().st_size > 0
    os.close(writing)
