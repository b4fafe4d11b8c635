"""A dry run refuses what training would refuse later, and trains nothing."""

import pytest
import torch
from in_process import told

from activmask.data.sources.synthetic.drawing import SyntheticSpec
from activmask.data.sources.synthetic.prepare import make_synthetic
from activmask.ground.errors import UsageError
from activmask.machine.world import ALONE
from activmask.runs.making import make_config
from activmask.training import readiness
from activmask.training.replicas import outline
from activmask.training.replicas.batch_sizes import batch_sizes
from activmask.training.replicas.outline import outlined
from activmask.training.replicas.replica import tried_out

TINY = ("--model", "cnn", "--width", 4, "--device", "cpu", "--dry-run")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dry")
    make_synthetic(SyntheticSpec(n=8, valid=4, test=4, seed=1), folder / "crosses")
    return folder


@pytest.fixture(params=["small", "large"])
def size(request, monkeypatch):
    """The same data set as one whose pixels are tried, and as one that is too large for it."""
    if request.param == "large":
        monkeypatch.setattr(readiness, "SMALL", 0)
        monkeypatch.setattr(readiness, "new_replica", lambda *_, **__: pytest.fail("all pixels are read"))


@pytest.mark.parametrize(
    ("flags", "code", "sentence"),
    [
        (("--model", "densenet121", "--image-size", 4), 2, "densenet121"),
        (("--actdiff", 1, "--actdiff-layers", "nowhere"), 2, "nowhere"),
        (("--image-size", 40), 3, "smaller than image_size 40"),
        (("--split-policy", "site-correlated"), 3, "site"),
        (("--model", "resnet18", "--batch-size", 1, "--image-size", 8), 2, "single image"),
    ],
)
def test_what_would_fail_later_fails_now(place, size, flags, code, sentence):
    done = told("train", "--data", "crosses", *TINY, *flags, cwd=place, code=code)
    assert done.stdout == ""
    assert sentence in done.stderr.replace("\n", " ")
    assert [path.name for path in place.iterdir()] == ["crosses"]


def test_what_would_not_fail_is_printed(place, size):
    done = told("train", "--data", "crosses", *TINY, "--actdiff", 1, "--seeds", "0-2", cwd=place)
    assert 'seeds = "0-2"' in done.stdout
    assert done.stderr == ""


def test_splits_of_every_seed_are_drawn(place, monkeypatch):
    drawn = []
    check = readiness._check_splits
    monkeypatch.setattr(readiness, "_check_splits", lambda *given: drawn.append(given[-1]) or check(*given))
    told("train", "--data", "crosses", *TINY, "--seeds", "3-5", cwd=place)
    assert drawn == [4, 5]


def test_data_that_are_not_there_yet_are_no_fault(tmp_path):
    done = told("train", "--data", "later", *TINY, cwd=tmp_path)
    assert 'data = "later"' in done.stdout
    assert "note: later is not there yet" in done.stderr


GRID = """
name = "layers"
[base]
data = "crosses"
model = "cnn"
width = 4
epochs = 1
device = "cpu"
threads = 1
actdiff = 1.0
[axes.layers]
"all of them" = {}
"my own layers" = { actdiff_layers = "nowhere" }
"""


def test_a_sweep_names_the_cell_that_would_fail(place, tmp_path):
    grid = tmp_path / "grid.toml"
    grid.write_text(GRID)
    done = told("sweep", grid, "--dry-run", cwd=place, code=4)
    said = " ".join(done.stderr.split())
    assert "nowhere" in said
    assert "(my own layers)" in said
    assert "all of them" not in said
    assert "2 cells, 2 runs" in done.stdout
    grid.write_text(GRID.replace('data = "crosses"', 'data = "later"'))
    done = told("sweep", grid, "--dry-run", cwd=place)
    waiting = " ".join(done.stderr.split())
    assert "no cell could be measured, so it is not known how long they take" in " ".join(done.stdout.split())
    assert "(all of them, my own layers)" in waiting


@pytest.mark.parametrize(
    ("model", "flags", "outline"),
    [
        ("cnn", ("--width", 4), True),
        ("resnet18", ("--gradmask", 1), True),
        ("timm:test_resnet", ("--actdiff", 1), True),
        ("net.py:make", (), False),
    ],
)
def test_networks_are_tried_without_values_where_these_are_not_looked_at(
    place, model, flags, outline, monkeypatch
):
    (place / "net.py").write_text(NET)
    made = []
    monkeypatch.setattr(
        readiness, "outlined", lambda *given, **more: made.append(outlined(*given, **more)) or made[-1]
    )
    command = ("train", "--data", "crosses", "--model", model, *flags, "--device", "cpu", "--dry-run")
    done = told(*command, cwd=place)
    ((learners, _),) = made
    assert all(weight.is_meta == outline for weight in learners.model.parameters())
    assert ("is tried with its weights, on the CPU, because" in " ".join(done.stderr.split())) != outline
    (place / "net.py").unlink()


NET = """
from torch import nn
def make(channels, classes):
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, classes)
    )
"""


def test_a_network_that_no_shapes_can_tell_is_tried_with_its_values(monkeypatch):
    """As a library's constructor that reads numbers of a tensor, which the meta device does not have."""
    tried = []

    def building(config, seed, **shape):
        tried.append(str(torch.zeros(1).device))
        torch.linspace(0, 1, 3)[1].item()
        return tried_out(make_config(model="cnn", width=4), seed, **shape)

    monkeypatch.setattr(outline, "tried_out", building)
    learners, _ = outlined(make_config(model="timm:test_vit"), 0, channels=1, classes=2, size=32)
    assert tried == ["meta", "cpu"]
    assert not any(weight.is_meta for weight in learners.model.parameters())


def test_a_step_of_one_image_is_tried_with_values():
    learners, _ = outlined(make_config(model="resnet18", width=2), 0, channels=1, classes=2, size=8)
    with pytest.raises(UsageError, match="single image"):
        batch_sizes(3, 1, learners, ALONE)


@pytest.mark.parametrize("model", ["cnn", "unet", "resnet18", "squeezenet1_1", "shufflenet_v2_x0_5"])
@pytest.mark.parametrize("side", [4, 32])
def test_outlines_are_refused_where_networks_are(model, side):
    width = {"width": 4} if model in {"cnn", "unet", "resnet18"} else {}
    config = make_config(model=model, actdiff=1.0, **width)
    refused = []
    for one in (tried_out, outlined):
        try:
            one(config, 0, channels=1, classes=2, size=side)
        except UsageError as error:
            refused.append(str(error).partition(":")[0])
        else:
            refused.append("")
    assert refused[0] == refused[1]
