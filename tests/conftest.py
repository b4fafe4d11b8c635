"""Fixtures that several test files share."""

from pathlib import Path

import pytest
import torch

from activmask.data.sources.synthetic.drawing import SyntheticSpec
from activmask.data.sources.synthetic.prepare import make_synthetic


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def crosses(tmp_path_factory) -> Path:
    """A small synthetic data set on disk."""
    folder = tmp_path_factory.mktemp("data") / "crosses"
    make_synthetic(SyntheticSpec(n=48, valid=16, test=16, seed=3), folder)
    return folder
