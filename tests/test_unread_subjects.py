"""Tables of others call whom images show otherwise; training says whose images its splits then share."""

from pathlib import Path

import numpy as np
import pytest
import torch
from dataset_records import record

from activmask.data.writer import write_dataset
from activmask.runs.making import make_config
from activmask.training.replicas.replica import new_replica

SIDE = 16
OF_SPLITS = [f"p{i // 2}" for i in range(12)]
"""Images 0 and 1 of a patient, and so on: records have two after each other in each split."""


def said(root: Path, column: str, values: list[str]) -> str:
    """What is said before training, of a table in which every image is a subject of its own."""
    pixels = np.random.default_rng(0).integers(0, 256, (len(values), SIDE, SIDE), dtype=np.uint8)
    made = [
        record(i, image=pixels[i], mask=None, subject=f"file {i}", columns={column: value})
        for i, value in enumerate(values)
    ]
    write_dataset(root / "data", made, card={})
    config = make_config(data=str(root / "data"), width=8)
    return new_replica(config, 0, root / "run", torch.device("cpu")).note


def test_patients_that_the_table_names_and_splits_part_are_told_with_their_number(tmp_path):
    parted = [*OF_SPLITS[:2], *["p0", "p9"], *OF_SPLITS[4:6], *["", ""], *OF_SPLITS[8:]]
    assert said(tmp_path, "Patient ID", parted) == (
        "1 of the 5 values of the column 'Patient ID' have images in two splits or more; if it says whom "
        "images show, make it the column subject of metadata.csv, or name it as that when the folder is "
        "prepared, so that nobody is in train and test"
    )


@pytest.mark.parametrize(("column", "values"), [("patient_id", OF_SPLITS), ("sex", 6 * ["f", "m"])])
def test_nothing_is_said_of_patients_in_one_split_each_nor_of_other_columns(tmp_path, column, values):
    assert said(tmp_path, column, values) == ""
