"""What `train` says where a data set cannot be split as asked: which of its flags would settle it."""

import shutil

import pytest
from in_process import told

TRAIN = ("train", "--model", "cnn", "--width", "2", "--epochs", "1", "--device", "cpu", "--data", "data")


@pytest.fixture
def data(crosses, tmp_path):
    return shutil.copytree(crosses, tmp_path / "data")


@pytest.mark.parametrize(
    ("flags", "told_so"),
    [
        (
            ("--train-images", "400"),
            "only 24 available; give a smaller --train-images or --split-policy subject",
        ),
        (
            ("--split-policy", "site-correlated"),
            "found ''; give --split-policy subject to split by subject alone",
        ),
    ],
    ids=str,
)
def test_the_flags_that_settle_a_split_are_named(flags, told_so, data, tmp_path):
    assert told_so in told(*TRAIN, *flags, cwd=tmp_path, code=3).output


def test_a_table_without_splits_names_the_policy_that_needs_none(data, tmp_path):
    table = data / "metadata.csv"
    rows = [line.rpartition(",") for line in table.read_text().splitlines()]
    assert rows[0][2] == "split"
    table.write_text("".join(f"{row}\n" for row, _, _ in rows))
    said = told(*TRAIN, cwd=tmp_path, code=3).output
    assert "found ''; give --split-policy subject" in said


def test_a_split_without_a_class_names_the_ratio(data, tmp_path):
    table = data / "metadata.csv"
    header, *rows = table.read_text().splitlines()
    label = header.split(",").index("label")
    ones = [row for row in rows if row.split(",")[label] == "1"]
    others = [row for row in rows if row not in ones]
    table.write_text("\n".join([header, *ones[:1], *others]) + "\n")
    said = told(*TRAIN, "--split-policy", "subject", cwd=tmp_path, code=3).output
    assert "has no image of class 1; give another --split-ratio" in said
