"""Where paths lead, links that lead nowhere included."""

from pathlib import Path

import pytest
from in_process import told

from activmask.ground.places import real

ROOT = Path(__file__).parents[1]


def test_a_path_is_told_as_the_file_system_knows_it(tmp_path, monkeypatch):
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    monkeypatch.chdir(tmp_path)
    assert real(Path("link/../link/new")) == tmp_path.resolve() / "folder/new"


def loop(path: Path) -> Path:
    path.symlink_to(path.name)
    return path


@pytest.mark.parametrize(
    "command",
    [
        ("prepare-folder", "loop", "--labels", "loop", "--out", "out"),
        ("prepare-folder", ".", "--labels", "loop", "--out", "out"),
        ("prepare-folder", ".", "--labels", "loop", "--out", "loop"),
        ("prepare-msd", "loop", "--out", "out"),
        ("make-synthetic", "--n", 4, "--valid", 4, "--test", 4, "--out", "loop"),
        ("train", "--data", "loop", "--model", "cnn", "--width", 2, "--epochs", 1),
        ("evaluate", "loop"),
        ("table", "loop"),
        ("report", "loop"),
        ("saliency", "loop", "loop"),
    ],
    ids=lambda command: command[0],
)
def test_a_link_that_leads_to_itself_is_a_sentence(tmp_path, command):
    loop(tmp_path / "loop")
    said = told(*command, cwd=tmp_path, code=None).stderr
    assert "loop" in said.splitlines()[-1]


def test_nobody_else_asks_where_a_path_leads():
    callers = [
        path.name
        for top in ("activmask", "cli")
        for path in (ROOT / top).rglob("*.py")
        if ".resolve()" in path.read_text(encoding="utf-8")
    ]
    assert callers == []
