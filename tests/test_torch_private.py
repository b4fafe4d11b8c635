"""Names that torch does not promise to keep: used in one place, still there, and done without."""

import ast
from pathlib import Path

import pytest
import torch
from test_convolution import F, conv2d, penalty_gradients, stack
from test_models import Doubling, Tapped, pictures

from activmask.ground.errors import UsageError
from activmask.kernels import torch_private

ROOT = Path(__file__).parents[1]
ALLOWED = {
    ("torch_private.py", "_C"),
    ("launches.py", "_python_dispatch"),
    *((name, "_exit") for name in ("children.py", "lanes.py", "programs.py")),
    ("search.py", "_trial_id"),
    *(("programs.py", name) for name in ("_clear", "_shutdown", "_exit_function", "_run_exitfuncs")),
}
"""By file: torch's own, by what Optuna finds a trial again that an earlier process asked for, and the
standard library's ways to leave at once or, once forked, as usual."""


def foreign_private(tree: ast.AST) -> set[str]:
    """Private names of what a file did not define itself."""
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    imported = {
        part
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and node.level == 0
        and not str(node.module).startswith("activmask")
        for part in [*str(node.module).split("."), *(alias.name for alias in node.names)]
        if part.startswith("_") and not part.startswith("__")
    }
    return imported | {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr.startswith("_")
        and not node.attr.startswith("__")
        and not (isinstance(node.value, ast.Name) and node.value.id in {"self", "cls"} | own)
    }


def test_private_names_of_others_are_used_in_one_place():
    found = {
        (path.name, name)
        for top in ("activmask", "cli", "benchmarks")
        for path in (ROOT / top).rglob("*.py")
        for name in foreign_private(ast.parse(path.read_text(encoding="utf-8")))
    }
    assert found == ALLOWED


def test_the_search_for_private_names_can_fail():
    code = "from torch._dynamo import reset, _x; self._a; loader._iterator; x.__class__; torch._C.f()"
    assert foreign_private(ast.parse(code)) == {"_dynamo", "_x", "_iterator", "_C"}


def test_this_version_of_torch_still_has_them():
    optimizer = torch.optim.Adam([torch.zeros(1, requires_grad=True)], fused=True)
    for holder, name, without in (
        (torch._C, torch_private.WILL_EXECUTE, "gradmask and rrr compute gradients that nobody asked for"),
        (torch.zeros(1), torch_private.VERSION, "networks keep a second copy of every tap"),
        (optimizer, torch_private.STOPPABLE, "CUDA trains step by step"),
        (torch, torch_private.ADD_ALL, "stacked seeds add up gradients one by one"),
        (torch, torch_private.COPY_ALL, "stacked seeds copy gradients one by one"),
    ):
        assert hasattr(holder, name), f"torch {torch.__version__} has no {name} any more: {without}"


def test_without_its_word_the_gradients_are_the_same(monkeypatch):
    monkeypatch.setattr(torch_private, "WILL_EXECUTE", "_gone")
    expected = penalty_gradients(F.conv2d, *stack())
    for one, other in zip(penalty_gradients(conv2d, *stack()), expected, strict=True):
        torch.testing.assert_close(one, other)


def test_without_lists_tensors_are_added_and_copied_one_by_one(monkeypatch):
    ones, others = [torch.ones(2), torch.ones(1, 3)], [torch.arange(2.0), torch.full((1, 3), 2.0)]
    for _ in range(2):
        assert [t.tolist() for t in torch_private.add_all(ones, others)] == [[1, 2], [[3, 3, 3]]]
        into = [torch.zeros(2, dtype=torch.float64), torch.zeros(1, 3)]
        torch_private.copy_all(into, others)
        assert [t.tolist() for t in into] == [[0, 1], [[2, 2, 2]]]
        for name in ("ADD_ALL", "COPY_ALL"):
            monkeypatch.setattr(torch_private, name, "_gone")


def test_large_tensors_of_another_type_are_copied_by_themselves_and_all_are_copied(monkeypatch):
    monkeypatch.setattr(torch_private, "_LARGE", 3)
    into = [torch.zeros(4), torch.zeros(2), torch.zeros(4, dtype=torch.bfloat16)]
    sources = [torch.arange(4.0).bfloat16(), torch.ones(2).bfloat16(), torch.arange(4.0).bfloat16()]
    alone = []
    monkeypatch.setattr(torch, "_foreach_copy_", lambda own, _: alone.append(len(own)))
    torch_private.copy_all(into, sources)
    assert alone == [2]
    monkeypatch.undo()
    torch_private.copy_all(into, sources)
    assert [t.tolist() for t in into] == [[0, 1, 2, 3], [1, 1], [0, 1, 2, 3]]


def test_without_a_count_of_writes_overwritten_taps_are_seen(monkeypatch):
    monkeypatch.setattr(torch_private, "VERSION", "_gone")
    with torch.no_grad(), pytest.raises(UsageError, match="in place"):
        Tapped(Doubling(in_place=True))(pictures())
    tensor = torch.zeros(2)
    is_unchanged = torch_private.watch(tensor)
    assert is_unchanged()
    tensor[0] = 1
    assert not is_unchanged()


def test_without_its_word_no_optimizer_is_trusted_to_stop(monkeypatch):
    parameters = [torch.zeros(1, requires_grad=True)]
    assert torch_private.can_be_stopped(torch.optim.Adam(parameters, fused=True))
    assert not torch_private.can_be_stopped(torch.optim.Adam(parameters, foreach=True))
    monkeypatch.setattr(torch_private, "STOPPABLE", "_gone")
    assert not torch_private.can_be_stopped(torch.optim.Adam(parameters, fused=True))
