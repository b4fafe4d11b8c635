"""Training that dies before any one of its operations on files ends, resumed, as if nothing had happened."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "killed_runs.py"
OPERATIONS = {
    "three epochs": 30,
    "one epoch": 20,
    "two seeds and a discriminator": 40,
    "extended": 30,
    "overwritten": 30,
    "mended": 15,
    "recorded": 25,
}
"""At least so many are met in each scenario of `killed_runs.py`; fewer, and some were overlooked."""


@pytest.mark.process
@pytest.mark.parametrize(
    "names",
    [
        ("three epochs", "one epoch", "mended", "recorded"),
        ("two seeds and a discriminator", "extended", "overwritten"),
    ],
)
def test_a_run_that_dies_before_any_operation_on_files_ends_with_the_same_bytes(tmp_path, names):
    done = subprocess.run(
        [sys.executable, SCRIPT, tmp_path, *names],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.keys() == set(names)
    for name, (operations, deaths) in found.items():
        assert operations >= OPERATIONS[name]
        assert deaths > operations
