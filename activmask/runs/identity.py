"""What makes two descriptions one experiment, and which settings a resumed run may change."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from activmask.data.settings import Source, correlations
from activmask.ground.settings import declared
from activmask.models.library_names import IMAGENET
from activmask.models.own_code import code_digest, code_of, is_own_code
from activmask.objectives.chosen import shown_always
from activmask.runs.description import WORST_GROUP, Machine, RunConfig, flat, written
from activmask.runs.first_run import errors_file, head_file
from activmask.runs.names import baseline
from activmask.runs.optimisation import spans_all_epochs
from activmask.runs.robustness import FIRST_RUNS, Robustness, uses_groups

OF_NO_EXPERIMENT = ("duplicates", *declared(Machine))
"""Settings that change no result by more than rounding.

Whether equal pictures in two splits are refused is one of them, as the pictures are known by their digests.
"""


def may_change(config: RunConfig) -> tuple[str, ...]:
    """Settings a resumed run may change: they do not alter what was computed so far."""
    longer = () if spans_all_epochs(config.optimisation) else ("epochs",)
    scored = () if _goes_by_groups(config) else ("groups",)
    return (*longer, *OF_NO_EXPERIMENT, *scored)


def _goes_by_groups(config: RunConfig) -> bool:
    """Whether a run's groups decide what it trains, or which epoch is its best."""
    return uses_groups(config.robustness) or config.training.select == WORST_GROUP


def experiment(config: RunConfig) -> RunConfig:
    """What identifies an experiment: its description without `OF_NO_EXPERIMENT`, and groups merely scored."""
    unchecked = replace(config.source, duplicates=Source().duplicates)
    trained = config.robustness
    if not _goes_by_groups(config):
        trained = replace(trained, groups=Robustness().groups)
    return replace(config, source=unchecked, machine=Machine(), robustness=trained)


def alike(one: RunConfig, other: RunConfig) -> bool:
    """Whether two descriptions are of one experiment, trained for equally many epochs."""
    return experiment(one) == experiment(other)


def alike_elsewhere(one: RunConfig, other: RunConfig) -> bool:
    """Whether two descriptions are of one experiment but, perhaps, for the place of their data."""
    return alike(one, replace(other, source=replace(other.source, data=one.source.data)))


def test_images(config: RunConfig) -> tuple[object, ...]:
    """What decides which images a run is tested on, and how it sees them, but for its seed.

    Scores on other images differ for reasons that have nothing to do with the method.
    """
    return (
        config.source.data,
        config.source.split_policy,
        config.source.correlation,
        correlations(config.source)[2],
        config.view.evaluate_view,
        shown_always(config.objectives),
    )


def on_other_images(config: RunConfig) -> bool:
    """Whether a run is tested on other images than classification alone, as one that masks them all."""
    return test_images(baseline(config)) != test_images(config)


def changed_settings(one: RunConfig, other: RunConfig) -> list[str]:
    """The settings in which two runs differ, without those that a resumed run may change."""
    before, after = flat(one), flat(other)
    allowed = may_change(one)
    return [name for name in before if name not in allowed and before[name] != after.get(name)]


def changed_but_places(one: RunConfig, other: RunConfig) -> list[str]:
    """As `changed_settings`, without where data lie and where the run does that both begin with.

    These are known by digest, wherever they lie and however their places are spelled.
    """
    places = {"data", *(name for name in FIRST_RUNS if one[name] and other[name])}
    return [name for name in changed_settings(one, other) if name not in places]


CODE = "code"
"""What the digest of the user's file that made a network stands under."""

WEIGHTS = "weights"
"""The same of the file of weights that it started from."""


HEAD = "head"
"""The same of the checkpoint whose last layer was fitted anew."""

ERRORS = "errors"
"""The same of the checkpoint whose errors count more."""


def built_from(config: RunConfig, seed: int, first_run: Path | None = None) -> dict[str, str]:
    """SHA-256 of the files that a seed's network is built from besides this program, by what they are.

    Args:
        config: of the run.
        seed: of the run.
        first_run: where the run lies that it begins with, if not where its settings say.

    Raises:
        UsageError: one cannot be read.
    """
    return {what: code_digest(file) for what, file in _files(config, seed, first_run).items()}


def _files(config: RunConfig, seed: int, first_run: Path | None = None) -> dict[str, Path]:
    """The files that a seed's network is built from, by what they are."""
    network, how = config.network, config.robustness
    found = {CODE: code_of(network.model)[0]} if is_own_code(network.model) else {}
    found |= {WEIGHTS: Path(network.weights)} if network.weights not in {"", IMAGENET} else {}
    found |= {ERRORS: errors_file(how, seed, first_run)} if how.upweight_errors_of else {}
    return found | ({HEAD: head_file(how, seed, first_run)} if how.retrain_head else {})


def changed_files(before: Mapping[str, str], now: Mapping[str, str], config: RunConfig, seed: int) -> str:
    """A clause on the first file that is no longer what a network was built from; empty if all are."""
    changed = [name for name in {**before, **now} if before.get(name) != now.get(name)]
    return f"{_files(config, seed)[changed[0]]} is no longer what it was" if changed else ""


def run_digest(
    config: RunConfig, seed: int, split_sha256: Mapping[str, str], built_from: Mapping[str, str]
) -> str:
    """What one seed's run is known by from its first epoch on: SHA-256 of settings, seed and splits.

    Settings that a resumed run may change are left out, and so is the place of the data. A later version
    may have more settings, so nobody draws it anew for a run that has it: a resumed one keeps its own.
    """
    left_out = {*may_change(config), "data"}
    settings = {name: value for name, value in written(config).items() if name not in left_out}
    identity: dict[str, object] = {"settings": settings, "seed": seed, "splits": dict(split_sha256)}
    identity |= {"built_from": dict(built_from)} if built_from else {}
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


class OfRun(Protocol):
    """Whatever says which run it is of: a checkpoint, or a seed's folder."""

    @property
    def config(self) -> RunConfig:
        """The run's description."""

    @property
    def split_sha256(self) -> Mapping[str, str]:
        """Digest of each split; empty from earlier versions."""

    @property
    def run_sha256(self) -> str:
        """The run's digest; empty from earlier versions."""


def other_run(one: OfRun, other: OfRun) -> str:
    """A clause on why two descriptions are not of the same seed of one run; empty where they are.

    By the run's digest; where one of them has none, as from earlier versions, by settings and splits.
    """
    if one.run_sha256 and other.run_sha256:
        return "" if one.run_sha256 == other.run_sha256 else "it is of another run"
    if changed := [name for name in changed_settings(one.config, other.config) if name != "data"]:
        return changes_in_words(one.config, other.config, changed)
    known = one.split_sha256 and other.split_sha256
    return "it saw other images" if known and one.split_sha256 != other.split_sha256 else ""


def changes_in_words(before: RunConfig, after: RunConfig, names: Sequence[str]) -> str:
    """What some settings of two runs were and are."""
    return ", ".join(f"{name} was {before[name]}, is {after[name]}" for name in names)
