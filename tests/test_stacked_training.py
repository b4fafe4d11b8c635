"""All seeds trained as one network: each one's numbers and files are those of a training alone."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded_runs import small
from safetensors.torch import load_file
from test_device_epoch import NoHost
from without_numbers import NothingOfTheHost, without_numbers

from activmask.data.samples import Samples
from activmask.ground.errors import TrainingDiverged
from activmask.models.stacked import network
from activmask.objectives import stacked_step
from activmask.training import together
from activmask.training.replicas import saves
from activmask.training.replicas.predictions import score
from activmask.training.replicas.replica import Replica, new_replica
from activmask.training.replicas.watcher import Silent
from activmask.training.run import train
from activmask.training.stacks import train as stacks
from activmask.training.stacks.device_step import take_step
from activmask.training.stacks.first_step import compile_kernels, why_another_step
from activmask.training.stacks.group import Group, new_group, why_not_grouped
from activmask.training.stacks.judging import auc, judge

SEEDS = (0, 1, 2)
KINDS = {
    "batch norm": {"model": "resnet18", "actdiff": 1.0},
    "two penalties": {"actdiff": 1.0, "gradmask": 1.0, "eval_train": True},
    "decoder": {"model": "unet", "recon_masked": True, "select": "accuracy", "batch_size": 10},
    "unused decoder": {"model": "unet", "recon": 0.0, "rrr": 1.0},
    "cut and cropped": {"cutout": 9, "augment": "crop-flip", "image_size": 24, "select": "loss"},
    "smooth and drawn alike": {"label_smoothing": 0.2, "class_balance": "sampling", "gradmask": 1.0},
    "narrow": {"precision": "bf16", "actdiff": 1.0},
}


class Listening(Silent):
    def __init__(self):
        self.told = []

    def note(self, sentence):
        self.told.append(sentence)


@pytest.fixture
def as_one(monkeypatch):
    """Train as on CUDA, on a device where nothing can be recorded."""
    monkeypatch.setattr(together, "why_not_recorded", lambda _replicas: "")
    monkeypatch.setattr(together, "stacks_on", lambda _device: True)


def save_always(monkeypatch):
    """Have every epoch waited for and saved."""
    monkeypatch.setattr(stacks, "SECONDS_AHEAD", 0.0)
    monkeypatch.setattr(saves, "SECONDS_BETWEEN_SAVES", 0.0)
    monkeypatch.setattr(saves, "MOST_OF_THE_TIME", 1.0)


def history(folder: Path) -> list[dict[str, float]]:
    with (folder / "history.csv").open(newline="") as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    return [{k: v for k, v in row.items() if k not in {"seconds", "images_per_second"}} for row in rows]


def assert_near(one: Path, other: Path, *, loose: float = 1e-3, ranked: bool = True) -> None:
    """The same files, and the same numbers up to the order in which sums were added.

    Without `ranked`, scores that compare logits are not compared: networks that have hardly learnt tell
    images apart by less than narrow numbers are rounded by.
    """
    assert sorted(path.name for path in one.iterdir()) == sorted(path.name for path in other.iterdir())
    for ours, theirs in zip(history(one), history(other), strict=True):
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            # Sixteen images: a pair or an image that changes sides is 1/64 or 1/16.
            of_ranks = name.endswith(("_auc", "_accuracy"))
            most = 0.07 if of_ranks else loose * max(1e-2, abs(theirs[name]))
            if of_ranks and not ranked:
                continue
            assert value == pytest.approx(theirs[name], abs=most), name
    for file in ("state.safetensors", "last.safetensors"):
        left, right = (
            {name: t for name, t in load_file(each / file).items() if not name.startswith("best.")}
            for each in (one, other)
        )
        assert left.keys() == right.keys()
        for name, tensor in left.items():
            assert tensor.dtype == right[name].dtype
            torch.testing.assert_close(tensor, right[name], rtol=1e-2, atol=loose)


@pytest.mark.process
@pytest.mark.parametrize("kind", KINDS)
def test_every_seed_comes_to_what_it_comes_to_alone(crosses, tmp_path, kind, as_one):
    config = small(crosses, epochs=2, **KINDS[kind])
    watcher = Listening()
    train(config, seeds=SEEDS, out=tmp_path / "one", progress=watcher)
    assert not [sentence for sentence in watcher.told if "one network" in sentence]
    for seed in SEEDS[2:]:
        train(config, seeds=(seed,), out=tmp_path / "alone")
        loose = 2e-2 if kind == "narrow" else 2e-3
        assert_near(tmp_path / f"one/seed-{seed}", tmp_path / f"alone/seed-{seed}", loose=loose)


AS_ONE = """
import sys
from activmask.runs.making import make_config
from activmask.training import together
from activmask.training.run import train

together.why_not_recorded = lambda replicas: ""
together.stacks_on = lambda device: True
train_stacked = together.train_stacked

def telling(*given):
    obstacle = train_stacked(*given)
    print("stacked" if not obstacle else obstacle)
    return obstacle

together.train_stacked = telling
config = make_config(model=sys.argv[3], width=2, gradmask=1.0, epochs=1, data=sys.argv[1])
train(config, (0, 1), sys.argv[2])
print([name for name in ("torch._dynamo", "torch._inductor", "sympy") if name in sys.modules])
"""


@pytest.mark.process
@pytest.mark.parametrize("model", ["cnn", "resnet18"])
def test_training_as_one_network_imports_no_compiler(crosses, tmp_path, model):
    command = [sys.executable, "-c", AS_ONE, str(crosses), str(tmp_path / "run"), model]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split("\n") == ["stacked", "[]", ""]


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("kind", KINDS)
def test_one_graph_a_step_gives_the_numbers_of_step_by_step_on_cuda(crosses, tmp_path, kind, monkeypatch):
    config = small(crosses, device="cuda", **KINDS[kind])
    watcher = Listening()
    train(config, seeds=SEEDS, out=tmp_path / "one", progress=watcher)
    assert watcher.told == []
    monkeypatch.setattr(together, "why_not_recorded", lambda _replicas: "as a test")
    train(config, seeds=SEEDS, out=tmp_path / "eager")
    for seed in SEEDS:
        one, eager = (tmp_path / f"{which}/seed-{seed}" for which in ("one", "eager"))
        assert_near(one, eager, loose=2e-2, ranked=kind != "narrow")


@pytest.mark.process
@pytest.mark.parametrize("stacked_first", [True, False])
def test_one_engine_goes_on_where_another_stopped(crosses, tmp_path, stacked_first, monkeypatch):
    for out, engines in (("mixed", (stacked_first, not stacked_first)), ("same", (False, False))):
        for epochs, stacked in zip((1, 2), engines, strict=True):
            with monkeypatch.context() as patch:
                patch.setattr(together, "why_not_recorded", lambda _replicas: "")
                patch.setattr(together, "stacks_on", lambda _device, stacked=stacked: stacked)
                part = small(crosses, actdiff=1.0, epochs=epochs)
                train(part, seeds=(0, 1), out=tmp_path / out, resume=True)
    for seed in (0, 1):
        assert_near(tmp_path / f"mixed/seed-{seed}", tmp_path / f"same/seed-{seed}")


@pytest.mark.process
def test_seeds_that_are_behind_catch_up_and_then_train_with_the_others(
    crosses, tmp_path, as_one, monkeypatch
):
    groups = []

    def noting(replicas):
        groups.append([(replica.seed, replica.next_epoch) for replica in replicas])
        return new_group(replicas)

    monkeypatch.setattr(stacks, "new_group", noting)
    train(small(crosses, epochs=1), seeds=(1,), out=tmp_path / "run")
    train(small(crosses, epochs=3), seeds=SEEDS, out=tmp_path / "run", resume=True)
    assert groups == [[(0, 0), (2, 0)], [(0, 1), (1, 1), (2, 1)]]
    train(small(crosses, epochs=3), seeds=(1,), out=tmp_path / "alone")
    assert_near(tmp_path / "run/seed-1", tmp_path / "alone/seed-1")
    assert [row["epoch"] for row in history(tmp_path / "run/seed-0")] == [0, 1, 2]


@pytest.mark.process
def test_stopped_between_saves_it_resumes_to_the_same_bits(crosses, tmp_path, as_one, monkeypatch):
    config = small(crosses, epochs=4)
    train(config, seeds=SEEDS, out=tmp_path / "straight")
    save_always(monkeypatch)

    class Impatient(Silent):
        def epoch(self, seed, row):
            if (seed, row["epoch"]) == (1, 2):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, seeds=SEEDS, out=tmp_path / "resumed", progress=Impatient())
    train(config, seeds=SEEDS, out=tmp_path / "resumed", resume=True)
    for seed in SEEDS:
        one, other = (tmp_path / name / f"seed-{seed}" for name in ("straight", "resumed"))
        assert history(one) == history(other)
        for file in ("best.safetensors", "last.safetensors"):
            left, right = load_file(one / file), load_file(other / file)
            assert all(torch.equal(tensor, right[name]) for name, tensor in left.items())


def replicas_of(crosses, seeds=SEEDS, **settings) -> list[Replica]:
    config = small(crosses, **settings)
    return [new_replica(config, seed, Path("unused"), torch.device("cpu")) for seed in seeds]


def ready(group: Group) -> None:
    rows = torch.arange(len(group.replicas))[:, None] * group.order.shape[1]
    group.order.copy_(torch.arange(group.order.shape[1]) + rows)
    torch.arange(len(group.places), out=group.places)
    group.step.zero_()


def moments(replica: Replica) -> list[torch.Tensor]:
    return [value.clone() for state in replica.optimizer.state.values() for value in state.values()]


def test_a_seed_that_is_no_longer_finite_stops_by_itself(crosses):
    groups = [new_group(replicas_of(crosses, actdiff=1.0)) for _ in range(2)]
    for group in groups:
        ready(group)
        take_step(group, 8)
    poisoned, healthy = groups
    poisoned.images.chunk(len(SEEDS))[1].fill_(torch.nan)
    before = [tensor.clone() for tensor in poisoned.replicas[1].model.parameters()]
    states = moments(poisoned.replicas[1])
    for group in groups:
        take_step(group, 8)
        take_step(group, 8)
    assert poisoned.stopped.tolist() == [0, 1, 0]
    frozen = poisoned.replicas[1]
    assert all(torch.equal(a, b) for a, b in zip(before, frozen.model.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(states, moments(frozen), strict=True))
    for index in (0, 2):
        pair = [group.replicas[index] for group in groups]
        left, right = (list(replica.model.parameters()) for replica in pair)
        assert all(torch.equal(a, b) for a, b in zip(left, right, strict=True))
        assert torch.equal(poisoned.values[:3, index], healthy.values[:3, index])
    assert not poisoned.values[1:3, 1].isfinite().any()


class Poison(Silent):
    """Makes one seed's images NaN once it has finished an epoch."""

    def __init__(self, seed, epoch):
        self.seed, self.at, self.group = seed, epoch, None

    def new_group(self, replicas):
        self.group = new_group(replicas)
        return self.group

    def epoch(self, seed, row):
        if (seed, row["epoch"]) == (self.seed, self.at):
            self.group.images.chunk(len(self.group.replicas))[self.seed].fill_(torch.nan)


def test_a_seed_that_diverges_ends_the_run_and_the_others_are_saved(crosses, tmp_path, as_one, monkeypatch):
    poison = Poison(seed=1, epoch=1)
    monkeypatch.setattr(stacks, "new_group", poison.new_group)
    save_always(monkeypatch)
    with pytest.raises(TrainingDiverged, match=r"seed 1: the loss is no longer finite in epoch 3, step 1"):
        train(small(crosses, epochs=4), seeds=SEEDS, out=tmp_path / "run", progress=poison)
    assert [len(history(tmp_path / f"run/seed-{seed}")) for seed in SEEDS] == [3, 2, 3]
    state = load_file(tmp_path / "run/seed-1/state.safetensors")
    assert all(tensor.isfinite().all() for tensor in state.values())


@pytest.mark.parametrize("kind", KINDS)
def test_the_host_reads_nothing_within_a_step_or_a_judging(crosses, kind):
    group = new_group(replicas_of(crosses, **KINDS[kind]))
    ready(group)
    take_step(group, 8)
    with NoHost():
        take_step(group, 8)
        take_step(group, 7)
        judge(group)
    assert group.places[0] == 23
    assert group.step.tolist() == [3]
    assert group.verdicts[:, 0].tolist() == [1, 1, 1]


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_within_a_step_or_a_judging_lies_on_the_host(crosses, kind):
    # Without numbers torch has no narrow products.
    replicas = replicas_of(crosses, **{**KINDS[kind], "precision": "fp32"})
    group = new_group(replicas)
    ready(group)
    take_step(group, 8)
    for replica in replicas:
        replica.splits, replica.chance = {}, None
    group = without_numbers(group, group.generators)
    with NothingOfTheHost():
        take_step(group, 8)
        take_step(group, 7)
        judge(group)


def test_the_best_weights_are_those_of_the_seeds_that_improved(crosses):
    group = new_group(replicas_of(crosses))
    group.merits.copy_(torch.tensor([-torch.inf, 2.0, -torch.inf]))
    before = [{name: t.clone() for name, t in each.best_weights.items()} for each in group.replicas]
    ready(group)
    take_step(group, 8)
    judge(group)
    for replica, kept, better in zip(group.replicas, before, (True, False, True), strict=True):
        expected = replica.model.state_dict() if better else kept
        assert all(torch.equal(t, expected[name]) for name, t in replica.best_weights.items())


@pytest.mark.parametrize("run", [why_another_step, compile_kernels])
def test_nothing_is_changed_by_what_precedes_the_first_step(crosses, run):
    group = new_group(replicas_of(crosses, model="resnet18", gradmask=1.0))
    parts = (group.stacked.weights, group.stacked.statistics, group.stacked.batches)
    before = [part.clone() for part in parts]
    assert not run(group)
    assert all(torch.equal(one, other) for one, other in zip(parts, before, strict=True))
    assert not any(replica.optimizer.state for replica in group.replicas)


def test_running_statistics_that_go_elsewhere_are_seen_in_the_first_step(crosses, monkeypatch):
    group = new_group(replicas_of(crosses, model="resnet18"))

    def half(stacked, weights, images, **how):
        before = stacked.statistics.clone()
        output = network.forward_side_by_side(stacked, weights, images, **how)
        stacked.statistics.copy_((stacked.statistics + before) / 2)
        return output

    monkeypatch.setattr(stacked_step, "forward_side_by_side", half)
    assert "seed 0 comes to something else" in why_another_step(group)


def test_what_is_refused_leaves_no_trace_in_weights_or_in_the_best_of_them(crosses):
    group = new_group(replicas_of(crosses, model="resnet18"))
    parts = [
        part for own in (group.stacked, group.best) for part in (own.weights, own.statistics, own.batches)
    ]
    before = [part.clone() for part in parts]
    ready(group)

    def step_and_fail():
        take_step(group, 8)
        judge(group)
        assert not any(torch.equal(one, other) for one, other in zip(parts, before, strict=True))
        raise RuntimeError("no kernel image is available")

    with pytest.raises(RuntimeError, match="no kernel"), stacks._undone_if_refused(group):
        step_and_fail()
    assert all(torch.equal(one, other) for one, other in zip(parts, before, strict=True))


@pytest.mark.process
@pytest.mark.parametrize(
    "where", ["why_not_grouped", "new_group", "record_stacked", "why_another_step", "take_step"]
)
def test_where_a_device_refuses_it_says_so_and_trains_as_before(
    crosses, tmp_path, as_one, monkeypatch, where
):
    config = small(crosses, epochs=2)
    monkeypatch.setattr(together, "stacks_on", lambda _device: False)
    train(config, seeds=(0, 1), out=tmp_path / "before")
    monkeypatch.setattr(together, "stacks_on", lambda _device: True)

    def refuse(*_arguments):
        if where == "why_another_step":
            return "the first step of seed 0 comes to something else (140% apart)"
        raise RuntimeError("no kernel image is available")

    if where == "take_step":
        from activmask.training.stacks import capture

        steps = iter(range(3))

        def breaks(group, size):
            take_step(group, size)
            if next(steps) == 2:
                raise RuntimeError("no kernel image is available")

        monkeypatch.setattr(capture, "take_step", breaks)
    else:
        monkeypatch.setattr(stacks, where, refuse)
    watcher = Listening()
    train(config, seeds=(0, 1), out=tmp_path / "refused", progress=watcher)
    [sentence] = [one for one in watcher.told if "not as one network" in one]
    assert ("something else" if where == "why_another_step" else "no kernel image") in sentence
    for seed in (0, 1):
        # An epoch was trained as one network before recording failed; the others are the very same.
        loose = 1e-3 if where == "record_stacked" else 0.0
        for ours, theirs in zip(
            history(tmp_path / f"refused/seed-{seed}"), history(tmp_path / f"before/seed-{seed}"), strict=True
        ):
            assert ours == pytest.approx(theirs, rel=loose, abs=loose and 0.07)


def test_a_stack_that_computes_something_else_is_found_by_its_first_step(crosses):
    group = new_group(replicas_of(crosses, actdiff=1.0))
    with torch.no_grad():
        group.replicas[1].model.encoder[1][0].weight.data = group.replicas[0].model.encoder[1][0].weight
    assert "the first step of seed 1 comes to something else" in why_another_step(group)


def test_a_discriminator_and_splits_of_other_sizes_are_not_stacked(crosses):
    assert "discriminator" in why_not_grouped(replicas_of(crosses, adversarial=1.0))
    uneven = replicas_of(crosses)
    train_split = uneven[1].splits["valid"]
    assert isinstance(train_split, Samples)
    uneven[1].splits["valid"] = train_split.subset(range(10))
    assert "different sizes" in why_not_grouped(uneven)


def test_a_cpu_trains_as_before(crosses, tmp_path, monkeypatch):
    monkeypatch.setattr(together, "train_stacked", None)
    train(small(crosses, epochs=1), seeds=(0, 1), out=tmp_path / "run")


@settings(max_examples=30)
@given(st.integers(2, 4), st.integers(1, 3), st.randoms(use_true_random=False))
def test_the_auc_of_each_seed_is_that_of_scikit_learn(classes, seeds, random):
    images = classes + random.randint(0, 12)
    labels = [[*range(classes), *random.choices(range(classes), k=images - classes)] for _ in range(seeds)]
    logits = [[[random.randint(-2, 2) for _ in range(classes)] for _ in range(images)] for _ in range(seeds)]
    ours = auc(torch.tensor(logits).double(), torch.tensor(labels), classes)
    for own, ranks, answers in zip(ours, logits, labels, strict=True):
        expected = score(torch.tensor(ranks).float(), torch.tensor(answers)).auc
        assert float(own) == pytest.approx(expected, abs=1e-12)
