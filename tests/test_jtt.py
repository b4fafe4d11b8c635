"""Errors of a first run that a second one counts more: which they are, how much, and what is refused."""

import numpy as np
import pytest
import torch
from interrupted_runs import train_interrupted
from recorded_runs import small
from test_training import assert_same_run
from torch.nn import functional as F

from activmask.ground.errors import UsageError
from activmask.objectives.classification import Classify, cross_entropy
from activmask.objectives.group_losses import GroupWeights, Membership
from activmask.runs.checkpoint import load_checkpoint
from activmask.runs.description import changed
from activmask.runs.making import make_config
from activmask.runs.names import baseline, method_name
from activmask.training.feed import stream
from activmask.training.feed.sources import load_splits
from activmask.training.replicas.first_errors import error_weights
from activmask.training.replicas.replica import new_replica
from activmask.training.run import train

CPU = torch.device("cpu")


def test_the_loss_is_the_mean_over_a_data_set_that_holds_each_error_so_many_times():
    rng = torch.Generator().manual_seed(0)
    logits = torch.randn(10, 2, generator=rng, dtype=torch.float64)
    labels, wrong = torch.arange(10) % 2, torch.tensor([1, 0, 0, 1, 0, 0, 0, 1, 0, 0])
    how = GroupWeights(weights=error_weights(3, 10, 4.0).double())
    members = Membership(batch=wrong, part=slice(None))
    found = cross_entropy(logits, labels, Classify(groups=how), members=members)
    often = torch.cat([torch.arange(10), *[wrong.nonzero().flatten()] * 3])
    torch.testing.assert_close(found, F.cross_entropy(logits[often], labels[often]), rtol=1e-6, atol=0)


def test_settings():
    one = make_config(upweight_errors_of="run", upweight=5.0)
    assert method_name(one) == "Classify, errors of a first run counted more (JTT), 5 times"
    assert baseline(one) == make_config()
    for settings, words in (
        ({"upweight": 5.0}, "upweight has no effect unless upweight_errors_of names the run"),
        (
            {"upweight_errors_of": "run", "class_balance": "weights"},
            "class_balance and upweight_errors_of each decide how much an image counts",
        ),
        (
            {"upweight_errors_of": "run", "retrain_head": "run", "groups": "site"},
            "retrain_head fits a run that is finished, and upweight_errors_of trains one",
        ),
    ):
        with pytest.raises(UsageError, match=words):
            make_config(**settings)


@pytest.fixture(scope="module")
def first(crosses, tmp_path_factory):
    """A run of one epoch, and what describes a second one."""
    folder = tmp_path_factory.mktemp("jtt") / "first"
    config = small(crosses, width=2, epochs=1)
    train(config, (0, 1), folder)
    return folder, changed(config, epochs=3, upweight_errors_of=str(folder))


@pytest.mark.process
def test_the_errors_are_those_of_the_last_epoch_seed_by_seed(first):
    folder, config = first
    for seed in (0, 1):
        replica = new_replica(config, seed, folder / "second", CPU)
        checkpoint = load_checkpoint(folder / f"seed-{seed}/last.safetensors")
        samples = load_splits(config, seed)["train"]
        with torch.no_grad():
            given = checkpoint.model(samples.images, reconstruct=False).logits.argmax(dim=1)
        wrong = given != samples.labels
        assert 0 < wrong.sum() < len(wrong)
        assert torch.equal(replica.members, wrong.long())
        right, error = replica.group_weights.weights.tolist()
        assert error / right == pytest.approx(20)
        counted = np.where(wrong.numpy(), error, right)
        assert counted.mean() == pytest.approx(1)
        assert f"{int(wrong.sum())} of 48 training images are errors of" in replica.note


@pytest.mark.process
def test_it_resumes_to_the_same_bits_and_streams(first, tmp_path, monkeypatch):
    _, config = first
    train(config, (0,), tmp_path / "straight")
    monkeypatch.setattr(stream, "RESIDENT_BYTES", 0)
    monkeypatch.setattr(stream, "worker_count", lambda *_: 0)
    train_interrupted(config, (0,), tmp_path / "again", before_epoch=2)
    train(config, (0,), tmp_path / "again", resume=True)
    assert_same_run(tmp_path / "straight/seed-0", tmp_path / "again/seed-0")
    plain = changed(config, upweight_errors_of="")
    train(plain, (0,), tmp_path / "plain")
    one, other = ((tmp_path / f"{name}/seed-0/history.csv").read_text() for name in ("straight", "plain"))
    assert [row.split(",")[:2] for row in one.splitlines()] != [
        row.split(",")[:2] for row in other.splitlines()
    ]


@pytest.mark.process
def test_a_first_run_of_other_images_of_no_error_or_none_is_refused(first, crosses, tmp_path, monkeypatch):
    _, config = first
    with pytest.raises(UsageError, match="cannot be read"):
        new_replica(config, 2, tmp_path, CPU)
    with pytest.raises(UsageError, match=r"than seed 0 here \(another training split\)"):
        new_replica(changed(config, split_policy="subject"), 0, tmp_path, CPU)
    monkeypatch.setattr(
        "activmask.training.replicas.first_errors.predict",
        lambda _model, images: F.one_hot(load_splits(config, 0)["train"].labels, 2).float()[: len(images)],
    )
    with pytest.raises(UsageError, match="is right about every training image"):
        new_replica(config, 0, tmp_path, CPU)
