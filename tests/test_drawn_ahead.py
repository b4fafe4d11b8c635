"""Networks of several seeds that are drawn beside each other are those of each seed alone."""

import threading

import pytest
import torch

from activmask.runs.making import make_config
from activmask.training.replicas import drawn_ahead as module
from activmask.training.replicas.drawn_ahead import drawn_ahead
from activmask.training.replicas.replica import tried_out

SIZES = {"channels": 1, "classes": 2, "size": 28}
SEEDS = (5, 0, 3)


@pytest.fixture
def threads(monkeypatch):
    """By seed, the names of the threads in which networks were made."""
    seen: dict[int, list[str]] = {}

    def noting(config, seed, **how):
        seen.setdefault(seed, []).append(threading.current_thread().name)
        return tried_out(config, seed, **how)

    monkeypatch.setattr(module, "tried_out", noting)
    return seen


@pytest.mark.parametrize(
    ("settings", "beside"),
    [
        ({"model": "resnet18", "actdiff": 1.0}, True),
        ({"model": "unet", "recon_masked": True}, True),
        ({"model": "cnn", "hirescam": 1.0}, False),  # It looks at what each network computes.
        ({"model": "cnn", "adversarial": 1.0}, False),  # Its second network is drawn by torch's generator.
    ],
)
def test_every_seed_has_the_weights_that_it_has_alone(settings, beside, threads):
    config = make_config(width=2, **settings)
    with drawn_ahead(config, SEEDS) as networks:
        found = {seed: networks(config, seed, **SIZES) for seed in SEEDS}
    for seed, (learners, notes) in found.items():
        alone, own_notes = tried_out(config, seed, **SIZES)
        assert notes == own_notes
        for ours, theirs in (
            (learners.model, alone.model), (learners.discriminator, alone.discriminator)
        ):  # fmt: skip
            assert (ours is None) == (theirs is None)
            if ours is not None:
                assert ours.training
                for one, other in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
                    assert torch.equal(one, other)
    here = threading.current_thread().name
    made_here = {seed: names == [here] for seed, names in threads.items()}
    assert made_here == {5: True, 0: not beside, 3: not beside}


def test_a_seed_of_other_sizes_gets_a_network_of_its_own(threads):
    config = make_config(model="cnn", width=2)
    with drawn_ahead(config, SEEDS) as networks:
        networks(config, 5, **SIZES)
        learners, _ = networks(config, 0, **{**SIZES, "classes": 3})
    alone, _ = tried_out(config, 0, **{**SIZES, "classes": 3})
    for one, other in zip(
        learners.model.state_dict().values(), alone.model.state_dict().values(), strict=True
    ):
        assert torch.equal(one, other)


def test_no_seed_at_all_is_nothing_to_draw():
    with drawn_ahead(make_config(model="cnn"), ()):
        pass
