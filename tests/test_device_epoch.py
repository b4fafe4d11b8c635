"""An epoch that the device does alone: the host reads nothing, and what went wrong changes nothing."""

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from objective_settings import each
from recorded_runs import RECORDED, small
from sited import sited
from torch.utils._python_dispatch import TorchDispatchMode
from without_numbers import META, NothingOfTheHost, without_numbers

from activmask.data.samples import Samples
from activmask.runs.checkpoint import snapshot
from activmask.runs.seeds import derived_generator
from activmask.training.graphs.device_epoch import (
    Judged,
    _auc,
    judge_epoch,
    judged,
    new_health,
    new_segment,
    take_steps,
)
from activmask.training.graphs.epoch_verdict import (
    SplitScores,
    new_verdict,
    pack_verdict,
    unpack_verdict,
)
from activmask.training.replicas.predictions import Scores, score
from activmask.training.replicas.replica import new_replica

LATER = [
    *each(["cutout inside", "expected gradients", "hirescam", "noisy copy"]),
    pytest.param({"groups": "site", "group_dro": 0.1, "group_dro_size": 1.0}, id="groups"),
]


def prepared(crosses, **settings):
    return new_replica(small(crosses, **settings), 0, Path("unused"), torch.device("cpu"))


def test_a_step_that_is_not_finite_leaves_weights_and_optimizer_as_they_were(crosses):
    replica = prepared(crosses)
    health, segment = new_health(replica), new_segment(replica, (12, 12))
    generator = derived_generator(0, "step")
    take_steps(replica, segment, health, generator)
    before = [tensor.clone() for tensor in replica.model.parameters()]
    states = [value.clone() for state in replica.optimizer.state.values() for value in state.values()]
    assert isinstance(replica.train, Samples)
    replica.train.images[0] = torch.nan
    take_steps(replica, segment, health, generator)
    replica.train.images[0] = 0
    take_steps(replica, segment, health, generator)
    assert health.stopped == 1
    after = [value for state in replica.optimizer.state.values() for value in state.values()]
    assert all(torch.equal(a, b) for a, b in zip(before, replica.model.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(states, after, strict=True))


class NoHost(TorchDispatchMode):
    """Refuses whatever would make the host wait for the device, or have a shape that depends on values."""

    FORBIDDEN = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "unique", "item", "lift_fresh")

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        assert not any(name.startswith(word) for word in self.FORBIDDEN), name
        if name.startswith("index") and isinstance(args[1], list | tuple):
            assert all(index is None or index.dtype != torch.bool for index in args[1]), "indexed by a mask"
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("settings", RECORDED)
def test_the_host_reads_nothing_within_an_epoch(crosses, settings):
    replica = prepared(crosses, **settings)
    health, segment = new_health(replica), new_segment(replica, (12, 7))
    splits = {"valid": judged(replica, "valid")}
    replica.best_weights = snapshot(replica.model)
    verdict = new_verdict(1)
    take_steps(replica, segment, health, derived_generator(0, "step"))
    with NoHost():
        take_steps(replica, segment, health, derived_generator(0, "step"))
        judge_epoch(replica, splits, health, verdict)
    assert unpack_verdict(verdict, ["valid"]).is_best


@given(st.booleans(), st.lists(st.tuples(*[st.floats(0, 9)] * 3, st.booleans()), min_size=1, max_size=3))
def test_a_verdict_is_read_as_it_was_written(best, numbers):
    verdict, names = new_verdict(len(numbers)), ["valid", "train", "test"][: len(numbers)]
    told = [SplitScores(*(torch.tensor(x, dtype=torch.float64) for x in one)) for one in numbers]
    pack_verdict(verdict, torch.tensor(best), dict(zip(names, told, strict=True)))
    read = unpack_verdict(verdict, names)
    assert read.is_best is best
    assert read.scores == {name: Scores(*one[:3]) for name, one in zip(names, numbers, strict=True)}
    assert read.broken == tuple(name for name, one in zip(names, numbers, strict=True) if not one[3])


def test_the_watch_for_host_reads_can_fail():
    with pytest.raises(AssertionError), NoHost():
        torch.ones(()).item()


@pytest.mark.parametrize("settings", [*RECORDED, *LATER])
def test_nothing_within_an_epoch_lies_on_the_host(crosses, tmp_path, settings):
    data = sited(crosses, tmp_path / "sited") if "groups" in settings else crosses
    # Without numbers torch has no narrow products.
    replica = prepared(data, **{**settings, "precision": "fp32"})
    health, segment = new_health(replica), new_segment(replica, (12, 7))
    generator = derived_generator(0, "step")
    splits, verdict = {"valid": judged(replica, "valid")}, new_verdict(1)
    replica.best_weights = snapshot(replica.judged)
    take_steps(replica, segment, health, generator)
    # The host draws the order, and scores by itself.
    replica.splits, replica.chance = {}, None
    replica, segment, health, splits, verdict = without_numbers(
        (replica, segment, health, splits, verdict), [generator]
    )
    replica.device = META
    with NothingOfTheHost():
        take_steps(replica, segment, health, generator)
        judge_epoch(replica, splits, health, verdict)


def test_the_watch_for_what_lies_on_the_host_can_fail():
    own, other = torch.ones(2, device=META), torch.ones(())
    with NothingOfTheHost():
        own.add_(own)
    with pytest.raises(AssertionError, match="reads the host's tensor"), NothingOfTheHost():
        own.add_(other)


@given(
    st.integers(2, 4).flatmap(
        lambda classes: st.tuples(
            st.just(classes),
            st.lists(
                st.tuples(
                    st.integers(0, classes - 1),
                    st.lists(st.integers(-3, 3), min_size=classes, max_size=classes),
                ),
                max_size=30,
            ),
        )
    )
)
def test_the_auc_is_that_of_scikit_learn(case):
    classes, images = case
    labels = torch.tensor([*range(classes), *(label for label, _ in images)])
    logits = torch.tensor([[0] * classes] * classes + [row for _, row in images]).float()
    ranked = [1] if classes == 2 else range(classes)
    members = tuple(((labels == own).nonzero()[:, 0], (labels != own).nonzero()[:, 0]) for own in ranked)
    ours = _auc(logits.double(), Judged(images=logits, labels=labels, members=members))
    assert float(ours) == pytest.approx(score(logits, labels).auc, abs=1e-12)
