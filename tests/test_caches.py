"""Where what can be made again is kept, and that a damaged cache is as none."""

from pathlib import Path

import pytest

from activmask.ground.caches import cache_folder, read_cached, write_cached


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        ({}, Path.home() / ".cache" / "activmask"),
        ({"XDG_CACHE_HOME": "/var/mine"}, Path("/var/mine/activmask")),
        ({"XDG_CACHE_HOME": "relative"}, Path.home() / ".cache" / "activmask"),
        ({"ACTIVMASK_CACHE": "/else", "XDG_CACHE_HOME": "/var/mine"}, Path("/else")),
        ({"ACTIVMASK_CACHE": ""}, Path.home() / ".cache" / "activmask"),
        ({"ACTIVMASK_CACHE": "off"}, None),
    ],
)
def test_the_environment_says_where_caches_lie(environment, folder):
    assert cache_folder(environment) == folder


def test_without_a_home_there_is_no_cache(monkeypatch):
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    assert cache_folder({}) is None
    assert read_cached(None) == {}
    write_cached(None, {"a": 1})


def test_what_was_written_is_read_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "new" / "cache.json"
    assert read_cached(path) == {}
    for number in (1, 2):
        write_cached(path, {"a": number})
        assert read_cached(path) == {"a": number}
    assert list(path.parent.iterdir()) == [path]


def test_what_cannot_be_written_leaves_what_was_there(tmp_path):
    path = tmp_path / "cache.json"
    write_cached(path, {"a": 1})
    with pytest.raises(TypeError):
        write_cached(path, {"a": object()})
    assert read_cached(path) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]
