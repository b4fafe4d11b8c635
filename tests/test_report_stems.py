"""Names of files that data sets of like names must not share."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from chart_runs import chart_run, measured
from hypothesis import given
from hypothesis import strategies as st
from summary_runs import write_run

from activmask.report import contents
from activmask.report.charts.audit_chart import localisation_chart
from activmask.report.contents import gather
from activmask.report.findings.stems import stem, stems
from activmask.runs.results import find_runs


def test_names_that_read_alike_are_numbered():
    assert stems(["a-b", "a_b", "Größe", "a-b-2", "A B", "肝臓"]) == {
        "a-b": "a-b",
        "a_b": "a-b-2",
        "Größe": "groe",
        "a-b-2": "a-b-2-2",
        "A B": "a-b-3",
        "肝臓": "data",
    }


@given(st.lists(st.text(alphabet="ab-_2 é肝.", max_size=4)))
def test_every_data_set_has_a_stem_of_its_own(names):
    found = stems(names)
    assert set(found) == set(names)
    assert len(set(found.values())) == len(found)
    assert all(found.values())


def test_a_chart_alone_has_a_name_whatever_its_data_is_called(tmp_path):
    chart = localisation_chart([measured(chart_run(tmp_path, data="data/肝臓"), inside=(0.3,))])
    assert (chart.name, stem("肝臓")) == ("localisation", "data")
    assert replace(chart, stem="liver").name == "localisation-liver"


@pytest.mark.process
def test_data_sets_of_like_names_keep_all_their_files(tmp_path, monkeypatch):
    monkeypatch.setattr(contents, "account", lambda summary: ())
    for number, name in enumerate(("a-b", "a_b", "肝臓")):
        write_run(tmp_path / f"base-{number}", {0: 0.5}, data=f"data/{name}")
        write_run(tmp_path / f"act-{number}", {0: 0.6}, data=f"data/{name}", actdiff=10.0)
    audit = dict.fromkeys(("full", "background shuffled", "ROI shuffled"), (0.5,))
    some = [measured(run, inside=(0.3,), audit=audit) for run in find_runs([tmp_path])]
    gathered = gather(some, now=datetime(2026, 3, 1, tzinfo=UTC))
    tables = [table for part in gathered.page.parts for table in part.tables]
    figures = [figure for part in gathered.page.parts for figure in part.figures]
    for shown, of_each in ((tables, 5), (figures, 4)):
        assert len({one.name for one in shown}) == len(shown) == 3 * of_each
    for kind, suffix in (("tables/audit", "csv"), ("tables/scores", "tex"), ("figures/figure-7", "svg")):
        paths = {path for path in gathered.files if path.startswith(kind) and path.endswith(suffix)}
        assert paths == {f"{kind}-{stem}.{suffix}" for stem in ("a-b", "a-b-2", "data")}
    links = {link.path for one in (*tables, *figures) for link in one.files}
    assert links == set(gathered.files)
    rows = gathered.files["tables/scores-a-b-2.csv"].decode().splitlines()[1:]
    assert [row.split(",")[0] for row in rows] == ["A_b"] * 2
