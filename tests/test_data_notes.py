"""Seeds are paired and averaged only where they saw the same images, and what is not is said."""

import json

import pytest
from summary_runs import write_run

from activmask.report.findings.series import without_repeats
from activmask.report.findings.summary import summarise
from activmask.runs.folder import SPLITS_FILE
from activmask.runs.manifest import Entry, format_entries
from activmask.runs.results import find_runs

AUC = {0: 0.5, 1: 0.6, 2: 0.4}


def describe(run, digests, **changes):
    """Give the seeds of a written run a digest each, and more that a description holds."""
    for seed, digest in digests.items():
        path = run / f"seed-{seed}" / "run.json"
        described = json.loads(path.read_text())
        described["split_sha256"] = dict.fromkeys(("train", "valid", "test"), 64 * digest)
        path.write_text(json.dumps({**described, **changes}))


def summary_of(folder):
    return summarise(find_runs([folder]))


def test_seeds_of_other_data_are_not_paired_and_named(tmp_path):
    plain = write_run(tmp_path / "plain", AUC, data="data/x")
    actdiff = write_run(tmp_path / "actdiff", AUC, data="data/x", actdiff=10.0)
    describe(plain, {0: "a", 1: "a", 2: "a"}, data_path="/one/data/x")
    describe(actdiff, {0: "a", 1: "b", 2: "b"}, data_path="/two/data/x")
    summary = summary_of(tmp_path)
    [row] = summary.compared
    assert row.comparison.difference.n == 1
    assert any("Not paired, because seeds 1, 2 saw other images" in note for note in summary.notes)
    describe(actdiff, {0: "b"})
    summary = summary_of(tmp_path)
    assert not summary.compared
    assert any("Not paired, because seeds 0, 1, 2 saw" in note for note in summary.notes)


def test_one_data_set_under_two_spellings_is_paired(tmp_path):
    describe(write_run(tmp_path / "plain", AUC, data="data/x"), dict.fromkeys(AUC, "a"))
    describe(write_run(tmp_path / "actdiff", AUC, data="./data/x", actdiff=1.0), dict.fromkeys(AUC, "a"))
    summary = summary_of(tmp_path)
    assert summary.compared[0].comparison.difference.n == 3
    assert not [note for note in summary.notes if "aired" in note and "paired seed" not in note]


def test_runs_without_digests_are_paired_by_name_with_a_sentence(tmp_path):
    describe(write_run(tmp_path / "plain", AUC, data="data/x"), dict.fromkeys(AUC, "a"))
    write_run(tmp_path / "actdiff", AUC, data="data/x", actdiff=1.0)
    summary = summary_of(tmp_path)
    assert summary.compared[0].comparison.difference.n == 3
    assert any("Paired by the name of their data alone" in note for note in summary.notes)


@pytest.mark.parametrize(("changed", "rows"), [("same", 1), ("other", 2)])
def test_seeds_of_one_folder_that_saw_different_images_stand_apart(tmp_path, changed, rows):
    run = write_run(tmp_path / "run", AUC, data="data/x")
    for seed in AUC:
        entry = Entry("a.png", "a", "train", "", 0, changed if seed == 2 else "same", "")
        (run / f"seed-{seed}" / SPLITS_FILE).write_bytes(format_entries([entry]))
    summary = summary_of(tmp_path)
    assert [row.run.seeds for row in summary.rows] == [(0, 1, 2)] if rows == 1 else [(0, 1), (2,)]
    assert any("not averaged" in note for note in summary.notes) == (rows == 2)
    if rows == 2:
        assert {row.distinction.split(", ", 1)[-1] for row in summary.rows} >= {"data of seed 2"}


def test_runs_of_other_data_do_not_repeat_each_other_in_charts(tmp_path):
    for name, digest in (("one", "a"), ("two", "b"), ("three", "b")):
        describe(write_run(tmp_path / name, AUC, data="data/x"), dict.fromkeys(AUC, digest))
    kept, note = without_repeats(find_runs([tmp_path]), lambda run: run)
    assert len(kept) == 2
    assert "1 run that repeats another" in note
