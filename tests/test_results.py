"""Run folders found again: which seeds belong together."""

from pathlib import Path

import pytest

from activmask.ground.errors import DataError
from activmask.runs.making import make_config
from activmask.runs.results import find_runs
from activmask.training.run import train


def quick(data: Path, **settings):
    return make_config(
        **{"data": str(data), "model": "cnn", "width": 4, "epochs": 1, "threads": 1, **settings}
    )


def test_seeds_of_one_description_are_one_run(crosses, tmp_path):
    train(quick(crosses), (0, 2), tmp_path / "runs/a")
    train(quick(crosses, actdiff=1.0), (1,), tmp_path / "runs/deep/b")
    runs = find_runs([tmp_path])
    assert [(run.folder.name, run.seeds) for run in runs] == [("a", (0, 2)), ("b", (1,))]
    assert len(runs[0].values("test", "auc")) == len(runs[0].best_epochs()) == 2
    assert list(runs[0].histories()) == [0, 2]


def test_seeds_of_different_epochs_or_settings_are_different_runs(crosses, tmp_path):
    train(quick(crosses), (0,), tmp_path / "a")
    train(quick(crosses, epochs=2), (1,), tmp_path / "a")
    train(quick(crosses, lr=0.5), (2,), tmp_path / "a")
    found = [(run.config.training.epochs, run.config.training.lr, run.seeds) for run in find_runs([tmp_path])]
    assert found == [(1, 1e-4, (0,)), (2, 1e-4, (1,)), (1, 0.5, (2,))]


def test_a_folder_named_twice_is_read_once(crosses, tmp_path, monkeypatch):
    train(quick(crosses), (0,), tmp_path / "runs/a")
    monkeypatch.chdir(tmp_path)
    assert len(find_runs([Path("runs"), tmp_path, Path("runs/a")])) == 1


def test_unfinished_seeds_are_told(crosses, tmp_path):
    train(quick(crosses), (0, 1), tmp_path / "a")
    (tmp_path / "a/seed-1/metrics.json").unlink()
    [run] = find_runs([tmp_path])
    assert (run.seeds, run.unfinished) == ((0,), (1,))


def test_nothing_there_is_a_sentence(tmp_path):
    with pytest.raises(DataError, match="there is no folder"):
        find_runs([tmp_path / "missing"])
    with pytest.raises(DataError, match="there is no run under"):
        find_runs([tmp_path])
