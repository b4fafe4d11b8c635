"""Eligibility of chest X-rays: small tables with every known oddity, and the real tables' counts."""

import csv
import gzip
from pathlib import Path

import pytest

from activmask.data.sources.xray.findings import FINDINGS, find_finding
from activmask.data.sources.xray.tables import Selection, Step, find_table, read_nih, read_padchest
from activmask.ground.errors import DataError, UsageError
from tests.real_xray_tables import (
    EMPHYSEMA,
    REAL_NIH,
    REAL_PADCHEST,
    real_nih,
    real_padchest,
    real_table,
)
from tests.xray_tables_files import (
    NIH_2017_HEADER,
    NIH_2020_HEADER,
    PADCHEST_NAME,
    nih_row,
    padchest_row,
    padchest_text,
    write_table,
)


def counts(step: Step) -> tuple[int, int, int, int]:
    return step.positives, step.positive_patients, step.healthy, step.healthy_patients


def labels_by_name(selection: Selection) -> dict[str, int]:
    return {image.file_name: image.label for image in selection.candidates}


def read_rows(tmp_path: Path, *rows: dict[str, str], paper: bool = False, adults: bool = True) -> Selection:
    table = write_table(tmp_path / PADCHEST_NAME, padchest_text(rows))
    return read_padchest(table, finding=EMPHYSEMA, paper=paper, adults=adults)


@pytest.mark.process
def test_real_nih_counts() -> None:
    everything, pa = real_nih("PA").steps
    assert (everything.images, everything.patients, pa.images) == (112_120, 30_805, 67_310)
    assert counts(everything) == (2_516, 1_046, 60_361, 24_907)
    assert counts(pa) == (1_499, 781, 39_302, 22_452)


@pytest.mark.process
def test_real_padchest_counts() -> None:
    selection = real_padchest(paper=False)
    everything, pa, adults = selection.steps
    assert (everything.images, pa.images) == (160_861, 91_728)
    assert counts(pa) == (861, 735, 34_266, 28_703)
    # 26 healthy images are marked PED; 2,088 more show people of under 18 years by their dates.
    assert counts(adults) == (861, 735, 34_266 - 26 - 2_088, 26_793)
    assert len(selection.candidates) == adults.positives + adults.healthy
    assert selection.skipped == ()


@pytest.mark.process
def test_real_padchest_counts_by_the_rule_of_the_paper() -> None:
    selection = real_padchest(paper=True)
    assert counts(selection.steps[-1]) == (500, 446, 22_091, 18_923)
    assert len(selection.candidates) == 500 + 22_091


@pytest.mark.process
def test_every_finding_occurs_in_both_real_tables() -> None:
    with gzip.open(real_table(REAL_NIH), "rt") as file:
        nih = {label for row in csv.DictReader(file) for label in row["Finding Labels"].split("|")}
    with gzip.open(real_table(REAL_PADCHEST), "rt") as file:
        text = "".join({row["Labels"] for row in csv.DictReader(file)})
    assert {finding.nih for finding in FINDINGS.values()} == nih - {"No Finding"}
    for finding in FINDINGS.values():
        assert f"'{finding.padchest}'" in text or f"' {finding.padchest}'" in text, finding


def test_unknown_finding_names_the_nearest() -> None:
    assert find_finding("Pleural Thickening").nih == "Pleural_Thickening"
    with pytest.raises(UsageError, match="did you mean 'emphysema'"):
        find_finding("emphisema")


@pytest.mark.parametrize(("header", "end"), [(NIH_2017_HEADER, ","), (NIH_2020_HEADER, "")])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("name", ["Data_Entry_2017.csv", "Data_Entry_2017.csv.gz"])
def test_nih_in_all_its_forms(
    tmp_path: Path, header: str, end: str, mark: str, newline: str, name: str
) -> None:
    rows = [
        nih_row("00000001_000.png", "Cardiomegaly|Emphysema", end=end),
        nih_row("00000001_001.png", "No Finding", "AP", end=end),
        nih_row("00000002_000.png", "No Finding", end=end),
        nih_row("00000003_000.png", "Hernia", end=end),
    ]
    table = write_table(tmp_path / name, mark + newline.join([header, *rows]) + newline)
    selection = read_nih(table, finding=EMPHYSEMA, views="PA")
    assert [counts(step) for step in selection.steps] == [(1, 1, 2, 2), (1, 1, 1, 1)]
    assert labels_by_name(selection) == {"00000001_000.png": 1, "00000002_000.png": 0}
    assert {image.subject for image in selection.candidates} == {"nih-1", "nih-2"}
    assert len(read_nih(table, finding=EMPHYSEMA, views="all").candidates) == 3


def test_a_repeated_image_is_skipped_and_named(tmp_path: Path) -> None:
    rows = [nih_row("00000001_000.png", "Emphysema"), nih_row("00000001_000.png", "No Finding")]
    table = write_table(tmp_path / "Data_Entry_2017.csv", "\n".join([NIH_2017_HEADER, *rows]))
    selection = read_nih(table, finding=EMPHYSEMA, views="PA")
    assert labels_by_name(selection) == {"00000001_000.png": 1}
    [(name, reason)] = selection.skipped
    assert name == "00000001_000.png"
    assert "row 3" in reason
    assert "earlier row" in reason


@pytest.mark.parametrize("name", ["../a.png", "b\\a.png", "..", ""])
def test_an_image_name_that_is_a_path_is_skipped(tmp_path: Path, name: str) -> None:
    selection = read_rows(tmp_path, padchest_row(name, "['emphysema']"))
    assert selection.candidates == ()
    assert "no plain file name" in selection.skipped[0][1]


@pytest.mark.parametrize(
    ("labels", "tokens", "paper"),
    [
        ("['emphysema']", 1, 1),
        ("['COPD signs', ' emphysema']", 1, 1),
        ("['normal']", 0, 0),
        ("[' normal', '']", None, 0),
        ("['subcutaneous emphysema']", None, 1),
        ("['abnormal foreign body']", None, 0),
        ("['normal', 'cardiomegaly']", None, 0),
        ("['normal', 'emphysema']", 1, 1),
        ("[]", None, None),
        ("", None, None),
    ],
)
def test_padchest_labels(tmp_path: Path, labels: str, tokens: int | None, paper: int | None) -> None:
    row = padchest_row("a.png", labels)
    assert labels_by_name(read_rows(tmp_path, row)).get("a.png") == tokens
    assert labels_by_name(read_rows(tmp_path, row, paper=True)).get("a.png") == paper


@pytest.mark.parametrize("labels", ["['emphysema'", "__import__('os')", "{'emphysema'}", "[1]", "(" * 500])
def test_labels_that_are_no_list_are_skipped(tmp_path: Path, labels: str) -> None:
    selection = read_rows(tmp_path, padchest_row("a.png", labels), padchest_row("b.png", "['normal']"))
    assert labels_by_name(selection) == {"b.png": 0}
    assert selection.skipped == (("a.png", "row 2: its labels are not a list of texts"),)


def test_padchest_views_and_subject_ids_stay_text(tmp_path: Path) -> None:
    side = padchest_row("side.png", "['normal']", Projection="L")
    unnamed = padchest_row("unnamed.png", "['normal']", ViewPosition_DICOM="", PatientID="0" * 38 + "7")
    assert set(labels_by_name(read_rows(tmp_path, side, unnamed))) == {"unnamed.png"}
    assert set(labels_by_name(read_rows(tmp_path, side, unnamed, paper=True))) == {"side.png"}
    assert read_rows(tmp_path, unnamed).candidates[0].subject == "padchest-" + "0" * 38 + "7"
    assert read_rows(tmp_path, unnamed).candidates[0].folder == "0"


@pytest.mark.parametrize(
    ("cells", "adult"),
    [
        ({"Pediatric": "PED"}, False),
        ({"PatientBirth": "1997.0"}, False),
        ({"PatientBirth": "1996.0"}, True),
        ({"PatientBirth": ""}, True),
        ({"PatientBirth": "nan"}, True),
        ({"StudyDate_DICOM": ""}, True),
    ],
)
def test_children_are_left_out_by_mark_or_dates(tmp_path: Path, cells: dict[str, str], adult: bool) -> None:
    row = padchest_row("a.png", "['normal']", **cells)
    assert len(read_rows(tmp_path, row).candidates) == adult
    assert len(read_rows(tmp_path, row, adults=False).candidates) == 1
    assert [step.healthy for step in read_rows(tmp_path, row).steps] == [1, 1, int(adult)]


@pytest.mark.parametrize("column", ["ImageID", "Projection", "PatientBirth", "Labels"])
def test_a_missing_column_is_named(tmp_path: Path, column: str) -> None:
    table = write_table(tmp_path / PADCHEST_NAME, padchest_text([], without=column))
    with pytest.raises(DataError, match=f"lacks the column '{column}'"):
        read_padchest(table, finding=EMPHYSEMA, paper=False)


def test_broken_tables_are_refused(tmp_path: Path) -> None:
    whole = gzip.compress((NIH_2017_HEADER + "\n" + nih_row("00000001_000.png", "Hernia")).encode())
    for name, data in {
        "cut.csv.gz": whole[:-12],
        "plain.csv.gz": b"Image Index",
        "latin.csv": NIH_2017_HEADER.encode() + b"\n\xff\xfe",
        "short.csv": NIH_2017_HEADER.encode() + b"\n00000001_000.png,Hernia",
        "empty.csv": b"",
    }.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(DataError, match=name):
            read_nih(tmp_path / name, finding=EMPHYSEMA, views="PA")
    with pytest.raises(DataError, match="does not exist"):
        read_nih(tmp_path / "none.csv", finding=EMPHYSEMA, views="PA")


@pytest.mark.parametrize("place", ["nih", ".", "nih/tables"])
@pytest.mark.parametrize("name", ["Data_Entry_2017.csv", "Data_Entry_2017_v2020.csv.gz"])
def test_the_table_is_found_in_its_usual_places(tmp_path: Path, place: str, name: str) -> None:
    (tmp_path / "nih" / "tables").mkdir(parents=True)
    table = write_table(tmp_path / place / name, NIH_2017_HEADER)
    assert find_table(tmp_path / "nih", "nih").samefile(table)
    with pytest.raises(DataError, match=PADCHEST_NAME):
        find_table(tmp_path / "nih", "padchest")
