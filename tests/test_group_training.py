"""Training that weighs groups of images: losses in float64 by hand, and runs that resume to the same bits."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from interrupted_runs import train_interrupted
from recorded_runs import small
from safetensors.torch import load_file
from sited import sited
from test_training import assert_same_run
from torch.nn import functional as F

from activmask.data.dataset import read_dataset
from activmask.ground.errors import UsageError
from activmask.objectives.classification import Classify, cross_entropy
from activmask.objectives.group_losses import GroupWeights, Membership, ascended, size_term
from activmask.runs.description import all_settings, written
from activmask.runs.making import make_config
from activmask.runs.names import baseline, is_baseline, method_name, run_name
from activmask.training import together
from activmask.training.feed import stream
from activmask.training.feed.class_balance import chances, class_weights, epoch_order
from activmask.training.feed.sources import split_rows
from activmask.training.replicas.replica import new_replica
from activmask.training.replicas.watcher import Silent
from activmask.training.run import train

CPU = torch.device("cpu")
ALL = slice(None)
HOW = {
    "weights": {"group_balance": "weights"},
    "drawn alike": {"group_balance": "sampling"},
    "dro": {"group_dro": 0.5, "label_smoothing": 0.1},
    "dro as printed": {"group_dro": 0.5, "group_balance": "sampling"},
    "dro by size": {"group_dro": 0.5, "group_dro_size": 3.0},
}


class Listening(Silent):
    def __init__(self):
        self.told = []

    def note(self, sentence):
        self.told.append(sentence)


def double(*values):
    return torch.tensor(values, dtype=torch.float64)


def loss_of(logits, labels, members, how, part=ALL):
    return cross_entropy(
        logits[part],
        labels[part],
        Classify(groups=how),
        members=Membership(batch=members, part=part),
    )


def test_weights_of_groups_rise_with_their_losses_as_in_algorithm_1():
    q, losses, eta = [0.25, 0.25, 0.5], [1.0, 0.0, 2.0], 0.3
    raised = [own * math.exp(eta * loss) for own, loss in zip(q, losses, strict=True)]
    expected = [own / sum(raised) for own in raised]
    assert ascended(double(*q), double(*losses), eta).tolist() == pytest.approx(expected, rel=1e-14)


def test_a_huge_loss_takes_all_the_weight_and_a_weight_of_none_stays():
    assert ascended(double(0.5, 0.5), double(1e6, 0.0), 1.0).tolist() == [1.0, 0.0]
    assert ascended(double(1.0, 0.0), double(0.0, 1.0), 1.0).tolist() == [1.0, 0.0]


def test_two_steps_of_group_dro_worked_out_in_plain_numbers():
    logits = double([0.0, 1.0], [2.0, 0.5], [-1.0, 0.0], [0.3, 0.3], [1.0, -1.0]).requires_grad_()
    labels, members, eta = torch.tensor([0, 1, 1, 0, 0]), torch.tensor([0, 2, 2, 0, 0]), 0.7
    how = GroupWeights(weights=torch.full((3,), 1 / 3, dtype=torch.float64), step=eta)
    each = [
        math.log(math.exp(a) + math.exp(b)) - (a, b)[label]
        for (a, b), label in zip(logits.tolist(), labels.tolist(), strict=True)
    ]
    # Group 1 has no image in the batch: its loss is 0.
    means = [(each[0] + each[3] + each[4]) / 3, 0.0, (each[1] + each[2]) / 2]
    q = [1 / 3] * 3
    for _ in range(2):
        raised = [own * math.exp(eta * mean) for own, mean in zip(q, means, strict=True)]
        q = [own / sum(raised) for own in raised]
        loss = loss_of(logits, labels, members, how)
        assert how.weights.tolist() == pytest.approx(q, rel=1e-13)
        assert loss.item() == pytest.approx(sum(a * b for a, b in zip(q, means, strict=True)), rel=1e-13)
    (found,) = torch.autograd.grad(loss, logits)
    # The weights are constants to the gradient: each image's, times its group's weight over its images.
    share = double(q[0] / 3, q[2] / 2, q[2] / 2, q[0] / 3, q[0] / 3)
    (expected,) = torch.autograd.grad(
        (F.cross_entropy(logits, labels, reduction="none") * share).sum(), logits
    )
    torch.testing.assert_close(found, expected, rtol=1e-13, atol=0)


@given(data=st.data())
def test_steps_of_group_dro_by_size_are_those_of_plain_numbers(data):
    eta, constant = (data.draw(st.floats(0.01, 3)) for _ in range(2))
    sizes = data.draw(st.lists(st.integers(1, 5000), min_size=2, max_size=5))
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    members = rng.integers(len(sizes), size=7)
    how = GroupWeights(
        weights=torch.full((len(sizes),), 1 / len(sizes), dtype=torch.float64),
        step=eta,
        added=size_term(double(*sizes), constant),
    )
    q = [1 / len(sizes)] * len(sizes)
    for _ in range(3):
        logits = rng.normal(size=7)
        # Of class 0 of two logits, of which the other is 0.
        each = [math.log1p(math.exp(-logit)) for logit in logits]
        sums = [sum(each[i] for i in np.flatnonzero(members == k)) for k in range(len(sizes))]
        means = [total / max(1, (members == k).sum()) for k, total in enumerate(sums)]
        # The term is of every group in every step, also of one that the batch lacks.
        risks = [mean + constant / math.sqrt(n) for mean, n in zip(means, sizes, strict=True)]
        raised = [own * math.exp(eta * risk) for own, risk in zip(q, risks, strict=True)]
        q = [own / sum(raised) for own in raised]
        pairs = torch.from_numpy(np.stack([logits, np.zeros(7)], axis=1))
        loss = loss_of(pairs, torch.zeros(7, dtype=torch.int64), torch.from_numpy(members), how)
        assert how.weights.tolist() == pytest.approx(q, rel=1e-12)
        # It is no part of the loss.
        assert loss.item() == pytest.approx(sum(a * b for a, b in zip(q, means, strict=True)), rel=1e-12)


def test_without_the_size_term_weights_are_those_of_before_to_the_bit():
    logits = torch.randn(9, 2, generator=torch.Generator().manual_seed(3))
    labels, members = torch.arange(9) % 2, torch.arange(9) % 3
    how = GroupWeights(weights=torch.full((3,), 1 / 3), step=0.7)
    each = F.cross_entropy(logits, labels, reduction="none")
    sums = torch.stack([each[members == k].sum() for k in range(3)])
    before = (torch.full((3,), 1 / 3).log() + 0.7 * (sums / 3)).softmax(dim=0)
    loss = loss_of(logits, labels, members, how)
    assert torch.equal(how.weights, before)
    assert torch.equal(loss, (before * sums / 3).sum())
    one = make_config(groups="site", group_dro=0.01)
    assert "group_dro_size" not in written(one)
    assert run_name(one).endswith("group-dro0.01")


def test_the_smaller_of_two_groups_with_equal_losses_counts_more():
    weights = ascended(double(0.5, 0.5), double(1.0, 1.0) + size_term(double(4, 100), 2.0), 1.0)
    assert weights.tolist() == pytest.approx([1 / (1 + math.exp(-0.8)), 1 / (1 + math.exp(0.8))], rel=1e-14)


def test_the_largest_settings_leave_weights_that_are_numbers():
    known = all_settings()
    step, constant = known["group_dro"].most, known["group_dro_size"].most
    risks = torch.tensor([1e6, 0.0]) + size_term(torch.tensor([4, 1]), constant)
    assert ascended(torch.tensor([0.5, 0.5]), risks, step).tolist() == [1.0, 0.0]


@pytest.mark.parametrize("step", [0.0, 0.4])
@pytest.mark.parametrize("added", [None, [0.9, 0.1, 0.3]])
@given(data=st.data())
def test_the_mean_over_parts_is_the_loss_of_the_batch(step, added, data):
    n = data.draw(st.integers(2, 9))
    cut = data.draw(st.integers(1, n - 1))
    rng = torch.Generator().manual_seed(data.draw(st.integers(0, 99)))
    logits = torch.randn(n, 3, generator=rng, dtype=torch.float64)
    labels, members = (torch.randint(3, (n,), generator=rng) for _ in range(2))
    start = torch.rand(3, generator=rng, dtype=torch.float64) + 0.1
    start /= start.sum()
    each = F.cross_entropy(logits, labels, reduction="none")
    sums = torch.stack([each[members == k].sum() for k in range(3)])
    more = None if added is None else double(*added)
    whole = loss_of(logits, labels, members, GroupWeights(weights=start.clone(), step=step, added=more))
    parts = [slice(0, cut), slice(cut, n)]
    shared = [
        loss_of(
            logits,
            labels,
            members,
            # What all processes' sums come to.
            GroupWeights(weights=start.clone(), step=step, added=more, sum_of_all=lambda _: sums),
            part,
        )
        for part in parts
    ]
    mean = (shared[0] * cut + shared[1] * (n - cut)) / n
    torch.testing.assert_close(mean, whole, rtol=1e-12, atol=1e-14)


def test_reweighting_is_oversampling_in_expectation():
    members = torch.tensor([0] * 6 + [1] * 3 + [2])
    losses = torch.rand(10, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    weights = class_weights(members, 3, "here").double()
    assert (weights[members].mean().item()) == pytest.approx(1)
    chance = chances(members, 3, "here")
    expected = (chance / chance.sum()) @ losses
    assert (losses * weights[members]).mean().item() == pytest.approx(expected.item(), rel=1e-6)
    # Every mean over batches of an epoch, which each image is in once, comes to that too.
    batches = torch.randperm(10, generator=torch.Generator().manual_seed(1)).split(5)
    logits, labels = torch.randn(10, 2, dtype=torch.float64), torch.arange(10) % 2
    each = F.cross_entropy(logits, labels, reduction="none")
    how = GroupWeights(weights=weights)
    found = [loss_of(logits[own], labels[own], members[own], how).item() for own in batches]
    assert np.mean(found) == pytest.approx(((chance / chance.sum()) @ each).item(), rel=1e-6)
    drawn = torch.cat([epoch_order(10, chance, torch.Generator().manual_seed(k)) for k in range(600)])
    assert losses[drawn].mean().item() == pytest.approx(expected.item(), abs=0.02)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"group_dro": 0.1}, "group_dro needs groups: site, shortcut, or a column"),
        ({"group_balance": "sampling"}, "group_balance needs groups"),
        ({"groups": "site", "group_dro_size": 1.0}, "group_dro_size has no effect while group_dro is 0"),
        ({"groups": "site", "group_dro": 0.1, "group_dro_size": -1.0}, "group_dro_size must be from 0 to 1e"),
        (
            {"groups": "site", "group_balance": "weights", "group_dro": 0.1},
            "group_balance and group_dro each decide how much an image counts; choose one",
        ),
        (
            {"groups": "site", "group_balance": "sampling", "class_balance": "weights"},
            "class_balance and group_balance each decide",
        ),
    ],
)
def test_settings_that_contradict_each_other_are_refused(settings, words):
    with pytest.raises(UsageError, match=words):
        make_config(**settings)


def test_a_method_is_named_and_its_baseline_is_the_run_without_it():
    one = make_config(groups="site", group_dro=0.01, group_balance="sampling")
    assert method_name(one) == "Classify, groups drawn alike, GroupDRO 0.01"
    assert run_name(one).endswith("by-site-group-sampling-group-dro0.01")
    assert run_name(make_config(groups="a/b c")).endswith("by-a_b_c")
    assert not is_baseline(one)
    assert is_baseline(baseline(one))
    assert baseline(one) == make_config(groups="site")
    by_size = make_config(groups="site", group_dro=0.01, group_dro_size=2.0)
    assert method_name(by_size) == "Classify, GroupDRO 0.01, size term 2"
    assert run_name(by_size).endswith("by-site-group-dro0.01-dro-size2")
    assert baseline(by_size) == make_config(groups="site")


@pytest.fixture(scope="module")
def data(crosses, tmp_path_factory):
    return sited(crosses, tmp_path_factory.mktemp("sited") / "data")


@pytest.mark.process
@pytest.mark.parametrize("kind", HOW)
def test_an_interrupted_run_resumes_to_the_same_bits_streamed_and_among_seeds(
    data, tmp_path, kind, monkeypatch
):
    config = small(data, width=2, epochs=3, groups="site", **HOW[kind])
    train(config, (0, 1), tmp_path / "straight")
    monkeypatch.setattr(stream, "RESIDENT_BYTES", 0)
    monkeypatch.setattr(stream, "worker_count", lambda *_: 0)
    train_interrupted(config, (1,), tmp_path / "again", before_epoch=2)
    train(config, (1,), tmp_path / "again", resume=True)
    assert_same_run(tmp_path / "straight/seed-1", tmp_path / "again/seed-1")
    if config.robustness.group_dro:
        states = [load_file(tmp_path / f"{name}/seed-1/state.safetensors") for name in ("straight", "again")]
        q, same = (state["groups.weights"] for state in states)
        assert torch.equal(q, same)
        assert q.sum().item() == pytest.approx(1, rel=1e-5)
        assert len(set(q.tolist())) == 4


def test_a_seed_adds_the_constant_over_the_root_of_its_own_training_images(data, tmp_path):
    config = small(data, width=2, epochs=1, groups="site", group_dro=0.5, group_dro_size=3.0)
    replica = new_replica(config, 0, tmp_path, CPU)
    table = read_dataset(data)
    rows = split_rows(config.source, table, 0)["train"]
    counts = Counter((int(table.labels[row]), table.sites[row]) for row in rows.tolist())
    assert len(set(counts.values())) > 1
    expected = [3.0 / math.sqrt(counts[group]) for group in sorted(counts)]
    assert replica.group_weights.added.tolist() == pytest.approx(expected, rel=1e-6)


@pytest.mark.process
@pytest.mark.parametrize("size", [0.0, 3.0])
def test_it_acts_and_recorded_epochs_take_the_same_steps(data, tmp_path, monkeypatch, size):
    config = small(data, width=2, epochs=3, groups="site", group_dro=0.5, group_dro_size=size)
    less = {"group_dro": 0.5 if size else 0.0, "group_dro_size": 0.0}
    plain = replace(config, robustness=replace(config.robustness, **less))
    one, other = (train(each, (0,), tmp_path / str(k)) for k, each in enumerate((config, plain)))
    left, right = (load_file(found[0].folder / "last.safetensors") for found in (one, other))
    assert not all(torch.equal(left[name], right[name]) for name in left)
    monkeypatch.setattr(together, "why_not_recorded", lambda _replicas: "")
    monkeypatch.setattr(together, "stacks_on", lambda _device: True)
    watcher = Listening()
    train(config, (0, 1), tmp_path / "recorded", progress=watcher)
    assert watcher.told[-1] == (
        "seeds are trained beside each other, not as one network: groups that count differently is each "
        "seed's own"
    )
    assert any("of fewer than 10 training images each" in told for told in watcher.told)
    again = load_file(tmp_path / "recorded/seed-0/state.safetensors")
    before = load_file(tmp_path / "0/seed-0/state.safetensors")
    for name in ("groups.weights", *(key for key in before if key.startswith("model."))):
        torch.testing.assert_close(again[name], before[name], rtol=1e-4, atol=1e-6)


@pytest.mark.process
def test_a_column_that_changed_is_refused_on_resume(crosses, tmp_path):
    data = sited(crosses, tmp_path / "data")
    table = data / "metadata.csv"
    text = table.read_text().splitlines()
    table.write_text(
        "\n".join([f"{text[0]},hue", *(f"{row},{'ab'[k % 3 == 0]}" for k, row in enumerate(text[1:]))])
    )
    config = small(data, width=2, epochs=2, groups="hue", group_balance="sampling")
    train_interrupted(config, (0,), tmp_path / "run", before_epoch=1)
    table.write_text(
        "\n".join([f"{text[0]},hue", *(f"{row},{'ab'[k % 3 == 1]}" for k, row in enumerate(text[1:]))])
    )
    with pytest.raises(UsageError, match=r"the column hue of .* has changed since"):
        train(config, (0,), tmp_path / "run", resume=True)


def test_images_drawn_in_memory_know_no_groups(tmp_path):
    config = make_config(data="synthetic", groups="site", group_balance="weights", model="cnn")
    with pytest.raises(Exception, match="cannot be grouped by 'site', as no table says anything of them"):
        new_replica(config, 0, tmp_path, CPU)
