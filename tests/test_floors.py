"""The floor plan: imports point down, heavy imports wait, every package is shipped."""

import ast
import subprocess
import sys
import textwrap
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = ("data", "kernels", "models", "objectives", "training", "saliency", "experiments", "report")
HEIGHT = {name: height for height, name in enumerate(FLOORS)} | {"evaluation": FLOORS.index("saliency")}
HEAVY = ("torch", "torchvision", "numpy", "matplotlib", "sklearn", "captum", "PIL")


def imported(path: Path) -> list[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append("." * node.level + node.module)
    return names


def library_files() -> list[Path]:
    return sorted((ROOT / "activmask").rglob("*.py"))


@pytest.mark.parametrize("path", library_files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_point_down_and_never_to_the_command_line(path):
    parts = path.relative_to(ROOT / "activmask").parts
    mine = HEIGHT.get(parts[0], -1)
    for name in imported(path):
        assert name.split(".")[0] not in {"typer", "rich", "cli", "activmask_cli"}
        pieces = name.split(".")
        if pieces[0] == "activmask" and len(pieces) > 1 and parts != ("__init__.py",):
            theirs = HEIGHT.get(pieces[1], -1)
            assert theirs < mine or pieces[1] == parts[0] or theirs == -1, f"{path} imports {name}"


def loaded_by(statement: str) -> set[str]:
    code = f"{statement}; import sys; print(*sorted({{m.split('.')[0] for m in sys.modules}}))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(result.stdout.split())


@pytest.mark.process
def test_the_command_line_waits_with_heavy_imports():
    assert not loaded_by("import activmask_cli.app") & set(HEAVY)
    assert not loaded_by("import activmask") & {*HEAVY, "typer", "rich"}


@pytest.mark.process
def test_the_import_test_can_fail():
    assert "numpy" in loaded_by("import activmask; activmask.SyntheticSpec")


def test_every_package_is_shipped():
    shipped = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    folders = {path.parent.relative_to(ROOT) for path in (ROOT / "activmask").rglob("__init__.py")}
    assert shipped == {".".join(folder.parts) for folder in folders} | {"activmask_cli"}


def test_every_public_name_is_there():
    import activmask

    assert all(getattr(activmask, name) is not None for name in activmask.__all__)
    assert all(one < other for one, other in pairwise(sorted(activmask.__all__)))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = activmask.nonsense


def test_the_documented_example_uses_every_public_name_and_runs(tmp_path, monkeypatch, capsys):
    import activmask

    example = textwrap.dedent(activmask.__doc__.split("numbers:\n", 1)[1])
    assert all(f"am.{name}" in example for name in activmask.__all__)
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "example", "exec"), {})
    assert "has no decoder" in capsys.readouterr().out
