"""Hugging Face `datasets` reads a data set as it stands."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dataset_records import record
from PIL import Image

from activmask.data.dataset import read_dataset
from activmask.data.multi_label import LABELS_ENTRY, UNKNOWN
from activmask.data.writer import Record, write_dataset


def hugging_face(root: Path, cache: Path) -> Any:
    """Rows as `datasets` sees them, in a process of its own: importing it fixes its cache folder."""
    code = (
        "import datasets, json, sys\n"
        "found = datasets.load_dataset('imagefolder', data_dir=sys.argv[1])\n"
        "rows = [dict(row, image=[row['image'].size, row['image'].mode], "
        "mask=row.get('mask') and list(row['mask'].size), "
        "**{name: row[name] and list(row[name].size) for name in ('shortcut_mask', 'twin') if name in row}) "
        "for row in found['train']]\n"
        "print(json.dumps([list(found), rows]))"
    )
    env = {
        **os.environ,
        "HF_HOME": str(cache),
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", code, str(root)], env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.process
def test_hugging_face_reads_it_as_it_stands(tmp_path):
    """Masks, the preview and the word 'train' in a name neither add rows nor make splits or labels."""
    png = tmp_path / "sheet.png"
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(png)
    root = tmp_path / "test"
    made = [
        record(i, name=f"{('train', 'x_test', 'val2', 'dev')[i % 4]}-{i}", native=(50 + i, 60))
        for i in range(12)
    ]
    write_dataset(root, made, card={}, preview=png.read_bytes(), skipped=[("a.png", "broken")])
    splits, rows = hugging_face(root, tmp_path / "cache")
    assert splits == ["train"]
    assert len(rows) == 12
    assert rows[1] == {
        "image": [[5, 6], "L"],
        "mask": [5, 6],
        "label": 1,
        "subject": "subject 0",
        "site": "oslo",
        "split": "train",
        "native_height": 51,
        "native_width": 60,
    }
    assert rows[0]["mask"] is None
    assert read_dataset(root).file_names[:2] == ("images/Train-0.png", "images/x_Test-1.png")


@pytest.mark.process
def test_a_mask_is_among_the_rows_from_which_hugging_face_takes_types(tmp_path):
    """It looks at the first 10,000 rows; a column without any mask there would be read as numbers."""
    pixel = np.zeros((1, 1), np.uint8)
    many = [
        Record(f"{i:05d}", pixel, np.ones((1, 1), np.bool_) if i == 10_000 else None, i % 2, str(i), "", "")
        for i in range(10_002)
    ]
    write_dataset(tmp_path / "set", many, card={})
    lines = (tmp_path / "set/metadata.csv").read_text().splitlines()
    assert lines[1].startswith("images/10000.png,masks/10000.png")
    assert len(set(lines)) == 10_003


@pytest.mark.process
def test_hugging_face_reads_a_planted_set_without_a_row_for_twins(tmp_path):
    pixels = np.arange(30, dtype=np.uint8).reshape(6, 5)
    planted = {"twin": pixels, "shortcut": pixels > 20}
    made = [record(i, **(planted if i % 2 else {})) for i in range(6)]
    write_dataset(tmp_path / "set", made, card={})
    splits, rows = hugging_face(tmp_path / "set", tmp_path / "cache")
    assert splits == ["train"]
    assert len(rows) == 6
    assert [row["shortcut_mask"] for row in rows] == [None, [5, 6]] * 3
    assert [row["twin"] for row in rows] == [[5, 6]] * 6


@pytest.mark.process
def test_hugging_face_reads_several_labels_and_those_that_are_unknown(tmp_path):
    made = [
        record(i, labels={"effusion": (0, 1, UNKNOWN)[i % 3], "mass": i % 2}, site="", split="")
        for i in range(6)
    ]
    write_dataset(tmp_path / "set", made, card={LABELS_ENTRY: ["effusion", "mass"]})
    splits, rows = hugging_face(tmp_path / "set", tmp_path / "cache")
    assert splits == ["train"]
    assert [(row["effusion"], row["mass"]) for row in rows[:3]] == [(0, 0), (1, 1), (None, 0)]
    assert "label" not in rows[0]
