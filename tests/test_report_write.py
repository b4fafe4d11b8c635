"""The report's folder: whole or not at all, and never over something else."""

import shutil

import pytest
from report_runs import train_runs

from activmask.ground.errors import DataError, UsageError
from activmask.report import write
from activmask.report.contents import MAKER, Contents
from activmask.report.page import folder
from activmask.report.page.folder import check_target
from activmask.report.page.html import Page
from activmask.report.write import write_report
from activmask.runs.results import find_runs


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return train_runs(tmp_path_factory.mktemp("write"), seeds=(0,), epochs=1)


@pytest.fixture
def drawn(monkeypatch):
    """Contents that take no time to gather."""
    page = Page(maker="activmask report", title="t", question="q", answer=("new",), parts=())
    contents = Contents(page=page, files={"figures/a.svg": b"<svg/>", "tables/a.csv": b"a\n"})
    monkeypatch.setattr(write, "gather", lambda *_, **__: contents)
    monkeypatch.setattr(write, "measure_all", measured)


def measured(runs, *, progress, **_):
    if progress is not None:
        for done in range(len(runs) + 1):
            progress(done, len(runs))
    return runs


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_a_report_is_written_whole_and_replaces_an_older_one(trained, drawn, tmp_path):
    out = tmp_path / "deep" / "report"
    runs = find_runs([trained])
    seen = []
    assert write_report(runs, out, progress=lambda *numbers: seen.append(numbers)) == out / "index.html"
    assert seen == [(0, 3), (1, 3), (2, 3), (3, 3)]
    (out / "figures" / "old.svg").write_text("old")
    write_report(runs, out)
    assert names(tmp_path / "deep") == [
        "report",
        *(f"report/{name}" for name in ("figures", "figures/a.svg", "index.html", "tables", "tables/a.csv")),
    ]


def test_what_is_no_report_is_never_replaced(tmp_path):
    for name in ("index.html", "figures"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "thesis.tex").write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(UsageError, match=r"not a report \(it holds 'thesis.tex'\)"):
            check_target(tmp_path, "report", MAKER, overwrite=overwrite)


def test_a_page_without_our_mark_is_replaced_only_when_asked(tmp_path):
    (tmp_path / "index.html").write_text("<html>my own</html>")
    with pytest.raises(UsageError, match="ask for overwrite"):
        check_target(tmp_path, "report", MAKER, overwrite=False)
    check_target(tmp_path, "report", MAKER, overwrite=True)
    (tmp_path / "index.html").write_text(f'<meta name="generator" content="{MAKER} 1">')
    check_target(tmp_path, "report", MAKER, overwrite=False)


def test_files_and_links_are_no_place_for_a_report(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    for name in ("file", "link"):
        with pytest.raises(UsageError, match="not a plain folder"):
            check_target(tmp_path / name, "report", MAKER, overwrite=True)


def test_a_failure_leaves_the_old_report_and_nothing_else(trained, drawn, tmp_path, monkeypatch):
    runs, out = find_runs([trained]), tmp_path / "report"
    write_report(runs, out)
    before = names(tmp_path)

    def full(page):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(folder, "render", full)
    with pytest.raises(DataError, match=r"report cannot be written \(No space left on device\)"):
        write_report(runs, out)
    assert names(tmp_path) == before


def test_runs_without_a_finished_seed_make_no_report(trained, tmp_path):
    shutil.copytree(trained / "actdiff", tmp_path / "runs" / "actdiff")
    (tmp_path / "runs" / "actdiff" / "seed-0" / "metrics.json").unlink()
    with pytest.raises(UsageError, match="none of the 1 runs has a finished seed"):
        write_report(find_runs([tmp_path / "runs"]), tmp_path / "report")


def test_a_report_without_data_and_with_unfinished_seeds_says_so_and_is_the_same_again(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "runs")
    (tmp_path / "runs" / "gradmask" / "seed-0" / "metrics.json").unlink()
    data = trained.parent / "data"
    data.rename(tmp_path / "gone")
    try:
        for name in ("one", "two"):
            write_report(find_runs([tmp_path / "runs"]), tmp_path / name)
    finally:
        (tmp_path / "gone").rename(data)
    one, two = ((tmp_path / name / "index.html").read_text(encoding="utf-8") for name in ("one", "two"))
    assert one == two
    assert "CNN Gradmask: seed 0" in one
    assert 'class="problem"' in one
    assert f"the data set folder {data / 'synthetic'} that" in one
    assert "figure-7-synthetic" in one
    assert "audit-synthetic" not in one


def test_a_place_that_cannot_be_written_is_refused_before_anything_is_measured(
    trained, tmp_path, monkeypatch
):
    monkeypatch.setattr(write, "measure_all", lambda *_, **__: pytest.fail("measured"))
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"the report .*file/report cannot be written"):
        write_report(find_runs([trained]), tmp_path / "file" / "report")
