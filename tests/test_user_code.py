"""Networks by the name of what makes them, and weights from files."""

import pickle
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
import torch
from foreign_networks import CLASSES, pictures, small
from safetensors.torch import load_file, save_file, save_model

from activmask.ground.errors import CheckpointError, DataError, UsageError
from activmask.models.user_code import network_of
from activmask.predictors.find import find_predictor

IMAGES = pictures()

CODE = """
    from dataclasses import dataclass

    from torch import nn
    from layers_beside import head

    @dataclass
    class Sizes:
        width: int = 4

    def make():
        return nn.Sequential(nn.Conv2d(1, Sizes().width, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), head())

    def later():
        import layers_later
        return layers_later.make()

    def broken():
        return nn.Linear("three", 2)

    def needy(width):
        return None

    def empty():
        pass

    def ends():
        raise SystemExit(3)

    CONSTANT = 3
"""


@pytest.fixture
def code(tmp_path, monkeypatch):
    """A file of a user's, with others beside it, and what was imported is forgotten after."""
    folder = tmp_path / "own code"
    folder.mkdir()
    (folder / "net.py").write_text(textwrap.dedent(CODE))
    (folder / "layers_beside.py").write_text(
        "from torch import nn\n\ndef head():\n    return nn.Linear(4, 2)\n"
    )
    (folder / "layers_later.py").write_text("import net_package.inner\nmake = net_package.inner.make\n")
    (folder / "net_package").mkdir()
    (folder / "net_package/__init__.py").write_text("")
    (folder / "net_package/inner.py").write_text(textwrap.dedent(CODE))
    (folder / "failing.py").write_text("import torch\n\n1 / 0\n")
    (folder / "wanting.py").write_text("import nowhere_to_be_found\n")
    known, path = set(sys.modules), list(sys.path)
    yield folder
    assert sys.path == path
    for name in set(sys.modules) - known:
        if "net" in name or "layers_" in name:
            del sys.modules[name]


def found(what, images=IMAGES, **said):
    return find_predictor(str(what), images, **{"class_names": CLASSES, "outputs": "logits", **said})


def test_a_function_of_a_file_makes_a_network_with_what_lies_beside(code):
    one = found(f"{code}/net.py:make").predictor
    assert one.name.endswith("net.py:make")
    assert one.predict(IMAGES).shape == (12, 2)
    assert found(f"{code}/net.py:later").predictor.outputs == 2


def test_a_function_of_a_module_is_looked_for_from_the_folder_one_stands_in(code, monkeypatch):
    monkeypatch.chdir(code)
    assert found("net_package.inner:make").predictor.outputs == 2
    assert found("net.py:make").predictor.outputs == 2


def test_a_functions_network_takes_weights_from_a_file(code, tmp_path):
    network = small()
    (code / "same.py").write_text(
        f"import sys\nsys.path.append({str(tmp_path)!r})\nfrom foreign_networks import small\n\ndef make():\n"
        "    return small(seed=5)\n"
    )
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    try:
        one = found(f"{code}/same.py:make", weights=tmp_path / "w.safetensors").predictor
    finally:
        sys.path.remove(str(tmp_path))
    assert torch.equal(one.predict(IMAGES), find_predictor(network, IMAGES).predictor.predict(IMAGES))


@pytest.mark.parametrize(
    ("what", "kind", "sentence"),
    [
        ("gone.py:make", DataError, r"there is no file .*gone\.py"),
        ("net.py", UsageError, r"is a file of code; name its function: .*net\.py:FUNCTION"),
        ("net.py:mak", UsageError, "has no function 'mak'; did you mean 'make'"),
        ("net.py:CONSTANT", UsageError, "has no function 'CONSTANT'"),
        ("net.py:broken", CheckpointError, r"found TypeError.*net\.py, line \d+\)"),
        ("net.py:needy", CheckpointError, r"when it is called without arguments; found TypeError: needy\(\)"),
        (
            "net.py:empty",
            CheckpointError,
            "has to return a network of torch; expected an nn.Module, found nothing",
        ),
        ("net.py:Sizes", CheckpointError, "found a Sizes"),
        ("net.py:ends", CheckpointError, "found SystemExit: 3"),
        ("failing.py:make", CheckpointError, r"to be imported; found ZeroDivisionError.*failing\.py, line 3"),
        (
            "wanting.py:make",
            CheckpointError,
            "found ModuleNotFoundError: No module named 'nowhere_to_be_found'",
        ),
    ],
)
def test_functions_that_are_none_or_fail_are_told(code, what, kind, sentence):
    with pytest.raises(kind, match=sentence) as raised:
        found(code / what)
    assert "\n" not in str(raised.value)


def test_a_module_that_is_not_there_is_told(code, monkeypatch):
    with pytest.raises(
        UsageError, match=r"there is no Python module 'net_package\.inner'; install net_package"
    ):
        found("net_package.inner:make")
    monkeypatch.chdir(code)
    with pytest.raises(UsageError, match=r"there is no Python module 'net_package\.outer'"):
        found("net_package.outer:make")
    with pytest.raises(CheckpointError, match="wanting:make fails to be imported; found ModuleNotFoundError"):
        found("wanting:make")


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt", ".bin", ".pkl", ".PTH"])
def test_pickled_files_are_refused_with_lines_that_turn_them_into_safetensors(tmp_path, monkeypatch, suffix):
    monkeypatch.chdir(tmp_path)
    name = f"it's{suffix}"
    network = small()
    torch.save({"state_dict": network.state_dict()}, name)
    with pytest.raises(CheckpointError, match="is not read, since such a file can run any code") as raised:
        found(name)
    _, _, recipe = str(raised.value).partition("in Python: ")
    exec(recipe, {})
    assert (tmp_path / "it's.safetensors").is_file()
    with pytest.raises(CheckpointError, match="holds weights, and does not say of which network; name the"):
        found("it's.safetensors")
    with pytest.raises(CheckpointError, match="can run any code"):
        found("torchvision:resnet18", weights=name)


@pytest.mark.filterwarnings("ignore")
def test_a_file_that_runs_code_is_known_by_how_it_begins(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    weights = small().state_dict()
    torch.save(weights, "weights")
    (tmp_path / "model.pickle2").write_bytes(pickle.dumps(weights))
    for name in ("weights", "model.pickle2"):
        with pytest.raises(CheckpointError, match=r"any code; where you trust it, turn it into safetensors"):
            found(name)
    torch.jit.trace(small().eval(), IMAGES[:2]).save("net.ts")
    with pytest.raises(
        CheckpointError, match=r"any code; where you trust it, .* return torch\.jit\.load\('net\.ts'"
    ):
        found("net.ts")
    np.savez("weights.npz", np.zeros(2))
    with pytest.raises(CheckpointError) as told:
        found("weights.npz")
    assert "any code" not in str(told.value)
    (tmp_path / "cut.ts").write_bytes((tmp_path / "net.ts").read_bytes()[:900])
    with pytest.raises(CheckpointError, match="is not read, since such a file can run any code"):
        found("cut.ts")
    save_file({"a": torch.zeros(1)}, "long.safetensors", {"of": "x" * (0x0480 - 80)})
    assert (tmp_path / "long.safetensors").read_bytes()[:2] == b"\x80\x04"
    with pytest.raises(CheckpointError, match="holds weights, and does not say of which network"):
        found("long.safetensors")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda w: w.pop("0.weight"), r"1 missing \(0\.weight\)"),
        (lambda w: w.update(extra=torch.zeros(1)), r"1 unexpected \(extra\)"),
        (
            lambda w: w.update({"7.bias": torch.zeros(3)}),
            r"1 of other shapes \(7\.bias is \(3,\) instead of \(2,\)\)",
        ),
        (
            lambda w: w.update({"7.weight": torch.ones((2, 4), dtype=torch.int8)}),
            r"1 of no floating-point numbers \(7\.weight is int8\)",
        ),
        (lambda w: w.clear(), r"missing \(0\.weight, 1\.weight, 1\.bias, \.\.\.\)"),
    ],
)
def test_weights_of_another_network_are_told_in_one_sentence(code, tmp_path, change, sentence):
    weights = {name: tensor.clone() for name, tensor in small().state_dict().items()}
    change(weights)
    save_file(weights, tmp_path / "w.safetensors")
    (code / "same.py").write_text("from foreign_networks import small\n\ndef make():\n    return small()\n")
    with pytest.raises(CheckpointError, match=f"does not hold the weights of .*: .*{sentence}"):
        found(f"{code}/same.py:make", weights=tmp_path / "w.safetensors")


@pytest.mark.parametrize("before", ["module.", "module.model."])
def test_first_words_that_all_weights_share_are_left_out_and_told(code, tmp_path, before):
    network = small()
    save_file(
        {f"{before}{name}": one for name, one in network.state_dict().items()}, tmp_path / "w.safetensors"
    )
    (code / "same.py").write_text(
        "from foreign_networks import small\n\ndef make():\n    return small(seed=5)\n"
    )
    one = found(f"{code}/same.py:make", weights=tmp_path / "w.safetensors")
    assert f"begin with '{before}', which is left out" in one.notes[0]
    assert torch.equal(
        one.predictor.predict(IMAGES), find_predictor(network, IMAGES).predictor.predict(IMAGES)
    )


def test_weights_that_layers_share_may_stand_once(code, tmp_path):
    text = """
        from torch import nn

        class Sharing(nn.Module):
            def __init__(self):
                super().__init__()
                self.first = nn.Sequential(nn.Flatten(), nn.Linear(256, 2))
                self.second = self.first

            def forward(self, images):
                return self.second(images)
    """
    (code / "sharing.py").write_text(textwrap.dedent(text))
    network = network_of(f"{code}/sharing.py", "Sharing")
    save_model(network, str(tmp_path / "w.safetensors"))
    assert len(load_file(tmp_path / "w.safetensors")) == 2
    one = found(f"{code}/sharing.py:Sharing", weights=tmp_path / "w.safetensors").predictor
    assert torch.equal(
        one.predict(IMAGES), find_predictor(network, IMAGES, outputs="logits").predictor.predict(IMAGES)
    )


def test_lazy_layers_take_their_shapes_from_a_file(code, tmp_path):
    layers = "nn.{0}Conv2d({1}4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)"
    for name, of in (("lazy", ("Lazy", "")), ("whole", ("", "1, "))):
        (code / f"{name}.py").write_text(
            f"from torch import nn\n\ndef make():\n    return nn.Sequential({layers.format(*of)})\n"
        )
    network = network_of(f"{code}/whole.py", "make")
    save_file(network.state_dict(), tmp_path / "w.safetensors")
    one = found(f"{code}/lazy.py:make", weights=tmp_path / "w.safetensors").predictor
    torch.testing.assert_close(one.predict(IMAGES), network(IMAGES).detach())


def test_what_a_script_sets_for_itself_is_as_it_was(code, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = """
        import os
        import torch
        from torch import nn

        torch.set_grad_enabled(False)
        torch.set_default_device("meta")

        def make():
            os.chdir("/")
            return nn.Sequential(nn.Flatten(), nn.Linear(256, 2, device="cpu"))
    """
    (code / "setting.py").write_text(textwrap.dedent(text))
    try:
        assert found(f"{code}/setting.py:make").predictor.module is not None
        assert Path.cwd() == tmp_path
        assert torch.is_grad_enabled()
        assert torch.get_default_device() == torch.device("cpu")
    finally:
        torch.set_default_device(None)
        torch.set_grad_enabled(True)


def test_words_that_name_nothing_say_what_could_be_named(tmp_path):
    with pytest.raises(
        UsageError, match=r"there is no classifier 'resnet18'; give a run's folder, .*timm:NAME"
    ):
        found("resnet18")
    with pytest.raises(UsageError, match="weights have no effect on"):
        found(tmp_path, weights="imagenet")
    with pytest.raises(CheckpointError, match="holds no checkpoint"):
        found(tmp_path)
    with pytest.raises(CheckpointError, match="there is no file of weights"):
        found("torchvision:resnet18", weights=tmp_path / "gone.safetensors")
