"""A network that a user's own function makes, from training to an audit, and what is refused of one."""

import json
import os
import py_compile
import shutil
import signal
import sys
import textwrap
from contextlib import chdir

import pytest
import torch
from held_processes import held, last_words
from in_process import told
from objective_settings import OBJECTIVES

import activmask as am
from activmask.data.sources.synthetic.drawing import SyntheticSpec
from activmask.data.sources.synthetic.prepare import make_synthetic
from activmask.ground.errors import CheckpointError, DataError, UsageError
from activmask.models.build import build_model
from activmask.models.settings import Network
from activmask.models.weights import start_from
from activmask.runs.making import make_config
from activmask.runs.names import model_name, run_name

NET = """
    from torch import nn

    def make(outputs=10, channels_first=3):
        print("own code talks")
        return nn.Sequential(
            nn.Conv2d(channels_first, 6, 3, stride=2),
            nn.BatchNorm2d(6),
            nn.ReLU(inplace=True),
            nn.Dropout(0.2),
            nn.Conv2d(6, 6, 3),
            nn.ReLU(inplace=True),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(6, outputs),
        )

    def one_logit():
        return make(1, 1)

    def fitting(classes, *, channels):
        return make(classes, channels)
"""
SMALL = ("--data", "d", "--batch-size", 16, "--lr", "0.01", "--device", "cpu", "--threads", 1)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A small data set, and a file of a user's."""
    folder = tmp_path_factory.mktemp("own")
    make_synthetic(SyntheticSpec(n=32, valid=16, test=16), folder / "d")
    (folder / "net.py").write_text(textwrap.dedent(NET))
    return folder


@pytest.fixture(scope="module")
def trained(place):
    """The end of two epochs of it, and what training said."""
    command = ("train", *SMALL, "--model", "net.py:make", "--actdiff", 1, "--epochs", 2)
    said = told(*command, "--seeds", "0,1", "--out", "run", cwd=place)
    return place / "run", said


def built(file, function, **facts):
    sizes = {"channels": 1, "classes": 2, "image_size": 16, "seed": 0, **facts}
    return build_model(Network(model=f"{file}:{function}"), **sizes)


def code(tmp_path, text):
    file = tmp_path / "net.py"
    file.write_text(textwrap.dedent(text))
    return file


@pytest.mark.process
def test_it_trains_under_actdiff_and_what_was_fitted_is_told(trained):
    run, said = trained
    note = " ".join(said.stderr.split())
    assert "the first convolution of net.py:make, 0, took 3 channels, whose weights are summed to one" in note
    assert "the last layer of net.py:make, 8, had 10 outputs and is a new one of 2" in note
    assert "own code talks" not in said.stdout
    assert said.stderr.endswith("next: activmask evaluate run --code net.py\n")
    history = (run / "seed-0" / "history.csv").read_text().splitlines()
    assert "loss_actdiff" in history[0]
    assert len(history) == 3
    described = json.loads((run / "seed-0" / "run.json").read_text())
    assert described["built_from"].keys() == {"code"}
    first, second = (
        am.load_checkpoint(run / f"seed-{k}" / "last.safetensors", code=[run.parent / "net.py"])
        for k in (0, 1)
    )
    assert not torch.equal(first.model.network[0].weight, second.model.network[0].weight)


@pytest.mark.process
def test_killed_and_resumed_it_ends_with_the_same_bytes(place, trained):
    straight, _ = trained
    command = ["-m", "activmask_cli.app", "train", *SMALL, "--model", "net.py:make", "--actdiff", 1]
    command = [sys.executable, *map(str, [*command, "--epochs", 2, "--seeds", 0, "--out", "killed"])]
    with held(command, "os.rename", "history.csv", cwd=place) as program:
        program.send_signal(signal.SIGKILL)
        last_words(program)
    assert not (place / "killed/seed-0/last.safetensors").exists()
    told(*command[3:], "--resume", cwd=place)
    for name in ("best.safetensors", "last.safetensors"):
        found = (place / "killed/seed-0" / name).read_bytes()
        assert found == (straight / "seed-0" / name).read_bytes()


@pytest.mark.process
def test_its_checkpoints_run_code_only_where_it_is_named_and_the_same(place, trained, tmp_path):
    run, _ = trained
    best = run / "seed-0" / "best.safetensors"
    refused = told("evaluate", best, cwd=place, code=3)
    assert "is made by net.py:make, and code runs only where you name it" in refused.stderr
    assert "own code talks" not in refused.output
    scored = told("evaluate", best, "--code", "net.py", "--json", cwd=place)
    assert json.loads(scored.stdout)  # What the code prints is not in it.
    assert not (best.parent / "evaluations.json").exists()  # What it imports may change unseen.
    moved = tmp_path / "elsewhere.py"
    shutil.copy(place / "net.py", moved)
    assert am.load_checkpoint(str(best), code=[str(moved)]).classes == 2
    moved.write_text(moved.read_text() + "\n")
    with pytest.raises(CheckpointError, match=r"made by another net\.py than that which is named"):
        am.load_checkpoint(best, code=[moved])


@pytest.mark.process
def test_it_is_explained_audited_and_reported(place, trained):
    run, _ = trained
    best, image = run / "seed-0" / "best.safetensors", am.read_dataset(place / "d").file_names[0]
    shutil.copy(place / "d" / image, place / "picture.png")
    told("saliency", best, "picture.png", "--code", "net.py", "--method", "gradcam", cwd=place)
    assert (place / "picture.saliency.png").is_file()
    quick = ("--without", "looks", "--without", "leaks", "--draws", 1, "--json")
    audited = told("audit", "--model", best, "--code", "net.py", *quick, cwd=place)
    assert json.loads(audited.stdout)
    page = told("report", "run", "--code", "net.py", "--out", "page", cwd=place).stdout.strip()
    html = (place / page).read_text(encoding="utf-8")
    assert "net:make" in html
    assert "code runs only where you name it" not in html
    [own] = am.find_runs([run])
    assert model_name(own.config) == "net:make"


@pytest.mark.process
def test_a_changed_file_is_no_longer_the_runs(place, trained):
    run, _ = trained
    shutil.copytree(run, place / "again")
    command = ("train", *SMALL, "--model", "net.py:make", "--actdiff", 1, "--seeds", 0, "--out", "again")
    before = (place / "net.py").read_text()
    (place / "net.py").write_text(before + "\n")
    try:
        finished = told(*command, "--epochs", 2, cwd=place, code=2)
        assert "holds a finished run of another network (net.py is no longer what it was)" in finished.stderr
        more = told(*command, "--epochs", 3, "--resume", cwd=place, code=2)
        assert "run of another network (net.py is no longer what it was)" in more.stderr
    finally:
        (place / "net.py").write_text(before)


@pytest.mark.process
@pytest.mark.parametrize(
    "settings", [one for one in OBJECTIVES.values() if not {"model", "cdep"} & one.keys()], ids=str
)
def test_every_objective_trains_it(place, tmp_path, settings):
    epochs = 2 if "warmup" in settings else 1
    with chdir(place):
        config = make_config(
            data="d", model="net.py:one_logit", epochs=epochs, device="cpu", threads=1, **settings
        )
        [found] = am.train(config, out=tmp_path / "run")
    assert 0 <= found.metrics["test"]["auc"] <= 1


def test_a_function_is_told_what_it_asks_for(place):
    network = built(place / "net.py", "fitting", channels=3, classes=4)
    assert network.notes == ()
    assert network(torch.rand(2, 3, 16, 16)).logits.shape == (2, 4)


def test_one_logit_speaks_for_class_one(place):
    model = built(place / "net.py", "one_logit").eval()
    images = torch.rand(3, 1, 16, 16)
    logit = model.network(images)
    torch.testing.assert_close(model(images).logits, torch.cat([-logit / 2, logit / 2], dim=1))
    assert "taken for the logit of class 1" in model.notes[-1]
    assert built(place / "net.py", "one_logit", classes=3)(images).logits.shape == (3, 3)


def test_summed_colours_answer_as_repeated_grey_does(place):
    (colour, grey) = (built(place / "net.py", "make", channels=c, seed=3) for c in (3, 1))
    images = torch.rand(2, 1, 16, 16)
    first = colour.network[0](images.repeat(1, 3, 1, 1))
    torch.testing.assert_close(grey.network[0](images), first)


def test_a_network_that_repeats_grey_itself_is_left_as_it_is_and_starts_from_its_weights(tmp_path):
    file = code(
        tmp_path,
        """
        from torch import nn
        class Repeats(nn.Module):
            def __init__(self):
                super().__init__()
                self.layers = nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
            def forward(self, images):
                return self.layers(images.expand(-1, 3, -1, -1))
        make = Repeats
        """,
    )
    model = built(file, "make")
    assert model.notes == ()
    weights = {name: torch.rand_like(tensor) for name, tensor in model.network.state_dict().items()}
    notes = start_from(model.network, weights, tmp_path / "w", "it", head="layers.0")
    assert all(torch.equal(tensor, weights[name]) for name, tensor in model.network.state_dict().items())
    assert notes == [
        f"2 of the 2 tensors of {tmp_path / 'w'} are taken over, the last layer layers.0 among them"
    ]


def test_a_network_that_writes_to_its_images_gets_copies(tmp_path):
    file = code(
        tmp_path,
        """
        from torch import nn
        class Writes(nn.Module):
            def __init__(self):
                super().__init__()
                self.layers = nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
            def forward(self, images):
                return self.layers(images.sub_(0.5))
        make = Writes
        """,
    )
    images = torch.full((2, 1, 16, 16), 0.75)
    built(file, "make")(images)
    assert (images == 0.75).all()


def test_a_function_that_seeds_itself_is_told(tmp_path):
    text = "import torch\nfrom torch import nn\ndef make():\n    torch.manual_seed(0)\n"
    file = code(tmp_path, f"{text}    return nn.Sequential(nn.Flatten(), nn.Linear(256, 2))")
    assert "gives every seed the same initial weights" in built(file, "make").notes[0]
    with torch.random.fork_rng():
        torch.manual_seed(9)
        expected = torch.rand(1)
        torch.manual_seed(9)
        built(file, "make")
        assert torch.equal(torch.rand(1), expected)  # Nobody else's draws are touched.


@pytest.mark.process
def test_weights_that_layers_share_are_saved_and_read(place, tmp_path):
    file = code(
        tmp_path,
        """
        from torch import nn
        def make():
            four = nn.Linear(784, 4), nn.Linear(4, 4), nn.Linear(4, 4)
            net = nn.Sequential(nn.Flatten(), *four, nn.Linear(4, 2))
            net[3].weight = net[2].weight
            return net
        """,
    )
    config = make_config(data=str(place / "d"), model=f"{file}:make", epochs=1, device="cpu", threads=1)
    [found] = am.train(config, out=tmp_path / "run")
    model = am.load_checkpoint(found.folder / "best.safetensors", code=[file]).model.network
    assert model[3].weight is model[2].weight


def _scores(returned: str, more: str = "") -> str:
    """Code of a network of one layer that returns something else than its scores."""
    return (
        "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        f"        self.one = nn.Linear(256, 2)\n{more}"
        f"    def forward(self, x): return {returned}\nmake = Net"
    )


REFUSED = {
    "has lazy layers": "def make(): return nn.Sequential(nn.Flatten(), nn.LazyLinear(2))",
    "returns the same network, or weights of it": "NET = nn.Linear(256, 2)\ndef make(): return NET",
    "makes other initial weights when it is called again": (
        "import numpy\ndef make():\n    net = nn.Sequential(nn.Flatten(), nn.Linear(256, 2))\n"
        "    nn.init.constant_(net[1].bias, float(numpy.random.rand()))\n    return net"
    ),
    "needs the argument width": "def make(width): return None",
    "has no weights that could be trained": "def make(): return nn.Flatten()",
    "of every image add up to 1, as probabilities do": (
        "def make(): return nn.Sequential(nn.Flatten(), nn.Linear(256, 2), nn.Softmax(1))"
    ),
    "lie in [0, 1], as probabilities do": (
        "def make(): return nn.Sequential(nn.Flatten(), nn.Linear(256, 1), nn.Sigmoid())"
    ),
    "add up to 1, as probabilities do, and training needs logits; leave out the softmax": _scores(
        "self.one(x.flatten(1)).softmax(1)"
    ),
    "lie in [0, 1], as probabilities do, and training needs logits; leave out the sigmoid": _scores(
        "self.one(x.flatten(1))[:, :1].sigmoid().squeeze(1)"
    ),
    "computes with 2 tensors of weights that it does not hold": (
        "OUTSIDE = nn.Linear(256, 4)\n" + _scores("self.one(OUTSIDE(x.flatten(1)).repeat(1, 64))")
    ),
    "computes with 1 tensor of weights that it does not hold": _scores(
        "self.one(self.more[0](x.flatten(1)))",
        "        self.more = [nn.Linear(256, 256, bias=False)]\n",
    ),
    "must be float32": "def make(): return nn.Sequential(nn.Flatten(), nn.Linear(256, 2)).double()",
    "was told 2 classes and has 5 outputs": (
        "def make(classes): return nn.Sequential(nn.Flatten(), nn.Linear(256, 5))"
    ),
    "takes 2 channels, and images have 1": "def make(): return nn.Conv2d(2, 2, 3)",
    "its last layer is none that could be replaced": (
        "class Twice(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.one = nn.Linear(256, 2)\n"
        "    def forward(self, x):\n        y = self.one(x.flatten(1))\n"
        "        return __import__('torch').cat([y, y], 1)\nmake = Twice"
    ),
    "not finite before it has learned": _scores("self.one(x.flatten(1)) / 0"),
    "have no gradients": _scores("self.one(x.flatten(1)).detach()"),
    "answers the same images otherwise when it is asked again": _scores(
        "nn.functional.dropout(self.one(x.flatten(1)), 0.5)"
    ),
    "answers an image otherwise beside other images": (
        "def make(): return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4, track_running_stats=False), "
        "nn.ReLU(), nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(4, 2))"
    ),
    "a copy of the network of": (
        "def make():\n    net = nn.Sequential(nn.Flatten(), nn.Linear(256, 4))\n"
        "    net.last = nn.Linear(4, 2)\n"
        "    net.forward = lambda x: net.last(net[1](net[0](x)))\n    return net"
    ),
    "remembers more of its training than is saved": _scores(
        "self.one(x.flatten(1) - self.moved(x))",
        "    mean = 0.0\n    def moved(self, x):\n        if self.training: self.mean += x.mean().item()\n"
        "        return self.mean\n",
    ),
}


@pytest.mark.parametrize("why", REFUSED)
def test_what_could_not_be_trained_or_repeated_is_refused(tmp_path, why):
    file = code(tmp_path, f"from torch import nn\n{REFUSED[why]}")
    with pytest.raises(UsageError) as refused:
        built(file, "make")
    assert why in str(refused.value)


FAILS = {
    "fails when it is called": "def make(): raise ValueError('no')",
    "has to return a network of torch": "def make(): pass",
    "fails on images of 16 x 16 px": "def make(): return nn.Sequential(nn.Linear(3, 2))",
    "the network's output is not understood": (
        "class Two(nn.Linear):\n    def forward(self, x): return {'a': x, 'b': x}\n"
        "def make(): return Two(2, 2)"
    ),
}


@pytest.mark.parametrize("why", FAILS)
def test_code_that_fails_is_told_in_a_sentence(tmp_path, why):
    file = code(tmp_path, f"from torch import nn\n{FAILS[why]}")
    with pytest.raises(CheckpointError) as failed:
        built(file, "make")
    assert why in str(failed.value)


def test_functional_activations_are_no_taps_and_actdiff_says_so(place, tmp_path):
    file = code(
        tmp_path,
        """
        from torch import nn
        from torch.nn import functional as F
        class Net(nn.Module):
            def __init__(self):
                super().__init__()
                self.conv, self.fc = nn.Conv2d(1, 2, 3), nn.Linear(2, 2)
            def forward(self, x):
                return self.fc(F.relu(self.conv(x)).mean((2, 3)))
        make = Net
        """,
    )
    config = make_config(
        data=str(place / "d"), model=f"{file}:make", actdiff=1.0, epochs=1, device="cpu", threads=1
    )
    with pytest.raises(UsageError, match="has no activation modules to compare"):
        am.train(config, out=tmp_path / "run")


def test_names_hold_neither_path_nor_colon_and_a_missing_file_is_told(tmp_path):
    config = make_config(data="synthetic", model="nets/own.py:make", actdiff=2.0)
    assert run_name(config) == "synthetic-own.make-actdiff2"
    with pytest.raises(DataError, match=r"there is no file .*own\.py"):
        am.train(config, out=tmp_path / "run")
    with pytest.raises(UsageError, match="name its function"):
        built(tmp_path / "net.py", "")


def test_an_edited_file_is_never_taken_from_what_was_compiled(tmp_path):
    """Python's own loader takes its compiled file where time and length are the same."""
    text = "from torch import nn\ndef make(): return nn.Sequential(nn.Flatten(), nn.Linear(256, 2, bias=1))"
    file = code(tmp_path, text)
    py_compile.compile(str(file))
    before = file.stat()
    file.write_text(text.replace("bias=1", "bias=0"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert built(file, "make").network[1].bias is None
