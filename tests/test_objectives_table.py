"""An objective is one file and one line: a toy defined here is found everywhere by being listed once."""

import csv
from dataclasses import dataclass, replace
from typing import Literal, get_args, get_origin

import pytest
import torch
from in_process import told
from objective_settings import OBJECTIVES as OF_TESTS

from activmask.data.settings import Source, View
from activmask.experiments.paper import paper_cell
from activmask.ground.errors import UsageError
from activmask.ground.settings import declared, setting
from activmask.models.settings import Network
from activmask.objectives import OBJECTIVES
from activmask.objectives.chosen import needs
from activmask.objectives.objective import Discriminator, Needs, Objective, is_on
from activmask.runs.description import Machine, Preset, Training, all_settings, changed, flat
from activmask.runs.folder import STATE_FILE
from activmask.runs.making import make_config, written_config
from activmask.runs.names import baseline, is_baseline, method_name, run_name
from activmask.runs.optimisation import Optimisation
from activmask.runs.robustness import Robustness
from activmask.runs.tensor_file import read_safetensors
from activmask.training.run import train


@dataclass(frozen=True, kw_only=True)
class SteadySettings:
    steady: float = setting(0.0, "Weight of steady logits.", least=0)
    steady_power: Literal["two", "four"] = setting(
        "two", "Power of the logits.", form=True, in_name=str, in_label="power {}".format
    )


STEADY = Objective(
    settings=SteadySettings,
    switches={"steady": Needs(masks=True, surroundings=True)},
    label=lambda _: "Steady",
    source="a toy",
    term=lambda settings, step: step.output.logits.pow(2 if settings.steady_power == "two" else 4).mean(),
)


@pytest.fixture(autouse=True)
def listed(monkeypatch):
    monkeypatch.setitem(OBJECTIVES, "steady", STEADY)


def test_its_settings_are_flags_with_their_help(tmp_path):
    text = " ".join(told("train", "--help", cwd=tmp_path).stdout.split())
    assert "--steady " in text
    assert "--steady-power" in text
    assert "Weight of steady logits (a toy)." in text


def test_every_objective_is_listed_by_its_name_and_shares_no_setting():
    assert all(name == one.name for name, one in OBJECTIVES.items())
    names = [name for one in OBJECTIVES.values() for name in one.declared()]
    assert len(names) == len(set(names))
    assert len(flat(make_config())) == len(all_settings())
    parts = (Preset, Source, View, Network, Training, Optimisation, Robustness, Machine)
    assert len(all_settings()) == len(names) + sum(len(declared(part)) for part in parts)


def test_no_two_settings_give_a_run_the_same_words():
    for words_of in ("in_name", "in_label"):
        found = [
            word
            for known in all_settings().values()
            if getattr(known, words_of) and get_origin(known.kind) is Literal
            for value in get_args(known.kind)
            if value != known.default and (word := getattr(known, words_of)(value))
        ]
        assert len(found) == len(set(found)), found


def test_every_objective_is_among_those_that_are_trained_in_all_ways():
    trained = {name for chosen in OF_TESTS.values() for name, value in chosen.items() if is_on(value)}
    networks = {chosen.get("model") for chosen in OF_TESTS.values()}
    assert OBJECTIVES.keys() - {"steady"} <= trained | ({"recon"} if "ae" in networks else set())


def test_its_settings_are_checked():
    for wrong, reason in (
        ({"steady": -1.0}, "steady must be at least 0"),
        ({"steady": "much"}, "steady must be of type float"),
        ({"steady": 1.0, "steady_power": "three"}, "steady_power must be one of two, four"),
        ({"steadi": 1.0}, "did you mean 'steady'"),
        ({"steady_power": "four"}, "steady_power has no effect while steady is 0; give steady a weight"),
        ({"steady": 1.0, "classify_masked": "train"}, r"actdiff, .*steady, which act on the surroundings"),
    ):
        with pytest.raises(UsageError, match=reason):
            make_config(**wrong)


def test_it_is_a_method_with_a_name_a_label_and_a_baseline():
    config = make_config(steady=2.5, steady_power="four")
    assert run_name(config) == "synthetic-resnet18-steady2.5-four"
    assert method_name(config) == "Steady, power four"
    assert method_name(make_config(steady=1.0, actdiff=1.0)) == "Actdiff & Steady"
    assert not is_baseline(config)
    assert baseline(config) == make_config()
    assert needs(config.objectives).masks
    assert make_config(masks=0.5, steady=1.0).view.masks == 0.5


def test_its_settings_are_read_and_written(tmp_path):
    config = make_config(steady=2.5)
    assert flat(config)["steady"] == 2.5
    assert written_config(flat(config)) == config
    text = told("train", "--steady", "2.5", "--dry-run", cwd=tmp_path).stdout
    (tmp_path / "run.toml").write_text(text)
    assert told("train", "--config", "run.toml", "--dry-run", cwd=tmp_path).stdout == text
    assert "steady = 2.5" in text


def test_a_description_made_before_it_was_listed_has_it_off(monkeypatch):
    with monkeypatch.context() as unlisted:
        unlisted.delitem(OBJECTIVES, "steady")
        before = make_config(preset="liver", actdiff=1.0)
        assert "steady" not in flat(before)
        paper_cell(before)
    assert before["steady"] == 0
    assert list(flat(before)) == list(flat(make_config()))
    assert changed(before, steady=2.0)["steady"] == 2
    # Printed cells are kept from their first reading on, which was before.
    assert paper_cell(make_config(steady=1.0)) is None


def test_runs_with_it_are_trained_named_tabulated_and_paired(crosses, tmp_path):
    common = {"data": str(crosses), "model": "cnn", "width": 2, "epochs": 2, "device": "cpu", "lr": 1e-3}
    for name, chosen in {"plain": {}, "toy": {"steady": 10.0}}.items():
        train(make_config(**common, **chosen), (0, 1), tmp_path / "runs" / name)
    history = (tmp_path / "runs" / "toy" / "seed-0" / "history.csv").read_text().splitlines()
    assert history[0].split(",")[:4] == ["epoch", "loss", "loss_classify", "loss_steady"]
    terms = [float(value) for value in history[1].split(",")[1:4]]
    assert terms[0] == pytest.approx(terms[1] + terms[2], abs=1e-5)
    assert terms[2] > 0
    told("table", "runs", "--format", "csv", "--out", "out.csv", cwd=tmp_path)
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = {row["method"]: row for row in csv.DictReader(file)}
    assert {method: row["baseline_folder"] for method, row in rows.items()} == {
        "Classify": "",
        "Steady": "runs/plain",
    }
    assert rows["Steady"]["baseline_seeds"] == "2"


def test_its_own_discriminator_is_built_and_trained(crosses, tmp_path, monkeypatch):
    built = []

    def build(_settings, features, seed):
        built.append(features)
        torch.manual_seed(seed)
        return torch.nn.Linear(features, 1)

    apart = Discriminator(
        build=build,
        features=lambda _, output: output.logits,
        loss=lambda _, network, full, shuffled: (network(full.detach()) - network(shuffled.detach())).mean(),
        lr=lambda _: 0.5,
        steps=lambda _: 3,
    )
    needs_both = Needs(masks=True, surroundings=True, shuffled=True, other_pass=True)
    toy = replace(STEADY, switches={"steady": needs_both}, discriminator=apart)
    monkeypatch.setitem(OBJECTIVES, "steady", toy)
    config = make_config(
        data=str(crosses), model="cnn", width=2, epochs=1, device="cpu", lr=1e-3, steady=1.0, batch_size=1000
    )
    [result] = train(config, (0,), tmp_path / "run")
    state, _ = read_safetensors(result.folder / STATE_FILE)
    assert built == [2]
    assert state["judge.weight"].shape == (1, 2)
    assert state["judge_optimizer.0.step"] == 3
    with pytest.raises(UsageError, match="adversarial and steady each train a discriminator of their own"):
        make_config(steady=1.0, adversarial=1.0)


def test_its_gradient_trains_the_network(crosses, tmp_path):
    """A large weight on small logits makes them small, so the term does what it says."""
    common = {"data": str(crosses), "model": "cnn", "width": 2, "epochs": 3, "device": "cpu", "lr": 1e-2}
    sizes = []
    for weight in (0.0, 1000.0):
        [result] = train(make_config(**common, steady=weight), (0,), tmp_path / f"{weight:g}")
        rows = (result.folder / "history.csv").read_text().splitlines()
        sizes.append(float(rows[-1].split(",")[2]))
    assert abs(sizes[1] - torch.tensor(2.0).log().item()) < 0.01
    assert sizes[0] != sizes[1]
