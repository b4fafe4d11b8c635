"""What makes two descriptions one experiment, and which settings a resumed run may change."""

from collections.abc import Sequence
from dataclasses import replace

from activmask.data.settings import Source
from activmask.ground.settings import declared
from activmask.objectives.chosen import shown_always
from activmask.runs.description import Machine, RunConfig, flat
from activmask.runs.names import baseline

OF_NO_EXPERIMENT = ("duplicates", *declared(Machine))
"""Settings that change no result by more than rounding.

Whether equal pictures in two splits are refused is one of them, as the pictures are known by their digests.
"""

MAY_CHANGE = ("epochs", *OF_NO_EXPERIMENT)
"""Settings a resumed run may change: they do not alter what was computed so far."""


def experiment(config: RunConfig) -> RunConfig:
    """What identifies an experiment: all of its description but `OF_NO_EXPERIMENT`."""
    unchecked = replace(config.source, duplicates=Source().duplicates)
    return replace(config, source=unchecked, machine=Machine())


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
        config.view.evaluate_view,
        shown_always(config.objectives),
    )


def on_other_images(config: RunConfig) -> bool:
    """Whether a run is tested on other images than classification alone, as one that masks them all."""
    return test_images(baseline(config)) != test_images(config)


def changed_settings(one: RunConfig, other: RunConfig) -> list[str]:
    """The settings in which two runs differ, without those that a resumed run may change."""
    before, after = flat(one), flat(other)
    return [name for name in before if name not in MAY_CHANGE and before[name] != after.get(name)]


def changes_in_words(before: RunConfig, after: RunConfig, names: Sequence[str]) -> str:
    """What some settings of two runs were and are."""
    return ", ".join(f"{name} was {before[name]}, is {after[name]}" for name in names)
