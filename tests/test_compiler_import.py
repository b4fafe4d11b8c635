"""Torchvision comes without PyTorch's compiler, asks it when it must, and leaves it whole for others."""

import ast
import subprocess
import sys
import textwrap
from pathlib import Path
from types import ModuleType

import pytest
from test_floors import MODULES, import_statements

from activmask.machine import compiler
from activmask.machine.compiler import COMPILER, QUESTION, QUESTIONS, without_compiler

ALONE = """
with without_compiler():
    import torchvision
assert "torch._dynamo" not in sys.modules
"""


def told_by_a_new_process(code: str, before: str = ALONE) -> str:
    start = "import sys, torch\nfrom activmask.machine.compiler import without_compiler\n"
    command = [sys.executable, "-W", "error", "-c", start + before + textwrap.dedent(code)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.process
def test_boxes_are_cut_out_as_ever_and_the_compiler_is_asked_only_then():
    told = told_by_a_new_process(
        """
        maps, boxes = torch.rand(1, 3, 8, 8), torch.tensor([[0, 1.0, 1, 5, 5]])
        for model in (torchvision.models.resnet18(), torchvision.models.densenet121()):
            model.eval()(torch.rand(1, 3, 32, 32))
        print("torch._dynamo" in sys.modules)
        cut = torchvision.ops.roi_align(maps, boxes, 2)
        print(torch.equal(cut, torch.ops.torchvision.roi_align(maps, boxes, 1.0, 2, 2, -1, False)))
        """
    )
    assert told.split() == ["False", "True"]


@pytest.mark.process
def test_the_compiler_is_whole_when_somebody_else_imports_it():
    told = told_by_a_new_process(
        """
        double = torch.compile(lambda x: 2 * x, backend="eager")
        print(double(torch.ones(1)).item(), torch._dynamo is sys.modules["torch._dynamo"])
        print(torch._dynamo.utils.is_compile_supported.__module__)
        """
    )
    assert told.split() == ["2.0", "True", QUESTIONS]


def test_whoever_takes_more_of_the_compiler_gets_it(monkeypatch):
    """As some other version of torchvision might, or another thread meanwhile."""
    for name in (COMPILER, QUESTIONS, "torchvision"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    real = ModuleType(QUESTIONS)
    real.counters = "counters"

    def imported(name):
        sys.modules[name] = real
        return real

    monkeypatch.setattr(compiler, "import_module", imported)
    with without_compiler():
        from torch._dynamo.utils import is_compile_supported

        assert sys.modules[QUESTIONS] is not real
        from torch._dynamo.utils import counters

        assert counters == "counters"
    assert sys.modules[QUESTIONS] is real
    real.is_compile_supported = lambda device: device == "cuda"
    assert is_compile_supported("cuda")
    assert not is_compile_supported("cpu")


@pytest.mark.process
def test_the_compiler_can_be_imported_while_torchvision_is():
    told = told_by_a_new_process(
        """
        print(torch.compile(lambda x: 2 * x, backend="eager")(torch.ones(1)).item())
        """,
        before="with without_compiler():\n    import torch._dynamo.config\n    import torchvision\n",
    )
    assert told.split() == ["2.0"]


def test_nothing_stands_for_it_afterwards_even_where_torchvision_cannot_be_imported(monkeypatch):
    for name in (COMPILER, QUESTIONS, "torchvision"):
        monkeypatch.delitem(sys.modules, name, raising=False)

    def broken():
        with without_compiler():
            assert QUESTIONS in sys.modules
            raise ImportError("no torchvision")

    with pytest.raises(ImportError, match="no torchvision"):
        broken()
    assert {COMPILER, QUESTIONS}.isdisjoint(sys.modules)


def test_torchvision_still_asks_that_question_alone():
    """Or this file can go, or saves nothing."""
    import torchvision

    from_compiler = {
        alias.name
        for path in torchvision.__path__
        for source in sorted(Path(path).rglob("*.py"))
        for node in ast.walk(ast.parse(source.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith(COMPILER)
        for alias in node.names
    }
    assert from_compiler == {QUESTION}


def imports_of_torchvision(tree: ast.AST) -> set[int]:
    return {
        node.lineno
        for node in import_statements(tree, ignoring_types=True)
        for name in ([node.module] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names])
        if str(name).split(".")[0] == "torchvision"
    }


@pytest.mark.parametrize(
    "name", [name for name, path in MODULES.items() if "torchvision" in path.read_text()]
)
def test_the_library_imports_it_so_everywhere(name):
    tree = ast.parse(MODULES[name].read_text(encoding="utf-8"))
    so = [
        block
        for block in ast.walk(tree)
        if isinstance(block, ast.With) and "without_compiler()" in ast.unparse(block.items[0])
    ]
    assert imports_of_torchvision(tree) == set().union(*map(imports_of_torchvision, so))
