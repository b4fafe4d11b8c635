"""Cells of a grid that begin with the finished run of another: what they are, and when they are trained."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from activmask_cli.sweep_table import SweepTable
from test_sweep import Scripted, jobs_of, nobody

from activmask.experiments import ray_engine
from activmask.experiments.cells import grid_cells
from activmask.experiments.estimate import epochs_left, seconds_per_epoch
from activmask.experiments.grid import quick_form, read_grid
from activmask.experiments.jobs import Job, epochs_of, is_finished, make_jobs, progress_of, run_job
from activmask.experiments.ray_engine import Outcome, RayEngine, SentJob, work_on_node, write_files
from activmask.experiments.sweep import run_sweep
from activmask.ground.errors import UsageError
from activmask.runs.description import changed
from activmask.runs.making import make_config

METHODS = """
[axes.method]
"Classify" = {}
"Short" = { epochs = { share = 0.25 } }
"JTT" = { upweight_errors_of = { cell = "Short" }, upweight = [5, 20] }
"Actdiff" = { actdiff = 2.0 }
"Actdiff DFR" = { retrain_head = { cell = "Actdiff" }, groups = "shortcut" }
"""
GRID = f"""
[base]
model = "cnn"
width = 2
epochs = 10
[quick]
epochs = 6
[axes.data]
"One" = {{ data = "one" }}
"Two" = {{ data = "two" }}
{METHODS}
"""


@pytest.fixture
def own(tmp_path):
    """Reads a grid out of its text."""

    def read(text: str):
        (tmp_path / "own.toml").write_text(text, encoding="utf-8")
        return read_grid(str(tmp_path / "own.toml"))

    return read


def of_title(grid, settings=None):
    return {cell.title: cell for cell in grid_cells(grid, settings=settings)}


def test_a_cell_begins_with_the_one_that_differs_from_it_on_this_axis_alone(own):
    cells = of_title(own(GRID))
    assert [title for title, cell in cells.items() if cell.first is None] == [
        f"{data} {method}" for data in ("One", "Two") for method in ("Classify", "Short", "Actdiff")
    ]
    for data in ("One", "Two"):
        for name in ("JTT 5", "JTT 20"):
            cell = cells[f"{data} {name}"]
            assert cell.first == cells[f"{data} Short"]
            assert cell.config.robustness.upweight_errors_of == cell.first.name
            assert cell.config.training.epochs == 10
        assert cells[f"{data} Actdiff DFR"].first == cells[f"{data} Actdiff"]
    jobs = {job.title: job for job in make_jobs(list(cells.values()), (0, 2), Path("out"))}
    job = jobs["Two JTT 5"]
    assert job.config.robustness.upweight_errors_of == "out/two-short"
    assert job.first == jobs["Two Short"]
    assert job.first_run == Path("out/two-short")
    assert jobs["Two Classify"].first_run is None


def test_a_last_layer_is_fitted_to_a_run_of_the_same_settings(own):
    cells = of_title(own(GRID))
    one, first = cells["One Actdiff DFR"].config, cells["One Actdiff"].config
    assert changed(one, retrain_head="", groups="") == first
    assert first["actdiff"] == 2.0


def test_a_share_of_the_epochs_is_of_those_that_are_asked_for(own):
    grid = own(GRID)
    for given, settings, epochs in ((grid, {}, 2), quick_and(grid, 2), (grid, {"epochs": 40}, 10)):
        cells = of_title(given, settings)
        assert cells["One Short"].config.training.epochs == epochs
        assert cells["One JTT 5"].first.config.training.epochs == epochs
        assert cells["One JTT 5"].config.training.epochs == settings.get("epochs", 10)
    assert of_title(grid, {"epochs": 1})["One Short"].config.training.epochs == 1
    assert of_title(own(GRID.replace("epochs = 10\n", "")))["One Short"].config.training.epochs == 125


def quick_and(grid, epochs):
    return (*quick_form(grid), epochs)


def test_every_network_of_an_axis_can_have_its_last_layer_fitted_anew(own):
    cells = of_title(
        own(
            '[axes.method]\n"Plain" = {}\n"Act" = { actdiff = 1.0 }\n[axes.head]\n"as it is" = {}\n'
            '"refitted" = { retrain_head = { cell = "as it is" }, groups = "site" }'
        )
    )
    assert cells["Act refitted"].first == cells["Act as it is"]
    assert cells["Act refitted"].config["actdiff"] == 1.0


def test_a_run_that_is_named_by_its_folder_is_no_cell(own):
    text = GRID.replace('{ cell = "Short" }', '"runs/first"')
    for grid, settings in ((own(text), {}), (own(GRID), {"upweight_errors_of": "runs/first"})):
        cell = of_title(grid, settings)["One JTT 5"] if not settings else jtt(grid, settings)
        assert cell.first is None
        assert cell.config.robustness.upweight_errors_of == "runs/first"


def jtt(grid, settings):
    [cell, _] = grid_cells(grid, keep={"method": ["JTT 5"]}, settings=settings)
    return cell


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        (
            'cell = "Short"',
            'cell = "Shrot"',
            "JTT 5 begins with the method 'Shrot', which is none; did you mean",
        ),
        (
            'cell = "Short"',
            'cell = "Actdiff", seed = 1',
            r"JTT 5: upweight_errors_of is the folder of a run, or",
        ),
        ('cell = "Short"', "cell = 3", r"with another method; found \{'cell': 3\}"),
        ('{ cell = "Actdiff" }', '{ cell = "JTT" }', "stands for JTT 5 and JTT 20; name one"),
        ('{ cell = "Actdiff" }', '{ cell = "Actdiff DFR" }', "Actdiff DFR begins with Actdiff DFR: a circle"),
        ("share = 0.25", "share = 1.5", "Short: epochs is a number or { share = S }"),
        ("share = 0.25", "share = true", "Short: epochs is a number or { share = S }"),
        ("share = 0.25", "cell = 'Classify'", "Short: epochs is a number or { share = S }"),
        ("[base]", '[base]\nupweight_errors_of = { cell = "Short" }', "must be of type str"),
        (
            "[axes.data]",
            "[[exclude]]\nmethod = 'Short'\n[axes.data]",
            "One JTT 5 begins with the run of",
        ),
        (
            "[axes.data]",
            "[[quick.exclude]]\nmethod = 'Short'\ndata = 'Two'\n[axes.data]",
            "own.toml: quick: Two JTT 5 begins with the run of Two Short, which is left out; leave out both",
        ),
        (
            'groups = "shortcut"',
            'groups = "shortcut", upweight_errors_of = { cell = "Short" }',
            "One Actdiff DFR: retrain_head fits a run that is finished, and upweight_errors_of trains one",
        ),
    ],
)
def test_what_nothing_can_begin_is_refused_when_the_grid_is_read(own, old, new, sentence):
    text = GRID.replace(old, new)
    assert text != GRID
    with pytest.raises(UsageError, match=sentence):
        grid_cells(own(text))


@pytest.mark.parametrize("part", ["base", "quick"])
@pytest.mark.parametrize("value", ['{ cell = "Actdiff" }', "{ seed = 1 }", "7"])
def test_all_cells_of_a_grid_begin_with_no_cell(own, part, value):
    grid = own(GRID.replace(f"[{part}]", f"[{part}]\nupweight_errors_of = {value}"))
    given, settings = quick_form(grid) if part == "quick" else (grid, {})
    with pytest.raises(UsageError, match="upweight_errors_of must be of type str"):
        grid_cells(given, settings=settings)


def test_circles_are_told_step_by_step(own):
    text = '[axes.method]\n"A" = { upweight_errors_of = { cell = "B" } }\n'
    text += '"B" = { upweight_errors_of = { cell = "C" } }\n"C" = { upweight_errors_of = { cell = "B" } }'
    with pytest.raises(UsageError, match="B begins with C and C begins with B: a circle that nothing can"):
        own(text)


def test_a_cell_may_be_left_out_with_all_that_begins_with_it(own):
    rule = "[[quick.exclude]]\nmethod = ['Short', 'JTT 5', 'JTT 20']\n[axes.data]"
    grid, settings = quick_form(own(GRID.replace("[axes.data]", rule)))
    assert len(grid_cells(grid, settings=settings)) == 6


def chain(tmp_path) -> list[Job]:
    """Cell 0 begins with cell 2, which begins with cell 3; cell 1 stands alone."""
    zero, one, two, three = jobs_of(tmp_path, 4)
    two = replace(two, first=three)
    return [replace(zero, first=two), one, two, three]


def test_a_cell_waits_for_the_run_that_it_begins_with_and_others_go_before_it(tmp_path):
    engine = Scripted(2, {"cell-2": 1})
    states = run_sweep(chain(tmp_path), engine, nobody)
    assert engine.started == ["cell-1", "cell-3", "cell-2", "cell-2", "cell-0"]
    assert {state.status for state in states} == {"done"}


def test_what_begins_with_a_failed_run_is_not_run_and_says_so(tmp_path, capsys):
    engine = Scripted(2, {"cell-3": 2})
    with SweepTable("a sweep") as table:
        states = run_sweep(chain(tmp_path), engine, table.show)
    assert engine.started == ["cell-1", "cell-3", "cell-3"]
    assert [(state.status, state.error) for state in states] == [
        ("not run", "it begins with the finished run of cell 2, which was not run"),
        ("done", ""),
        ("not run", "it begins with the finished run of cell 3, which failed"),
        ("failed", "boom"),
    ]
    assert "cell 2: not run" in capsys.readouterr().err


def test_a_first_run_that_no_cell_trains_must_be_finished(tmp_path):
    jobs = chain(tmp_path)
    engine = Scripted(1, {})
    with pytest.raises(
        UsageError, match=r"cell 2 begins with the finished run of cell 3, which .*cell-3 does not"
    ):
        run_sweep(jobs[:3], engine, nobody)
    assert engine.started == []
    assert engine.closed
    assert run_job(jobs[3]) == ""
    run_sweep(jobs[:3], engine, nobody)
    assert engine.started == ["cell-1", "cell-2", "cell-0"]


@pytest.fixture(scope="module")
def trained(crosses, tmp_path_factory):
    """A job that counts the errors of a run of one epoch more, which is finished."""
    base = {"data": str(crosses), "model": "cnn", "width": 2, "lr": 1e-3, "batch_size": 12, "threads": 1}
    place = tmp_path_factory.mktemp("first")
    first = Job(
        name="first",
        title="first",
        config=make_config(**base, epochs=1),
        seeds=(0,),
        folder=place / "first",
    )
    assert run_job(first) == ""
    config = make_config(**base, epochs=2, upweight_errors_of=str(first.folder))
    return replace(first, name="second", title="second", config=config, folder=place / "second", first=first)


def test_time_is_told_of_what_begins_with_a_run_that_is_not_there_yet(trained, tmp_path):
    waiting = replace(trained, first=replace(trained.first, folder=tmp_path / "nowhere"))
    waiting = replace(waiting, config=changed(waiting.config, upweight_errors_of=str(tmp_path / "nowhere")))
    for job in (trained, waiting):
        assert epochs_left(job) == 2
        assert seconds_per_epoch(job) > 0
    assert not trained.folder.exists()


def test_a_last_layer_takes_one_epoch(trained):
    config = changed(trained.config, upweight_errors_of="", retrain_head="first", groups="shortcut", epochs=7)
    job = replace(trained, config=config)
    assert epochs_of(config) == epochs_left(job) == 1
    assert progress_of(job).epochs == 0


def test_a_node_that_does_not_see_the_sweep_asks_for_the_first_run_and_tells_its_place_here(trained):
    task = SentJob(job=trained, beacon="another", cwd=Path.cwd(), withheld=True)
    assert work_on_node(task).lacks_found
    assert not trained.folder.exists()
    outcome = work_on_node(replace(task, withheld=False))
    assert f"{trained.first.folder}/seed-0/last.safetensors cannot be read" in outcome.error


def test_such_a_node_is_sent_the_run_and_names_it_as_the_sweep_does(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(ray_engine, "import_ray", lambda: SimpleNamespace(get=lambda reference: reference))
    elsewhere = trained.first.folder.with_name("hidden")
    sent = tuple(ray_engine._needed(trained))
    assert [sorted(files) for files in sent] == [[], ["seed-0/last.safetensors"]]
    trained.first.folder.rename(elsewhere)
    try:
        task = SentJob(job=trained, beacon="another", cwd=Path.cwd(), withheld=False, found=sent)
        outcome = work_on_node(task)
    finally:
        elsewhere.rename(trained.first.folder)
    assert outcome.error == ""
    here = replace(trained, folder=tmp_path / "second")
    write_files(here, outcome.files)
    assert is_finished(here)
    told = json.loads((here.folder / "seed-0/run.json").read_text(encoding="utf-8"))
    assert told["config"]["upweight_errors_of"] == str(trained.first.folder)


def test_a_first_run_is_sent_when_a_node_asks_for_it(trained, monkeypatch):
    sent: list[SentJob] = []
    remote = SimpleNamespace(remote=lambda task: sent.append(task) or len(sent))
    monkeypatch.setattr(RayEngine, "_beacon", lambda engine, folder: "left nowhere")
    monkeypatch.setattr(RayEngine, "_share", lambda engine, job: {})
    engine = RayEngine.__new__(RayEngine)
    engine._ray, engine._running = SimpleNamespace(put=lambda files: files), {}
    engine._work = SimpleNamespace(options=lambda **_: remote)
    engine.start(trained)
    engine._take(trained, 0, Outcome(lacks_found=True))
    assert [(task.withheld, len(task.found)) for task in sent] == [(True, 0), (False, 2)]
    assert sent[0].job.first_run.is_absolute()


def test_a_sweep_that_was_moved_goes_on(trained, tmp_path):
    moved = tmp_path / "moved"
    job = replace(trained, folder=moved / "second", first=replace(trained.first, folder=moved / "first"))
    assert run_job(replace(job, first=trained.first)) == ""
    trained.first.folder.rename(moved / "first")
    try:
        assert is_finished(replace(job, config=changed(job.config, upweight_errors_of=str(moved / "first"))))
        assert not is_finished(replace(job, config=changed(job.config, upweight_errors_of="")))
        checkpoint = moved / "first/seed-0/last.safetensors"
        checkpoint.write_bytes(checkpoint.read_bytes() + b" ")
        assert not is_finished(job)
        checkpoint.write_bytes(checkpoint.read_bytes()[:-1])
    finally:
        (moved / "first").rename(trained.first.folder)
