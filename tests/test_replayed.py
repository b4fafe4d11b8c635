"""Epochs of which only the first may ask the program for anything: all that changes lies on the device."""

from pathlib import Path

import pytest
import torch
from objective_settings import OBJECTIVES
from recorded_runs import small
from replayed_calls import replayed
from sited import sited
from test_recorded import assert_same_run
from test_stacked_training import KINDS

from activmask.training import together
from activmask.training.graphs import capture as graphs
from activmask.training.run import train
from activmask.training.stacks import capture as stacks

GROUPS = {"groups": "site", "group_dro": 0.5, "group_dro_size": 1.0, "ema": 0.5, "clip": 0.1, "warmup": 2}
ALONE = {name: OBJECTIVES[name] for name in ("practice", "drawn alike", "adversarial", "noisy copy")}
TOGETHER = {name: KINDS[name] for name in ("cut and cropped", "smooth and drawn alike")}
CASES = [
    *(pytest.param(False, settings, id=name) for name, settings in {**ALONE, "groups": GROUPS}.items()),
    *(pytest.param(True, settings, id=f"{name}, as one") for name, settings in TOGETHER.items()),
]


@pytest.mark.process
@pytest.mark.parametrize(("as_one", "settings"), CASES)
def test_epochs_replayed_are_those_that_ask_anew(crosses, tmp_path: Path, monkeypatch, as_one, settings):
    monkeypatch.setattr(together, "why_not_recorded", lambda _replicas: "")
    monkeypatch.setattr(together, "stacks_on", lambda _device: as_one)
    # Of five steps the second graph of two runs again, in every epoch.
    monkeypatch.setattr(graphs, "SEGMENT_STEPS", 2)
    data = sited(crosses, tmp_path / "sited") if "groups" in settings else crosses
    config = small(data, **{**settings, "epochs": 4, "batch_size": 10})
    train(config, (0, 1), tmp_path / "anew")
    for module in (graphs, stacks):
        monkeypatch.setattr(module, "recorded", replayed)
    train(config, (0, 1), tmp_path / "replayed")
    for seed in (0, 1):
        assert_same_run(tmp_path / f"anew/seed-{seed}", tmp_path / f"replayed/seed-{seed}")


def test_a_number_of_the_program_stays_what_it_was():
    total, rates = torch.zeros(()), [1.0]
    run = replayed(lambda: total.add_(rates[0]), None)
    run()
    rates[0] = 10.0
    run()
    assert total == 2


def test_a_value_is_not_read():
    with pytest.raises(AssertionError, match="cannot read"):
        replayed(lambda: torch.ones(()).item(), None)()
