"""What others wrote, as it is shown, pasted into a shell, written into tables and made into folders."""

import csv
import io
import json
import shlex
import subprocess
import unicodedata

import pytest
from activmask_cli.shell import command_line
from hypothesis import given
from hypothesis import strategies as st

from activmask.data.files.tables import format_sheet, format_table
from activmask.ground.errors import DataError, UsageError
from activmask.ground.folder_names import check_folder_name, is_folder_name
from activmask.ground.shown import is_seen, json_text, shown


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("Médecin 中文 اسم שם.png", "Médecin 中文 اسم שם.png"),
        ("a\x1b[31mb", r"a\x1b[31mb"),
        ("a\nb\r\tc\x7f", r"a\nb\r\tc\x7f"),
        ("a\x9b7m", r"a\x9b7m"),
        ("a\u202eb\u2066c\u200d", r"a\u202eb\u2066c\u200d"),
        ("a\u2028b\u2029", r"a\u2028b\u2029"),
        ("\udcff.png", r"\xff.png"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
        (r"C:\x1b [b]x[/b] :skull:", r"C:\x1b [b]x[/b] :skull:"),
        ("no\xa0break\u3000wide", "no\xa0break\u3000wide"),
    ],
)
def test_what_is_not_seen_is_escaped(text, seen):
    assert shown(text) == seen


@given(st.text())
def test_a_shown_text_is_one_line_and_stays_as_it_is(text):
    once = shown(text)
    assert all(unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Zl", "Zp"} for char in once)
    assert len(once.splitlines()) <= 1
    assert shown(once) == once


def test_an_errors_sentence_is_one_line_of_characters_that_are_seen():
    error = DataError("label must be\x1b[0m a number", path="a\n[/b]\x1bc.csv", row=3, found="'\u202e'")
    assert str(error) == r"a\n[/b]\x1bc.csv, row 3: label must be\x1b[0m a number; found '\u202e'"


@given(st.dictionaries(st.text(), st.text()))
def test_json_reads_back_and_is_seen(value):
    text = json_text(value)
    assert json.loads(text) == value
    assert text.isascii()
    assert all(char == "\n" or is_seen(char) for char in text)


WORDS = ["a b", "it's", "x\x1b[0m", "a\nb", "\u202e'\\n\"$(x)`", "\udcff\x9b", "-", "*", "\x1b1f", "é中"]


def test_a_command_line_of_plain_words_is_the_usual_one():
    assert command_line("activmask", "table", "a b", "it's") == shlex.join(
        ["activmask", "table", "a b", "it's"]
    )


@pytest.mark.process
def test_a_shell_takes_a_command_line_apart_again():
    line = command_line(*WORDS)
    assert shown(line) == line
    printed = subprocess.run(["bash", "-c", f"printf '%s\\0' {line}"], capture_output=True, check=True).stdout
    assert printed.decode(errors="surrogateescape").split("\0")[:-1] == WORDS


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=HYPERLINK(0)", "'=HYPERLINK(0)"),
        ("+cmd|' /C calc'!A0", "'+cmd|' /C calc'!A0"),
        ("-1+2", "'-1+2"),
        ("@SUM(1)", "'@SUM(1)"),
        ("＝1", "'＝1"),
        ("-", "'-"),
        ("\t=1", r"\t=1"),
        ("\r=1", r"\r=1"),
        ("x=1", "x=1"),
        ("-0.5", "-0.5"),
        ("+1e-3", "+1e-3"),
        ("-.5", "-.5"),
        ("-0.5\n", r"'-0.5\n"),
        (-0.5, "-0.5"),
        (None, ""),
        ("a\x1b[0m\nb", r"a\x1b[0m\nb"),
    ],
)
def test_a_sheet_runs_nothing_and_keeps_its_numbers(cell, written):
    text = format_sheet(["a", "b"], [["x", cell]]).decode()
    assert list(csv.reader(io.StringIO(text, newline=""))) == [["a", "b"], ["x", written]]


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")))
def test_what_is_read_again_is_written_as_it_is(name):
    text = format_table(["a", "b"], [["x", name]]).decode()
    assert list(csv.reader(io.StringIO(text, newline="")))[1] == ["x", name]


@pytest.mark.parametrize("name", ["run", "my run", "lr=1e-3,x", ".hidden", "é中", "a..b", "console", "com10"])
def test_plain_folder_names(name):
    check_folder_name(name, "--name")
    assert is_folder_name(name)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("", "empty"),
        ("  ", "empty"),
        (".", "another folder"),
        ("..", "another folder"),
        ("a/b", "separators"),
        ("a\\b", "separators"),
        ("/", "separators"),
        ("a\0b", "cannot be seen"),
        ("a\nb", "cannot be seen"),
        ("\u202ea", "cannot be seen"),
        ("\udcff", "cannot be seen"),
        ("a ", "space"),
        (" a", "space"),
        ("a.", "dot"),
        ("...", "dot"),
        ("x" * 256, "255 bytes"),
        ("é" * 128, "255 bytes"),
        ("con", "Windows"),
        ("NUL.txt", "Windows"),
        ("Com1", "Windows"),
    ],
)
def test_no_folder_names(name, problem):
    with pytest.raises(UsageError, match=f"--name must be a plain folder name, but .*{problem}"):
        check_folder_name(name, "--name")
    assert not is_folder_name(name)
