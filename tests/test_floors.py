"""The floor plan: imports point down and never in a circle, heavy imports wait, every package is shipped."""

import ast
import subprocess
import sys
import textwrap
import tomllib
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = (
    ("ground",),
    ("machine",),
    ("data.files",),
    ("data",),
    (
        "data.planting",
        "data.sources.folder",
        "data.sources.msd",
        "data.sources.synthetic",
        "data.sources.xray",
    ),
    ("data.sources",),
    ("kernels",),
    ("models",),
    ("models.stacked",),
    ("objectives",),
    ("runs",),
    ("training.feed",),
    ("training.replicas",),
    ("training.graphs",),
    ("training.stacks",),
    ("training",),
    ("predictors",),
    ("saliency",),
    ("evaluation", "tracking"),
    ("auditing.clinic", "auditing.conditions", "auditing.leaks", "auditing.looks"),
    ("auditing",),
    ("experiments",),
    ("tuning",),
    ("report.findings",),
    ("report.charts", "report.tables"),
    ("report.page",),
    ("auditing.page",),
    ("report",),
)
"""From the lowest up; rooms side by side do not import each other. A module lives in the innermost room."""
HEAVY = ("torch", "torchvision", "numpy", "matplotlib", "sklearn", "captum", "PIL")


def modules() -> dict[str, Path]:
    """Every module of the library and of the command line, by its dotted name."""
    named = {}
    for top in ("activmask", "cli"):
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            named[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return named


MODULES = modules()


def import_statements(tree: ast.AST, ignoring_types: bool = False) -> Iterator[ast.Import | ast.ImportFrom]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif not (ignoring_types and isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            yield from import_statements(node, ignoring_types)


def imported(module: str, ignoring_types: bool = False) -> set[str]:
    """What a module imports, anywhere in it; a module of ours by its own name, not its package's."""
    path = MODULES[module]
    package = module.split(".") if path.name == "__init__.py" else module.split(".")[:-1]
    found = set()
    for node in import_statements(ast.parse(path.read_text(encoding="utf-8")), ignoring_types):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
            continue
        above = package[: len(package) + 1 - node.level] if node.level else []
        origin = ".".join([*above, *filter(None, [node.module])])
        names = {f"{origin}.{alias.name}" for alias in node.names}
        found |= {name if name in MODULES else origin for name in names}
    return found


def room(module: str) -> str | None:
    """The innermost room of the plan that a module of the library lies in."""
    inside = module.removeprefix("activmask.")
    rooms = [name for floor in FLOORS for name in floor if f"{inside}.".startswith(f"{name}.")]
    return max(rooms, key=len, default=None)


def points_down(module: str, name: str) -> bool:
    height = {name: height for height, floor in enumerate(FLOORS) for name in floor}
    mine, theirs = room(module), room(name)
    return mine is not None and theirs is not None and (mine == theirs or height[theirs] < height[mine])


def circle(graph: Mapping[str, set[str]]) -> list[str]:
    """The modules of one import circle, or none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


LIBRARY = [name for name in MODULES if name.startswith("activmask.")]


@pytest.mark.parametrize("module", LIBRARY)
def test_imports_point_down_and_never_to_the_command_line(module):
    for name in imported(module):
        assert name.split(".")[0] not in {"typer", "rich", "cli", "activmask_cli"}
        if name.split(".")[0] == "activmask":
            assert points_down(module, name), f"{module} imports {name}"


@pytest.mark.parametrize("module", [name for name in LIBRARY if room(name) == "kernels"])
def test_kernels_know_no_settings(module):
    assert not [name for name in imported(module) if name.endswith(".settings")]


def test_no_import_runs_in_a_circle():
    assert circle({name: imported(name, ignoring_types=True) & MODULES.keys() for name in MODULES}) == []


def test_the_plan_has_no_room_that_is_not_there():
    assert [name for floor in FLOORS for name in floor if f"activmask.{name}" not in MODULES] == []


@pytest.mark.parametrize(
    ("module", "name", "allowed"),
    [
        ("activmask.data.splits", "activmask.data.files.tables", True),
        ("activmask.data.files.tables", "activmask.data.splits", False),
        ("activmask.data.sources.msd.raw", "activmask.data.sources.msd.volume", True),
        ("activmask.data.sources.msd.raw", "activmask.data.sources.xray.files", False),
        ("activmask.report.charts.site_scores", "activmask.report.tables.formats", False),
        ("activmask.saliency.explain", "activmask.evaluation.evaluate", False),
        ("activmask.evaluation.evaluate", "activmask.saliency.explain", True),
        ("activmask.training.feed.stream", "activmask.training.run", False),
        ("activmask.nowhere", "activmask.ground.errors", False),
        ("activmask.report.write", "activmask", False),
    ],
)
def test_the_test_of_directions_can_fail(module, name, allowed):
    assert points_down(module, name) == allowed


def test_the_test_of_circles_can_fail(tmp_path, monkeypatch):
    sources = {
        "toy": "",
        "toy.one": "def late():\n    from toy import two",
        "toy.two": "from .three import x",
        "toy.three": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import toy.one",
    }
    for name, text in sources.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(sys.modules[__name__], "MODULES", {name: tmp_path / name for name in sources})
    assert circle({name: imported(name, ignoring_types=True) & sources.keys() for name in sources}) == []
    found = circle({name: imported(name) & sources.keys() for name in sources})
    assert set(found) == {"toy.one", "toy.two", "toy.three"}


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
    assert "numpy" in loaded_by("import activmask; activmask.draw_synthetic")


def test_every_package_is_shipped():
    shipped = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"])
    folders = {path.parent.relative_to(ROOT) for path in (ROOT / "activmask").rglob("__init__.py")}
    assert shipped == {".".join(folder.parts) for folder in folders} | {"activmask_cli"}


def test_every_public_name_is_there():
    import activmask

    assert all(getattr(activmask, name) is not None for name in activmask.__all__)
    assert set(activmask.__all__) < set(dir(activmask))
    assert all(not name.startswith("_") or name == "__version__" for name in dir(activmask))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = activmask.nonsense


def test_type_checkers_see_the_public_names_that_are_there():
    import activmask

    tree = ast.parse((ROOT / "activmask/__init__.py").read_text(encoding="utf-8"))
    seen = {
        alias.asname: statement.module
        for block in tree.body
        if isinstance(block, ast.If)
        for statement in block.body
        for alias in statement.names
    }
    assert seen == activmask._HOME


@pytest.mark.process
def test_the_documented_example_uses_every_public_name_and_runs(tmp_path, monkeypatch, capsys):
    import activmask

    example = textwrap.dedent(activmask.__doc__.split("numbers:\n", 1)[1])
    assert all(f"am.{name}" in example for name in activmask.__all__)
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "example", "exec"), {})
    assert "has no decoder" in capsys.readouterr().out
