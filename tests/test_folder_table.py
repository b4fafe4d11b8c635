"""What people's tables of labels call their columns and files, and what contradicts itself in them."""

import json

import pytest
from dicom_files import write_dicom
from in_process import told
from user_folder import Folder, cats_and_dogs, grey

from activmask.data.dataset import read_dataset
from activmask.data.files.tables import read_table, separator_of
from activmask.data.sources.folder.roles import ROLES, unused_columns
from activmask.ground.errors import DataError, UsageError

NAMES = ("a.png", "b.tif", "sub/a.jpg", "c.png")
LABELS = ("cat", "dog", "dog", "cat")


@pytest.fixture
def folder(tmp_path) -> Folder:
    return cats_and_dogs(tmp_path)


def write_rows(folder: Folder, header: str, *cells: str) -> None:
    folder.table(
        f"file_name,label,{header}",
        *(f"{n},{label},{more}" for n, label, more in zip(NAMES, LABELS, cells, strict=True)),
    )


def test_columns_of_other_names_are_taken_as_subject_and_site(folder):
    write_rows(folder, "patient,hospital,sex", "anna,x,F", "anna,x,F", "bo,y,M", "bo,y,M")
    summary = folder.prepare(subject="patient", site="hospital")
    dataset = folder.written()
    assert dataset.subjects == ("anna", "anna", "bo", "bo")
    assert dataset.sites == ("x", "x", "y", "y")
    assert dict(dataset.columns) == {"sex": ("F", "F", "M", "M")}
    assert (summary.subjects_told, summary.subjects, summary.unused) == (True, 2, {})


def test_a_column_of_that_name_may_say_the_same_and_nothing_else(folder):
    write_rows(folder, "patient,subject", "anna,anna", "anna,anna", "bo,bo", "bo,bo")
    folder.prepare(subject="patient")
    assert folder.written().subjects == ("anna", "anna", "bo", "bo")
    write_rows(folder, "patient,subject", "anna,anna", "anna,anna", "bo,eve", "bo,bo")
    with pytest.raises(DataError, match=r"row 4: the column subject says 'eve', but 'patient', .* says 'bo'"):
        folder.prepare(subject="patient", overwrite=True)


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"subject": "pateint"}, "no column 'pateint', which is to be the subject; did you mean 'patient'"),
        ({"site": ""}, "no column '', which is to be the site"),
        ({"site": "label"}, "'label' of .* has a meaning of its own and cannot be the site"),
    ],
)
def test_what_is_no_such_column_is_refused(folder, asked, why):
    write_rows(folder, "patient", "anna", "anna", "bo", "bo")
    with pytest.raises(UsageError, match=why):
        folder.prepare(**asked)


def test_a_label_among_several_is_no_subject(folder):
    folder.table("file_name,mass,case", *(f"{name},{k % 2},{k // 2}" for k, name in enumerate(NAMES)))
    with pytest.raises(UsageError, match=r"'case' of .* has a meaning of its own"):
        folder.prepare(multi_label=("mass", "case"), subject="case")


def test_names_that_differ_by_a_space_are_told_by_their_own_column(folder):
    write_rows(folder, "patient", "anna 1", "anna1", "bo", "bo")
    with pytest.raises(DataError, match="names in the column patient differ"):
        folder.prepare(subject="patient")


@pytest.mark.parametrize(
    ("name", "role"),
    [
        ("patient", "subject"),
        ("Patient ID", "subject"),
        ("PatientID", "subject"),
        ("subject_id", "subject"),
        ("case-no", "subject"),
        ("InstitutionName", "site"),
        ("scanner", "site"),
        ("patient_age", None),
        ("showcase", None),
        ("opposite", None),
    ],
)
def test_columns_are_suspected_by_name(tmp_path, name, role):
    table = tmp_path / "labels.csv"
    table.write_text(f"file_name,{name}\na,1\nb,1\nc,2\n")
    assert unused_columns(read_table(table, ())) == ({role: (name,)} if role else {})


@pytest.mark.parametrize("values", ["123", "111", "1,,", ",,"])
def test_columns_that_tell_all_or_no_images_apart_are_not_suspected(tmp_path, values):
    table = tmp_path / "labels.csv"
    cells = values.split(",") if "," in values else list(values)
    table.write_text("file_name,patient\n" + "".join(f"{k},{cell}\n" for k, cell in enumerate(cells)))
    assert unused_columns(read_table(table, ())) == {}


def test_each_role_is_a_word_that_suggests_it():
    assert all(role in words for role, words in ROLES.items())


def prepared(folder: Folder, *more: str) -> str:
    """What the command prints to standard output."""
    where = ("--labels", str(folder.labels), "--out", str(folder.out))
    return told("prepare-folder", str(folder.images), *where, *more, cwd=folder.labels.parent).stdout


def test_the_command_names_the_flags_for_columns_that_it_did_not_use(folder):
    write_rows(folder, "patient id,hospital", "anna,x", "anna,x", "bo,y", "bo,y")
    said = prepared(folder)
    assert "note: the column 'patient id' repeats its values and may say whom images show" in said
    assert "--subject 'patient id' uses it" in said
    assert "--site hospital uses it" in said
    assert "so 4 images count as 4 subjects" in said
    said = prepared(folder, "--overwrite", "--subject", "patient id", "--site", "hospital")
    assert "repeats its values" not in said
    assert "count as" not in said
    notes = json.loads(prepared(folder, "--overwrite", "--json"))["notes"]
    assert any("--subject 'patient id' uses it" in note for note in notes)


def test_images_without_a_subject_are_counted_and_the_flag_is_named(folder):
    assert "4 images count as 4 subjects (a file, a volume or a DICOM study each); --subject COLUMN" in (
        prepared(folder)
    )


def test_two_labels_of_one_image_are_refused_with_both_rows(folder):
    with folder.labels.open("a") as table:
        table.write("./a.png,dog,\nb.tif,cat,\n")
    with pytest.raises(
        DataError, match=r"row 6: './a\.png' has the label 'dog' here, but 'cat' in row 2 \(and 1 more"
    ):
        folder.prepare()


def test_two_spellings_of_a_label_are_one(folder):
    folder.table("file_name,label", "a.png,1", "b.tif,0", "a.png,01")
    assert "listed already in row 2" in folder.prepare().skipped[0][1]


def test_two_values_of_one_of_several_labels_are_refused(folder):
    folder.table("file_name,mass,cyst", "a.png,1,0", "b.tif,0,1", "a.png,1,", "a.png,0,0")
    with pytest.raises(DataError, match=r"row 5: 'a\.png' has 0 for the label 'mass' here, but 1 in row 2"):
        folder.prepare(multi_label=("mass", "cyst"))


def test_absolute_paths_inside_the_folders_are_those_files(folder):
    folder.table(
        "file_name,label,mask_file_name",
        f"{folder.images}/a.png,cat,{folder.masks}/sub/../a.png",
        f"{folder.images}/sub/a.jpg,dog,sub/a.tif",
    )
    folder.prepare()
    assert folder.written().subjects == ("a.png", "sub/a.jpg")
    assert folder.written().mask_file_names == ("masks/a.png", "masks/sub_a.png")


def test_masks_are_matched_to_absolute_paths_through_a_link(folder, tmp_path):
    (tmp_path / "link").symlink_to(folder.images, target_is_directory=True)
    folder.table(
        "file_name,label", *(f"{tmp_path}/link/{n},{label}" for n, label in zip(NAMES, LABELS, strict=True))
    )
    folder.prepare()
    assert folder.written().mask_file_names == ("masks/a.png", "", "masks/sub_a.png", "")


def test_names_that_lead_nowhere_are_at_fault_and_the_masks_are_not(folder):
    folder.table("file_name,label", "/elsewhere/a.png,cat", "/elsewhere/b.tif,dog")
    with pytest.raises(
        DataError, match=r"leaves 0 images .* '/elsewhere/a.png' must be relative to its folder"
    ):
        folder.prepare()
    folder.table("file_name,label", "images/a.png,cat", "images/b.tif,dog")
    with pytest.raises(
        DataError, match=r"leaves 0 images .*images/a.png does not exist; did you mean 'a\.png'"
    ):
        folder.prepare()


@pytest.mark.parametrize(
    ("named", "meant"), [("c", "c.png"), ("b.tiff", "b.tif"), ("sub/A.jpg", "sub/a.jpg")]
)
def test_a_file_with_another_ending_is_asked_about(folder, named, meant):
    folder.table("file_name,label", "a.png,cat", "b.tif,dog", f"{named},dog")
    ((name, why),) = folder.prepare().skipped
    assert name == named
    assert f"did you mean '{meant}'?" in why


def test_a_file_without_the_ending_is_asked_about(folder):
    write_dicom(folder.images / "scan", grey(9))
    folder.table("file_name,label", "a.png,cat", "b.tif,dog", "scan.dcm,dog")
    assert "did you mean 'scan'?" in folder.prepare().skipped[0][1]


def test_names_that_all_lack_their_endings_are_those_of_the_files(folder):
    folder.table("file_name,label", "a,cat", "b,dog", "sub/a,dog", "c,cat")
    summary = folder.prepare()
    assert (summary.skipped, summary.written.masks) == ((), 2)
    assert folder.written().subjects == NAMES
    assert [note for note in summary.notes if "('a' is 'a.png')" in note]


def test_names_without_endings_are_no_guess(folder):
    """One file too many or too few, and each row is asked about instead."""
    folder.image("b.png", grey(3))
    folder.table("file_name,label", "a,cat", "b,dog")
    with pytest.raises(DataError, match=r"leaves 0 images .*did you mean 'a\.png'"):
        folder.prepare()


@pytest.mark.parametrize("separator", [";", "\t"])
def test_tables_of_european_spreadsheets_are_read_and_said_to_be(folder, separator):
    lines = ["file_name,label,dose", *(f"{n},{label},1.5" for n, label in zip(NAMES, LABELS, strict=True))]
    folder.table(*(line.replace(",", separator).replace(".5", ",5") for line in lines))
    summary = folder.prepare()
    assert folder.written().columns["dose"] == ("1,5",) * 4
    word = "semicolons" if separator == ";" else "tabs"
    note = f"labels.csv has {word} between its columns; its cells are kept as they are"
    assert note in summary.notes


@pytest.mark.parametrize(
    ("header", "separator"),
    [
        ("file_name,label", ","),
        ('\ufeff"file_name" ; "label"', ";"),
        ("file_name\tlabel;x", ","),
        ("file_name\tlabel\tx;y,z", "\t"),
        ("file_name;label,x", ","),
        ("file_name|label", ","),
    ],
)
def test_the_header_alone_tells_the_separator(tmp_path, header, separator):
    path = tmp_path / "labels.csv"
    path.write_text(f"{header}\na;b,c\td\n")
    assert separator_of(path, ("file_name", "label")) == separator


def test_a_folder_of_raw_files_is_sent_to_the_command_that_prepares_it(folder):
    with pytest.raises(DataError, match=r"images is no data set: .*prepare-folder makes one of a folder"):
        read_dataset(folder.images)
    (folder.images / "card.json").write_text("{}")
    with pytest.raises(DataError, match=r"metadata\.csv does not exist"):
        read_dataset(folder.images)
