"""What an evaluation can depend on of the program's own files: all that it runs, and no chart."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from test_floors import MODULES, imported
from test_planting import source

import activmask
from activmask.data.planting.plant import plant
from activmask.data.planting.planting import Planting
from activmask.evaluation import basis
from activmask.ground.own_files import files_behind
from activmask.runs.making import make_config
from activmask.training.run import train

LIBRARY = Path(activmask.__file__).parent
EVALUATES = "activmask.evaluation.batch"

EVALUATIONS = """
import json, sys
from pathlib import Path
from activmask.evaluation.batch import evaluate_checkpoint
planted, plain, other = sys.argv[1:]
evaluate_checkpoint(Path(planted), groups="shortcut")
evaluate_checkpoint(Path(planted), data=other, accept_recipe=True)
evaluate_checkpoint(Path(plain), split="valid")
files = {name: module.__file__ for name, module in sys.modules.items() if name.split(".")[0] == "activmask"}
print(json.dumps(files))
"""


@pytest.fixture(scope="module")
def run_by_evaluating(tmp_path_factory) -> dict[str, Path]:
    """The library's modules that a process has after a few evaluations, with their files."""
    root = tmp_path_factory.mktemp("evaluated")
    source(root / "clean")
    planting = Planting(shortcut="tag", of_class="dog", share=1, valid_share=1, test_share=0.5)
    plant(root / "clean", root / "tag", planting)
    runs = {"cnn": "tag", "resnet18": "clean"}
    for model, data in runs.items():
        settings = {"data": str(root / data), "model": model, "width": 2}
        config = make_config(**settings, epochs=1, device="cpu", threads=1)
        train(config, (0,), root / model)
    paths = [root / model / "seed-0/best.safetensors" for model in runs]
    command = [sys.executable, "-c", EVALUATIONS, *map(str, paths), str(root / "clean")]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return {name: Path(file) for name, file in found.items()}


@pytest.mark.process
def test_every_module_that_an_evaluation_runs_counts(run_by_evaluating):
    assert len(run_by_evaluating) > 100
    assert set(run_by_evaluating.values()) - set(files_behind(EVALUATES).values()) == set()


def copied(to: Path) -> Path:
    return Path(shutil.copytree(LIBRARY, to, ignore=shutil.ignore_patterns("__pycache__")))


@pytest.mark.process
def test_a_change_of_any_of_them_changes_the_digest(run_by_evaluating, tmp_path):
    root = copied(tmp_path / "activmask")
    files = files_behind(EVALUATES, root)
    before = basis._program_sha256(files)
    assert before == basis._program_sha256(files_behind(EVALUATES))
    for path in sorted(run_by_evaluating.values())[::15]:
        changed = root / path.relative_to(LIBRARY)
        text = changed.read_bytes()
        changed.write_bytes(text + b"\n")
        assert basis._program_sha256(files) != before, path
        changed.write_bytes(text)


def test_charts_pages_grids_and_audits_do_not_count(tmp_path):
    root = copied(tmp_path / "activmask")
    before = basis._program_sha256(files_behind(EVALUATES, root))
    for room in ("report/charts", "report/page", "experiments", "auditing", "tracking"):
        for path in (path for path in (root / room).rglob("*") if path.is_file()):
            path.write_bytes(path.read_bytes() + b"\n")
    assert basis._program_sha256(files_behind(EVALUATES, root)) == before


def closure(module: str) -> set[str]:
    """All that a module imports, by parsing, its packages among them."""
    reached: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in MODULES and name not in reached:
            reached.add(name)
            waiting += [name.rpartition(".")[0], *(imported(name) if name != "activmask" else ())]
    return reached


@pytest.mark.parametrize("module", [EVALUATES, "activmask.training.run", "activmask.kernels.convolution"])
def test_the_text_names_all_that_a_parser_finds(module):
    found = set(files_behind(module).values())
    assert {path for name in closure(module) if (path := MODULES[name]) not in found} == set()


def test_what_counts_imports_nothing_by_a_name_that_it_makes_up():
    """But for a user's own network, of which nothing is kept, names for users of the library, and torch's."""
    found = [
        name
        for name, path in files_behind(EVALUATES).items()
        if path.suffix == ".py" and any(word in path.read_text() for word in ("import_module", "__import__"))
    ]
    assert found == ["__init__.py", "machine/compiler.py", "models/user_code.py"]


TOY = {
    "__init__.py": "import activmask.unused",
    "unused.py": "",
    "one.py": "def late():\n    from activmask.room import (  # first\n        two,\n        x as y,\n    )",
    "room/__init__.py": "",
    "room/two.py": "import activmask.deep.three",
    "room/beside.py": "",
    "room/tables/numbers.toml": "",
    "room/__pycache__/two.cpython.pyc": "",
    "deep/__init__.py": "from activmask.room import two, beside",
    "deep/three.py": "",
    "far/__init__.py": "",
    "far/numbers.json": "",
}
BEHIND_ONE = (
    "__init__.py",
    "deep/__init__.py",
    "deep/three.py",
    "one.py",
    "room/__init__.py",
    "room/beside.py",
    "room/tables/numbers.toml",
    "room/two.py",
)


@pytest.fixture
def toy(tmp_path) -> Path:
    for name, text in TOY.items():
        path = tmp_path / "activmask" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "activmask"


def test_imports_are_followed_with_their_packages_and_tables(toy):
    assert tuple(files_behind("activmask.one", toy)) == BEHIND_ONE


def test_who_imports_relatively_may_have_meant_anything(toy):
    (toy / "one.py").write_text("from .room import two")
    assert set(files_behind("activmask.one", toy)) == {*TOY} - {"room/__pycache__/two.cpython.pyc"}


def test_where_no_file_can_be_seen_there_is_no_digest(tmp_path):
    assert files_behind(EVALUATES, tmp_path / "activmask") == {}
    assert basis._program_sha256({}) == ""
