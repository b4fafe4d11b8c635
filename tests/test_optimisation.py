"""AdamW, schedules, clipping, running means, class balance and patience: torch's numbers, off by default."""

import csv
import hashlib
import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from recorded_runs import small
from safetensors.torch import load_file
from sklearn.utils.class_weight import compute_class_weight
from test_training import assert_same_run
from torch import nn
from torch.nn import functional as F
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LinearLR, LRScheduler, SequentialLR
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from activmask.experiments.estimate import epochs_left
from activmask.experiments.jobs import Job
from activmask.ground.errors import DataError, UsageError
from activmask.ground.settings import declared
from activmask.objectives.classification import Classify, cross_entropy
from activmask.runs.description import compose, flat, written
from activmask.runs.identity import OF_NO_EXPERIMENT, changed_settings, run_digest
from activmask.runs.making import make_config
from activmask.runs.optimisation import Optimisation
from activmask.runs.robustness import Robustness
from activmask.runs.toml_file import format_config, read_config
from activmask.training import together
from activmask.training.feed.class_balance import chances, class_weights, epoch_order
from activmask.training.graphs import replay
from activmask.training.replicas.epoch import training_steps
from activmask.training.replicas.optimizer import learning_rates, move_average, new_average, new_optimizer
from activmask.training.replicas.replica import new_replica
from activmask.training.replicas.watcher import Silent
from activmask.training.run import train

CPU = torch.device("cpu")
ALL = {
    "optimizer": "adamw",
    "weight_decay": 0.1,
    "schedule": "cosine",
    "warmup": 1,
    "clip": 0.5,
    "ema": 0.9,
    "label_smoothing": 0.1,
    "class_balance": "weights",
    "patience": 3,
}


@pytest.mark.parametrize("name", ["adam", "adamw"])
def test_the_optimizer_is_torchs_to_the_bit_and_goes_on_from_its_state(name):
    how = Optimisation(optimizer=name, weight_decay=0.1 if name == "adamw" else 0.0)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[name]
    decay = {"weight_decay": 0.1} if name == "adamw" else {}
    ours, theirs = nn.Linear(3, 2), nn.Linear(3, 2)
    theirs.load_state_dict(ours.state_dict())
    pair = (
        (ours, new_optimizer(ours, 0.1, how)),
        (theirs, kind(theirs.parameters(), lr=0.1, fused=True, **decay)),
    )
    generator = torch.Generator().manual_seed(1)
    for step in range(6):
        images = torch.rand(4, 3, generator=generator)
        for module, optimizer in pair:
            optimizer.zero_grad()
            module(images).square().sum().backward()
            optimizer.step()
        if step == 2:
            again = new_optimizer(ours, 0.1, how)
            again.load_state_dict(deepcopy(pair[1][1].state_dict()))
            pair = (ours, again), pair[1]
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(mine, other)


class Listening(Silent):
    def __init__(self):
        self.told = []

    def note(self, sentence):
        self.told.append(sentence)


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 2)).double()


SINCE = (
    *("weights", "freeze"),
    *("train_masks", "mask_shift", "mask_grow", "cutout_inside", "cutout_outside"),
    *("valid_iid", "select_on", "valid_correlation", "test_correlation"),
    *declared(Robustness),
    *("hirescam", "expected_gradients", "cdep", "noise", "actdiff_copy"),
)
"""Other settings that came later than runs without them."""


def test_what_is_not_used_is_in_no_description_and_changes_no_identity():
    plain = make_config()
    assert not set(ALL) & written(plain).keys()
    assert set(ALL) <= flat(plain).keys()
    assert compose(written(plain)) == plain
    # As a version computed it that had none of these settings.
    since = {*ALL, *SINCE, "epochs", "data", *OF_NO_EXPERIMENT}
    settings = {name: value for name, value in flat(plain).items() if name not in since}
    known = json.dumps({"settings": settings, "seed": 0, "splits": {}}, sort_keys=True)
    assert run_digest(plain, 0, {}, {}) == hashlib.sha256(known.encode()).hexdigest()
    one = make_config(label_smoothing=0.1)
    assert written(one).keys() - written(plain).keys() == {"label_smoothing"}
    assert run_digest(one, 0, {}, {}) != run_digest(plain, 0, {}, {})
    assert changed_settings(plain, one) == ["label_smoothing"]


def test_all_of_it_is_written_and_read_back(tmp_path):
    config = make_config(**ALL)
    (tmp_path / "run.toml").write_text(format_config(config, (0,)))
    settings, _ = read_config(tmp_path / "run.toml")
    assert make_config(**settings) == config
    assert config.optimisation == Optimisation(**ALL)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"optimizer": "adamw", "weight_decay": 0.0}, "adamw with weight_decay 0 is adam"),
        ({"weight_decay": 0.1}, "weight_decay has no effect on adam"),
        ({"warmup": 5, "epochs": 5}, "warmup of 5 epochs leaves none of the 5"),
        ({"ema": 1.0}, "ema must be from 0 to 0.999999"),
        ({"label_smoothing": 1.0}, "label_smoothing must be from 0 to 0.99"),
        ({"schedule": "linear"}, "schedule must be one of constant, cosine"),
    ],
)
def test_what_cannot_act_is_refused(settings, words):
    with pytest.raises(UsageError, match=words):
        make_config(**settings)


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_steps_are_those_of_torchs_optimizers_in_float64(optimizer):
    ours, theirs = network(), network()
    own = new_optimizer(ours, 0.03, Optimisation(optimizer=optimizer, weight_decay=0.2))
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[optimizer]
    other = kind(theirs.parameters(), lr=0.03, **({"weight_decay": 0.2} if optimizer == "adamw" else {}))
    x, y = torch.randn(8, 3, dtype=torch.float64), torch.randint(2, (8,))
    for _ in range(5):
        for model, steps in ((ours, own), (theirs, other)):
            steps.zero_grad()
            F.cross_entropy(model(x), y).backward()
            steps.step()
    for one, two in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one, two, rtol=1e-10, atol=1e-12)


def torchs_rates(make: Callable[[torch.optim.Optimizer], LRScheduler], steps: int) -> list[float]:
    optimizer = torch.optim.SGD(nn.Linear(1, 1).parameters(), lr=0.3)
    scheduler, rates = make(optimizer), []
    for _ in range(steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


def all_rates(how: Optimisation, epochs: int, steps: int) -> list[float]:
    return [
        rate
        for epoch in range(epochs)
        for rate in learning_rates(how, 0.3, epoch=epoch, epochs=epochs, steps=steps)
    ]


def test_rates_are_those_of_torchs_schedulers():
    warm, total = 2 * 4, 7 * 4

    def warmed(then: Callable[[torch.optim.Optimizer], LRScheduler]):
        def make(optimizer):
            rising = LinearLR(optimizer, start_factor=1 / warm, total_iters=warm - 1)
            return SequentialLR(optimizer, [rising, then(optimizer)], milestones=[warm])

        return make

    cosine = Optimisation(schedule="cosine")
    expected = torchs_rates(lambda optimizer: CosineAnnealingLR(optimizer, total), total)
    assert all_rates(cosine, 7, 4) == pytest.approx(expected, rel=1e-6)
    both = Optimisation(schedule="cosine", warmup=2)
    expected = torchs_rates(warmed(lambda optimizer: CosineAnnealingLR(optimizer, total - warm)), total)
    assert all_rates(both, 7, 4) == pytest.approx(expected, rel=1e-6, abs=1e-9)
    rising = Optimisation(warmup=2)
    expected = torchs_rates(warmed(lambda optimizer: ConstantLR(optimizer, factor=1.0)), total)
    assert all_rates(rising, 7, 4) == pytest.approx(expected, rel=1e-6)
    assert all_rates(Optimisation(), 7, 4) == []


def test_the_running_mean_is_torchs():
    model = network()
    how = Optimisation(ema=0.7)
    mean = new_average(model, how)
    theirs = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.7), use_buffers=True)
    # Its first call copies; ours begins at the same weights by itself.
    theirs.update_parameters(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for step in range(4):
        optimizer.zero_grad()
        model(
            torch.randn(8, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(step))
        ).sum().backward()
        optimizer.step()
        move_average(mean, model, how)
        theirs.update_parameters(model)
    for name, tensor in theirs.module.state_dict().items():
        if tensor.is_floating_point():
            torch.testing.assert_close(mean.state_dict()[name], tensor, rtol=1e-12, atol=1e-14)
    assert mean.state_dict()["1.num_batches_tracked"] == 4
    assert not any(parameter.requires_grad for parameter in mean.parameters())
    assert new_average(model, Optimisation()) is None


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
@pytest.mark.parametrize("weighted", [False, True])
def test_the_cross_entropy_is_torchs_in_float64_and_parts_add_up(smoothing, weighted):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(7, 3, dtype=torch.float64, generator=generator)
    labels = torch.tensor([0, 0, 0, 1, 0, 2, 0])
    weights = torch.tensor([0.5, 2.0, 4.0], dtype=torch.float64) if weighted else None
    how = Classify(weights=weights, smoothing=smoothing)
    expected = F.cross_entropy(logits, labels, weight=weights, label_smoothing=smoothing)
    torch.testing.assert_close(cross_entropy(logits, labels, how), expected, rtol=1e-12, atol=0)
    parts = (slice(0, 4), slice(4, 7))
    values = [
        cross_entropy(logits[part], labels[part], how, labels) * (part.stop - part.start) / 7
        for part in parts
    ]
    torch.testing.assert_close(sum(values), expected, rtol=1e-12, atol=0)


def test_class_weights_are_scikit_learns_and_draws_are_torchs():
    labels = torch.tensor([0] * 6 + [1] * 3 + [2])
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels.numpy())
    assert class_weights(labels, 3, "here").tolist() == pytest.approx(expected)
    chance = chances(labels, 3, "here")
    drawn = epoch_order(10, chance, torch.Generator().manual_seed(1))
    sampler = torch.utils.data.WeightedRandomSampler(
        chance.tolist(), 10, generator=torch.Generator().manual_seed(1)
    )
    assert drawn.tolist() == list(sampler)
    many = torch.cat([epoch_order(10, chance, torch.Generator().manual_seed(seed)) for seed in range(900)])
    shares = torch.bincount(labels[many], minlength=3) / 9000
    assert shares.tolist() == pytest.approx([1 / 3] * 3, abs=0.02)
    assert sorted(epoch_order(10, None, torch.Generator()).tolist()) == list(range(10))
    with pytest.raises(DataError, match="class 3 has no training image"):
        class_weights(labels, 4, "here")


def gradient_lengths(replica) -> list[float]:
    found = []
    for _ in training_steps(replica):
        gradients = [p.grad for p in replica.model.parameters() if p.grad is not None]
        found.append(float(torch.stack([own.norm() for own in gradients]).norm()))
    return found


def test_gradients_are_no_longer_than_the_clip(crosses):
    free = gradient_lengths(new_replica(small(crosses), 0, crosses, CPU))
    clip = min(free) / 3
    held = gradient_lengths(new_replica(small(crosses, clip=clip), 0, crosses, CPU))
    assert all(length > clip for length in free)
    # Torch adds 1e-6 to the length that it divides by.
    assert held == pytest.approx([clip] * len(free), rel=1e-3)
    loose = gradient_lengths(new_replica(small(crosses, clip=1e6), 0, crosses, CPU))
    assert loose == free


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.process
def test_each_seed_ends_by_its_own_patience_with_best_and_last_state_kept(crosses, tmp_path, monkeypatch):
    config = small(crosses, epochs=12, patience=2, lr=3e-3)
    watcher = Listening()
    results = train(config, (0, 1, 2, 3), tmp_path / "run", progress=watcher)
    lengths = []
    for result in results:
        told = rows(result.folder)
        epochs, best = len(told), result.metrics["best_epoch"]
        since = [int(row["epochs_since_best"]) for row in told]
        assert result.metrics["epochs"] == epochs
        assert since[-1] == epochs - 1 - best
        assert all(number < 2 for number in since[:-1])
        if epochs < 12:
            assert since[-1] == 2
            assert result.metrics["ended"] == (
                f"after {epochs} of 12 epochs, as the last 2 had no better validation AUC"
            )
            assert f"seed {result.seed} ends early: {result.metrics['ended']}" in watcher.told
        else:
            assert result.metrics["ended"] == "after all epochs"
        state = load_file(result.folder / "state.safetensors")
        last = load_file(result.folder / "last.safetensors")
        assert all(torch.equal(state[f"model.{name}"], own) for name, own in last.items())
        lengths.append(epochs)
    assert len(set(lengths)) > 1
    assert min(lengths) < 12
    assert len(watcher.told) == sum(epochs < 12 for epochs in lengths)
    job = Job(name="cell", title="cell", config=config, seeds=(0, 1, 2, 3), folder=tmp_path / "run")
    assert epochs_left(job) == 0
    assert epochs_left(replace(job, folder=tmp_path / "nowhere")) == 4 * 12
    # One that trains its last epoch just as its patience ends has not ended early.
    short = lengths.index(min(lengths))
    just = replace(config, training=replace(config.training, epochs=lengths[short]))
    watcher = Listening()
    [whole] = train(just, (short,), tmp_path / "just", progress=watcher)
    assert (whole.metrics["ended"], watcher.told) == ("after all epochs", [])
    # Longer, an ended seed has nothing to do, and alone it is what it was among others.
    longer = replace(config, training=replace(config.training, epochs=13))
    [again] = train(longer, (short,), tmp_path / "run", resume=True)
    assert again.metrics["epochs"] == lengths[short]
    monkeypatch.setattr(together, "why_not_recorded", lambda _replicas: "")
    monkeypatch.setattr(replay, "SECONDS_AHEAD", 1e6)
    [alone] = train(config, (short,), tmp_path / "alone")
    assert len(rows(alone.folder)) == lengths[short]
    for name in ("best.safetensors", "last.safetensors"):
        one, other = (load_file(tmp_path / f"{out}/seed-{short}" / name) for out in ("run", "alone"))
        assert all(torch.equal(tensor, other[key]) for key, tensor in one.items())


@pytest.mark.process
def test_a_cosine_is_laid_over_its_epochs_and_more_are_refused(crosses, tmp_path):
    config = small(crosses, epochs=2, schedule="cosine", ema=0.5)
    [result] = train(config, (0,), tmp_path / "run")
    assert float(rows(result.folder)[-1]["lr"]) < float(rows(result.folder)[0]["lr"]) < 1e-3
    with pytest.raises(UsageError, match="epochs was 2, is 3"):
        train(small(crosses, epochs=3, schedule="cosine", ema=0.5), (0,), tmp_path / "run", resume=True)
    # What is judged and kept is the mean, not the weights that go on.
    state, last = (load_file(result.folder / f"{name}.safetensors") for name in ("state", "last"))
    assert all(torch.equal(state[f"average.{name}"], own) for name, own in last.items())
    assert not all(torch.equal(state[f"model.{name}"], own) for name, own in last.items())


@pytest.mark.process
def test_seeds_that_cannot_be_one_network_say_why(crosses, tmp_path, monkeypatch):
    monkeypatch.setattr(together, "why_not_recorded", lambda _replicas: "")
    monkeypatch.setattr(together, "stacks_on", lambda _device: True)
    watcher = Listening()
    config = small(crosses, epochs=2, clip=0.1, optimizer="adamw", warmup=1)
    train(config, (0, 1), tmp_path / "one", progress=watcher)
    assert watcher.told == [
        "seeds are trained beside each other, not as one network: adamw, a learning rate that changes and "
        "clip are each seed's own"
    ]
    monkeypatch.setattr(together, "why_not_recorded", lambda _replicas: "as a test")
    train(config, (1,), tmp_path / "alone")
    assert_same_run(tmp_path / "alone/seed-1", tmp_path / "one/seed-1")
