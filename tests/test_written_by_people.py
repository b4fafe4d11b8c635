"""Tables, TOML and folders as people and their programs leave them: read, or refused for the true reason."""

import codecs
import os

import pytest
from in_process import told
from user_folder import cats_and_dogs

from activmask.data.files.tables import read_table
from activmask.data.sources.xray.files import index_images
from activmask.experiments.grid import read_grid
from activmask.ground.errors import ActivmaskError, ConfigError, DataError, UsageError
from activmask.ground.walking import walked
from activmask.runs.making import make_config
from activmask.runs.toml_file import read_config

TABLE = "file_name,label\na.png,cat\n"


def test_a_byte_order_mark_is_no_part_of_a_text(tmp_path):
    toml, table = tmp_path / "run.toml", tmp_path / "labels.csv"
    toml.write_bytes(codecs.BOM_UTF8 + b"epochs = 3\n")
    table.write_bytes(codecs.BOM_UTF8 + TABLE.encode())
    assert read_config(toml)[0] == {"epochs": 3}
    assert read_table(table, ("file_name", "label"))[0]["file_name"] == "a.png"
    grid = tmp_path / "grid.toml"
    grid.write_bytes(codecs.BOM_UTF8 + b"nonsense = 1\n")
    with pytest.raises(UsageError, match="nonsense"):
        read_grid(str(grid))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32"])
def test_other_encodings_are_told_by_name(tmp_path, encoding):
    toml, table = tmp_path / "run.toml", tmp_path / "labels.csv"
    toml.write_bytes("epochs = 3\n".encode(encoding))
    table.write_bytes(TABLE.encode(encoding))
    for read in (lambda: read_config(toml), lambda: read_table(table, ()), lambda: read_grid(str(toml))):
        with pytest.raises(ActivmaskError, match=f"not UTF-8 text but {encoding.upper()}; save it as UTF-8"):
            read()


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (TABLE.replace(",", ";").encode(), "has semicolons between its columns"),
        (TABLE.replace(",", "\t").encode(), "has tabs between its columns"),
        (b"<!doctype html><p>Sign in", "found a web page, such as one that asks for a login"),
        (b"PK\x03\x04\xff\xfe\x00", "found a ZIP archive"),
        (TABLE.replace("cat", "K\xe4tzchen").encode("latin-1"), "not UTF-8 text .byte 23.; save it as UTF-8"),
        (b"file_name,label,label\na,b,c\n", "names the column 'label' twice"),
    ],
)
def test_what_is_no_comma_separated_table_is_told_as_what_it_is(tmp_path, content, why):
    path = tmp_path / "labels.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=why):
        read_table(path, ("file_name", "label"))


def test_a_wrong_setting_of_a_file_keeps_what_was_expected(tmp_path):
    path = tmp_path / "run.toml"
    path.write_text("epochs = 0\n")
    with pytest.raises(UsageError) as plain:
        make_config(epochs=0)
    with pytest.raises(ConfigError) as raised:
        read_config(path)
    assert raised.value.path == path
    parts = [(e.value.expected, e.value.found, e.value.advice) for e in (plain, raised)]
    assert parts[0] == parts[1]


def test_linked_folders_are_walked_and_circles_end(tmp_path):
    real = tmp_path / "real"
    (real / "sub").mkdir(parents=True)
    (real / "sub/a.png").touch()
    (real / "sub/up").symlink_to(real, target_is_directory=True)
    top = tmp_path / "top"
    top.mkdir()
    for name in ("one", "two"):
        (top / name).symlink_to(real, target_is_directory=True)
    (top / "nowhere").symlink_to(tmp_path / "gone")
    failures: list[OSError] = []
    found = [folder / name for folder, _, names in walked(top, failures.append) for name in names]
    told = sorted(path.relative_to(top).as_posix() for path in found)
    assert told == ["nowhere", "one/sub/a.png", "two/sub/a.png"]
    assert not failures


def test_a_folder_that_cannot_be_listed_is_told(tmp_path, monkeypatch):
    (tmp_path / "closed").mkdir()
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    failures: list[OSError] = []
    assert [folder for folder, _, _ in walked(tmp_path, failures.append)] == [tmp_path]
    assert [error.filename for error in failures] == [str(tmp_path / "closed")]


def test_images_and_masks_in_linked_folders_are_found(tmp_path):
    folder = cats_and_dogs(tmp_path)
    masks, images = tmp_path / "linked masks", tmp_path / "linked images"
    masks.mkdir()
    images.mkdir()
    (folder.masks / "sub").rename(tmp_path / "elsewhere")
    (folder.masks / "sub").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    assert folder.prepare().written.masks == 2
    (images / "a").symlink_to(folder.images, target_is_directory=True)
    assert set(index_images(images)) == {"a", "b", "c"}


def test_a_home_folder_in_a_file_is_that_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert make_config(data="~/crosses").source.data == str(tmp_path / "crosses")
    assert make_config(data="crosses/").source.data == "crosses/"


def test_a_dry_run_refuses_a_network_that_is_not_there(tmp_path):
    said = told("train", "--model", "nonsense", "--dry-run", cwd=tmp_path, code=2)
    assert said.stdout == ""
    assert "nonsense" in said.stderr
