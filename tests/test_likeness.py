"""Names that a reader takes for one make no new class, and put no patient in two splits."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from user_folder import Folder, cats_and_dogs, grey

from activmask.data.dataset import read_dataset
from activmask.data.files.likeness import is_missing, likeness, trimmed
from activmask.data.sources.xray.findings import find_finding
from activmask.data.sources.xray.tables import read_nih
from activmask.ground.errors import DataError

NBSP, WIDTHLESS = "\u00a0", "\u200b"
NAMES = ("a.png", "b.tif", "sub/a.jpg", "c.png")


@pytest.fixture
def folder(tmp_path) -> Folder:
    return cats_and_dogs(tmp_path)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("0", "0.0"),
        ("0", "00"),
        ("1", "1."),
        ("1", "+1"),
        ("0.5", "0.50"),
        ("1", "1e0"),
        ("1", "1.00E+00"),
        ("1.5", "1,50"),
        ("0", "-0,0"),
        ("P1", "P 01"),
        ("P1", "P01"),
        ("Benign", "benign"),
        ("a  b", "a b"),
        ("New York", f"New{NBSP}York"),
        (f"a{WIDTHLESS}b", "ab"),
        ("caf\u00e9", "cafe\u0301"),
        ("\uff12", "2"),
        ("stra\u00dfe", "STRASSE"),
    ],
)
def test_likeness(one, other):
    assert likeness(one) == likeness(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("1", "10"),
        ("1", "100"),
        ("0.5", "0.05"),
        ("-1", "1"),
        ("1.2.840.1", "1.2.840.10"),
        ("1e1", "10"),
        ("1 2", "12"),
        ("1" * 29, "1" * 28 + "2"),
        ("", "0"),
    ],
)
def test_what_differs_in_more(one, other):
    assert likeness(one) != likeness(other)


@given(st.text())
@example("\x800\x1f0")
@example("\x00a\x00b")
@example("\x80a\x00b")
def test_likeness_of_anything_is_at_rest(text):
    assert trimmed(trimmed(text)) == trimmed(text)
    assert likeness(trimmed(text)) == likeness(text)


def test_spaces_around_cells_and_columns_mean_nothing(folder):
    folder.table(
        f" file_name ,label{NBSP}, subject,split ",
        f"a.png ,{NBSP}cat, P0 ,train ",
        f" b.tif,dog{WIDTHLESS},P1,test",
        "c.png, cat,P0, train",
    )
    summary = folder.prepare()
    assert (summary.classes, summary.skipped) == ({"cat": 0, "dog": 1}, ())
    assert folder.written().subjects == ("P0", "P1", "P0")
    assert folder.written().splits == ("train", "test", "train")


@pytest.mark.parametrize(
    ("column", "names", "listed"),
    [
        ("label", ("Benign", "benign", "x", "x"), r"'Benign' \(row 2\) and 'benign' \(row 3\)"),
        ("label", ("0", "1", "0.0", "1"), r"'0' \(row 2\) and '0.0' \(row 4\)"),
        ("label", ("caf\u00e9", "x", "cafe\u0301", "x"), r"'caf\\xe9' \(row 2\) and 'cafe\\u0301' \(row 4\)"),
        ("subject", ("P1", "p1", "P2", "P3"), r"'P1' \(row 2\) and 'p1' \(row 3\)"),
        ("subject", ("7", "07", "7.0", "8"), r"'7' \(row 2\) and '07' \(row 3\) and '7.0' \(row 4\)"),
        (
            "site",
            ("New York", f"New{NBSP}York", "", ""),
            r"'New York' \(row 2\) and 'New\\xa0York' \(row 3\)",
        ),
    ],
)
def test_near_equal_names_are_refused_with_the_list(folder, column, names, listed):
    labels = names if column == "label" else ("0", "1", "0", "1")
    rest = "" if column == "label" else f",{column}"
    rows = (
        f"{file},{label}" + (f",{name}" if rest else "")
        for file, label, name in zip(NAMES, labels, names, strict=True)
    )
    folder.table(f"file_name,label{rest}", *rows)
    with pytest.raises(DataError, match=f"the column {column} differ .*{listed}"):
        folder.prepare()
    if rest:
        hand_made = [
            f"images/{name},,{row}"
            for name, row in zip(NAMES, folder.labels.read_text().split("\n")[1:], strict=False)
        ]
        hand_made = [
            line.replace(f"{name},,{name},", f"{name},,") for line, name in zip(hand_made, NAMES, strict=True)
        ]
        table = folder.images.parent / "metadata.csv"
        table.write_text(f"file_name,mask_file_name,label,{column}\n" + "\n".join(hand_made) + "\n", "utf-8")
        with pytest.raises(DataError, match=f"the column {column} differ .*{listed}"):
            read_dataset(folder.images.parent)


@pytest.mark.parametrize("split", ["Train", "TEST", "validation"])
def test_splits_by_nearly_their_names_are_refused(folder, split):
    folder.table("file_name,label,split", "a.png,cat,train", f"b.tif,dog,{split}")
    with pytest.raises(DataError, match=f"found '{split}'"):
        folder.prepare()


@pytest.mark.parametrize("column", ["Subject", "sub ject", "SPLIT", "Mask-File-Name", "\uff53ite"])
def test_a_column_by_nearly_a_known_name_is_not_left_unread(folder, column):
    folder.table(f"file_name,label,{column}", "a.png,cat,1", "b.tif,dog,1")
    with pytest.raises(DataError, match="would not be read; call it"):
        folder.prepare()


@pytest.mark.parametrize("missing", ["nan", "NaN", "NA", "N/A", "<NA>", "null", " ", NBSP])
def test_a_missing_label_or_subject_is_a_skipped_row(folder, missing):
    assert is_missing(trimmed(missing))
    folder.table(
        "file_name,label,subject",
        "a.png,cat,1",
        "b.tif,dog,2",
        f"sub/a.jpg,{missing},3",
        f"c.png,cat,{missing}",
    )
    summary = folder.prepare()
    assert summary.classes == {"cat": 0, "dog": 1}
    reasons = dict(summary.skipped)
    assert set(reasons) == {"sub/a.jpg", "c.png"}
    assert "the label is" in reasons["sub/a.jpg"]
    assert "the subject is" in reasons["c.png"]


def test_a_missing_site_is_a_skipped_row_and_an_empty_one_is_none(folder):
    folder.table("file_name,label,site", "a.png,cat,", "b.tif,dog,x", "sub/a.jpg,dog,nan", "c.png,cat,x")
    ((name, why),) = folder.prepare().skipped
    assert (name, "the site is 'nan', a missing value" in why) == ("sub/a.jpg", True)


def test_a_space_before_a_quoted_cell_is_no_part_of_it(folder):
    folder.table("file_name,label", 'a.png, "cat"', 'b.tif,"dog"', "sub/a.jpg,dog", "c.png,cat")
    assert folder.prepare().classes == {"cat": 0, "dog": 1}


def test_none_may_be_a_class_so_it_is_asked(folder):
    folder.table("file_name,label", "a.png,none", "b.tif,dog", "c.png,none")
    with pytest.raises(DataError, match="row 2: the label 'none' may be a class or a missing value"):
        folder.prepare()


def test_numbers_sort_by_value_in_any_form(folder):
    folder.table("file_name,label", "a.png,10.0", "b.tif,2.0", "c.png,10.0")
    assert folder.prepare().classes == {"2.0": 0, "10.0": 1}


def test_accents_find_their_file_in_either_form(folder):
    folder.image("cafe\u0301.png", grey(3))
    folder.mask("cafe\u0301.png", grey(255))
    folder.table("file_name,label", "caf\u00e9.png,cat", "b.tif,dog", "cafe\u0301.png,cat", "a.png,cat")
    summary = folder.prepare()
    assert [reason for _, reason in summary.skipped] == ["the image is listed already in row 2"]
    assert summary.written.masks == 2


def test_file_names_that_differ_in_case_stay_two_subjects(folder):
    folder.image("A.png", grey(3))
    folder.table("file_name,label", "A.png,cat", "a.png,dog")
    folder.prepare()
    assert folder.written().subjects == ("A.png", "a.png")


def test_patients_of_an_xray_table(tmp_path):
    table = tmp_path / "Data_Entry_2017.csv"
    header = "Image Index ,Finding Labels,Patient ID,View Position\n"
    table.write_text(header + "a.png,Emphysema, 7 ,PA\nb.png,No Finding,7,PA\nc.png,No Finding,nan,PA\n")
    selection = read_nih(table, finding=find_finding("emphysema"))
    assert {image.subject for image in selection.candidates} == {"nih-7"}
    assert selection.skipped[0][1] == "row 4: it names no patient"
    table.write_text(header + "a.png,Emphysema,7,PA\nb.png,No Finding,07,PA\n")
    with pytest.raises(DataError, match=r"column Patient ID .* '7' \(row 2\) and '07' \(row 3\)"):
        read_nih(table, finding=find_finding("emphysema"))
