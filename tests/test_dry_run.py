"""A dry run refuses what training would refuse later, and trains nothing."""

import pytest
from in_process import told

from activmask.data.sources.synthetic.drawing import SyntheticSpec
from activmask.data.sources.synthetic.prepare import make_synthetic
from activmask.training import readiness

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
    waiting = " ".join(told("sweep", grid, "--dry-run", cwd=place).stderr.split())
    assert "(all of them, my own layers)" in waiting
